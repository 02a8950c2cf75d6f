#include "router_body.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/json_find.h"
#include "base/mem.h"
#include "base/str.h"
#include "http/multipart.h"

#include <errno.h>
#include <stdint.h>

#define BODY_MAX (64 * 1024 * 1024) /* bytes, as client_max_body_size of the site */

static int read_body(struct hl_fastcgi_request *request, struct hl_buf *body, struct hl_err *err)
{
        const char *text = hl_fastcgi_get(request, "CONTENT_LENGTH");
        uint64_t len = 0;
        if (text && *text && hl_parse_uint(text, BODY_MAX, &len) < 0)
                return hl_fail(err, HL_ERR_INVALID, EFBIG, "body_too_large", "the body is longer than %d bytes",
                               BODY_MAX);
        char bytes[16384];
        while (body->len < len) {
                size_t n = hl_fastcgi_body(request, bytes, sizeof(bytes));
                if (n == 0)
                        return hl_fail(err, HL_ERR_INVALID, EPROTO, "incomplete_request",
                                       "the request ended before it was whole");
                hl_buf_add(body, bytes, n);
        }
        return 0;
}

int hl_router_find_model(struct hl_fastcgi_request *request, char **ret_name, struct hl_err *err)
{
        struct hl_buf body = { 0 };
        HL_CLEANUP(hl_free_pointer) char *name = NULL;
        const char *type = hl_fastcgi_get(request, "CONTENT_TYPE");
        int r = read_body(request, &body, err);
        if (r == 0 && hl_multipart_is(type)) {
                r = hl_multipart_field(type, body.data ? body.data : "", body.len, "model", &name);
                if (r < 0)
                        hl_fail(err, HL_ERR_INVALID, EINVAL, "invalid_form", "this is no well-formed form");
        } else if (r == 0) {
                r = hl_json_find_string(body.data ? body.data : "", body.len, "model", &name, err);
        }
        hl_buf_free(&body);
        if (r == 0 && !name)
                r = hl_fail(err, HL_ERR_INVALID, EINVAL, "model_missing",
                            "\"model\" is missing: GET /v1/models lists those that there are");
        if (r == 0)
                *ret_name = hl_steal(name);
        return r;
}

/* SPDX-License-Identifier: MIT */
#include "proposal.h"

#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PORT_DIGITS_MAX 5
#define LINE_SIZE_MAX (HL_MODEL_NAME_MAX + 1 + PORT_DIGITS_MAX + 1) /* bytes: a name, a blank, a port, a line break */
#define PROPOSAL_SIZE_MAX (HL_CATALOG_MAX * LINE_SIZE_MAX)          /* bytes */

#define MODELS_AT_ONCE 1024 /* there is room for so many more each time */

void hl_proposal_write(const struct hl_catalog *catalog, struct hl_buf *out)
{
        for (size_t i = 0; i < catalog->count; i++)
                if (catalog->models[i].port)
                        hl_buf_addf(out, "%s %u\n", catalog->models[i].name, catalog->models[i].port);
}

static int fail_read(const char *path, int errnum, struct hl_err *err)
{
        return hl_fail(err, HL_ERR_INVALID, errnum, "proposal_refused", "%s: %s", path, strerror(errnum));
}

int hl_proposal_read(const char *path, struct hl_buf *text, struct hl_err *err)
{
        /* O_NONBLOCK: a named pipe in the way must not hold us up. */
        HL_CLEANUP(hl_close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
        struct stat status;
        if (fd < 0 || fstat(fd, &status) < 0)
                return fail_read(path, errno, err);
        if (!S_ISREG(status.st_mode) || status.st_nlink != 1)
                return hl_fail(err, HL_ERR_INVALID, EINVAL, "proposal_refused", "%s is no file of its own", path);
        for (;;) {
                char piece[4096];
                ssize_t n = read(fd, piece, sizeof(piece));
                if (n < 0)
                        return fail_read(path, errno, err);
                if (n == 0)
                        return 0;
                if (text->len + (size_t)n > PROPOSAL_SIZE_MAX || hl_buf_add(text, piece, (size_t)n) < 0)
                        return fail_read(path, EFBIG, err);
        }
}

/* Takes one line, without its line break, apart. */
static bool parse_line(char *line, size_t len, struct hl_model *ret_model)
{
        char *blank = memchr(line, ' ', len);
        uint64_t port;
        if (!blank || len >= LINE_SIZE_MAX || memchr(line, '\0', len))
                return false;
        *blank = '\0';
        if (!hl_model_name_valid(line) || blank[1] == '0' || hl_parse_uint(blank + 1, UINT16_MAX, &port) < 0)
                return false;
        hl_copy(ret_model->name, sizeof(ret_model->name), line);
        ret_model->port = (uint16_t)port;
        return true;
}

static int add_line(char *line, size_t len, struct hl_catalog *catalog)
{
        struct hl_model model = { 0 };
        if (catalog->count >= HL_CATALOG_MAX || !parse_line(line, len, &model) ||
            (catalog->count > 0 && strcmp(catalog->models[catalog->count - 1].name, model.name) >= 0))
                return -EINVAL;
        if (catalog->count % MODELS_AT_ONCE == 0)
                catalog->models = hl_grow(catalog->models, catalog->count + MODELS_AT_ONCE, sizeof(model));
        catalog->models[catalog->count++] = model;
        return 0;
}

int hl_proposal_parse(struct hl_buf *text, struct hl_catalog *ret_catalog, struct hl_err *err)
{
        *ret_catalog = (struct hl_catalog){ 0 };
        for (size_t at = 0; at < text->len;) {
                char *line = text->data + at, *end = memchr(line, '\n', text->len - at);
                size_t len = end ? (size_t)(end - line) : 0;
                if (end)
                        *end = '\0';
                if (!end || add_line(line, len, ret_catalog) < 0) {
                        size_t number = ret_catalog->count + 1;
                        hl_catalog_free(ret_catalog);
                        return hl_fail(err, HL_ERR_INVALID, EINVAL, "proposal_refused",
                                       "line %zu of what is proposed is no model's name and port, in the order of the "
                                       "names",
                                       number);
                }
                at += len + 1;
        }
        return 0;
}

/* Both are in the order of their names. */
size_t hl_proposal_compare(const struct hl_catalog *proposed, struct hl_catalog *models)
{
        size_t agreed = 0, at = 0;
        for (size_t i = 0; i < models->count; i++) {
                struct hl_model *model = &models->models[i];
                while (at < proposed->count && strcmp(proposed->models[at].name, model->name) < 0)
                        at++;
                bool agrees = model->port && at < proposed->count && proposed->models[at].port == model->port &&
                              strcmp(proposed->models[at].name, model->name) == 0;
                agreed += agrees;
                if (!agrees)
                        model->port = 0;
        }
        return proposed->count - agreed;
}

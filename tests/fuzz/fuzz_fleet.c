/* SPDX-License-Identifier: MIT */
/* The first line names hosts, the second is the status that each of them answers, the rest their answer. What is taken
 * of it is written down, and taken up again as the same. */
#include "fuzz.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "config/names.h"
#include "nginx-config-updater/cluster/fleet.h"

#include <errno.h>
#include <string.h>

static struct fuzz_input answered;
static int status;

int __wrap_hl_http_client_ask(struct hl_http_client *client, const struct hl_http_client_request *request,
                              struct hl_http_client_answer *answer, struct hl_err *err);
int __wrap_hl_http_client_ask(struct hl_http_client *client, const struct hl_http_client_request *request,
                              struct hl_http_client_answer *answer, struct hl_err *err)
{
        (void)client;
        fuzz_must(hl_has_prefix(request->url, "http://"));
        hl_buf_free(&answer->body);
        answer->status = status;
        hl_copy(answer->address, sizeof(answer->address), "fd00::1");
        if (answered.left > 0 && hl_buf_add(&answer->body, answered.data, answered.left) < 0)
                return hl_fail(err, HL_ERR_UPSTREAM, EMSGSIZE, "host_failed", "too much");
        return 0;
}

static void check(const struct hl_fleet_host *host)
{
        for (size_t i = 0; i < host->count; i++) {
                fuzz_must(hl_model_name_valid(host->models[i].name) && host->models[i].port > 0);
                fuzz_must(i == 0 || strcmp(host->models[i - 1].name, host->models[i].name) < 0);
        }
        fuzz_must(!*host->address || hl_is_address(host->address));
}

static void print(const struct hl_fleet *fleet, struct hl_buf *out)
{
        hl_json *document = hl_fleet_document(fleet);
        hl_json_print(document, out);
        hl_json_free(document);
}

/* The hosts anew, with what the document says of them. */
static void take_up(const char *urls, const hl_json *document, struct hl_fleet *ret_fleet, int *ret_result)
{
        struct hl_err err = { 0 };
        fuzz_must(hl_fleet_parse(urls, ret_fleet, &err) == 0);
        *ret_result = 0;
        for (size_t i = 0; i < ret_fleet->count; i++) {
                struct hl_err bad = { 0 };
                int r = hl_fleet_recall(&ret_fleet->hosts[i], document, &bad);
                fuzz_must(r == 0 || (r == -EINVAL && *bad.message));
                check(&ret_fleet->hosts[i]);
                *ret_result = r < 0 ? r : *ret_result;
        }
}

static void remember(const char *urls, const struct hl_fleet *fleet)
{
        HL_CLEANUP(hl_json_cleanup) hl_json *document = NULL;
        struct hl_fleet again = { 0 };
        struct hl_buf once = { 0 }, twice = { 0 };
        struct hl_err err = { 0 };
        int r;
        print(fleet, &once);
        fuzz_must(hl_json_parse(once.data, once.len, &document, &err) == 0);
        take_up(urls, document, &again, &r);
        print(&again, &twice);
        fuzz_must(r == 0 && strcmp(once.data, twice.data) == 0);
        hl_buf_free(&once);
        hl_buf_free(&twice);
        hl_fleet_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct fuzz_input input = { data, size };
        struct hl_fleet fleet = { 0 }, recalled = { 0 };
        struct hl_err err = { 0 };
        const char *line = "";
        size_t len = 0;
        fuzz_line(&input, &line, &len);
        HL_CLEANUP(hl_free_pointer) char *urls = hl_strndup(line, len);
        len = 0;
        fuzz_line(&input, &line, &len);
        status = len > 0 && *line >= '1' && *line <= '5' ? (*line - '0') * 100 + (len > 2 ? line[2] & 3 : 0) : 200;
        answered = input;
        if (hl_fleet_parse(urls, &fleet, &err) < 0) {
                fuzz_must(err.kind == HL_ERR_INVALID && *err.message && !fleet.hosts);
                return 0;
        }
        fuzz_must(fleet.count > 0 && fleet.count <= HL_FLEET_HOSTS_MAX);
        for (size_t i = 0; i < fleet.count; i++) {
                struct hl_err bad = { 0 };
                fuzz_must(fleet.hosts[i].port > 0 && !strpbrk(fleet.hosts[i].url + strlen("http://"), "/;{}\"' $\\"));
                int r = hl_fleet_ask(&fleet.hosts[i], NULL, "hls_x", UINT64_MAX, &bad);
                fuzz_must(r == 0 ? status == 200 : bad.kind != HL_ERR_NONE && *bad.message);
                fuzz_must(hl_utf8_valid(bad.message, strlen(bad.message)) || r == 0);
                check(&fleet.hosts[i]);
        }
        remember(urls, &fleet);

        HL_CLEANUP(hl_json_cleanup) hl_json *document = NULL; /* what lay where others may write */
        if (hl_json_parse((const char *)input.data, input.left, &document, &err) == 0) {
                int r;
                take_up(urls, document, &recalled, &r);
                hl_fleet_free(&recalled);
        }
        hl_fleet_free(&fleet);
        return 0;
}

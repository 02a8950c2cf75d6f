/* SPDX-License-Identifier: MIT */
/* A kubeconfig, and the files that it names. What is taken can be used; what is not is told in a sentence. */
#include "fuzz.h"

#include "base/err.h"
#include "base/io.h"
#include "base/str.h"
#include "nginx-config-updater/cluster/kubeconfig.h"

#include <errno.h>
#include <string.h>

#define CONFIG "/lab/kubeconfig"

static const uint8_t *text;
static size_t text_len;

/* Files beside it are there if their names are short. */
int __wrap_hl_read_file(int dir_fd, const char *path, size_t max, struct hl_buf *buf);
int __wrap_hl_read_file(int dir_fd, const char *path, size_t max, struct hl_buf *buf)
{
        static const char pem[] = "-----BEGIN CERTIFICATE-----\n";
        (void)dir_fd;
        if (strcmp(path, CONFIG) == 0)
                return fuzz_give(text, text_len, max, buf);
        return strlen(path) < 20 ? fuzz_give(pem, sizeof(pem) - 1, max, buf) : -ENOENT;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct hl_kubeconfig config = { 0 };
        struct hl_err err = { 0 };
        text = data;
        text_len = size;
        int r = hl_kubeconfig_load(CONFIG, &config, &err);
        if (r < 0) {
                fuzz_must(err.kind == HL_ERR_INVALID || err.kind == HL_ERR_NOT_FOUND);
                fuzz_must(err.code && *err.message && !config.server && !config.token);
                return 0;
        }
        fuzz_must(r == 0 && hl_has_prefix(config.server, "https://"));
        fuzz_must(!config.certificate == !config.key && (config.token || config.key));
        fuzz_must(config.token_advice && *config.token_advice);
        hl_kubeconfig_free(&config);
        return 0;
}

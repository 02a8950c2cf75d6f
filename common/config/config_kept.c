/* SPDX-License-Identifier: MIT */
#include "config_kept.h"

#include "base/io.h"
#include "base/mem.h"

#include <errno.h>
#include <pthread.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct {
        struct hl_config config; /* without a text: there is none */
        struct stat status;      /* of its file; where there is none, all is 0 */
} kept;

static void keep(struct hl_config *config, const struct stat *status)
{
        hl_config_free(&kept.config);
        kept.config = hl_config_share(config);
        kept.status = *status;
}

/* The file is looked at before it is read: what changes meanwhile is seen at the next use. */
int hl_config_kept_load(struct hl_config *ret_config, struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer) char *path = hl_config_path();
        struct stat status = { 0 };
        /* A link to nowhere is not the same as no file. */
        bool is_known = stat(path, &status) == 0 || (errno == ENOENT && !hl_is_link(path));
        int r = 0;
        pthread_mutex_lock(&mutex);
        if (is_known && kept.config.text && hl_is_same_file(&status, &kept.status)) {
                *ret_config = hl_config_share(&kept.config);
        } else {
                r = hl_config_load(NULL, ret_config, err);
                if (r == 0 && is_known && hl_file_has_settled(&status))
                        keep(ret_config, &status);
        }
        pthread_mutex_unlock(&mutex);
        return r;
}

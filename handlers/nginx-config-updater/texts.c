/* SPDX-License-Identifier: MIT */
#include "texts.h"

#include "base/io.h"
#include "base/mem.h"
#include "conf.h"
#include "nginx/files.h"
#include "nginx/ports.h"
#include "password.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define SIZE_MAX_IN_FORCE (64 * 1024 * 1024) /* bytes */

void hl_nginx_texts_free(struct hl_nginx_texts *texts)
{
        hl_buf_free(&texts->locations);
        hl_buf_free(&texts->upstreams);
        *texts = (struct hl_nginx_texts){ 0 };
}

char *hl_nginx_upstreams_path(void)
{
        return hl_format("%s/nginx/upstreams/models.conf", hl_state_dir());
}

char *hl_nginx_mark_path(const struct hl_config *config)
{
        return hl_format("%s.pending", config->nginx_output);
}

/* Each request for such a model would come back to NGINX, and go there again. */
static void leave_nginx_its_ports(struct hl_catalog *catalog, const struct hl_report *report, struct hl_buf *notes)
{
        HL_CLEANUP(hl_nginx_ports_free) struct hl_nginx_ports ports;
        hl_nginx_ports_read(&ports);
        for (size_t i = 0; i < catalog->count; i++) {
                struct hl_model *model = &catalog->models[i];
                const struct hl_nginx_listen *listen = hl_nginx_ports_find(&ports, model->port);
                if (!listen)
                        continue;
                HL_CLEANUP(hl_free_pointer)
                char *message = hl_format("%u is NGINX's (\"listen %s\", %s:%u): the model gets no location, give it "
                                          "another",
                                          model->port, listen->address, listen->file, listen->line);
                hl_report_tell(report, model->file_path, 0, "PORT", message);
                hl_buf_addf(notes, "\n# %s\n# PORT %u is NGINX's own: the model cannot be reached here.\n", model->name,
                            model->port);
                model->port = 0;
        }
}

void hl_nginx_texts_make(const struct hl_config *config, struct hl_catalog *catalog, const struct hl_report *report,
                         struct hl_nginx_texts *ret_texts)
{
        *ret_texts = (struct hl_nginx_texts){ 0 };
        HL_CLEANUP(hl_buf_free) struct hl_buf notes = { 0 };
        leave_nginx_its_ports(catalog, report, &notes);
        for (size_t i = 0; i < catalog->count; i++)
                ret_texts->models += catalog->models[i].port != 0;
        hl_nginx_conf(config, catalog, hl_nginx_asks_password(HL_NGINX_CONF), &ret_texts->locations);
        hl_buf_add(&ret_texts->locations, notes.data, notes.len);
        hl_nginx_upstreams(config, catalog, &ret_texts->upstreams);
}

static int read_text(const char *path, struct hl_buf *text, struct hl_err *err)
{
        int r = hl_read_file(AT_FDCWD, path, SIZE_MAX_IN_FORCE, text);
        return r < 0 && r != -ENOENT ? hl_fail(err, HL_ERR_INTERNAL, -r, "internal_error", "%s: %s", path, strerror(-r))
                                     : 0;
}

int hl_nginx_texts_in_force(const struct hl_config *config, struct hl_nginx_texts *ret_texts, struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer) char *upstreams = hl_nginx_upstreams_path();
        HL_CLEANUP(hl_free_pointer) char *mark = hl_nginx_mark_path(config);
        *ret_texts = (struct hl_nginx_texts){ .pending = access(mark, F_OK) == 0 };
        int r = read_text(config->nginx_output, &ret_texts->locations, err);
        return r < 0 ? r : read_text(upstreams, &ret_texts->upstreams, err);
}

bool hl_nginx_text_is(const struct hl_buf *a, const struct hl_buf *b)
{
        return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

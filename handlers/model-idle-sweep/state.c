/* SPDX-License-Identifier: MIT */
#include "state.h"

#include "base/envfile.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_SIZE_MAX (4 * 1024 * 1024) /* bytes: all models of the largest catalogue, thrice */

static char *path(void)
{
        return hl_format("%s/memory", hl_folder("RUNTIME_DIRECTORY", "/run/home-lab-services/model-idle-sweep"));
}

static void assign(void *data, unsigned line, const char *name, const char *value)
{
        (void)line;
        struct hl_sweep_state *m = data;
        const struct {
                const char *name;
                uint64_t *number;
                struct hl_buf *names;
        } fields[] = {
                { "SUSPENDED_TOTAL_US", &m->suspended_total_us, NULL },
                { "RESUMED_US", &m->resumed_us, NULL },
                { "USED_US", &m->used_us, NULL },
                { "SWEPT_US", &m->swept_us, NULL },
                { "IN_FLIGHT", NULL, &m->in_flight },
                { "BY_NGINX", NULL, &m->by_nginx },
                { "KEPT", NULL, &m->kept },
        };
        for (size_t i = 0; i < HL_COUNT(fields); i++)
                if (strcmp(fields[i].name, name) == 0) {
                        if (fields[i].names)
                                hl_buf_adds(fields[i].names, value);
                        else if (hl_parse_uint(value, UINT64_MAX, fields[i].number) < 0)
                                m->known = false;
                }
}

void hl_sweep_state_load(struct hl_sweep_state *ret_memory)
{
        HL_CLEANUP(hl_free_pointer) char *file = path();
        struct hl_buf text = { 0 };
        struct hl_sweep_state memory = { 0 };
        if (hl_read_file(AT_FDCWD, file, FILE_SIZE_MAX, &text) == 0 && text.len > 0) {
                memory.known = true;
                hl_envfile_parse(&(struct hl_envfile){ .text = text.data, .len = text.len }, assign, &memory, NULL);
        }
        hl_buf_free(&text);
        if (!memory.known)
                hl_sweep_state_free(&memory);
        *ret_memory = memory;
}

int hl_sweep_state_save(const struct hl_sweep_state *m, struct hl_err *err)
{
        HL_CLEANUP(hl_free_pointer) char *file = path();
        struct hl_buf text = { 0 };
        hl_buf_addf(&text,
                    "SUSPENDED_TOTAL_US=%llu\nRESUMED_US=%llu\nUSED_US=%llu\nSWEPT_US=%llu\nIN_FLIGHT=%s\nBY_NGINX=%"
                    "s\nKEPT=%s\n",
                    (unsigned long long)m->suspended_total_us, (unsigned long long)m->resumed_us,
                    (unsigned long long)m->used_us, (unsigned long long)m->swept_us,
                    m->in_flight.data ? m->in_flight.data : "", m->by_nginx.data ? m->by_nginx.data : "",
                    m->kept.data ? m->kept.data : "");
        mode_t usual = umask(0022); /* who tries a sweep by hand reads it, too, and who is confined changes no modes */
        int r = hl_replace_file(file, text.data, text.len, 0644, (gid_t)-1);
        umask(usual);
        hl_buf_free(&text);
        return r < 0 ? hl_fail(err, HL_ERR_INTERNAL, -r, "internal_error", "%s: %s", file, strerror(-r)) : 0;
}

void hl_sweep_state_free(struct hl_sweep_state *memory)
{
        hl_buf_free(&memory->in_flight);
        hl_buf_free(&memory->by_nginx);
        hl_buf_free(&memory->kept);
        *memory = (struct hl_sweep_state){ 0 };
}

bool hl_sweep_state_has(const struct hl_buf *names, const char *model)
{
        return hl_in_list(names->data, model, strlen(model));
}

void hl_sweep_state_add(struct hl_buf *names, const char *model)
{
        hl_buf_addf(names, "%s%s", names->len > 0 ? "," : "", model);
}

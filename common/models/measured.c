/* SPDX-License-Identifier: MIT */
#include "measured.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/size.h"
#include "base/str.h"
#include "kernel/held.h"
#include "kernel/pci.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MAX 4096 /* bytes */
#define TO_THE_END "to the end"

static char *path_of(const struct hl_model *model)
{
        return hl_format("%s/measured/%s", hl_state_dir(), model->name);
}

static void parse_line(char *line, struct hl_measured *measured)
{
        char name[HL_RESOURCE_TEXT], *blank = strrchr(line, ' ');
        uint64_t bytes;
        measured->to_end |= strcmp(line, TO_THE_END) == 0;
        if (!blank || hl_parse_uint(blank + 1, HL_SIZE_LIMIT, &bytes) < 0)
                return;
        *blank = '\0';
        for (size_t i = 0; i < HL_RESOURCES; i++)
                if (strcmp(hl_resource_name(i, name), line) == 0)
                        measured->bytes[i] = bytes;
}

void hl_measured_parse(char *text, struct hl_measured *measured)
{
        char *left = NULL;
        for (char *line = strtok_r(text, "\n", &left); line; line = strtok_r(NULL, "\n", &left))
                parse_line(line, measured);
}

struct hl_measured hl_measured_of(const struct hl_model *model)
{
        HL_CLEANUP(hl_free_pointer) char *path = path_of(model);
        HL_CLEANUP(hl_buf_free) struct hl_buf text = { .max = FILE_MAX };
        struct hl_measured measured = { 0 };
        struct stat status;
        if (hl_read_file(AT_FDCWD, path, FILE_MAX, &text) < 0 || text.len == 0 || stat(path, &status) < 0)
                return measured;
        hl_measured_parse(text.data, &measured);
        measured.at_us = hl_timespec_us(status.st_mtim);
        return measured;
}

void hl_measured_record(const struct hl_model *model, const uint64_t bytes[static HL_RESOURCES], bool is_end)
{
        HL_CLEANUP(hl_free_pointer) char *path = path_of(model);
        HL_CLEANUP(hl_buf_free) struct hl_buf text = { .max = FILE_MAX };
        struct hl_measured before = hl_measured_of(model);
        char name[HL_RESOURCE_TEXT];
        bool is_old = before.at_us < model->changed_us, is_more = is_old; /* another context, or other weights */
        for (size_t i = 0; i < HL_RESOURCES; i++) {
                uint64_t most = !is_old && before.bytes[i] > bytes[i] ? before.bytes[i] : bytes[i];
                is_more |= most > before.bytes[i];
                if (most > 0)
                        hl_buf_addf(&text, "%s %" PRIu64 "\n", hl_resource_name(i, name), most);
        }
        bool to_end = is_end || (!is_old && before.to_end);
        if (text.len == 0 || (!is_more && to_end == before.to_end))
                return;
        hl_buf_adds(&text, to_end ? TO_THE_END "\n" : "");
        hl_replace_file(path, text.data, text.len, 0644, (gid_t)-1);
}

void hl_measured_add(struct hl_measured *measured, const char *address, uint64_t bytes)
{
        int gpu = hl_pci_gpu_number(address);
        if (gpu >= 0 && gpu < HL_GPUS_MAX && measured->bytes[gpu] + bytes <= HL_SIZE_LIMIT)
                measured->bytes[gpu] += bytes;
}

static void add_card(void *data, const char *address, uint64_t bytes)
{
        hl_measured_add(data, address, bytes);
}

struct hl_measured hl_measured_now(const char *cgroup)
{
        struct hl_measured now = { 0 };
        if (!cgroup)
                return now;
        now.at_us = hl_clock_realtime();
        now.bytes[HL_MEMORY] = hl_held_memory(cgroup);
        hl_held_of_cards(cgroup, add_card, &now);
        return now;
}

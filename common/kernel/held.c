/* SPDX-License-Identifier: MIT */
#include "held.h"

#include "base/mem.h"
#include "base/size.h"
#include "base/str.h"
#include "cgroups.h"
#include "pci.h"

#include <stdlib.h>
#include <string.h>

#define DMEM_PREFIX "drm/"
#define DMEM_OWN "vram" /* regions of a card's own: "vram", "vram0", …; "stolen" is the host's */

static uint64_t amount(const char *text, size_t len)
{
        HL_CLEANUP(hl_free_pointer) char *digits = hl_strndup(text, len);
        uint64_t bytes = 0;
        return hl_parse_uint(digits, HL_SIZE_LIMIT, &bytes) == 0 ? bytes : 0;
}

/* Of the line "KEY 123". */
static uint64_t value_of(const char *stat, const char *key)
{
        size_t len = strlen(key);
        for (const char *line = stat; line && *line; line = strchr(line, '\n')) {
                line += strspn(line, "\n");
                if (strncmp(line, key, len) == 0 && line[len] == ' ')
                        return amount(line + len + 1, strcspn(line + len + 1, "\n"));
        }
        return 0;
}

static uint64_t less(uint64_t from, uint64_t what)
{
        return from > what ? from - what : 0;
}

/* Files in the page cache are on the kernel's two lists of such pages. tmpfs, which is memory, is not, but what is
 * mapped of it counts as mapped, too. */
uint64_t hl_held_parse_memory(const char *current, const char *stat)
{
        uint64_t cached = value_of(stat, "inactive_file") + value_of(stat, "active_file"),
                 mapped = less(value_of(stat, "file_mapped"), value_of(stat, "shmem"));
        return less(amount(current, strcspn(current, "\n")), less(cached, mapped));
}

uint64_t hl_held_memory(const char *cgroup)
{
        HL_CLEANUP(hl_free_pointer) char *current = hl_cgroups_read(cgroup, "memory.current");
        HL_CLEANUP(hl_free_pointer) char *stat = hl_cgroups_read(cgroup, "memory.stat");
        return current && stat ? hl_held_parse_memory(current, stat) : 0;
}

/* "drm/0000:03:00.0/vram0 12550144" */
static void parse_region(char *line, hl_held_card_fn *each, void *data)
{
        char *blank = strrchr(line, ' '), *address = line + strlen(DMEM_PREFIX);
        if (!blank || !hl_has_prefix(line, DMEM_PREFIX))
                return;
        *blank = '\0';
        char *region = strchr(address, '/');
        if (!region)
                return;
        *region++ = '\0';
        uint64_t bytes = amount(blank + 1, strlen(blank + 1));
        if (bytes > 0 && hl_has_prefix(region, DMEM_OWN) && hl_pci_is_address(address))
                each(data, address, bytes);
}

void hl_held_parse_dmem(char *text, hl_held_card_fn *each, void *data)
{
        char *left = NULL;
        for (char *line = strtok_r(text, "\n", &left); line; line = strtok_r(NULL, "\n", &left))
                parse_region(line, each, data);
}

void hl_held_of_cards(const char *cgroup, hl_held_card_fn *each, void *data)
{
        HL_CLEANUP(hl_free_pointer) char *text = hl_cgroups_read(cgroup, "dmem.current");
        if (text)
                hl_held_parse_dmem(text, each, data);
}

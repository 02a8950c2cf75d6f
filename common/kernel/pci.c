/* SPDX-License-Identifier: MIT */
#include "pci.h"

#include "base/buf.h"
#include "base/io.h"
#include "base/mem.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define METRICS_MAX 65536   /* bytes */
#define METRICS_REVISION 2  /* the byte that says the layout: */
#define METRICS_OF_A_CARD 1 /* this one is of cards, later ones are of processors */
#define STATUS_MAX 32       /* bytes */
#define NVIDIA "nvidia"

/* The drivers of each maker. */
static const char *const makers[][3] = { { NVIDIA }, { "amdgpu" }, { "i915", "xe" } };

static char *in_sys(const char *path, const char *name)
{
        return hl_format("%s%s%s", hl_folder("HL_SYS_ROOT", "/sys"), path, name);
}

bool hl_pci_is_address(const char *text)
{
        static const char shape[] = "hhhh:hh:hh.o";
        size_t i;
        for (i = 0; shape[i] && text[i]; i++) {
                const char *allowed = shape[i] == 'h' ? "0123456789abcdef" : "01234567";
                if (shape[i] == 'h' || shape[i] == 'o' ? !strchr(allowed, text[i]) : text[i] != shape[i])
                        return false;
        }
        return !shape[i] && !text[i];
}

typedef void card_fn(void *data, const char *address);

static void each_card(const char *driver, card_fn *each, void *data)
{
        HL_CLEANUP(hl_free_pointer) char *folder = in_sys("/bus/pci/drivers/", driver);
        HL_CLEANUP(hl_close_dir) DIR *dir = opendir(folder);
        const struct dirent *entry;
        while (dir && (entry = readdir(dir)))
                if (hl_pci_is_address(entry->d_name))
                        each(data, entry->d_name);
}

struct place {
        const char *address;
        int before; /* cards with a lower address */
        bool found;
};

static void compare(void *data, const char *address)
{
        struct place *place = data;
        int order = strcmp(address, place->address);
        place->before += order < 0;
        place->found |= order == 0;
}

int hl_pci_gpu_number(const char *address)
{
        for (size_t i = 0; i < HL_COUNT(makers); i++) {
                struct place place = { .address = address };
                for (size_t j = 0; j < HL_COUNT(makers[i]) && makers[i][j]; j++)
                        each_card(makers[i][j], compare, &place);
                if (place.found)
                        return place.before;
        }
        return -1;
}

static void look_whether_asleep(void *data, const char *address)
{
        bool *sleeps = data;
        HL_CLEANUP(hl_free_pointer) char *device = in_sys("/bus/pci/devices/", address);
        HL_CLEANUP(hl_free_pointer) char *file = hl_format("%s/power/runtime_status", device);
        HL_CLEANUP(hl_buf_free) struct hl_buf text = { .max = STATUS_MAX };
        if (hl_read_file(AT_FDCWD, file, STATUS_MAX, &text) == 0 && text.len > 0)
                *sleeps |= strncmp(text.data, "suspend", strlen("suspend")) == 0; /* or "suspending" */
}

bool hl_pci_nvidia_sleeps(void)
{
        bool sleeps = false;
        each_card(NVIDIA, look_whether_asleep, &sleeps);
        return sleeps;
}

bool hl_pci_amd_is_apu(const char *address)
{
        HL_CLEANUP(hl_free_pointer) char *device = in_sys("/bus/pci/devices/", address);
        HL_CLEANUP(hl_free_pointer) char *file = hl_format("%s/gpu_metrics", device);
        HL_CLEANUP(hl_buf_free) struct hl_buf metrics = { .max = METRICS_MAX };
        return hl_read_file(AT_FDCWD, file, METRICS_MAX, &metrics) == 0 && metrics.len > METRICS_REVISION &&
               metrics.data[METRICS_REVISION] > METRICS_OF_A_CARD;
}

/* SPDX-License-Identifier: MIT */
#include "fdinfo.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/size.h"
#include "base/str.h"
#include "kernel/cgroups.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX 16384               /* bytes of one */
#define TEXT_MAX (UINT64_C(4) << 20) /* bytes of all */
#define CLIENTS_MAX 1024             /* of all cards */
#define CLIENT_ID_MAX 32             /* bytes */
#define OF_A_GPU "drm-driver:"       /* in each such file */
#define BEGIN "pos"                  /* the first line of each file */
#define NVIDIA_CARD "/dev/nvidia"    /* and a number; "/dev/nvidiactl" and others are no cards */

/* ---- reading ---- */

static const char *proc_root(void)
{
        return hl_folder("HL_PROC_ROOT", "/proc");
}

static bool is_nvidia_card(int fds, const char *name)
{
        char target[PATH_MAX];
        ssize_t n = readlinkat(fds, name, target, sizeof(target) - 1);
        target[n > 0 ? n : 0] = '\0';
        return hl_has_prefix(target, NVIDIA_CARD) && strchr("0123456789", target[strlen(NVIDIA_CARD)]) &&
               target[strlen(NVIDIA_CARD)];
}

static void read_one(struct measure_fdinfo *fdinfo, int infos, const char *name)
{
        HL_CLEANUP(hl_buf_free) struct hl_buf one = { .max = FILE_MAX };
        if (hl_read_file(infos, name, FILE_MAX, &one) == 0 && one.len > 0 && strstr(one.data, OF_A_GPU))
                hl_buf_add(&fdinfo->text, one.data, one.len);
}

static void read_process(void *data, const char *pid)
{
        struct measure_fdinfo *fdinfo = data;
        HL_CLEANUP(hl_free_pointer) char *fds_path = hl_format("%s/%s/fd", proc_root(), pid);
        HL_CLEANUP(hl_free_pointer) char *infos_path = hl_format("%s/%s/fdinfo", proc_root(), pid);
        HL_CLEANUP(hl_close_dir) DIR *fds = opendir(fds_path);
        HL_CLEANUP(hl_close_dir) DIR *infos = opendir(infos_path);
        const struct dirent *entry;
        while (fds && !fdinfo->has_nvidia && (entry = readdir(fds)))
                fdinfo->has_nvidia = is_nvidia_card(dirfd(fds), entry->d_name);
        while (infos && (entry = readdir(infos)))
                if (*entry->d_name != '.')
                        read_one(fdinfo, dirfd(infos), entry->d_name);
}

void measure_fdinfo_read(const char *cgroup, struct measure_fdinfo *ret_fdinfo)
{
        *ret_fdinfo = (struct measure_fdinfo){ .text = { .max = TEXT_MAX } };
        hl_cgroups_each_process(cgroup, read_process, ret_fdinfo);
}

void measure_fdinfo_free(struct measure_fdinfo *fdinfo)
{
        hl_buf_free(&fdinfo->text);
}

/* ---- understanding ---- */

enum place { OWN, HOST, PLACES };

/* One file. Some kernels name an amount twice, by both words. */
struct client {
        char address[HL_PCI_ADDRESS_SIZE], id[CLIENT_ID_MAX];
        bool is_amd, has_own;
        uint64_t resident[PLACES], memory[PLACES];
};

struct parse {
        struct client clients[CLIENTS_MAX]; /* that have counted */
        size_t client_count;
        struct client file; /* the one that is read now */
        struct measure_card *cards;
        size_t card_count;
};

static bool has_counted(const struct parse *parse)
{
        for (size_t i = 0; i < parse->client_count; i++)
                if (strcmp(parse->clients[i].address, parse->file.address) == 0 &&
                    strcmp(parse->clients[i].id, parse->file.id) == 0)
                        return true;
        return false;
}

static struct measure_card *card_at(struct parse *parse, const char *address)
{
        for (size_t i = 0; i < parse->card_count; i++)
                if (strcmp(parse->cards[i].address, address) == 0)
                        return &parse->cards[i];
        if (parse->card_count == MEASURE_CARDS_MAX)
                return NULL;
        struct measure_card *card = &parse->cards[parse->card_count++];
        *card = (struct measure_card){ 0 };
        hl_copy(card->address, sizeof(card->address), address);
        return card;
}

static void end_file(struct parse *parse)
{
        const struct client *file = &parse->file;
        struct measure_card *card = NULL;
        if (*file->address && *file->id && parse->client_count < CLIENTS_MAX && !has_counted(parse))
                card = card_at(parse, file->address);
        if (card) {
                parse->clients[parse->client_count++] = *file;
                card->is_amd |= file->is_amd;
                card->has_own |= file->has_own;
                card->own_bytes += file->resident[OWN] > file->memory[OWN] ? file->resident[OWN] : file->memory[OWN];
                card->host_bytes +=
                        file->resident[HOST] > file->memory[HOST] ? file->resident[HOST] : file->memory[HOST];
        }
        parse->file = (struct client){ 0 };
}

/* "23992 KiB", "0" */
static uint64_t amount(const char *value)
{
        static const struct {
                const char *word;
                unsigned shift;
        } units[] = { { "", 0 }, { "KiB", 10 }, { "MiB", 20 } };
        size_t len = strspn(value, "0123456789");
        HL_CLEANUP(hl_free_pointer) char *digits = hl_strndup(value, len);
        const char *word = value + len + strspn(value + len, " \t");
        uint64_t n;
        for (size_t i = 0; i < HL_COUNT(units); i++)
                if (strcmp(units[i].word, word) == 0 && hl_parse_uint(digits, HL_SIZE_LIMIT >> units[i].shift, &n) == 0)
                        return n << units[i].shift;
        return 0;
}

static void add_region(struct client *file, uint64_t amounts[static PLACES], const char *region, const char *value)
{
        bool is_own = hl_has_prefix(region, "vram") || hl_has_prefix(region, "local");
        bool is_host = hl_has_prefix(region, "gtt") || hl_has_prefix(region, "system");
        file->has_own |= is_own;
        if (is_own || is_host)
                amounts[is_own ? OWN : HOST] += amount(value);
}

static void parse_line(struct parse *parse, char *line)
{
        static const char resident[] = "drm-resident-", memory[] = "drm-memory-";
        struct client *file = &parse->file;
        char *value = strchr(line, ':');
        if (!value)
                return;
        *value++ = '\0';
        value += strspn(value, " \t");
        if (strcmp(line, BEGIN) == 0)
                end_file(parse);
        else if (strcmp(line, "drm-pdev") == 0)
                hl_copy(file->address, sizeof(file->address), hl_pci_is_address(value) ? value : "");
        else if (strcmp(line, "drm-client-id") == 0)
                hl_copy(file->id, sizeof(file->id), value);
        else if (strcmp(line, "drm-driver") == 0)
                file->is_amd = strcmp(value, "amdgpu") == 0;
        else if (hl_has_prefix(line, resident))
                add_region(file, file->resident, line + strlen(resident), value);
        else if (hl_has_prefix(line, memory))
                add_region(file, file->memory, line + strlen(memory), value);
}

size_t measure_fdinfo_parse(char *text, struct measure_card cards[static MEASURE_CARDS_MAX])
{
        HL_CLEANUP(hl_free_pointer) struct parse *parse = hl_alloc(sizeof(*parse));
        char *left = NULL;
        parse->cards = cards;
        for (char *line = strtok_r(text, "\n", &left); line; line = strtok_r(NULL, "\n", &left))
                parse_line(parse, line);
        end_file(parse);
        return parse->card_count;
}

uint64_t measure_card_bytes(const struct measure_card *card)
{
        if (card->is_amd ? hl_pci_amd_is_apu(card->address) : !card->has_own)
                return card->own_bytes + card->host_bytes;
        return card->own_bytes;
}

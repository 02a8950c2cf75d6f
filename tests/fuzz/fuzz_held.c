/* SPDX-License-Identifier: MIT */
/* What the kernel, a driver's program and our own notes say of memory: no card has an address that is none, or more
 * than a host can have, and what is written down is read as the same. */
#include "fuzz.h"

#include "base/mem.h"
#include "base/size.h"
#include "kernel/held.h"
#include "kernel/pci.h"
#include "model-measure/fdinfo.h"
#include "model-measure/nvidia.h"

#include <string.h>

static void check_card(void *data, const char *address, uint64_t bytes)
{
        (void)data;
        fuzz_must(hl_pci_is_address(address) && bytes > 0 && bytes <= HL_SIZE_LIMIT);
}

static bool is_ours(void *data, const char *pid)
{
        (void)data;
        return pid && *pid;
}

static void check(const struct hl_measured *measured)
{
        fuzz_must(measured->at_us == 0);
        for (size_t i = 0; i < HL_RESOURCES; i++)
                fuzz_must(measured->bytes[i] <= HL_SIZE_LIMIT);
}

static void parse_files(char *text)
{
        struct measure_card cards[MEASURE_CARDS_MAX];
        size_t count = measure_fdinfo_parse(text, cards);
        fuzz_must(count <= MEASURE_CARDS_MAX);
        for (size_t i = 0; i < count; i++) {
                fuzz_must(hl_pci_is_address(cards[i].address));
                fuzz_must(cards[i].has_own || cards[i].own_bytes == 0);
                for (size_t j = 0; j < i; j++)
                        fuzz_must(strcmp(cards[i].address, cards[j].address) != 0);
        }
}

static void parse_memory(const char *text)
{
        uint64_t held = hl_held_parse_memory(text, text), all = hl_held_parse_memory(text, "");
        fuzz_must(held <= all && all <= HL_SIZE_LIMIT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct fuzz_input input = { data, size };
        struct hl_measured measured = { 0 };
        char kind = (char)fuzz_byte(&input);
        HL_CLEANUP(hl_free_pointer) char *text = hl_strndup((const char *)input.data, input.left);
        if (kind == 'D')
                hl_held_parse_dmem(text, check_card, NULL);
        else if (kind == 'F')
                parse_files(text);
        else if (kind == 'M')
                parse_memory(text);
        else if (kind == 'N')
                measure_nvidia_parse(text, is_ours, NULL, &measured);
        else
                hl_measured_parse(text, &measured);
        check(&measured);
        return 0;
}

/* SPDX-License-Identifier: MIT */
/* What a model's server says of itself under /metrics. Said twice it is twice as much; one request more is one more. */
#include "fuzz.h"

#include "base/mem.h"
#include "models/requests.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#define ONE_MORE "\nllamacpp:requests_deferred{model=\"}\"} 1\n"

/* -ENOENT, or 0. */
static int read_joined(const char *a, const char *b, unsigned *ret_requests)
{
        HL_CLEANUP(hl_free_pointer) char *text = hl_format("%s%s", a, b);
        return hl_requests_parse(text, ret_requests);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        HL_CLEANUP(hl_free_pointer) char *text = hl_strndup((const char *)data, size);
        HL_CLEANUP(hl_free_pointer) char *next = hl_format("\n%s", text);
        unsigned once = 0, twice = 0, more = 0;
        int r = read_joined(text, "", &once);
        fuzz_must(r == 0 || (r == -ENOENT && once == 0));
        fuzz_must(read_joined(text, next, &twice) == r);
        fuzz_must(read_joined(text, ONE_MORE, &more) == 0);
        fuzz_must(twice / 2 == once || twice / 2 == once + 1 || twice == UINT_MAX);
        fuzz_must(more == once + 1 || more == UINT_MAX);
        return 0;
}

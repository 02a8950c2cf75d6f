/* SPDX-License-Identifier: MIT */
/* Instants and durations. What is read is written, and read again as the same. */
#include "fuzz.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>

#define YEAR_10000_US (UINT64_C(253402300800) * HL_USEC_PER_SEC) /* RFC 3339 ends there */

static void check_instant(uint64_t us)
{
        char text[HL_RFC3339_SIZE];
        uint64_t again = 0;
        hl_format_rfc3339(us, text);
        if (us + 24 * 60 * HL_USEC_PER_MINUTE < YEAR_10000_US)
                fuzz_must(hl_parse_rfc3339(text, &again) == 0 && again == us / HL_USEC_PER_SEC * HL_USEC_PER_SEC);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        HL_CLEANUP(hl_free_pointer) char *text = hl_strndup((const char *)data, size);
        uint64_t strict = 1, loose = 2, span = 0, again = 0;
        char shown[HL_SPAN_SIZE];
        setenv("TZ", "Europe/Berlin", 1);
        bool is_strict = hl_parse_rfc3339(text, &strict) == 0, is_loose = hl_parse_time(text, &loose) == 0;
        fuzz_must(!is_strict || (is_loose && strict == loose));
        if (is_loose)
                check_instant(loose);
        if (hl_parse_timespan(text, &span) == 0) {
                HL_CLEANUP(hl_free_pointer) char *plain = hl_format("%llu us", (unsigned long long)span);
                fuzz_must(hl_parse_timespan(plain, &again) == 0 && again == span);
                hl_format_span(span, shown);
                fuzz_must(strlen(shown) < sizeof(shown) &&
                          (span == HL_USEC_INFINITY || hl_parse_timespan(shown, &again) == 0));
                fuzz_must(span == HL_USEC_INFINITY || again <= span);
        }
        return 0;
}

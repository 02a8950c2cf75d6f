/* SPDX-License-Identifier: MIT */
/* Lines of a journal, each behind its priority, as the cause of a failure: one line that a terminal may show. */
#include "fuzz.h"

#include "base/mem.h"
#include "base/str.h"
#include "models/cause_line.h"

#include <string.h>

/* Of C0, DEL and C1. */
static bool has_controls(const char *text)
{
        for (const unsigned char *c = (const unsigned char *)text; *c; c++)
                if (*c < 0x20 || *c == 0x7F || (c[0] == 0xC2 && c[1] >= 0x80 && c[1] < 0xA0))
                        return true;
        return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct fuzz_input input = { data, size };
        struct hl_cause_line best = { 0 };
        const char *line;
        size_t len;
        while (fuzz_line(&input, &line, &len)) {
                if (len == 0)
                        continue;
                HL_CLEANUP(hl_free_pointer) char *message = hl_strndup(line + 1, len - 1);
                for (char *c = message; *c; c++)
                        if (*c == '\v') /* one message may be several lines */
                                *c = '\n';
                int before = best.score;
                hl_cause_line_offer(&best, *line >= '0' && *line <= '7' ? *line - '0' : -1, message);
                fuzz_must(best.score >= before);
                fuzz_must(memchr(best.text, '\0', sizeof(best.text)));
                fuzz_must(hl_utf8_valid(best.text, strlen(best.text)) && !has_controls(best.text));
                fuzz_must(best.score > 0 ? *best.text : !*best.text);
                fuzz_must(!hl_cause_line_is_error(&best) || best.score > 0);
        }
        return 0;
}

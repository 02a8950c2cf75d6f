/* SPDX-License-Identifier: MIT */
#include "nearest.h"

#include <string.h>
#include <strings.h>

static size_t smaller(size_t a, size_t b)
{
        return a < b ? a : b;
}

/* Optimal string alignment; upper and lower case are the same letter. Both at most HL_NEAREST_MAX bytes. */
static size_t distance(const char *a, const char *b)
{
        size_t rows[3][HL_NEAREST_MAX + 1];
        size_t *before = rows[0], *last = rows[1], *now = rows[2], len = strlen(b);
        for (size_t j = 0; j <= len; j++)
                last[j] = j;
        for (size_t i = 1; a[i - 1]; i++) {
                now[0] = i;
                for (size_t j = 1; j <= len; j++) {
                        size_t wrong = strncasecmp(&a[i - 1], &b[j - 1], 1) != 0;
                        now[j] = smaller(last[j - 1] + wrong, smaller(last[j], now[j - 1]) + 1);
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                                now[j] = smaller(now[j], before[j - 2] + 1);
                }
                size_t *unused = before;
                before = last;
                last = now;
                now = unused;
        }
        return last[len];
}

const char *hl_nearest(const char *word, const char *const *known, size_t count)
{
        size_t len = strlen(word), best = len < 6 ? 2 : len / 3 + 1; /* from there on it is another word */
        const char *nearest = NULL;
        for (size_t i = 0; i < count && len <= HL_NEAREST_MAX; i++) {
                if (strlen(known[i]) > HL_NEAREST_MAX)
                        continue;
                size_t wrong = distance(word, known[i]);
                if (wrong < best && wrong < len) {
                        best = wrong;
                        nearest = known[i];
                }
        }
        return nearest;
}

/* SPDX-License-Identifier: MIT */
#include "cli.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

/* Some causes are told apart more finely than by their kind: --help lists all statuses. */
static int exit_status(const struct hl_err *err)
{
        if (err->kind == HL_ERR_NOT_FOUND && strcmp(err->code, "model_not_found") != 0)
                return EX_DATAERR;
        if (err->kind == HL_ERR_UPSTREAM && err->errnum == EPROTO)
                return EX_PROTOCOL;
        if (err->kind == HL_ERR_BUSY && err->errnum == ECONNREFUSED)
                return EX_UNAVAILABLE;
        if (err->kind == HL_ERR_INTERNAL && (err->errnum == EACCES || err->errnum == EPERM))
                return EX_NOPERM;
        return hl_exit_status(err->kind);
}

int cli_finish(const struct hl_err *err)
{
        if (err->kind) {
                fputs("error: ", stderr);
                cli_put(stderr, err->message, strlen(err->message));
                fputc('\n', stderr);
        }
        return exit_status(err);
}

/* What a terminal obeys: C0, DEL, and C1, which is two bytes of UTF-8. */
void cli_put(FILE *to, const char *bytes, size_t len)
{
        static bool is_after_c2; /* a piece may end between the two */
        for (size_t i = 0; i < len; i++) {
                unsigned char c = (unsigned char)bytes[i];
                bool is_c1 = is_after_c2 && c >= 0x80 && c <= 0x9F;
                if (is_after_c2 && !is_c1)
                        fputc(0xC2, to);
                is_after_c2 = c == 0xC2;
                if (is_c1 || (c < 0x20 && c != '\n' && c != '\t') || c == 0x7F)
                        fputc('?', to);
                else if (!is_after_c2)
                        fputc(c, to);
        }
}

char *cli_when(const char *rfc3339, char *buffer)
{
        uint64_t at_us;
        struct tm at, now;
        if (!rfc3339 || hl_parse_rfc3339(rfc3339, &at_us) < 0) {
                snprintf(buffer, CLI_WHEN_SIZE, "-");
                return buffer;
        }
        time_t at_s = (time_t)(at_us / HL_USEC_PER_SEC), now_s = (time_t)(hl_clock_realtime() / HL_USEC_PER_SEC);
        localtime_r(&at_s, &at);
        localtime_r(&now_s, &now);
        if (at.tm_year != now.tm_year)
                strftime(buffer, CLI_WHEN_SIZE, "%Y-%m-%d, %H:%M", &at);
        else if (at.tm_yday != now.tm_yday)
                strftime(buffer, CLI_WHEN_SIZE, "%e %b, %H:%M", &at);
        else
                strftime(buffer, CLI_WHEN_SIZE, "%H:%M", &at);
        return buffer;
}

char *cli_span(int64_t seconds, char *buffer)
{
        long long s = seconds;
        if (s < 0)
                snprintf(buffer, CLI_SPAN_SIZE, "-");
        else if (s < 60)
                snprintf(buffer, CLI_SPAN_SIZE, "%lld s", s);
        else if (s < 3600)
                snprintf(buffer, CLI_SPAN_SIZE, "%lld min", s / 60);
        else if (s < 86400 && s % 3600 < 60)
                snprintf(buffer, CLI_SPAN_SIZE, "%lld h", s / 3600);
        else if (s < 86400)
                snprintf(buffer, CLI_SPAN_SIZE, "%lld h %02lld min", s / 3600, s % 3600 / 60);
        else
                snprintf(buffer, CLI_SPAN_SIZE, "%lld d %lld h", s / 86400, s % 86400 / 3600);
        return buffer;
}

bool cli_output_is_gone(void)
{
        struct pollfd out = { .fd = STDOUT_FILENO, .events = POLLOUT };
        return poll(&out, 1, 0) == 1 && (out.revents & POLLERR);
}

/* SPDX-License-Identifier: MIT */
#include "clock.h"

#include "mem.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

uint64_t hl_timespec_us(struct timespec t)
{
        return (uint64_t)t.tv_sec * HL_USEC_PER_SEC + (uint64_t)t.tv_nsec / 1000;
}

struct timespec hl_timespec_of(uint64_t us)
{
        return (struct timespec){ .tv_sec = (time_t)(us / HL_USEC_PER_SEC),
                                  .tv_nsec = (long)(us % HL_USEC_PER_SEC * 1000) };
}

static uint64_t now(clockid_t id)
{
        struct timespec t;
        clock_gettime(id, &t);
        return hl_timespec_us(t);
}

uint64_t hl_clock_monotonic(void)
{
        return now(CLOCK_MONOTONIC);
}

uint64_t hl_clock_realtime(void)
{
        return now(CLOCK_REALTIME);
}

uint64_t hl_clock_boottime(void)
{
        return now(CLOCK_BOOTTIME);
}

uint64_t hl_clock_monotonic_of(uint64_t realtime_us)
{
        uint64_t age_us = hl_us_minus(hl_clock_realtime(), realtime_us);
        return hl_us_minus(hl_clock_monotonic(), age_us);
}

char *hl_format_rfc3339(uint64_t realtime_us, char *buffer)
{
        time_t seconds = (time_t)(realtime_us / HL_USEC_PER_SEC);
        struct tm local;
        localtime_r(&seconds, &local);
        strftime(buffer, HL_RFC3339_SIZE, "%Y-%m-%dT%H:%M:%S", &local);

        long minutes = local.tm_gmtoff / 60;
        size_t len = strlen(buffer);
        snprintf(buffer + len, HL_RFC3339_SIZE - len, "%c%02ld:%02ld", minutes < 0 ? '-' : '+',
                 labs(minutes) / 60 % 100, labs(minutes) % 60);
        return buffer;
}

char *hl_format_span(uint64_t us, char *buffer)
{
        unsigned long long s = us / HL_USEC_PER_SEC;
        if (us == UINT64_MAX)
                snprintf(buffer, HL_SPAN_SIZE, "-");
        else if (s >= 86400)
                snprintf(buffer, HL_SPAN_SIZE, "%llud %lluh", s / 86400, s % 86400 / 3600);
        else if (s >= 3600)
                snprintf(buffer, HL_SPAN_SIZE, "%lluh %02llumin", s / 3600, s % 3600 / 60);
        else if (s >= 60)
                snprintf(buffer, HL_SPAN_SIZE, "%llumin %02llus", s / 60, s % 60);
        else
                snprintf(buffer, HL_SPAN_SIZE, "%llus", s);
        return buffer;
}

/* Exactly `digits` digits at *text, within min and max; moves *text behind them. */
static int take_number(const char **text, int digits, int min, int max)
{
        int value = 0;
        for (int i = 0; i < digits; i++) {
                if (!isdigit((unsigned char)(*text)[i]))
                        return -1;
                value = value * 10 + ((*text)[i] - '0');
        }
        *text += digits;
        return value < min || value > max ? -1 : value;
}

static bool take_char(const char **text, const char *one_of)
{
        if (!**text || !strchr(one_of, **text))
                return false;
        (*text)++;
        return true;
}

/* ".123456789": at most nine digits, the ones after microseconds are dropped. */
static int take_fraction(const char **text, uint64_t *ret_us)
{
        uint64_t us = 0, unit = HL_USEC_PER_SEC / 10;
        int digits = 0;
        for (; isdigit((unsigned char)**text); (*text)++, digits++, unit /= 10)
                us += (uint64_t)(**text - '0') * unit;
        *ret_us = us;
        return digits >= 1 && digits <= 9 ? 0 : -EINVAL;
}

/* A date and a time of day, as its text says them. */
struct civil {
        int64_t seconds; /* from 1970, were it UTC */
        uint64_t fraction_us;
};

/* Moves *text behind the fraction, if there is one, else behind seconds, or minutes where the form is loose. */
static int take_civil(const char **text, bool loose, struct civil *ret_civil)
{
        const char *s = *text;
        int year = take_number(&s, 4, 1970, 9999), month, day, hour, minute, second = 0;
        if (year < 0 || !take_char(&s, "-") || (month = take_number(&s, 2, 1, 12)) < 0 || !take_char(&s, "-") ||
            (day = take_number(&s, 2, 1, 31)) < 0 || !take_char(&s, "Tt ") || (hour = take_number(&s, 2, 0, 23)) < 0 ||
            !take_char(&s, ":") || (minute = take_number(&s, 2, 0, 59)) < 0)
                return -EINVAL;
        bool has_seconds = take_char(&s, ":");
        if (has_seconds ? (second = take_number(&s, 2, 0, 60)) < 0 : !loose)
                return -EINVAL;
        uint64_t fraction_us = 0;
        if (has_seconds && take_char(&s, loose ? ".," : ".") && take_fraction(&s, &fraction_us) < 0)
                return -EINVAL;

        struct tm t = {
                .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = hour, .tm_min = minute
        };
        time_t seconds = timegm(&t);
        if (t.tm_mday != day || t.tm_mon != month - 1) /* 31 February: timegm() turned it into March */
                return -EINVAL;
        *ret_civil = (struct civil){ .seconds = seconds + second, .fraction_us = fraction_us };
        *text = s;
        return 0;
}

/* "Z", "+01:00"; where the form is loose also "+0100" and "+01". */
static int take_offset(const char **text, bool loose, int64_t *ret_seconds)
{
        *ret_seconds = 0;
        if (take_char(text, "Zz"))
                return 0;
        int sign = **text == '-' ? -1 : 1, hours, minutes = 0;
        if (!take_char(text, "+-") || (hours = take_number(text, 2, 0, 23)) < 0)
                return -EINVAL;
        bool has_minutes = take_char(text, ":") || (loose && isdigit((unsigned char)**text));
        if (has_minutes ? (minutes = take_number(text, 2, 0, 59)) < 0 : !loose)
                return -EINVAL;
        *ret_seconds = sign * (hours * 60 + minutes) * 60;
        return 0;
}

static int instant(const struct civil *civil, int64_t offset_seconds, uint64_t *ret_realtime_us)
{
        int64_t seconds = civil->seconds - offset_seconds;
        if (seconds < 0)
                return -ERANGE;
        *ret_realtime_us = (uint64_t)seconds * HL_USEC_PER_SEC + civil->fraction_us;
        return 0;
}

/* Any change of this host's offset is at most a day away from the offsets before and after it: of those two, the ones
 * are right that hold at the instant they give. */
static int local_instant(const struct civil *civil, uint64_t *ret_realtime_us)
{
        static const int64_t day = 24 * 60 * 60;
        bool found = false;
        int64_t latest = 0; /* instant, less the civil time */
        for (int64_t at = civil->seconds - day; at <= civil->seconds + day; at += 2 * day) {
                struct tm local;
                time_t near = at, then;
                if (!localtime_r(&near, &local))
                        continue;
                int64_t offset = local.tm_gmtoff;
                then = civil->seconds - offset;
                if (!localtime_r(&then, &local) || local.tm_gmtoff != offset || (found && -offset <= latest))
                        continue;
                found = true;
                latest = -offset;
        }
        return found ? instant(civil, -latest, ret_realtime_us) : -ERANGE;
}

int hl_parse_rfc3339(const char *text, uint64_t *ret_realtime_us)
{
        struct civil civil;
        int64_t offset_seconds = 0;
        if (take_civil(&text, false, &civil) < 0 || take_offset(&text, false, &offset_seconds) < 0 || *text)
                return -EINVAL;
        return instant(&civil, offset_seconds, ret_realtime_us);
}

int hl_parse_time(const char *text, uint64_t *ret_realtime_us)
{
        static const char blanks[] = " \t\n\r";
        struct civil civil;
        int64_t offset_seconds = 0;
        text += strspn(text, blanks);
        if (take_civil(&text, true, &civil) < 0)
                return -EINVAL;
        text += strspn(text, blanks);
        if (!*text)
                return local_instant(&civil, ret_realtime_us);
        if (take_offset(&text, true, &offset_seconds) < 0 || text[strspn(text, blanks)])
                return -EINVAL;
        return instant(&civil, offset_seconds, ret_realtime_us);
}

static const struct {
        const char *name;
        uint64_t us;
} units[] = {
        { "usec", 1 },
        { "us", 1 },
        { "msec", HL_USEC_PER_MSEC },
        { "ms", HL_USEC_PER_MSEC },
        { "seconds", HL_USEC_PER_SEC },
        { "second", HL_USEC_PER_SEC },
        { "sec", HL_USEC_PER_SEC },
        { "s", HL_USEC_PER_SEC },
        { "minutes", HL_USEC_PER_MINUTE },
        { "minute", HL_USEC_PER_MINUTE },
        { "min", HL_USEC_PER_MINUTE },
        { "m", HL_USEC_PER_MINUTE },
        { "hours", 60 * HL_USEC_PER_MINUTE },
        { "hour", 60 * HL_USEC_PER_MINUTE },
        { "hr", 60 * HL_USEC_PER_MINUTE },
        { "h", 60 * HL_USEC_PER_MINUTE },
        { "days", 24 * 60 * HL_USEC_PER_MINUTE },
        { "day", 24 * 60 * HL_USEC_PER_MINUTE },
        { "d", 24 * 60 * HL_USEC_PER_MINUTE },
        { "weeks", 7 * 24 * 60 * HL_USEC_PER_MINUTE },
        { "week", 7 * 24 * 60 * HL_USEC_PER_MINUTE },
        { "w", 7 * 24 * 60 * HL_USEC_PER_MINUTE },
};

static uint64_t unit_us(const char *name, size_t len)
{
        if (len == 0)
                return HL_USEC_PER_SEC;
        for (size_t i = 0; i < HL_COUNT(units); i++)
                if (strlen(units[i].name) == len && memcmp(units[i].name, name, len) == 0)
                        return units[i].us;
        return 0;
}

int hl_parse_timespan(const char *text, uint64_t *ret_us)
{
        uint64_t total = 0;
        bool any = false;
        for (const char *s = text + strspn(text, " "); *s; s += strspn(s, " "), any = true) {
                if (!isdigit((unsigned char)*s))
                        return -EINVAL;
                uint64_t value = 0, fraction_us = 0;
                for (; isdigit((unsigned char)*s); s++)
                        if (__builtin_mul_overflow(value, 10, &value) ||
                            __builtin_add_overflow(value, (uint64_t)(*s - '0'), &value))
                                return -ERANGE;
                if (take_char(&s, ".") && take_fraction(&s, &fraction_us) < 0)
                        return -EINVAL;
                s += strspn(s, " ");
                size_t len = 0;
                while (isalpha((unsigned char)s[len]))
                        len++;
                uint64_t unit = unit_us(s, len);
                if (!unit)
                        return -EINVAL;
                s += len;
                uint64_t part;
                if (__builtin_mul_overflow(value, unit, &part) ||
                    __builtin_add_overflow(part, (uint64_t)((double)fraction_us / HL_USEC_PER_SEC * (double)unit),
                                           &part) ||
                    __builtin_add_overflow(total, part, &total))
                        return -ERANGE;
        }
        if (!any)
                return -EINVAL;
        *ret_us = total;
        return 0;
}

uint64_t hl_idle_from_env(uint64_t default_us)
{
        const char *text = getenv("HL_IDLE_SECONDS");
        uint64_t us;
        return text && hl_parse_timespan(text, &us) == 0 && us <= HL_IDLE_MAX_US ? us : default_us;
}

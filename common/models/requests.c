/* SPDX-License-Identifier: MIT */
#include "requests.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "probe.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define ASK_US (500 * HL_USEC_PER_MSEC)
#define METRICS_SIZE_MAX (4 * 1024 * 1024) /* bytes */
#define REQUESTS_MAX 1e6

static bool is_count_of_requests(const char *line)
{
        static const char *const names[] = { "vllm:num_requests_running", "vllm:num_requests_waiting",
                                             "llamacpp:requests_processing", "llamacpp:requests_deferred" };
        size_t len = strcspn(line, "{ \t\n");
        for (size_t i = 0; i < HL_COUNT(names); i++)
                if (strlen(names[i]) == len && memcmp(names[i], line, len) == 0)
                        return true;
        return false;
}

/* The value of the line "name 1" or "name{label="…",…} 1"; a label's value may hold any character but a line break. */
static bool read_value(const char *line, double *ret_value)
{
        size_t len = strcspn(line, "\n"), name = strcspn(line, "{ \t\n");
        const char *value = line + name, *end = line + len;
        if (*value == '{') {
                for (value = end; value > line && value[-1] != '}'; value--)
                        ;
        }
        value += strspn(value, " \t");
        char *rest;
        double number = value < end ? strtod(value, &rest) : -1;
        if (!(number >= 0 && number <= REQUESTS_MAX) || rest == value)
                return false;
        *ret_value = number;
        return true;
}

int hl_requests_parse(const char *text, unsigned *ret_requests)
{
        double sum = 0, value;
        bool any = false;
        for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n')
                if (is_count_of_requests(line) && read_value(line, &value)) {
                        any = true;
                        sum += value;
                }
        if (!any)
                return -ENOENT;
        *ret_requests = sum < UINT_MAX ? (unsigned)sum : UINT_MAX;
        return 0;
}

unsigned hl_requests_running(uint16_t port, const struct hl_traffic *traffic, bool silent)
{
        bool in_doubt = traffic->in_flight == 0 ? traffic->connections > 0 : silent && traffic->moving == 0;
        struct hl_buf answer = { .max = METRICS_SIZE_MAX };
        unsigned requests = traffic->in_flight + (silent ? 0 : traffic->half_closed);
        if (in_doubt && hl_probe_text(port, HL_METRICS_PATH, hl_clock_monotonic() + ASK_US, &answer) == 200 &&
            answer.data)
                hl_requests_parse(answer.data, &requests);
        hl_buf_free(&answer);
        return requests;
}

int hl_requests_of_unit(uint16_t port, uint64_t cgroup, unsigned *ret_requests, struct hl_err *err)
{
        struct hl_traffic traffic;
        uint16_t listens;
        int r = hl_sockets_read_unit(port, cgroup, &traffic, &listens, err);
        if (r < 0)
                return r;
        *ret_requests = hl_requests_running(listens, &traffic, false);
        return 0;
}

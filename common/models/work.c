/* SPDX-License-Identifier: MIT */
#include "work.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "kernel/cgroups.h"

#include <stdlib.h>
#include <string.h>

#define LOOK_EVERY_US (50 * HL_USEC_PER_MSEC)

struct used {
        uint64_t cpu_us, io_bytes, memory_bytes;
};

/* The sum of the numbers behind each `key` in a text. */
static uint64_t sum_behind(const char *text, const char *key)
{
        uint64_t sum = 0;
        for (const char *at = text; at && (at = strstr(at, key)); at += strlen(key))
                sum += strtoull(at + strlen(key), NULL, 10);
        return sum;
}

static struct used read_used(const char *path)
{
        HL_CLEANUP(hl_free_pointer) char *cpu = hl_cgroups_read(path, "cpu.stat");
        HL_CLEANUP(hl_free_pointer) char *io = hl_cgroups_read(path, "io.stat");
        HL_CLEANUP(hl_free_pointer) char *memory = hl_cgroups_read(path, "memory.current");
        return (struct used){ .cpu_us = sum_behind(cpu, "usage_usec "),
                              .io_bytes = sum_behind(io, "rbytes=") + sum_behind(io, "wbytes="),
                              .memory_bytes = memory ? strtoull(memory, NULL, 10) : 0 };
}

static bool is_work(const struct used *before, const struct used *now)
{
        return now->cpu_us >= before->cpu_us + HL_WORK_CPU_US || now->io_bytes >= before->io_bytes + HL_WORK_IO_BYTES ||
               now->memory_bytes >= before->memory_bytes + HL_WORK_MEMORY_BYTES;
}

/* One unit that is looked at. */
struct look {
        struct hl_cgroups groups;
        struct used before;
};

/* Whether each of them that has a control group was seen to work by now. */
static bool look_again(const struct look *looks, size_t count, bool *seen)
{
        bool all = true;
        for (size_t i = 0; i < count; i++) {
                if (seen[i] || !looks[i].groups.path)
                        continue;
                const struct used now = read_used(looks[i].groups.path);
                seen[i] = is_work(&looks[i].before, &now);
                all = all && seen[i];
        }
        return all;
}

void hl_work_seen(const char *const *units, size_t count, bool *ret_seen)
{
        HL_CLEANUP(hl_free_pointer) struct look *looks = hl_alloc(count * sizeof(*looks));
        bool all = true; /* none of them has a control group */
        for (size_t i = 0; i < count; i++) {
                ret_seen[i] = false;
                hl_cgroups_of_unit(units[i], &looks[i].groups);
                if (!looks[i].groups.path)
                        continue;
                looks[i].before = read_used(looks[i].groups.path);
                all = false;
        }
        for (uint64_t end_us = hl_clock_monotonic() + HL_WORK_WINDOW_US; !all && hl_clock_monotonic() < end_us;) {
                hl_sleep_or_hangup(-1, LOOK_EVERY_US);
                all = look_again(looks, count, ret_seen);
        }
        for (size_t i = 0; i < count; i++)
                hl_cgroups_free(&looks[i].groups);
}

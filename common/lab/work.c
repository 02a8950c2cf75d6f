#include "work.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "cgroups.h"

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

bool hl_work_seen(const char *unit)
{
        HL_CLEANUP(hl_cgroups_free) struct hl_cgroups groups;
        hl_cgroups_of_unit(unit, &groups);
        if (!groups.path)
                return false;
        const struct used before = read_used(groups.path);
        for (uint64_t end_us = hl_clock_monotonic() + HL_WORK_WINDOW_US; hl_clock_monotonic() < end_us;) {
                hl_pause(-1, LOOK_EVERY_US);
                const struct used now = read_used(groups.path);
                if (is_work(&before, &now))
                        return true;
        }
        return false;
}

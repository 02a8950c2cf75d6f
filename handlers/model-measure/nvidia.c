/* SPDX-License-Identifier: MIT */
#include "nvidia.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/size.h"
#include "base/str.h"
#include "kernel/cgroups.h"
#include "kernel/pci.h"

#include <ctype.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_MAX 65536 /* bytes */
#define ANSWER_MAX_US (3 * HL_USEC_PER_SEC)
#define DOMAIN_DIGITS 4 /* of an address; nvidia-smi writes twice as many */
#define MIB_SHIFT 20

/* "00000000:01:00.0" as sysfs writes it. NULL: it is none. In place. */
static const char *address_of(char *text)
{
        for (char *p = text; *p; p++)
                *p = (char)tolower((unsigned char)*p);
        const char *colon = strchr(text, ':');
        const char *address = colon && colon - text > DOMAIN_DIGITS ? colon - DOMAIN_DIGITS : text;
        return hl_pci_is_address(address) ? address : NULL;
}

void measure_nvidia_parse(char *text, measure_is_ours_fn *is_ours, void *data, struct hl_measured *measured)
{
        char *left = NULL;
        for (char *line = strtok_r(text, "\n", &left); line; line = strtok_r(NULL, "\n", &left)) {
                char *rest = NULL, *pid = strtok_r(line, ", ", &rest), *bus = strtok_r(NULL, ", ", &rest),
                     *amount = strtok_r(NULL, ", ", &rest);
                const char *address = bus ? address_of(bus) : NULL;
                uint64_t mib;
                if (address && amount && hl_parse_uint(amount, HL_SIZE_LIMIT >> MIB_SHIFT, &mib) == 0 &&
                    is_ours(data, pid))
                        hl_measured_add(measured, address, mib << MIB_SHIFT);
        }
}

/* The descriptor of what it prints; -1: it is not there. */
static int begin(pid_t *ret_pid)
{
        static const char *const arguments[] = { "nvidia-smi", "--query-compute-apps=pid,gpu_bus_id,used_memory",
                                                 "--format=csv,noheader,nounits", NULL };
        posix_spawn_file_actions_t actions;
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) < 0)
                return -1;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
        int r = posix_spawnp(ret_pid, arguments[0], &actions, NULL, (char *const *)(uintptr_t)arguments, environ);
        posix_spawn_file_actions_destroy(&actions);
        close(ends[1]);
        if (r == 0)
                return ends[0];
        close(ends[0]);
        return -1;
}

/* Whether it has come to an end in time. */
static bool read_all(int fd, struct hl_buf *answer)
{
        uint64_t deadline_us = hl_clock_monotonic() + ANSWER_MAX_US;
        char bytes[4096];
        ssize_t n = -1;
        while (hl_wait_fd(fd, POLLIN, deadline_us) > 0 && (n = read(fd, bytes, sizeof(bytes))) > 0)
                if (hl_buf_add(answer, bytes, (size_t)n) < 0)
                        return false;
        return n == 0;
}

static void note_pid(void *data, const char *pid)
{
        hl_buf_addf(data, "%s,", pid);
}

static bool is_noted(void *data, const char *pid)
{
        const struct hl_buf *pids = data;
        return hl_in_list(pids->data, pid, strlen(pid));
}

void measure_nvidia(const char *cgroup, struct hl_measured *measured)
{
        HL_CLEANUP(hl_buf_free) struct hl_buf answer = { .max = ANSWER_MAX };
        HL_CLEANUP(hl_buf_free) struct hl_buf pids = { 0 };
        pid_t pid;
        HL_CLEANUP(hl_close_fd) int fd = hl_pci_nvidia_sleeps() ? -1 : begin(&pid);
        if (fd < 0)
                return;
        if (!read_all(fd, &answer))
                kill(pid, SIGKILL); /* nobody waits for it: a driver may hold it for long */
        hl_cgroups_each_process(cgroup, note_pid, &pids);
        if (answer.len > 0)
                measure_nvidia_parse(answer.data, is_noted, &pids, measured);
}

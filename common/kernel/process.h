/* SPDX-License-Identifier: MIT */
/* process.h - what /proc tells of another process, as far as the caller may see it.
 *
 * Errors   none: what cannot be read is not known.
 * Source   proc_pid_fd(5), which root alone may read of others; proc_pid_comm(5).
 * Tests    tests/unit/models/test_owner.c, tests/system/test_nginx_ports.py
 */
#ifndef HL_KERNEL_PROCESS_H
#define HL_KERNEL_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#define HL_PROCESS_NAME_SIZE 17 /* the kernel's TASK_COMM_LEN and a byte */

/* Whether a process, "812", has the socket with this inode. */
bool hl_process_has_socket(const char *pid, uint32_t inode);

/* What it is called, printable; "" where that is not known. */
void hl_process_name(const char *pid, char name[static HL_PROCESS_NAME_SIZE]);

#endif

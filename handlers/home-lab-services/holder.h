/* SPDX-License-Identifier: MIT */
/* holder.h - who listens on a port, for people: "python3 (pid 812, squatter.service)".
 *
 * Shape    as much as the caller may see. Only root sees which process of other users has a socket; its unit and its
 *          user anybody sees: "a program of squatter.service, user nobody".
 * Owner    free() what hl_holder_describe() returns.
 * Source   process.h, cgroups.h, sock_diag(7).
 * Tests    tests/system/test_nginx_ports.py, tests/system/test_check.py
 */
#ifndef HL_HOME_LAB_SERVICES_HOLDER_H
#define HL_HOME_LAB_SERVICES_HOLDER_H

#include "kernel/sockets.h"

char *hl_holder_describe(const struct hl_listener *listener);

/* NULL: nobody, or systemd itself, which may hold it for the model. */
char *hl_holder_of_port(uint16_t port);

#endif

/* SPDX-License-Identifier: MIT */
/* unix_listeners.h - is there a listening unix socket of which a text speaks?
 *
 * Errors   none: what cannot be seen is not there.
 * Source   sock_diag(7), linux/unix_diag.h. The kernel does not say whose a unix socket is: a name must do.
 * Tests    tests/unit/models/test_listening.c
 */
#ifndef HL_KERNEL_UNIX_LISTENERS_H
#define HL_KERNEL_UNIX_LISTENERS_H

/* The path of one that stands in the text as a word, as in "--uds /run/x.sock" or "--host unix:/run/x.sock". NULL:
 * none. free() */
char *hl_unix_listener_in(const char *text);

#endif

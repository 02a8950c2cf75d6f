/* SPDX-License-Identifier: MIT */
/* version.h - which version this is: the one place that says it.
 *
 * Shape    every program shows it for --version, every service at GET /, the monitor in its
 *          metrics.
 * Tests    tests/doors/test_version.py
 */
#ifndef HL_BASE_VERSION_H
#define HL_BASE_VERSION_H

#include <stdbool.h>

#define HL_VERSION "1.1.0"

/* Whether --version is all that the command line asks. It is answered then: "NAME 1.1.0" on stdout. A web server hands
 * its clients' queries over as arguments of a CGI program (RFC 3875, section 4.4): those ask nothing. */
bool hl_version_asked(int argc, char **argv);

#endif

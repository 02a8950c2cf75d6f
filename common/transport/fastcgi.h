/* SPDX-License-Identifier: MIT */
/* fastcgi.h - requests from a web server, over a listening socket that systemd holds.
 *
 * Shape    what comes together, one thread answers in turn, so that quick answers wake nobody. A slow request blocks
 *          no other: one that changes something or goes on has its own thread from the start, and any other has it
 *          once it takes 10 ms. A few threads wait for the next. When nothing came for idle_us, or nobody asked at
 *          all within first_us (it was started at boot or by hand), the function returns and the process ends; the
 *          socket is systemd's, so a connection that comes in that very moment waits in its queue and starts the next
 *          process. A web server may keep a connection for its next request. That may come as the connection is
 *          closed, and is never half done then: whoever keeps connections must ask once more. NGINX does so for what
 *          changes nothing, and nothing else may be sent so.
 * Units    limits are microseconds. HL_IDLE_SECONDS in the environment is idle_us for this process, at most a
 *          day: "90" seconds, or a time span such as "500ms".
 * Process  SIGTERM: no request is taken any more, those that were are answered, and it returns. What is not
 *          answered within drain_us is cut off: the process exits. hl_server.answer is called from several
 *          threads at once.
 * Source   FastCGI 1.0; fastcgi_request.h.
 * Tests    tests/unit/transport/test_fastcgi.c, tests/doors/test_fastcgi.py
 */
#ifndef HL_TRANSPORT_FASTCGI_H
#define HL_TRANSPORT_FASTCGI_H

#include "server.h"

#include <stdint.h>

struct hl_fastcgi_limits {
        uint64_t first_us, idle_us;
        uint64_t drain_us;
        uint64_t receive_us;  /* for the web server to send the next piece of a request */
        unsigned threads_max; /* requests at once; more wait in the socket's queue, but for those of kept connections */
        unsigned kept_max;    /* connections between two requests; any more are closed behind their answer */
};

extern const struct hl_fastcgi_limits hl_fastcgi_limits; /* those of the product */

/* Those, with what the environment says. */
struct hl_fastcgi_limits hl_fastcgi_limits_from_env(void);

/* 0, or -errno where nothing could be served. */
int hl_fastcgi_serve(int listen_fd, const struct hl_fastcgi_limits *limits, const struct hl_server *server);

#endif

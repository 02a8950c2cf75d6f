/* fastcgi.h - requests from a web server, over a listening socket that systemd holds. The only user of libfcgi.
 *
 * Shape    one thread a request, so that a slow one blocks no other. When nothing came for idle_us the
 *          function returns and the process ends; the socket is systemd's, so a connection that comes in that
 *          very moment waits in its queue and starts the next process.
 * Units    limits are microseconds.
 * Process  SIGTERM: no request is taken any more, those that were are answered, and it returns.
 *          hl_door.answer is called from several threads at once.
 * Source   FastCGI 1.0; libfcgi's fcgiapp.h. Connections are accepted here and handed to libfcgi, whose own
 *          accept could be waited for neither with a limit nor together with a signal.
 * Tests    tests/unit/test_fastcgi.c, tests/doors/test_fastcgi.py
 */
#ifndef HL_DOORS_FASTCGI_H
#define HL_DOORS_FASTCGI_H

#include "door.h"

struct hl_fastcgi_limits {
        uint64_t idle_us;
        uint64_t receive_us;  /* for the web server to send the next piece of a request */
        unsigned threads_max; /* requests at once; more wait in the socket's queue */
};

extern const struct hl_fastcgi_limits hl_fastcgi_limits; /* those of the product */

/* 0, or -errno where nothing could be served. */
int hl_fastcgi_serve(int listen_fd, const struct hl_fastcgi_limits *limits, const struct hl_door *door);

#endif

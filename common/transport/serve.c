/* SPDX-License-Identifier: MIT */
#include "serve.h"

#include "cgi.h"
#include "fastcgi.h"
#include "inetd.h"
#include "listener.h"
#include "network.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

static bool is_connection(int fd)
{
        struct sockaddr_storage address;
        socklen_t len = sizeof(address);
        return getpeername(fd, (struct sockaddr *)&address, &len) == 0;
}

int hl_serve(const struct hl_server *server)
{
        signal(SIGPIPE, SIG_IGN); /* whatever was inherited: a client that leaves is an error of write() */

        if (getenv("GATEWAY_INTERFACE"))
                return hl_cgi_serve(STDIN_FILENO, STDOUT_FILENO, server);
        if (is_connection(STDIN_FILENO)) {
                hl_inetd_serve(STDIN_FILENO, &hl_inetd_limits, -1, server);
                return EXIT_SUCCESS;
        }
        if (hl_is_network(STDIN_FILENO)) {
                struct hl_network_limits limits = hl_network_limits;
                limits.idle_us = hl_idle_from_env(limits.idle_us);
                return hl_network_serve(STDIN_FILENO, &limits, server) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        }
        if (hl_is_listening(STDIN_FILENO)) {
                struct hl_fastcgi_limits limits = hl_fastcgi_limits_from_env();
                return hl_fastcgi_serve(STDIN_FILENO, &limits, server) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        }
        fprintf(stderr,
                "%s answers requests: it is started by systemd for each connection to %s.socket,\n"
                "or by a web server that speaks CGI/1.1. Try: systemctl start %s.service\n",
                server->name, server->name, server->name);
        return EX_USAGE;
}

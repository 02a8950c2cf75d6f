/* SPDX-License-Identifier: MIT */
/* session - logs a user in at logind, as pam_systemd would, and stays until it is ended. For tests; as root.
 * session SECONDS - leaves a process behind for so long. */
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

int main(int argc, char **argv)
{
        sd_bus *bus = NULL;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL; /* it holds the descriptor by which logind sees that the session lasts */
        int r = sd_bus_open_system(&bus);
        if (r >= 0)
                r = sd_bus_call_method(bus, "org.freedesktop.login1", "/org/freedesktop/login1",
                                       "org.freedesktop.login1.Manager", "CreateSession", &error, &reply,
                                       "uusssssussbssa(sv)", 0u, (unsigned)getpid(), "test", "tty", "user", "", "", 0u,
                                       "", "", 0, "", "", 0);
        if (r < 0) {
                fprintf(stderr, "CreateSession: %s\n", error.message ? error.message : strerror(-r));
                return 1;
        }
        if (argc > 1 && fork() == 0)
                execlp("sleep", "sleep", argv[1], NULL);
        pause();
        return 0;
}

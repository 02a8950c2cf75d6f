/* SPDX-License-Identifier: MIT */
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "check.h"
#include "home-lab-services/holder.h"
#include "home-lab-services/product.h"
#include "kernel/sockets.h"
#include "parts.h"
#include "systemd/shutdown.h"
#include "systemd/units.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RULE "polkit-1/rules.d/60-home-lab-services.rules"

static void check_port(struct hl_check *c, uint16_t port, const char *socket, bool ours)
{
        struct hl_listener listener;
        struct hl_err err = { 0 };
        int r = hl_sockets_listener(port, &listener, &err);
        if (r < 0)
                hl_check_problem(c, "port %u: %s", port, err.message);
        if (r <= 0 || (ours && listener.uid == 0))
                return;
        HL_CLEANUP(hl_free_pointer) char *holder = hl_holder_describe(&listener);
        hl_check_problem(c, "port %u is used by %s: stop it, or give %s another port (systemctl edit %s)", port, holder,
                         socket, socket);
}

/* Whether the socket has its port still: it may have been given another. */
static bool listens(struct hl_check *c, const char *unit, uint16_t port)
{
        HL_CLEANUP(hl_free_pointer) char *end = hl_format(":%u", port);
        struct hl_buf addresses = { 0 };
        struct hl_err err = { 0 };
        bool it_does = hl_socket_addresses(&c->bus, unit, &addresses, &err) < 0 ||
                       (addresses.data && strstr(addresses.data, end));
        hl_buf_free(&addresses);
        return it_does;
}

/* There systemd takes each connection, also those that are too many, and starts nothing while they come. */
static void note_network(struct hl_check *c, const struct hl_product_unit *socket)
{
        struct hl_buf addresses = { 0 };
        struct hl_err ignored = { 0 };
        size_t len;
        hl_socket_addresses(&c->bus, socket->unit, &addresses, &ignored);
        const char *list = addresses.data;
        for (const char *word = hl_next_word(&list, &len); word; word = hl_next_word(&list, &len)) {
                size_t blanks = strspn(word, " ");
                word += blanks;
                len -= blanks;
                if (hl_has_prefix(word, "127.") || hl_has_prefix(word, "[::1]"))
                        continue;
                hl_check_note(c,
                              "%s listens on %.*s, where many connections hold up this machine's own: drop that "
                              "ListenStream=, and enable %s-lan@ADDRESS.socket",
                              socket->unit, (int)len, word, socket->label);
        }
        hl_buf_free(&addresses);
}

static void check_socket(struct hl_check *c, const struct hl_product_unit *socket, bool is_known,
                         enum hl_unit_state active)
{
        if (active == HL_UNIT_FAILED)
                hl_check_problem(c, "%s has failed, it is closed: systemctl status %s", socket->unit, socket->unit);
        if (socket->port && (!is_known || listens(c, socket->unit, socket->port)))
                check_port(c, socket->port, socket->unit, !is_known || active == HL_UNIT_ACTIVE);
        if (socket->port && is_known && active == HL_UNIT_ACTIVE)
                note_network(c, socket);
}

static void check_bus_and_sockets(struct hl_check *c)
{
        enum hl_unit_state states[HL_PRODUCT_UNITS] = { HL_UNIT_INACTIVE };
        struct hl_err err = { 0 };
        c->cause = CAUSE_BUS;
        bool known = hl_product_states(&c->bus, states, &err) >= 0;
        if (known)
                hl_check_line("ok", "system bus and systemd");
        else
                hl_check_problem(c, "%s", err.message);

        unsigned before = hl_check_total(c);
        c->cause = CAUSE_PORTS;
        /* Where systemd cannot be asked, a port that root holds is taken for ours. */
        for (size_t i = 0; i < HL_PRODUCT_UNITS; i++)
                if (strstr(hl_product_units[i].unit, ".socket"))
                        check_socket(c, &hl_product_units[i], known, states[i]);
        if (hl_check_total(c) == before)
                hl_check_line("ok", "ports 5001, 5002, 5003, and the sockets for NGINX");
}

static int stat_rule(struct stat *ret_status, const char **ret_path)
{
        static const char *const paths[] = { "/etc/" RULE, "/usr/share/" RULE };
        int r = -ENOENT;
        for (size_t i = 0; i < HL_COUNT(paths); i++) {
                *ret_path = paths[i];
                if (stat(paths[i], ret_status) == 0)
                        return 0;
                if (errno != ENOENT)
                        r = -errno;
        }
        return r;
}

/* Polkit's folder is closed to us, so we ask for what the rule gives: where logind then says
 * "yes", the rule is in force. From polkit 124 on the rule also looks at the asking unit. */
static void check_rule_by_asking(struct hl_check *c)
{
        struct hl_err err = { 0 };
        char word[32] = "";
        unsigned version = 0;
        int r = hl_bus_polkit_version(&c->bus, &version, &err);
        if (r < 0)
                hl_check_problem(c, "polkit does not answer (%s): apt-get install polkitd", err.message);
        else if (version >= 124 || !c->user || getuid() != c->user->pw_uid)
                hl_check_line("ok", "polkit answers; whether its rule is in place, only root can see");
        else if (hl_shutdown_permission(&c->bus, word, sizeof(word), &err) < 0 || strcmp(word, "yes") != 0)
                hl_check_problem(c, "polkit's rule is not in force (logind says \"%s\"): %s",
                                 *word ? word : err.message, hl_check_again());
        else
                hl_check_line("ok", "polkit's rule is in force");
}

static void check_polkit(struct hl_check *c)
{
        struct stat status;
        const char *path = NULL;
        c->cause = CAUSE_PERMISSIONS;
        int r = stat_rule(&status, &path);
        if (r == -EACCES)
                check_rule_by_asking(c);
        else if (r < 0)
                hl_check_problem(c, "polkit's rule /etc/%s is missing: %s", RULE, hl_check_again());
        else if (status.st_uid != 0 || (status.st_mode & 0044) != 0044 || (status.st_mode & 022))
                hl_check_problem(c, "%s: must be root's and readable by polkitd: chown root %s; chmod 0644 %s", path,
                                 path, path);
        else
                hl_check_line("ok", "polkit's rule %s", path);
}

/* What is stopped may be meant to be, so it is no error; but who asks why nothing answers must see it. */
static void note_what_is_stopped(struct hl_check *c)
{
        enum hl_unit_state states[HL_PRODUCT_UNITS];
        struct hl_err ignored = { 0 };
        bool with_nginx = hl_check_has_nginx_site();
        if (hl_check_is_before_the_start() || hl_product_states(&c->bus, states, &ignored) < 0)
                return;
        for (size_t i = 0; i < HL_PRODUCT_UNITS; i++) {
                const struct hl_product_unit *known = &hl_product_units[i];
                bool failed = states[i] == HL_UNIT_FAILED;
                bool stopped = states[i] == HL_UNIT_INACTIVE && !(known->flags & HL_PRODUCT_MAY_REST);
                bool is_needed = known->stopped && (with_nginx || !(known->flags & HL_PRODUCT_FOR_NGINX));
                if ((failed || stopped) && is_needed)
                        hl_check_note(c, "%s %s, %s", known->unit, failed ? "has failed" : "is stopped",
                                      known->stopped);
        }
}

/* A user manager of one of ours runs what nobody meant to run: logind gives one to each user who lingers, at boot
 * too. */
static void note_lingering(struct hl_check *c)
{
        static const char *const users[] = { "home-lab-models", "home-lab-services", "home-lab-power",
                                             "home-lab-nginx" };
        for (size_t i = 0; i < HL_COUNT(users); i++) {
                HL_CLEANUP(hl_free_pointer) char *mark = hl_format("/var/lib/systemd/linger/%s", users[i]);
                if (access(mark, F_OK) < 0)
                        continue;
                hl_check_note(c, "%s lingers, so what it starts need not end: loginctl disable-linger %s", users[i],
                              users[i]);
        }
}

static void note_no_landlock(struct hl_check *c)
{
        /* Its version. Within the coordinator's unit no such question is let through. */
        if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) >= 0 || (errno != ENOSYS && errno != EOPNOTSUPP))
                return;
        hl_check_note(c, "this kernel has no Landlock, so systemd makes a mount namespace for each connection to a "
                         "port and for each sweep, which takes longer: is it left out of \"lsm=\" on the kernel's "
                         "command line?");
}

void hl_check_host(struct hl_check *c)
{
        check_bus_and_sockets(c);
        check_polkit(c);
        hl_check_nginx(c);
        hl_check_model_ports(c);
        if (!hl_check_is_before_the_start())
                hl_check_answers(c);
        note_what_is_stopped(c);
        note_lingering(c);
        note_no_landlock(c);
}

/* SPDX-License-Identifier: MIT */
/* parts.h - what the parts of `home-lab-services check` share.
 *
 * Shape    each part looks at one side of the host, and says what it finds, line by line.
 * Errors   hl_check_problem() counts: the exit status of the whole is that of the gravest.
 * Owner    struct hl_check is hl_check()'s.
 * Tests    tests/system/test_check.py
 */
#ifndef HL_HOME_LAB_SERVICES_CHECK_PARTS_H
#define HL_HOME_LAB_SERVICES_CHECK_PARTS_H

#include "config/catalog.h"
#include "config/config.h"
#include "systemd/bus.h"

#include <pwd.h>

struct hl_names;
struct hl_unit_run;

#define HL_CHECK_USER "home-lab-services"

/* Gravest first. */
enum hl_check_cause { CAUSE_CONFIG, CAUSE_PERMISSIONS, CAUSE_PORTS, CAUSE_BUS, CAUSE_MODELS, CAUSE_NGINX, CAUSE_COUNT };

struct hl_check {
        unsigned errors[CAUSE_COUNT];
        unsigned notes;
        enum hl_check_cause cause; /* of the part being checked */
        struct hl_config config;
        struct hl_bus bus;
        const struct passwd *user;
        bool sees_as_services; /* root, or they: what cannot be read, they cannot read */
        char first[256];       /* the first error, for systemctl status */
};

/* One line on stdout; word is "ok", "note" or "error". */
void hl_check_line(const char *word, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What is no error, and better otherwise. */
void hl_check_note(struct hl_check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* An error of the part being checked. */
void hl_check_problem(struct hl_check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

unsigned hl_check_total(const struct hl_check *c);

/* What puts right what an installation has made: 'run "make install" again', or the same for a package. */
const char *hl_check_again(void);

/* Nobody but root may write what the services, or a model's unit, read and obey. */
void hl_check_owned_by_root(struct hl_check *c, const char *path);

/* A finding about a file that an editor has left: no error. */
bool hl_check_is_copy(const char *file, const char *message);

/* models.c: the models' files, names, ports and units. */
void hl_check_models(struct hl_check *c, const struct hl_catalog *catalog);

/* capacity.c: what models need, and what the host has. */
void hl_check_capacity(struct hl_check *c, const struct hl_catalog *catalog);

/* A sentence of each model's unit that runs and has no file. */
void hl_check_strays(struct hl_bus *bus, const struct hl_config *config, const struct hl_catalog *catalog,
                     void (*each)(void *data, const char *sentence), void *data);

/* Where units have another name than ours: does polkit let the services start them? As far as this user sees. */
void hl_check_template(struct hl_check *c);

/* command.c: what each COMMAND would do, tried as the model's user. As root, or with what this user sees. */
void hl_check_commands(struct hl_check *c, const struct hl_catalog *catalog);

/* units.c: what systemd does not take of a model's unit; `verified`: the files that were looked at before. */
void hl_check_unit(struct hl_check *c, const char *unit, const struct hl_unit_run *run, struct hl_names *verified);

/* host.c: the bus, ports, polkit, NGINX, and what is stopped. */
void hl_check_host(struct hl_check *c);

/* nginx.c: NGINX's configuration, and our site in it. */
void hl_check_nginx(struct hl_check *c);

/* answers.c: what is in its place, and gives no answer. */
void hl_check_answers(struct hl_check *c);

/* The same, a sentence each, but for logind's. */
void hl_check_silence(struct hl_bus *bus, void (*each)(void *data, const char *sentence), void *data);

/* Whether the coordinator asks, before it starts all of this. */
bool hl_check_is_before_the_start(void);

/* ports.c: models' ports that are NGINX's, or that somebody else holds. */
void hl_check_model_ports(struct hl_check *c);

#endif

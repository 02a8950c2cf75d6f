/* SPDX-License-Identifier: MIT */
/* fake_bus.h - a systemd or logind of the test's own, over a socketpair.
 *
 * Shape    a thread answers the calls of one hl_bus, in order, with the test's function.
 * Owner    fake_start() fills the bus; fake_stop() frees it and joins the thread. So do the two of a fake_host.
 * Process  what the answering function writes may be read once a call is back.
 */
#ifndef HL_TESTS_UNIT_FAKE_BUS_H
#define HL_TESTS_UNIT_FAKE_BUS_H

#include "support.h"

#include "systemd/bus.h"

struct fake_bus;

/* Answers a method call. What it returns below 0 is answered as an error. `member` is the method's name. */
typedef int fake_answer_fn(struct fake_bus *fake, sd_bus_message *call, const char *member);

struct fake_bus {
        sd_bus *bus;
        fake_answer_fn *answer;
        void *data;
        struct hl_buf log; /* "StartUnit\n"…: the methods that were called */
        bool hang_up;      /* set by the answering function: close the connection now */
        pthread_t thread;
        int fd;
};

void fake_start(struct fake_bus *fake, fake_answer_fn *answer, void *data, struct hl_bus *ret_bus);
void fake_stop(struct fake_bus *fake, struct hl_bus *bus);

/* How often a method was called. */
unsigned fake_count(const struct fake_bus *fake, const char *member);

/* The call is answered with a D-Bus error of this name. */
int fake_refuse(sd_bus_message *call, const char *error);

/* ---- a systemd whose units are told by their names: "model@STATE-17.service" is in STATE since 17 s ---- */

struct fake_systemd {
        const char *refusal;       /* the D-Bus error that starting, stopping, restarting is answered with */
        const char *list_error;    /* the same of asking */
        unsigned list_error_at;    /* the one call of ListUnitsByNames that is; 0: all questions */
        const char *job_result;    /* "done", …; NULL: the job does not end */
        bool early;                /* its end is told before the reply that names it */
        bool hang_up, silent;      /* instead of an answer to a job */
        const char *state_after;   /* ActiveState of GetAll; NULL: by the name */
        const char *load_state;    /* NULL: "loaded" */
        const char *result;        /* NULL: "success" */
        const char *const *loaded; /* units that ListUnitsByPatterns knows, each in its name's state; NULL-terminated.
                                    * NULL: the one that it is asked for by its name */
        const char *sub_state;     /* of those; NULL: "sub" */
        const char *control_group; /* of all units; NULL: they have none */
        const char *status_text;   /* likewise */
        int exit_code, exit_status;
        unsigned list_fails_after; /* calls of ListUnitsByNames that say "active", then "failed"; 0: by the name */
        bool list_stops;           /* they say "inactive" then */
        unsigned lists, jobs;      /* calls so far */
};

fake_answer_fn fake_systemd_answer; /* data is a struct fake_systemd * */

/* ---- what a test of systemd begins with: the systemd, its bus, and no error yet ---- */

struct fake_host {
        struct fake_systemd systemd; /* may be changed at any time; what is asked then is answered so */
        struct fake_bus fake;
        struct hl_bus bus;
        struct hl_err err;
};

void fake_host_start(struct fake_host *host, const struct fake_systemd *systemd);
void fake_host_stop(struct fake_host *host);

/* For cmocka's setup and teardown; *state is a struct fake_host *, whose systemd is {0}. */
int fake_host_setup(void **state);
int fake_host_teardown(void **state);
#define ON_FAKE_HOST(test) cmocka_unit_test_setup_teardown(test, fake_host_setup, fake_host_teardown)

#endif

/* SPDX-License-Identifier: MIT */
/* cli.h - what the commands of `home-lab-services` share: the command line as understood, the services' API, what
 * people are shown, and the exit status.
 *
 * Shape    a command is a function of struct cli that returns the exit status. Those about models ask the services as
 *          anybody does, so that rights and answers are the same for all.
 * Units    times on a terminal are local, spans rounded down.
 * Errors   struct hl_err; cli_finish() alone turns one into an exit status. Nothing that came from elsewhere reaches
 *          the terminal with control characters in it.
 * Owner    cli_api_close(); JSON from cli_api_ask() with hl_json_free().
 * Process  one thread; SIGPIPE is ignored.
 * Tests    tests/doors/test_cli.py, tests/system/test_cli.py
 */
#ifndef HL_HOME_LAB_SERVICES_CLI_CLI_H
#define HL_HOME_LAB_SERVICES_CLI_CLI_H

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "transport/http_client.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define CLI_INTERRUPTED 130 /* exit status: Ctrl-C, as a shell says it */

struct cli {
        bool is_json, is_followed, is_not_waited_for;
        const char *host, *drain, *lines, *scope, *span; /* as given; NULL: not */
        char **words;                                    /* behind the command */
        int word_count;
};

/* ---- the commands ---- */

int cli_list(const struct cli *cli);
int cli_start(const struct cli *cli);
int cli_stop(const struct cli *cli);
int cli_restart(const struct cli *cli);
int cli_keep(const struct cli *cli);
int cli_logs(const struct cli *cli);
int cli_why(const struct cli *cli);
int cli_token(const struct cli *cli);

/* ---- show.c: what people are shown ---- */

/* Shows the error, if there is one, and returns the exit status. */
int cli_finish(const struct hl_err *err);

/* Text from elsewhere, in pieces; keeps line breaks and tabs. */
void cli_put(FILE *to, const char *bytes, size_t len);

/* "20:19", "24 Nov, 20:19" on another day; "-" where it is not a time. buffer: CLI_WHEN_SIZE bytes. Returns it. */
#define CLI_WHEN_SIZE 40
char *cli_when(const char *rfc3339, char *buffer);

/* "45 s", "31 min", "2 h 05 min", "3 d 2 h"; "-" below 0. buffer: CLI_SPAN_SIZE bytes. Returns it. */
#define CLI_SPAN_SIZE 40
char *cli_span(int64_t seconds, char *buffer);

/* Whether nobody reads stdout any more: the other end of the pipe is closed. */
bool cli_output_is_gone(void);

/* ---- api.c: the services' API ---- */

enum cli_service { CLI_INFERENCE, CLI_MONITOR };

struct cli_api {
        struct hl_http_client *client;
        char *bases[2]; /* by enum cli_service */
        const char *token;
        bool is_local;
        struct hl_http_client_answer answer; /* the last one, as it came */
};

struct cli_call {
        enum cli_service service;
        const char *method;
        char *path; /* below the service; cli_api_ask() frees it */
        uint64_t wait_us;
        int (*take)(void *data, const char *bytes, size_t len); /* as in transport/http_client.h */
        int (*tick)(void *data);
        void *data;
};

#define CLI_ANSWER_US (30 * UINT64_C(1000000))     /* to look at something */
#define CLI_WAIT_US (2 * 3600 * UINT64_C(1000000)) /* longer than a service waits for any model */

int cli_api_open(const struct cli *cli, struct cli_api *ret_api, struct hl_err *err);
void cli_api_close(struct cli_api *api);

/* A success is 0, and *ret_json (may be NULL) its JSON; what the service refuses is err, in the service's words. */
int cli_api_ask(struct cli_api *api, const struct cli_call *call, hl_json **ret_json, struct hl_err *err);
int cli_api_get(struct cli_api *api, enum cli_service service, char *path, hl_json **ret_json, struct hl_err *err);

/* The last answer as it came, on stdout. */
void cli_api_show(const struct cli_api *api);

/* "/models/NAME" and what is behind it; free(). NULL, and err, where NAME cannot be a name. */
char *cli_model_path(const char *name, const char *behind, struct hl_err *err);

/* Where err says that there is no such model, err names the one that may be meant. */
void cli_guess_model(struct cli_api *api, const char *name, struct hl_err *err);

#endif

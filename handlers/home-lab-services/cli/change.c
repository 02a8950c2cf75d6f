/* SPDX-License-Identifier: MIT */
/* start, stop, restart and keep: what takes long is waited for, and shown to be. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SHOWN_AFTER_US HL_USEC_PER_SEC /* whatever is done sooner needs no progress */
#define CLEAR_LINE "\r\033[K"
#define QUERY_SIZE 40 /* bytes */

static volatile sig_atomic_t is_interrupted;

static void interrupt(int signal)
{
        (void)signal;
        is_interrupted = 1;
}

/* While the service is waited for. */
struct progress {
        const char *name, *doing;
        uint64_t began_us, shown_us;
        bool on_terminal;
};

static struct progress progress_begin(const char *name, const char *doing)
{
        const char *terminal = getenv("TERM");
        uint64_t now_us = hl_clock_monotonic();
        return (struct progress){ .name = name,
                                  .doing = doing,
                                  .began_us = now_us,
                                  .shown_us = now_us,
                                  .on_terminal = isatty(STDERR_FILENO) && terminal && strcmp(terminal, "dumb") != 0 };
}

/* One line, cut where the terminal ends: one that wraps could not be taken back. */
static void progress_show(const struct progress *p, uint64_t now_us)
{
        struct winsize size = { 0 };
        char span[CLI_SPAN_SIZE];
        int columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1 : 79;
        HL_CLEANUP(hl_free_pointer)
        char *line = hl_format("%s is %s, for %s so far; Ctrl-C waits no longer", p->name, p->doing,
                               cli_span((int64_t)((now_us - p->began_us) / HL_USEC_PER_SEC), span));
        hl_make_printable(line);
        fprintf(stderr, CLEAR_LINE "%.*s", columns, line);
        fflush(stderr);
}

static int progress_tick(void *data)
{
        struct progress *p = data;
        uint64_t now_us = hl_clock_monotonic();
        if (p->on_terminal && now_us - p->shown_us >= SHOWN_AFTER_US) {
                progress_show(p, now_us);
                p->shown_us = now_us;
        }
        return is_interrupted ? -EINTR : 0;
}

static void progress_end(const struct progress *p)
{
        if (p->shown_us != p->began_us)
                fputs(CLEAR_LINE, stderr);
}

/* What a command asks of the service. */
struct change {
        const char *verb, *doing, *query;
        const char *until;                   /* the answer's key that says when it ends; NULL: it does not */
        void (*tell_left)(const char *name); /* what Ctrl-C leaves behind */
};

/* A model without a port cannot be asked whether it is ready: its process is all that can be waited for. */
static int starting_query(struct cli_api *api, const struct cli *cli, const char **ret_query, struct hl_err *err)
{
        HL_CLEANUP(hl_json_cleanup) hl_json *model = NULL;
        char *path = cli_model_path(cli->words[0], "", err);
        int r = path ? cli_api_get(api, CLI_INFERENCE, path, &model, err) : -EINVAL;
        if (r == 0)
                *ret_query = cli->is_not_waited_for           ? "?wait=none"
                             : hl_json_is_null(model, "port") ? "?wait=job"
                                                              : "?wait=ready";
        return r;
}

/* "?drain=120" of "2min"; nothing where the command line does not say it. */
static int seconds_query(const char *key, const char *value, const char *expected, char query[QUERY_SIZE],
                         struct hl_err *err)
{
        uint64_t span_us;
        *query = '\0';
        if (!value)
                return 0;
        if (hl_parse_timespan(value, &span_us) < 0 || span_us % HL_USEC_PER_SEC != 0)
                return hl_fail(err, HL_ERR_INVALID, EINVAL, "invalid_parameter", "%s", expected);
        snprintf(query, QUERY_SIZE, "?%s=%llu", key, (unsigned long long)(span_us / HL_USEC_PER_SEC));
        return 0;
}

static int stopping_query(const struct cli *cli, char query[QUERY_SIZE], struct hl_err *err)
{
        int r = seconds_query("drain", cli->drain, "--drain takes whole seconds, such as --drain 60 or --drain 2min",
                              query, err);
        if (r == 0 && cli->drain && cli->is_not_waited_for)
                return hl_fail(err, HL_ERR_INVALID, EINVAL, "invalid_parameter",
                               "--drain waits for requests: leave out --no-wait");
        if (r == 0 && cli->is_not_waited_for)
                strcpy(query, "?wait=none");
        return r;
}

static void ask(struct cli_api *api, const struct cli *cli, const struct change *change, struct hl_err *err)
{
        HL_CLEANUP(hl_json_cleanup) hl_json *json = NULL;
        HL_CLEANUP(hl_free_pointer) char *behind = hl_format("/%s%s", change->verb, change->query);
        struct progress progress = progress_begin(cli->words[0], change->doing);
        const struct cli_call call = { .service = CLI_INFERENCE,
                                       .method = "POST",
                                       .path = cli_model_path(cli->words[0], behind, err),
                                       .wait_us = CLI_WAIT_US,
                                       .tick = progress_tick,
                                       .data = &progress };
        int r = call.path ? cli_api_ask(api, &call, &json, err) : -EINVAL;
        progress_end(&progress);
        if (cli->is_json && err->kind != HL_ERR_CANCELLED)
                cli_api_show(api);
        else if (r == 0) {
                const char *message = hl_json_get_string(json, "message");
                const char *until = change->until ? hl_json_get_string(json, change->until) : NULL;
                char when[CLI_WHEN_SIZE];
                HL_CLEANUP(hl_free_pointer)
                char *line = hl_format("%s%s%s.\n", message ? message : "Done", until ? " until " : "",
                                       until ? cli_when(until, when) : "");
                cli_put(stdout, line, strlen(line));
        }
}

static int change_model(struct cli_api *api, const struct cli *cli, const struct change *change, struct hl_err *err)
{
        const struct sigaction action = { .sa_handler = interrupt };
        sigaction(SIGINT, &action, NULL);
        ask(api, cli, change, err);
        if (err->kind != HL_ERR_CANCELLED) {
                cli_guess_model(api, cli->words[0], err);
                return cli_finish(err);
        }
        change->tell_left(cli->words[0]);
        return CLI_INTERRUPTED;
}

static void tell_loading(const char *name)
{
        fprintf(stderr,
                "%s goes on loading: \"home-lab-services why %s\" says how far it is, \"home-lab-services stop %s\" "
                "ends "
                "it.\n",
                name, name, name);
}

static void tell_not_waited_for(const char *name)
{
        fprintf(stderr, "Not waited for: \"home-lab-services why %s\" says what has become of it.\n", name);
}

static int starting(const struct cli *cli, const char *verb)
{
        struct change change = { .verb = verb, .doing = "loading", .tell_left = tell_loading };
        struct cli_api api = { 0 };
        struct hl_err err = { 0 };
        int r = cli_api_open(cli, &api, &err);
        if (r == 0)
                r = starting_query(&api, cli, &change.query, &err);
        if (r < 0)
                cli_guess_model(&api, cli->words[0], &err);
        int status = r < 0 ? cli_finish(&err) : change_model(&api, cli, &change, &err);
        cli_api_close(&api);
        return status;
}

int cli_start(const struct cli *cli)
{
        return starting(cli, "start");
}

int cli_restart(const struct cli *cli)
{
        return starting(cli, "restart");
}

/* r: of making the query. */
static int change_by_query(const struct cli *cli, const struct change *change, int r, struct hl_err *err)
{
        struct cli_api api = { 0 };
        if (r == 0)
                r = cli_api_open(cli, &api, err);
        int status = r < 0 ? cli_finish(err) : change_model(&api, cli, change, err);
        cli_api_close(&api);
        return status;
}

int cli_stop(const struct cli *cli)
{
        char query[QUERY_SIZE];
        struct hl_err err = { 0 };
        const struct change change = { .verb = "stop",
                                       .doing = cli->drain ? "finishing its requests" : "stopping",
                                       .query = query,
                                       .tell_left = tell_not_waited_for };
        return change_by_query(cli, &change, stopping_query(cli, query, &err), &err);
}

int cli_keep(const struct cli *cli)
{
        char query[QUERY_SIZE];
        struct hl_err err = { 0 };
        const struct change change = { .verb = "keep",
                                       .doing = "being kept",
                                       .query = query,
                                       .until = "kept_until",
                                       .tell_left = tell_not_waited_for };
        int r = seconds_query("seconds", cli->span, "--for takes whole seconds, such as --for 2h, or --for 0", query,
                              &err);
        return change_by_query(cli, &change, r, &err);
}

/* SPDX-License-Identifier: MIT */
/* list and logs: what there is, and what it said. */
#include "base/mem.h"
#include "base/str.h"
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FOLLOW_AGAIN "the service follows a log for an hour: say it again to go on"

/* ---- list ---- */

enum { NAME, PORT, STATE, SINCE, UNUSED, IN_FLIGHT, COLUMNS };

static const char *const heads[COLUMNS] = { "NAME", "PORT", "STATE", "SINCE", "UNUSED FOR", "IN FLIGHT" };

struct row {
        char *cells[COLUMNS];
};

static char *number_text(const hl_json *json, const char *key)
{
        int64_t number = hl_json_get_int(json, key, -1);
        return number < 0 ? hl_strdup("-") : hl_format("%lld", (long long)number);
}

/* model: GET /models/NAME, or NULL; activity: GET /models/activity, or NULL where that is not known. */
static void fill_row(struct row *row, const char *name, const hl_json *model, const hl_json *activity)
{
        char when[CLI_WHEN_SIZE], span[CLI_SPAN_SIZE];
        const char *state = hl_json_get_string(model, "state");
        const hl_json *usage = hl_json_get_object(hl_json_get_object(activity, "activity_status"), name);
        row->cells[NAME] = hl_strdup(name);
        row->cells[PORT] = number_text(model, "port");
        row->cells[STATE] = hl_strdup(state ? state : "?");
        row->cells[SINCE] = hl_strdup(cli_when(hl_json_get_string(model, "since"), when));
        row->cells[UNUSED] = hl_strdup(activity ? cli_span(hl_json_get_int(usage, "idle_seconds", -1), span) : "?");
        row->cells[IN_FLIGHT] = number_text(model, "in_flight");
}

static void show_rows(const struct row *rows, size_t count)
{
        int widths[COLUMNS];
        for (size_t c = 0; c < COLUMNS; c++) {
                widths[c] = (int)strlen(heads[c]);
                for (size_t i = 0; i < count; i++)
                        if ((int)strlen(rows[i].cells[c]) > widths[c])
                                widths[c] = (int)strlen(rows[i].cells[c]);
        }
        for (size_t line = 0; line <= count; line++) {
                struct hl_buf text = { 0 };
                for (size_t c = 0; c < COLUMNS; c++)
                        hl_buf_addf(&text, "%s%-*s", c ? "  " : "", c + 1 < COLUMNS ? widths[c] : 0,
                                    line ? rows[line - 1].cells[c] : heads[c]);
                hl_buf_adds(&text, "\n");
                cli_put(stdout, text.data, text.len);
                hl_buf_free(&text);
        }
}

/* One model's row, or its answer where JSON is wanted. */
static int read_model(struct cli_api *api, const char *name, const hl_json *activity, struct row *row, bool is_json,
                      struct hl_err *err)
{
        HL_CLEANUP(hl_json_cleanup) hl_json *model = NULL;
        char *path = cli_model_path(name, "", err);
        int r = path ? cli_api_get(api, CLI_INFERENCE, path, &model, err) : -EINVAL;
        if (is_json && r == 0)
                cli_api_show(api);
        else if (!is_json)
                fill_row(row, name, model, activity);
        return r;
}

static int list(struct cli_api *api, bool is_json, struct hl_err *err)
{
        HL_CLEANUP(hl_json_cleanup) hl_json *json = NULL;
        HL_CLEANUP(hl_json_cleanup) hl_json *activity = NULL;
        int r = cli_api_get(api, CLI_INFERENCE, hl_strdup("/models"), &json, err);
        if (r < 0)
                return r;
        const hl_json *models = hl_json_get_array(json, "models");
        size_t count = models ? hl_json_length(models) : 0;
        HL_CLEANUP(hl_free_pointer) struct row *rows = hl_alloc(count * sizeof(*rows));
        if (count > 0 && !is_json)
                cli_api_get(api, CLI_MONITOR, hl_strdup("/models/activity"), &activity, err); /* the rest is shown */
        for (size_t i = 0; i < count; i++) {
                const char *name = hl_json_get_string(hl_json_object_at(models, i), "model_name");
                read_model(api, name ? name : "", activity, &rows[i], is_json, err);
        }
        if (count == 0)
                fputs("There are no models: one is described by a file in /etc/home-lab-services/models.\n", stderr);
        else if (!is_json)
                show_rows(rows, count);
        for (size_t i = 0; i < count; i++)
                for (size_t c = 0; c < COLUMNS; c++)
                        free(rows[i].cells[c]);
        return err->kind ? -EIO : 0;
}

int cli_list(const struct cli *cli)
{
        struct cli_api api = { 0 };
        struct hl_err err = { 0 };
        if (cli_api_open(cli, &api, &err) == 0)
                list(&api, cli->is_json, &err);
        cli_api_close(&api);
        return cli_finish(&err);
}

/* ---- logs ---- */

static int take_lines(void *data, const char *bytes, size_t len)
{
        (void)data;
        cli_put(stdout, bytes, len);
        return fflush(stdout) == EOF ? -EPIPE : 0;
}

static int look_at_output(void *data)
{
        (void)data;
        return cli_output_is_gone() ? -EPIPE : 0;
}

static int read_log(struct cli_api *api, const struct cli *cli, struct hl_err *err)
{
        uint64_t lines = 0;
        if (cli->lines && (hl_parse_uint(cli->lines, UINT32_MAX, &lines) < 0 || lines == 0))
                return hl_fail(err, HL_ERR_INVALID, EINVAL, "invalid_parameter",
                               "-n takes a number of lines, such as -n 50");
        HL_CLEANUP(hl_free_pointer)
        char *behind = hl_format("/logs?format=%s%s%s%s", cli->is_json ? "json" : "text", cli->lines ? "&lines=" : "",
                                 cli->lines ? cli->lines : "", cli->is_followed ? "&follow=true" : "");
        const struct cli_call call = { .service = CLI_INFERENCE,
                                       .method = "GET",
                                       .path = cli_model_path(cli->words[0], behind, err),
                                       .wait_us = cli->is_followed ? CLI_WAIT_US : CLI_ANSWER_US,
                                       .take = take_lines,
                                       .tick = look_at_output };
        return call.path ? cli_api_ask(api, &call, NULL, err) : -EINVAL;
}

int cli_logs(const struct cli *cli)
{
        struct cli_api api = { 0 };
        struct hl_err err = { 0 };
        int r = cli_api_open(cli, &api, &err);
        if (r == 0)
                r = read_log(&api, cli, &err);
        if (r == 0 && cli->is_followed)
                fputs(FOLLOW_AGAIN "\n", stderr);
        if (err.kind == HL_ERR_CANCELLED) /* nobody reads it any more */
                err.kind = HL_ERR_NONE;
        cli_guess_model(&api, cli->words[0], &err);
        cli_api_close(&api);
        return cli_finish(&err);
}

#include "inference_logs.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "lab/journal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LINES_USUAL 200
#define LINES_MAX 10000

enum { MESSAGE, PRIORITY, FIELDS };

static const char *const fields[] = { [MESSAGE] = "MESSAGE", [PRIORITY] = "PRIORITY", [FIELDS] = NULL };

static int read_lines(struct hl_call *call, uint64_t *ret_lines)
{
        HL_CLEANUP(hl_free_pointer) char *text = NULL;
        *ret_lines = LINES_USUAL;
        if (hl_request_query(call->request, "lines", &text) < 0 ||
            (text && (hl_parse_uint(text, LINES_MAX, ret_lines) < 0 || *ret_lines == 0)))
                return hl_fail(&call->err, HL_ERR_INVALID, EINVAL, "invalid_parameter",
                               "\"lines\" must be a whole number from 1 to %d", LINES_MAX);
        return 0;
}

/* ?format= says it, or else the Accept header, where it wants text and no JSON. */
static int read_format(struct hl_call *call, bool *ret_text)
{
        HL_CLEANUP(hl_free_pointer) char *word = NULL;
        const char *accept = call->request->accept;
        int r = hl_call_choice(call, "format", "json,text", &word);
        if (r < 0)
                return r;
        *ret_text = word ? strcmp(word, "text") == 0
                         : accept && strcasestr(accept, "text/plain") && !strcasestr(accept, "application/json");
        return 0;
}

static void add_json(void *data, const struct hl_journal_entry *entry)
{
        uint64_t priority;
        hl_json *json = hl_json_new();
        hl_json_set_time(json, "time", entry->at_us);
        if (entry->values[PRIORITY] && hl_parse_uint(entry->values[PRIORITY], 7, &priority) == 0)
                hl_json_set_int(json, "priority", (int64_t)priority);
        else
                hl_json_set(json, "priority", NULL);
        hl_json_set_string(json, "message", entry->values[MESSAGE] ? entry->values[MESSAGE] : "");
        hl_json_push(data, json);
}

/* One line each: what a model prints must not steer the terminal that it is shown on. */
static void add_text(void *data, const struct hl_journal_entry *entry)
{
        char at[HL_RFC3339_SIZE];
        HL_CLEANUP(hl_free_pointer) char *message = hl_strdup(entry->values[MESSAGE] ? entry->values[MESSAGE] : "");
        hl_make_printable(message);
        hl_buf_addf(data, "%s %s\n", hl_format_rfc3339(entry->at_us, at), message);
}

int inference_run_logs(struct hl_call *call)
{
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        const struct hl_model *model;
        uint64_t lines;
        bool text = false;
        int r = read_lines(call, &lines);
        if (r == 0)
                r = read_format(call, &text);
        if (r == 0)
                r = hl_app_model(call, &catalog, &model);
        if (r < 0)
                return r;

        HL_CLEANUP(hl_free_pointer) char *by_model = hl_format("_SYSTEMD_UNIT=%s", model->unit);
        HL_CLEANUP(hl_free_pointer) char *by_systemd = hl_format("UNIT=%s", model->unit);
        const char *const matches[] = { by_model, HL_JOURNAL_OR, by_systemd, "_PID=1", NULL };
        const struct hl_journal_query query = { .matches = matches, .fields = fields, .last = lines };
        if (text) {
                r = hl_journal_read(&query, add_text, &call->response->body, &call->err);
                if (r < 0)
                        return r;
                call->response->status = 200;
                call->response->content_type = "text/plain; charset=utf-8";
                return 0;
        }
        hl_json *out = hl_json_new_array();
        hl_json_set_string(call->out, "model_name", model->name);
        hl_json_set_string(call->out, "unit", model->unit);
        hl_json_set(call->out, "lines", out);
        return hl_journal_read(&query, add_json, out, &call->err);
}

/* SPDX-License-Identifier: MIT */
#include "openai.h"

#include "base/mem.h"
#include "base/str.h"
#include "change.h"
#include "models/openai_list.h"
#include "models/readiness.h"
#include "models/states.h"
#include "routes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_MAX 1000 /* entries, as in Anthropic's API */

/* The models' states, each asked for once, however many names its model has. */
struct states {
        struct hl_service *service;
        const struct hl_catalog *catalog;
        enum hl_unit_state *units;
        struct known {
                bool asked;
                enum hl_model_state state;
                int exit_code;
        } * known;
};

static void free_states(struct states *states)
{
        free(states->units);
        free(states->known);
}

static struct states states_of(struct hl_service *service, const struct hl_catalog *catalog, enum hl_unit_state *units)
{
        return (struct states){ .service = service,
                                .catalog = catalog,
                                .units = units,
                                .known = hl_alloc(catalog->count * sizeof(struct known)) };
}

static int read_states(struct hl_service *service, struct hl_catalog *catalog, struct states *ret_states,
                       struct hl_err *err)
{
        enum hl_unit_state *units = NULL;
        int r = hl_service_states(service, catalog, &units, err);
        if (r == 0)
                *ret_states = states_of(service, catalog, units);
        return r;
}

static int look_at(struct states *states, const struct hl_model *model, const struct known **ret_known,
                   struct hl_err *err)
{
        size_t i = (size_t)(model - states->catalog->models);
        struct known *known = &states->known[i];
        *ret_known = known;
        if (known->asked)
                return 0;
        known->state = hl_readiness_state(model, states->units[i]);
        int r = known->state == HL_MODEL_FAILED
                        ? hl_units_exit_status(&states->service->bus, model->unit, &known->exit_code, err)
                        : 0;
        known->asked = r == 0;
        return r;
}

static hl_json *new_entry(const struct known *known, const struct hl_model *model, const char *id)
{
        return known->state == HL_MODEL_FAILED ? hl_openai_failed_model(model, id, known->exit_code)
                                               : hl_openai_model(model, id, hl_model_state_name(known->state));
}

static void add(struct hl_buf *text, const char *bytes, size_t len)
{
        if (text->len > 1)
                hl_buf_adds(text, ",");
        hl_buf_add(text, bytes, len);
}

/* Those that stand side by side in the text of all that are unloaded go over in one piece. */
struct run {
        const struct inference_name *first, *last; /* NULL: none */
};

static void end_run(struct run *run, const char *unloaded, struct hl_buf *text)
{
        if (run->first)
                add(text, unloaded + run->first->begin, run->last->end - run->first->begin);
        *run = (struct run){ 0 };
}

static int add_name(struct states *states, const struct inference_name *name, const char *unloaded, struct run *run,
                    struct hl_buf *text, struct hl_err *err)
{
        const struct known *known;
        int r = look_at(states, name->model, &known, err);
        if (r < 0)
                return r;
        if (known->state != HL_MODEL_UNLOADED || run->last != name - 1)
                end_run(run, unloaded, text);
        if (known->state == HL_MODEL_UNLOADED) {
                run->first = run->first ? run->first : name;
                run->last = name;
                return 0;
        }
        HL_CLEANUP(hl_buf_free) struct hl_buf one = { 0 };
        HL_CLEANUP(hl_json_cleanup) hl_json *entry = new_entry(known, name->model, name->id);
        hl_json_add_text(entry, &one);
        add(text, one.data, one.len);
        return 0;
}

/* An array of the entries of names. NULL: it cannot be told, for what err says. */
static hl_json *new_entries(struct states *states, const struct inference_listed *listed,
                            const struct inference_name *names, size_t count, bool with_aliases, struct hl_err *err)
{
        HL_CLEANUP(hl_buf_free) struct hl_buf text = { 0 };
        struct run run = { 0 };
        int r = hl_buf_adds(&text, "[");
        for (size_t i = 0; r == 0 && i < count; i++)
                if (with_aliases || names[i].id == names[i].model->name)
                        r = add_name(states, &names[i], listed->unloaded, &run, &text, err);
        end_run(&run, listed->unloaded, &text);
        hl_buf_adds(&text, "]");
        return r < 0 ? NULL : hl_json_new_text(text.data);
}

/* ---- pages ---- */

/* The value of a parameter, where it is one that can be understood. free() */
static char *parameter(const struct hl_context *ctx, const char *name)
{
        char *value = NULL;
        if (hl_request_query(ctx->request, name, &value) < 0 || !value || *value)
                return value;
        free(value);
        return NULL;
}

/* How many of sorted names stand before an id. */
static size_t count_before(const struct inference_name *names, size_t count, const char *id, bool with_it)
{
        size_t n = 0;
        while (n < count && strcmp(names[n].id, id) < (with_it ? 1 : 0))
                n++;
        return n;
}

/* Cuts the names to the page that is asked for; *ret_more: there are others further on in the page's direction. */
static void cut_page(const struct hl_context *ctx, const struct inference_name **names, size_t *count, bool *ret_more)
{
        HL_CLEANUP(hl_free_pointer) char *limit_text = parameter(ctx, "limit");
        HL_CLEANUP(hl_free_pointer) char *before = parameter(ctx, "before_id");
        HL_CLEANUP(hl_free_pointer) char *after = parameter(ctx, "after_id");
        uint64_t limit = 0;
        if (!after)
                after = parameter(ctx, "after"); /* OpenAI's word for it */
        if (before)
                *count = count_before(*names, *count, before, false);
        if (after) {
                size_t skipped = count_before(*names, *count, after, true);
                *names += skipped;
                *count -= skipped;
        }
        *ret_more = limit_text && hl_parse_uint(limit_text, PAGE_MAX, &limit) == 0 && limit > 0 && limit < *count;
        if (!*ret_more)
                return;
        if (before && !after) /* the page that ends there */
                *names += *count - limit;
        *count = limit;
}

int inference_run_openai_models(struct hl_context *ctx)
{
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        HL_CLEANUP(inference_listed_give) struct inference_listed *listed = NULL;
        HL_CLEANUP(free_states) struct states states = { 0 };
        int r = hl_service_catalog(ctx, &catalog);
        if (r == 0)
                r = read_states(ctx->service, &catalog, &states, &ctx->err);
        if (r < 0)
                return r;
        listed = inference_listed_take(&catalog);
        const struct inference_name *page = listed->names;
        size_t count = listed->count;
        bool more = false;
        cut_page(ctx, &page, &count, &more);
        hl_json *data = new_entries(&states, listed, page, count, true, &ctx->err);
        if (!data)
                return -ctx->err.errnum;
        hl_json_free(ctx->reply);
        ctx->reply = hl_openai_page(data, more, count ? page[0].id : NULL, count ? page[count - 1].id : NULL);
        return 0;
}

/* A model by any of its names. Its aliases are those that are its own, for which all files must be read. */
int inference_run_openai_model(struct hl_context *ctx)
{
        struct hl_service *service = ctx->service;
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        int r = hl_service_catalog(ctx, &catalog);
        if (r < 0)
                return r;
        HL_CLEANUP(hl_free_pointer) char *name = hl_catalog_trim(ctx->param);
        const struct hl_model *model = name ? hl_catalog_find_meant(&catalog, name) : NULL;
        if (!model)
                return hl_fail_no_model(ctx->param, "/v1/models", &ctx->err);
        const struct hl_catalog one = { .models = &catalog.models[model - catalog.models], .count = 1 };
        HL_CLEANUP(free_states) struct states states = states_of(service, &one, hl_alloc(sizeof(*states.units)));
        r = hl_states_read(&service->bus, &service->config, &one, states.units, &ctx->err);
        if (r < 0)
                return r;
        const struct known *known;
        r = look_at(&states, one.models, &known, &ctx->err);
        if (r < 0)
                return r;
        hl_json_free(ctx->reply);
        ctx->reply = new_entry(known, model, ctx->param);
        return 0;
}

void inference_set_data(struct hl_context *ctx, const struct inference_listed *listed)
{
        HL_CLEANUP(free_states) struct states states = { 0 };
        struct hl_catalog catalog = listed->catalog;
        struct hl_err err = { 0 };
        if (read_states(ctx->service, &catalog, &states, &err) < 0)
                return;
        /* A router's client starts and stops models, not their aliases. */
        hl_json *data = new_entries(&states, listed, listed->names, listed->count, false, &err);
        if (!data)
                return;
        hl_json_set_string(ctx->reply, "object", "list");
        hl_json_set(ctx->reply, "data", data);
}

/* ---- llama.cpp's router: it begins, and answers at once ---- */

static int change(struct hl_context *ctx, enum hl_job_verb verb)
{
        struct hl_service *service = ctx->service;
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        const char *name = hl_json_get_string(ctx->body, inference_load_body[0].json.key);
        if (!name)
                return hl_fail(&ctx->err, HL_ERR_INVALID, EINVAL, "invalid_body", "%s", inference_load_body[0].missing);
        int r = hl_catalog_load_named(&service->config, name, &catalog, &ctx->err);
        if (r < 0)
                return r;
        if (catalog.count == 0)
                return hl_fail_no_model(name, "/models", &ctx->err);
        /* Its buttons look at the list at once. */
        r = inference_change(ctx, &catalog.models[0], verb, WAIT_BEGUN, NULL);
        hl_json_set_bool(ctx->reply, "success", r == 0);
        return r;
}

/* Its clients look for the sentence below "error", ours at the top: an error here has both. */
static int answer(struct hl_context *ctx, int r)
{
        if (r == 0)
                return 0;
        const struct hl_problem problem = hl_problem_of(&ctx->err);
        hl_json_set(ctx->reply, "error", hl_openai_error(&problem));
        return r;
}

int inference_run_load(struct hl_context *ctx)
{
        return answer(ctx, change(ctx, HL_JOB_START));
}

int inference_run_unload(struct hl_context *ctx)
{
        return answer(ctx, change(ctx, HL_JOB_STOP));
}

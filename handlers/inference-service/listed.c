/* SPDX-License-Identifier: MIT */
#include "listed.h"

#include "base/err.h"
#include "base/mem.h"
#include "models/openai_list.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct inference_listed *kept;

/* Takes the object. free() */
static char *text_of(hl_json *json)
{
        struct hl_buf text = { 0 };
        hl_json_add_text(json, &text);
        hl_json_free(json);
        return text.data;
}

void inference_set_file_error(hl_json *json, const struct hl_model *model)
{
        struct hl_err err = { 0 };
        if (hl_model_readable(model, &err) < 0)
                hl_json_set_string(json, "file_error", err.message);
}

static char *models_of(const struct hl_catalog *catalog)
{
        hl_json *models = hl_json_new_array();
        for (size_t i = 0; i < catalog->count; i++) {
                const struct hl_model *model = &catalog->models[i];
                hl_json *json = hl_json_new();
                hl_json_set_string(json, "model_name", model->name);
                hl_json_set_string(json, "file_path", model->file_path);
                hl_json_set_int_or_null(json, "port", model->port != 0, model->port);
                hl_json_set_string(json, "unit", model->unit);
                inference_set_file_error(json, model);
                hl_json_push(models, json);
        }
        return text_of(models);
}

static int by_id(const void *a, const void *b)
{
        return strcmp(((const struct inference_name *)a)->id, ((const struct inference_name *)b)->id);
}

/* free() */
static char *write_unloaded(struct inference_name *names, size_t count)
{
        struct hl_buf text = { 0 };
        for (size_t i = 0; i < count; i++) {
                HL_CLEANUP(hl_json_cleanup) hl_json *entry = hl_openai_model(names[i].model, names[i].id, "unloaded");
                if (i > 0)
                        hl_buf_adds(&text, ",");
                names[i].begin = text.len;
                hl_json_add_text(entry, &text);
                names[i].end = text.len;
        }
        return text.data;
}

static struct inference_listed *make(struct hl_catalog *catalog)
{
        struct inference_listed *listed = hl_alloc(sizeof(*listed));
        *listed = (struct inference_listed){ .catalog = hl_catalog_share(catalog), .models = models_of(catalog) };
        size_t count = catalog->count;
        for (size_t i = 0; i < catalog->count; i++)
                for (char **alias = catalog->models[i].aliases; alias && *alias; alias++)
                        count++;
        listed->names = hl_alloc(count * sizeof(*listed->names));
        for (size_t i = 0; i < catalog->count; i++) {
                const struct hl_model *model = &catalog->models[i];
                listed->names[listed->count++] = (struct inference_name){ .id = model->name, .model = model };
                for (char **alias = model->aliases; alias && *alias; alias++)
                        listed->names[listed->count++] = (struct inference_name){ .id = *alias, .model = model };
        }
        qsort(listed->names, count, sizeof(*listed->names), by_id);
        listed->unloaded = write_unloaded(listed->names, count);
        return listed;
}

/* With the mutex. */
static void give(struct inference_listed *listed)
{
        if (!listed || --listed->users > 0)
                return;
        free(listed->names);
        free(listed->models);
        free(listed->unloaded);
        hl_catalog_free(&listed->catalog);
        free(listed);
}

/* While a share of a catalogue is held here, no other one has its models' address. */
struct inference_listed *inference_listed_take(struct hl_catalog *catalog)
{
        pthread_mutex_lock(&mutex);
        if (!kept || kept->catalog.models != catalog->models) {
                give(kept);
                kept = make(catalog);
                kept->users = 1; /* this module */
        }
        struct inference_listed *listed = kept;
        listed->users++;
        pthread_mutex_unlock(&mutex);
        return listed;
}

void inference_listed_give(struct inference_listed **listed)
{
        pthread_mutex_lock(&mutex);
        give(hl_steal(*listed));
        pthread_mutex_unlock(&mutex);
}

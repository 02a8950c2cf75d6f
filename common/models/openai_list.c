/* SPDX-License-Identifier: MIT */
#include "openai_list.h"

#include "base/clock.h"

#include <string.h>

#define OWNER "home-lab-services"

static void set_names(hl_json *entry, const struct hl_model *model, const char *id)
{
        if (strcmp(id, model->name) != 0) {
                hl_json_set_string(entry, "alias_of", model->name);
                return;
        }
        hl_json *aliases = hl_json_new_array();
        for (char **alias = model->aliases; alias && *alias; alias++)
                hl_json_push_string(aliases, *alias);
        hl_json_set(entry, "aliases", aliases);
}

/* Takes the status. */
static hl_json *new_entry(const struct hl_model *model, const char *id, hl_json *status)
{
        char created_at[HL_RFC3339_SIZE];
        hl_json *entry = hl_json_new();
        hl_json_set_string(entry, "id", id);
        hl_json_set_string(entry, "object", "model");
        hl_json_set_int(entry, "created", (int64_t)(model->changed_us / HL_USEC_PER_SEC));
        hl_json_set_string(entry, "owned_by", OWNER);
        hl_json_set_string(entry, "type", "model");
        hl_json_set_string(entry, "display_name", id);
        hl_json_set_string(entry, "created_at",
                           hl_format_rfc3339(model->changed_us, created_at)); /* its clients bear no null */
        set_names(entry, model, id);
        hl_json_set(entry, "status", status);
        return entry;
}

static hl_json *failed_status(void)
{
        hl_json *status = hl_json_new();
        hl_json_set_string(status, "value", "unloaded");
        hl_json_set_bool(status, "failed", true);
        return status;
}

hl_json *hl_openai_model(const struct hl_model *model, const char *id, const char *state)
{
        hl_json *status;
        if (strcmp(state, "failed") == 0) {
                status = failed_status();
        } else {
                status = hl_json_new();
                hl_json_set_string(status, "value", state);
        }
        return new_entry(model, id, status);
}

hl_json *hl_openai_failed_model(const struct hl_model *model, const char *id, int exit_code)
{
        hl_json *status = failed_status();
        hl_json_set_int(status, "exit_code", exit_code);
        return new_entry(model, id, status);
}

hl_json *hl_openai_page(hl_json *data_array, bool has_more, const char *first_id, const char *last_id)
{
        hl_json *list = hl_json_new();
        hl_json_set_string(list, "object", "list");
        hl_json_set_bool(list, "has_more", has_more);
        hl_json_set_string(list, "first_id", first_id);
        hl_json_set_string(list, "last_id", last_id);
        hl_json_set(list, "data", data_array);
        return list;
}

static const char *id_at(const hl_json *array, size_t index)
{
        return hl_json_get_string(hl_json_object_at(array, index), "id");
}

hl_json *hl_openai_list(hl_json *data_array)
{
        size_t count = hl_json_length(data_array);
        return hl_openai_page(data_array, false, count ? id_at(data_array, 0) : NULL,
                              count ? id_at(data_array, count - 1) : NULL);
}

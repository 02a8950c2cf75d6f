/* SPDX-License-Identifier: MIT */
#include "room.h"

#include "base/clock.h"
#include "base/mem.h"
#include "config/config_kept.h"
#include "models/capacity.h"
#include "models/queue.h"
#include "service/catalog_kept.h"
#include "service/resources_json.h"

#include <string.h>

static hl_json *waiting_of(const struct hl_catalog *catalog, const struct hl_ledger *ledger)
{
        HL_CLEANUP(hl_free_pointer) struct hl_queued *queued = NULL;
        hl_json *list = hl_json_new_array();
        size_t count = hl_queue_read_waiting(catalog, ledger, &queued);
        for (size_t i = 0; i < count; i++)
                hl_json_push_string(list, queued[i].model);
        return list;
}

int monitor_room_look(struct monitor_room *room, struct hl_bus *bus, hl_json **ret_json, struct hl_err *err)
{
        HL_CLEANUP(hl_config_free) struct hl_config config = { 0 };
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        HL_CLEANUP(hl_ledger_free) struct hl_ledger ledger = { 0 };
        int r = hl_config_kept_load(&config, err);
        if (r == 0)
                r = hl_catalog_kept_load(&config, &catalog, err);
        if (r == 0)
                r = hl_ledger_read(bus, &config, &catalog, &ledger, err);
        if (r < 0)
                return r;
        struct hl_buf now = { 0 };
        hl_json *json = hl_json_new();
        hl_json_set(json, "resources", hl_resources_json(&config, &ledger));
        hl_json_set(json, "waiting", waiting_of(&catalog, &ledger));
        hl_json_print(json, &now);
        bool is_same = room->told.data && strcmp(room->told.data, now.data) == 0;
        hl_buf_free(&room->told);
        room->told = now;
        if (is_same)
                hl_json_free(json);
        else
                hl_json_set_time(json, "time", hl_clock_realtime());
        *ret_json = is_same ? NULL : json;
        return 0;
}

void monitor_room_free(struct monitor_room *room)
{
        hl_buf_free(&room->told);
}

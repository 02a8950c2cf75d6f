/* SPDX-License-Identifier: MIT */
#include "names.h"

#include "base/mem.h"
#include "base/str.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NAME_MAX_COMPARED 32 /* bytes; what is longer looks like none of ours */

static struct hl_names_entry *find(const struct hl_names *names, const char *name)
{
        for (size_t i = 0; i < names->count; i++)
                if (strcmp(names->entries[i].name, name) == 0)
                        return &names->entries[i];
        return NULL;
}

unsigned hl_names_add(struct hl_names *names, const char *name, unsigned line)
{
        struct hl_names_entry *entry = find(names, name);
        unsigned earlier = entry ? entry->line : 0;
        if (!entry) {
                names->entries = hl_grow(names->entries, names->count + 1, sizeof(*names->entries));
                entry = &names->entries[names->count++];
                *entry = (struct hl_names_entry){ .name = hl_strdup(name) };
        }
        entry->line = line;
        return earlier;
}

unsigned hl_names_line(const struct hl_names *names, const char *name)
{
        const struct hl_names_entry *entry = find(names, name);
        return entry ? entry->line : 0;
}

static size_t smallest(size_t a, size_t b, size_t c)
{
        size_t ab = a < b ? a : b;
        return ab < c ? ab : c;
}

/* How many letters must be added, left out or changed (Levenshtein), whatever their case. */
static size_t distance(const char *a, const char *b)
{
        size_t row[NAME_MAX_COMPARED + 1], len = strlen(b);
        if (strlen(a) > NAME_MAX_COMPARED || len > NAME_MAX_COMPARED)
                return NAME_MAX_COMPARED;
        for (size_t j = 0; j <= len; j++)
                row[j] = j;
        for (size_t i = 0; a[i]; i++) {
                size_t diagonal = row[0];
                row[0] = i + 1;
                for (size_t j = 0; j < len; j++) {
                        bool same = toupper((unsigned char)a[i]) == toupper((unsigned char)b[j]);
                        size_t best = smallest(row[j] + 1, row[j + 1] + 1, diagonal + !same);
                        diagonal = row[j + 1];
                        row[j + 1] = best;
                }
        }
        return row[len];
}

static bool is_meant(const char *name, const char *key)
{
        static const char *const synonyms[][2] = {
                { "COMMAND", "CMD" },
                { "COMMAND", "EXEC" },
                { "COMMAND", "EXECSTART" },
                { "COMMAND", "RUN" },
                { "HEALTH_PATH", "HEALTH" },
                { "HEALTH_PATH", "HEALTHCHECK" },
                { "HEALTH_PATH", "HEALTH_CHECK" },
                { "HEALTH_PATH", "HEALTH_URL" },
                { "HEALTH_PATH", "CHECKENDPOINT" }, /* llama-swap's */
                { "IDLE_TIMEOUT", "TTL" },
                { "IDLE_TIMEOUT", "KEEP_ALIVE" },
                { "IDLE_TIMEOUT", "IDLE" },
                { "START_TIMEOUT", "TIMEOUT" },
                { "START_TIMEOUT", "LOAD_TIMEOUT" },
                { "START_TIMEOUT", "HEALTHCHECKTIMEOUT" }, /* llama-swap's */
                { "GPU_MEMORY", "GPU_MEM" },
                { "GPU_MEMORY", "VRAM" },
        };
        for (size_t i = 0; i < HL_COUNT(synonyms); i++)
                if (strcmp(key, synonyms[i][0]) == 0 && strcasecmp(name, synonyms[i][1]) == 0)
                        return true;
        size_t most = strlen(key) > 4 ? 2 : 1, name_len = strlen(name), key_len = strlen(key);
        if (name_len > key_len + most || key_len > name_len + most) /* so many letters at least: most are such */
                return false;
        return distance(name, key) <= most;
}

unsigned hl_names_find_similar(const struct hl_names *names, const char *key, const char **ret_name)
{
        if (find(names, key))
                return 0;
        for (size_t i = 0; i < names->count; i++)
                if (is_meant(names->entries[i].name, key)) {
                        *ret_name = names->entries[i].name;
                        return names->entries[i].line;
                }
        return 0;
}

/* The length of the name behind a $, and *ret_name; 0: there is none. */
static size_t variable_at(const char *dollar, const char **ret_name)
{
        const char *name = dollar + 1 + (dollar[1] == '{');
        size_t len = 0;
        while (isalnum((unsigned char)name[len]) || name[len] == '_')
                len++;
        *ret_name = name;
        return isdigit((unsigned char)*name) ? 0 : len;
}

bool hl_names_want_expansion(const struct hl_names *names, const char *name, const char *value)
{
        static const char *const kinds[] = { "PATH", "DIR", "HOME", "CACHE", "ROOT", "FILE", "PRELOAD" };
        bool matters = false;
        if (strcmp(name, "COMMAND") == 0) /* a shell reads that one */
                return false;
        for (size_t i = 0; i < HL_COUNT(kinds); i++)
                matters |= strstr(name, kinds[i]) != NULL;
        for (const char *c = value; (c = strchr(c, '$')); c++) {
                const char *variable;
                size_t len = variable_at(c, &variable);
                HL_CLEANUP(hl_free_pointer) char *text = hl_strndup(variable, len);
                if (len > 0 && (matters || find(names, text)))
                        return true;
        }
        return hl_has_prefix(value, "~/") || (matters && strstr(value, ":~/"));
}

void hl_names_free(struct hl_names *names)
{
        for (size_t i = 0; i < names->count; i++)
                free(names->entries[i].name);
        free(names->entries);
        *names = (struct hl_names){ 0 };
}

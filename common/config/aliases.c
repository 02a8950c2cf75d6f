/* SPDX-License-Identifier: MIT */
#include "aliases.h"

#include "base/mem.h"
#include "base/str.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const char white_space[] = " \t\n\v\f\r";

bool hl_alias_valid(const char *text)
{
        return strlen(text) <= HL_ALIAS_MAX && hl_utf8_visible(text);
}

void hl_aliases_free(struct hl_model *model)
{
        for (size_t i = 0; model->aliases && model->aliases[i]; i++)
                free(model->aliases[i]);
        free(model->aliases);
        model->aliases = NULL;
}

char **hl_aliases_copy(const struct hl_model *model)
{
        char **copy = NULL;
        for (size_t i = 0; model->aliases && model->aliases[i]; i++) {
                copy = hl_grow(copy, i + 2, sizeof(*copy));
                copy[i] = hl_strdup(model->aliases[i]);
                copy[i + 1] = NULL;
        }
        return copy;
}

static void tell(const struct hl_model *model, const struct hl_report *report, const char *message)
{
        hl_report_tell(report, model->file_path, model->aliases_line, "ALIASES", message);
}

/* place: from 1. What cannot be seen is not shown. */
static void tell_invalid(const struct hl_model *model, size_t place, const char *alias, const struct hl_report *report)
{
        HL_CLEANUP(hl_free_pointer)
        char *message =
                hl_utf8_visible(alias)
                        ? hl_format("must be names of at most %d bytes: name %zu is longer", HL_ALIAS_MAX, place)
                        : hl_format("must be names in UTF-8 that can be seen: name %zu has other bytes, or a "
                                    "character that cannot",
                                    place);
        tell(model, report, message);
}

/* "gpt-4," and ["gpt-4" are names, too, and nobody means them. */
static bool is_piece_of_list(const char *alias)
{
        static const char *const marks[] = { "\xE2\x80\x9C", "\xE2\x80\x9D", "\xE3\x80\x81", "\xEF\xBC\x8C",
                                             "\xEF\xBC\x9B" }; /* “ ” 、 ， ； */
        for (size_t i = 0; i < HL_COUNT(marks); i++)
                if (strstr(alias, marks[i]))
                        return true;
        bool has_commas = false, is_plain = true;
        for (const char *c = alias; *c; c++) {
                has_commas |= strchr(",;|", *c) != NULL;
                is_plain &= isalnum((unsigned char)*c) || strchr(",;|._:/-", *c) != NULL;
        }
        return (has_commas && is_plain) || strchr("[\"'", *alias) || strcmp(alias, "-") == 0;
}

void hl_aliases_read(struct hl_model *model, unsigned line, const char *value, const struct hl_report *report)
{
        size_t count = 0, place = 0;
        bool is_list = false;
        hl_aliases_free(model);
        model->aliases_line = line;
        for (const char *s = value + strspn(value, white_space); *s; s += strspn(s, white_space)) {
                size_t len = strcspn(s, white_space);
                HL_CLEANUP(hl_free_pointer) char *alias = hl_strndup(s, len);
                s += len;
                place++;
                if (!hl_alias_valid(alias)) {
                        tell_invalid(model, place, alias, report);
                        continue;
                }
                if (count == HL_ALIASES_MAX) {
                        HL_CLEANUP(hl_free_pointer)
                        char *message =
                                hl_format("must be at most %d names: those behind them are left out", HL_ALIASES_MAX);
                        tell(model, report, message);
                        break;
                }
                is_list |= is_piece_of_list(alias);
                model->aliases = hl_grow(model->aliases, count + 2, sizeof(*model->aliases));
                model->aliases[count++] = hl_steal(alias);
                model->aliases[count] = NULL;
        }
        if (is_list)
                tell(model, report,
                     "has separators, quotes or brackets, which are parts of the names as it stands: write names with "
                     "spaces between them");
}

/* ---- who has a name ---- */

/* One alias of one model. */
struct claim {
        const char *alias;
        size_t model, index;           /* where it stands */
        const struct hl_model *winner; /* who has the name; NULL: this model */
        bool again;                    /* this model has it already */
};

static int by_alias(const void *a, const void *b)
{
        const struct claim *x = a, *y = b;
        int order = strcmp(x->alias, y->alias);
        if (order == 0)
                order = (x->model > y->model) - (x->model < y->model);
        return order ? order : (x->index > y->index) - (x->index < y->index);
}

static int by_place(const void *a, const void *b)
{
        const struct claim *x = a, *y = b;
        int order = (x->model > y->model) - (x->model < y->model);
        return order ? order : (x->index > y->index) - (x->index < y->index);
}

static int name_of(const void *name, const void *model)
{
        return strcmp(name, ((const struct hl_model *)model)->name);
}

static struct claim *list_claims(const struct hl_catalog *catalog, size_t *ret_count)
{
        size_t count = 0;
        for (size_t i = 0; i < catalog->count; i++)
                for (char **alias = catalog->models[i].aliases; alias && *alias; alias++)
                        count++;
        struct claim *claims = hl_alloc(count * sizeof(*claims)), *next = claims;
        for (size_t i = 0; i < catalog->count; i++)
                for (size_t j = 0; catalog->models[i].aliases && catalog->models[i].aliases[j]; j++)
                        *next++ = (struct claim){ .alias = catalog->models[i].aliases[j], .model = i, .index = j };
        *ret_count = count;
        return claims;
}

/* Decides each name, of which the claims stand side by side, the first model's first. */
static void decide(const struct hl_catalog *catalog, struct claim *claims, size_t count)
{
        const struct claim *first = claims;
        const struct hl_model *named = NULL;
        for (size_t i = 0; i < count; i++) {
                struct claim *claim = &claims[i];
                if (i == 0 || strcmp(first->alias, claim->alias) != 0) {
                        first = claim;
                        named = bsearch(claim->alias, catalog->models, catalog->count, sizeof(*catalog->models),
                                        name_of);
                }
                const struct hl_model *winner = named ? named : &catalog->models[first->model];
                if (winner != &catalog->models[claim->model])
                        claim->winner = winner;
                else
                        claim->again = named || claim != first;
        }
}

static void tell_lost(const struct hl_catalog *catalog, const struct claim *claim, const struct hl_report *report)
{
        const struct hl_model *model = &catalog->models[claim->model], *winner = claim->winner;
        HL_CLEANUP(hl_free_pointer) char *message = NULL;
        if (!winner && strcmp(claim->alias, model->name) == 0)
                message = hl_format("\"%s\" is the model's own name: leave it out", claim->alias);
        else if (!winner)
                message = hl_format("\"%s\" stands twice: leave one out", claim->alias);
        else
                message = hl_format("\"%s\" is %s of the model %s (%s), which keeps it: leave it out of one of the two",
                                    claim->alias, strcmp(claim->alias, winner->name) == 0 ? "the name" : "an alias",
                                    winner->name, winner->file_path);
        tell(model, report, message);
}

void hl_aliases_settle(struct hl_catalog *catalog, const struct hl_report *report)
{
        size_t count = 0, kept = 0;
        HL_CLEANUP(hl_free_pointer) struct claim *claims = list_claims(catalog, &count);
        qsort(claims, count, sizeof(*claims), by_alias);
        decide(catalog, claims, count);
        qsort(claims, count, sizeof(*claims), by_place);
        for (size_t i = 0; i < count; i++) {
                const struct claim *claim = &claims[i];
                char **aliases = catalog->models[claim->model].aliases;
                char *alias = aliases[claim->index];
                if (claim->index == 0)
                        kept = 0;
                bool lost = claim->winner || claim->again;
                if (lost)
                        tell_lost(catalog, claim, report);
                aliases[claim->index] = NULL; /* also the list's new end, should nothing follow */
                if (lost)
                        free(alias);
                else
                        aliases[kept++] = alias;
        }
}

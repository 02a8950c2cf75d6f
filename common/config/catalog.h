/* SPDX-License-Identifier: MIT */
/* catalog.h - the models of this host: one file each in the models folder.
 *
 * Shape    a copy of the folder at one instant, sorted by name. A name that a request
 *          gives is looked up here; it never becomes a path or a unit by itself.
 * Units    *_us are microseconds.
 * Errors   a wrong file is told to `report` and its model listed without what was wrong;
 *          a wrong file name is told and left out. A file that may not be read, or that systemd
 *          refuses, is told, and listed with its read_error. A folder that cannot be read, or is
 *          not there, is -errno/INTERNAL; but HL_MODELS_DIR, if absent, is an empty catalogue. A
 *          file that cannot be read for the moment (EIO, EMFILE) is -errno/BUSY: no model vanishes.
 * Owner    hl_catalog_free().
 * Source   handlers/MODELS.md.
 * Tests    tests/unit/config/test_catalog.c, tests/unit/config/test_aliases.c
 */
#ifndef HL_CONFIG_CATALOG_H
#define HL_CONFIG_CATALOG_H

#include "claim.h"
#include "config.h"

#include <stddef.h>

#define HL_MODEL_NAME_MAX 128        /* bytes */
#define HL_MODEL_FILE_SIZE_MAX 65536 /* bytes */
#define HL_CATALOG_MAX 10000         /* models */
#define HL_ALIAS_MAX 256             /* bytes of one */
#define HL_ALIASES_MAX 64            /* of one model */

struct hl_model {
        char name[HL_MODEL_NAME_MAX + 1];
        char *file_path;
        uint64_t changed_us; /* when the file was last written; 0: it may not be looked at */
        char *unit;          /* "model@NAME.service" */
        uint16_t port;       /* 0: none, the model cannot be reached through us */
        char *health_path;
        uint64_t idle_timeout_us; /* HL_USEC_INFINITY: pinned, or without a port and an IDLE_TIMEOUT of its own */
        uint64_t start_timeout_us;
        char **aliases;        /* further names, for /v1; NULL-terminated, NULL where there are none */
        unsigned aliases_line; /* where the file names them */
        char *port_error;      /* NULL, or what the file says in PORT's place: "FILE:LINE: …" */
        struct hl_claim claim; /* what it needs to run; none where its file does not say */
        int read_error;        /* 0, or the errno: what the file says is not known, or not what systemd starts */
};

struct hl_catalog {
        struct hl_model *models;
        size_t count;
        unsigned *users; /* how many share the models; NULL: one has them */
        bool is_valid;   /* as it was loaded: a report had nothing to be told */
};

/* [A-Za-z0-9][A-Za-z0-9._:-]*, at most HL_MODEL_NAME_MAX bytes. */
bool hl_model_name_valid(const char *name);

/* The unit of the model of this name, for free(). */
char *hl_model_unit_name(const struct hl_config *config, const char *model);

/* only: read no other model's file than this one's; NULL: all. Where all are read, each alias is
 * one model's alone; where one is, its aliases are those of its file, also what another model has. */
int hl_catalog_load(const struct hl_config *config, const char *only, const struct hl_report *report,
                    struct hl_catalog *ret_catalog, struct hl_err *err);

/* A catalogue of the one model that goes by this name, or of none. A file's name comes before an alias: only where
 * there is no such file are the others read, and where none has that name, the one is taken that a client may mean by
 * it. */
int hl_catalog_load_named(const struct hl_config *config, const char *name_or_alias, struct hl_catalog *ret_catalog,
                          struct hl_err *err);

void hl_catalog_free(struct hl_catalog *catalog);

/* The same models for one more, in any thread: hl_catalog_free() by each. From now on nobody changes them. */
struct hl_catalog hl_catalog_share(struct hl_catalog *catalog);

/* A model that outlives its catalogue: hl_model_free(). */
struct hl_model hl_model_copy(const struct hl_model *model);
void hl_model_free(struct hl_model *model);

/* 0, or -errno/CONFLICT, "model_file_unreadable": who may not read which file, and how to mend it. */
int hl_model_readable(const struct hl_model *model, struct hl_err *err);

/* 0, or -errno/CONFLICT: as hl_model_readable(), or "model_without_port", with what is wrong with the PORT that is
 * there. */
int hl_model_has_port(const struct hl_model *model, struct hl_err *err);

/* -ENOENT/NOT_FOUND, "model_not_found": no model goes by this name; list is the route that has all. */
int hl_fail_no_model(const char *name, const char *list, struct hl_err *err);

/* By its file's name or, where no file has that, by an alias. NULL where there is none. */
const struct hl_model *hl_catalog_find_named(const struct hl_catalog *catalog, const char *name_or_alias);

/* As hl_catalog_find_named() and, where nothing has exactly that name, what a client means that writes one as others
 * are written: ":latest" behind it (Ollama's clients), or the sort of its server in front ("openai/NAME", LiteLLM's).
 * What is nearer to the name as it was written comes first. */
const struct hl_model *hl_catalog_find_meant(const struct hl_catalog *catalog, const char *name);

/* A name without the blanks around it, for free(); NULL where nothing can have it. */
char *hl_catalog_trim(const char *written);

#endif

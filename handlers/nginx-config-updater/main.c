/* SPDX-License-Identifier: MIT */
/* nginx-config-updater - makes NGINX's locations from this host's models, and has NGINX take them up. One run; nothing
 * is done where nothing has changed.
 *
 * As it is installed, two do this. The updater's user proposes names and ports. Root, without root's rights, makes what
 * NGINX's master reads, of those that are in the models' files: proposal.h.
 */
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/private.h"
#include "base/version.h"
#include "force.h"
#include "nginx-config-updater/cluster/publish.h"
#include "proposal.h"
#include "propose.h"
#include "texts.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#define PROPOSALS_MAX 3 /* in a row that are not in force afterwards */

enum task { UPDATE, PROPOSE, ACCEPT, PRINT_LOCATIONS, PRINT_UPSTREAMS };

static void tell(void *data, const char *file, unsigned line, const char *key, const char *message)
{
        (void)data;
        HL_CLEANUP(hl_free_pointer) char *where = line ? hl_format("%s:%u", file, line) : hl_strdup(file);
        hl_log(LOG_WARNING, NULL, "%s: %s%s%s", where, key, *key ? " " : "", message);
}

static const struct hl_report to_journal = { .fn = tell };

/* proposal: what is to be proposed of the same models; NULL: nothing. Appended to. */
static int make(const struct hl_config *config, const struct hl_report *report, struct hl_nginx_texts *ret_texts,
                struct hl_buf *proposal, struct hl_err *err)
{
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        int r = hl_catalog_load(config, NULL, report, &catalog, err);
        if (r < 0)
                return r;
        if (proposal)
                hl_proposal_write(&catalog, proposal);
        hl_nginx_texts_make(config, &catalog, report, ret_texts);
        return 0;
}

/* What is wrong with the files is told when something is new, and not at every run. */
static int tell_of_files(const struct hl_config *config, struct hl_err *err)
{
        HL_CLEANUP(hl_nginx_texts_free) struct hl_nginx_texts texts = { 0 };
        return make(config, &to_journal, &texts, NULL, err);
}

/* 1: something was new; 0: nothing was. */
static int update(const struct hl_config *config, struct hl_err *err)
{
        HL_CLEANUP(hl_nginx_texts_free) struct hl_nginx_texts texts = { 0 }, in_force = { 0 };
        int r = make(config, NULL, &texts, NULL, err);
        if (r == 0)
                r = hl_nginx_texts_in_force(config, &in_force, err);
        if (r == 0 && !hl_nginx_text_is(&texts.locations, &in_force.locations))
                r = tell_of_files(config, err);
        return r < 0 ? r : hl_nginx_force(config, &texts, &in_force, err);
}

/* As update(), by root's half. -EAGAIN: something else is in force afterwards, for the files change, or somebody else
 * had that half run. */
static int propose_once(const struct hl_config *config, const char *file, struct hl_err *err)
{
        HL_CLEANUP(hl_nginx_texts_free) struct hl_nginx_texts texts = { 0 }, before = { 0 }, after = { 0 };
        HL_CLEANUP(hl_buf_free) struct hl_buf proposal = { 0 };
        int r = make(config, NULL, &texts, &proposal, err);
        if (r == 0)
                r = hl_nginx_texts_in_force(config, &before, err);
        if (r < 0)
                return r;
        bool is_new = !hl_nginx_text_is(&texts.locations, &before.locations);
        if (!is_new && !before.pending && hl_nginx_text_is(&texts.upstreams, &before.upstreams) &&
            hl_is_proposed(file, &proposal))
                return 0;
        if (is_new)
                r = tell_of_files(config, err);
        if (r == 0)
                r = hl_propose(file, &proposal, err);
        if (r == 0)
                r = hl_nginx_texts_in_force(config, &after, err);
        return r < 0 ? r : hl_nginx_text_is(&texts.locations, &after.locations) ? 1 : -EAGAIN;
}

static int propose(const struct hl_config *config, const char *file, struct hl_err *err)
{
        int r = -EAGAIN;
        for (unsigned i = 0; i < PROPOSALS_MAX && r == -EAGAIN; i++)
                r = propose_once(config, file, err);
        return r != -EAGAIN ? r
                            : hl_fail(err, HL_ERR_CONFLICT, EAGAIN, "proposal_refused",
                                      "%s has other locations than those that were proposed", config->nginx_output);
}

/* Root's half. What the files do not say, or said until a moment ago, is left out: the next proposal mends that. */
static int accept_proposal(const struct hl_config *config, const char *file, struct hl_err *err)
{
        HL_CLEANUP(hl_nginx_texts_free) struct hl_nginx_texts texts = { 0 }, in_force = { 0 };
        HL_CLEANUP(hl_buf_free) struct hl_buf proposal = { 0 };
        HL_CLEANUP(hl_catalog_free) struct hl_catalog proposed = { 0 }, models = { 0 };
        int r = hl_proposal_read(file, &proposal, err);
        if (r == 0)
                r = hl_proposal_parse(&proposal, &proposed, err);
        if (r == 0)
                r = hl_catalog_load(config, NULL, NULL, &models, err);
        if (r < 0)
                return r;
        size_t others = hl_proposal_compare(&proposed, &models);
        if (others > 0)
                hl_log(LOG_WARNING, NULL,
                       "%zu of the models that are proposed are not so in the files, as root may read "
                       "them: these get no location",
                       others);
        hl_nginx_texts_make(config, &models, NULL, &texts);
        r = hl_nginx_texts_in_force(config, &in_force, err);
        return r < 0 ? r : hl_nginx_force(config, &texts, &in_force, err);
}

static int print(const struct hl_config *config, enum task what, struct hl_err *err)
{
        HL_CLEANUP(hl_nginx_texts_free) struct hl_nginx_texts texts = { 0 };
        int r = make(config, &to_journal, &texts, NULL, err);
        if (r == 0)
                fputs(what == PRINT_UPSTREAMS ? texts.upstreams.data : texts.locations.data, stdout);
        return r;
}

/* What failed is told to the other half, too, by what the unit says of itself: one line. */
static void tell_failure(struct hl_err *err)
{
        hl_log(LOG_ERR, NULL, "%s", err->message);
        for (char *c = err->message; *c; c++)
                if (*c == '\n')
                        *c = ' ';
        hl_log_status("%s", err->message);
}

/* One look at the configuration and the models. *ret_changed is true where NGINX has got something new. */
static int look(enum task task, const char *file, bool *ret_changed)
{
        struct hl_config config;
        struct hl_err err = { 0 };
        int r = hl_config_load(&to_journal, &config, &err);
        if (r < 0) {
                tell_failure(&err);
                return hl_exit_status(err.kind);
        }
        if (task == UPDATE)
                r = update(&config, &err);
        else if (task == PROPOSE)
                r = propose(&config, file, &err);
        else if (task == ACCEPT)
                r = accept_proposal(&config, file, &err);
        else
                r = print(&config, task, &err);
        hl_config_free(&config);
        if (r < 0)
                tell_failure(&err);
        *ret_changed = r > 0;
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Files seldom change alone: the last look is at what has not changed for a moment. What changes after it starts
 * another run: nginx-config-updater-changed.target. */
static int run(enum task task, const char *file)
{
        static const struct timespec moment = { .tv_nsec = 300 * 1000 * 1000 };
        bool changed = false;
        int status = look(task, file, &changed);
        while (changed && status == EXIT_SUCCESS && (task == UPDATE || task == PROPOSE)) {
                nanosleep(&moment, NULL);
                status = look(task, file, &changed);
        }
        return status;
}

static void usage(FILE *to)
{
        fputs("Usage: nginx-config-updater [--print | --print-upstreams | --propose FILE | --accept FILE]\n"
              "\n"
              "Makes NGINX's locations from the models of this host, and reloads NGINX where they have changed.\n"
              "\n"
              "  --print               only prints them\n"
              "  --print-upstreams     prints the upstreams that they need\n"
              "  --propose FILE        writes the models' names and ports, and starts nginx-models.service\n"
              "  --accept FILE         makes them from such a file: nginx-models.service\n"
              "  --kubernetes          the models of several hosts, for an NGINX in a cluster: --kubernetes --help\n"
              "  --help                this\n",
              to);
}

int main(int argc, char **argv)
{
        if (hl_version_asked(argc, argv))
                return EX_OK;
        static const struct option options[] = { { "print", no_argument, NULL, PRINT_LOCATIONS },
                                                 { "print-upstreams", no_argument, NULL, PRINT_UPSTREAMS },
                                                 { "propose", required_argument, NULL, PROPOSE },
                                                 { "accept", required_argument, NULL, ACCEPT },
                                                 { "help", no_argument, NULL, 'h' },
                                                 { 0 } };
        enum task task = UPDATE;
        const char *file = NULL;
        if (argc > 1 && strcmp(argv[1], "--kubernetes") == 0)
                return hl_kubernetes_main(argc - 1, argv + 1);
        hl_keep_private();
        hl_log_open("nginx-config-updater");
        for (int option; (option = getopt_long(argc, argv, "", options, NULL)) >= 0;) {
                if (option == 'h' || option == '?') {
                        usage(option == 'h' ? stdout : stderr);
                        return option == 'h' ? EX_OK : EX_USAGE;
                }
                task = (enum task)option;
                file = optarg;
        }
        if (optind < argc) {
                usage(stderr);
                return EX_USAGE;
        }
        return run(task, file);
}

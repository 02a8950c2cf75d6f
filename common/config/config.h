/* SPDX-License-Identifier: MIT */
/* config.h - /etc/home-lab-services/config.json: every key has a default, nothing wrong is let pass.
 *
 * Shape    a copy of what the file said when it was read; programs look at it for each request.
 * Units    *_us are microseconds.
 * Errors   hl_config_load() tells every finding with file, line and key, and then returns
 *          -EINVAL/INTERNAL. An absent file is no error, an unreadable one is. One that cannot be read for the
 *          moment (EIO, EMFILE) is -errno/BUSY.
 * Owner    strings belong to the configuration; hl_config_free().
 * Source   handlers/README.md, "Configuration".
 * Tests    tests/unit/config/test_config.c
 */
#ifndef HL_CONFIG_CONFIG_H
#define HL_CONFIG_CONFIG_H

#include "base/json.h"
#include "base/report.h"
#include "claim.h"

#include <stdbool.h>
#include <stdint.h>

struct hl_err;

#define HL_CONFIG_SIZE_MAX (256 * 1024) /* bytes */
#define HL_MINUTES_MAX 525600           /* one year: the most that any duration in minutes may be */
#define HL_START_TIMEOUT_MAX_SECONDS 3600
#define HL_SERVICE_PORT_FIRST 5001 /* of our services, so no model's */
#define HL_SERVICE_PORT_LAST 5003
#define HL_MODELS_DIR "/etc/home-lab-services/models"

struct hl_config {
        double default_minutes;
        const char *default_action; /* "poweroff", "reboot" or "halt" */
        const char *models_dir;     /* HL_MODELS_DIR where nothing else is said */
        const char *unit_template;  /* with one %s, for the model's name */
        const char *health_path;
        uint64_t start_timeout_us;
        uint64_t active_threshold_us;
        uint64_t idle_threshold_us;
        uint64_t host_idle_us; /* HL_USEC_INFINITY: the host is not switched off */
        const char *host_idle_action;
        bool trust_loopback;
        bool models_need_token;       /* of whoever is not this host, for models through NGINX */
        const char **allowed_hosts;   /* NULL-terminated */
        const char **allowed_origins; /* NULL-terminated; base/origin.h compares them */
        const char *nginx_output;
        const char *upstream_host;
        struct hl_capacity_budget capacity;

        /* All that it says, for who keeps what he has read by it: any of it may be what a model's file leaves open. */
        char *text;
        hl_json *document; /* owns the strings that came from the file */
        unsigned *users;   /* how many share it; NULL: one has it */
};

/* The folders: what systemd's ConfigurationDirectory= and StateDirectory= say, or
 * /etc/home-lab-services and /var/lib/home-lab-services. */
const char *hl_configuration_dir(void);
const char *hl_state_dir(void);

/* For programs that people run: what the services' units give them by EnvironmentFile=, so that both see the same
 * models. */
void hl_config_adopt_environment(void);

/* What the units of all models fit, in systemd's own pattern: "model@*.service". free() */
char *hl_config_units_pattern(const struct hl_config *config);

/* config.json in the configuration folder. */
char *hl_config_path(void); /* free() */
int hl_config_load(const struct hl_report *report, struct hl_config *ret_config, struct hl_err *err);
void hl_config_free(struct hl_config *config);

/* The same for one more, in any thread: hl_config_free() by each. From now on nobody changes it. */
struct hl_config hl_config_share(struct hl_config *config);

#endif

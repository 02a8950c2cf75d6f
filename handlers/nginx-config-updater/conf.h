/* SPDX-License-Identifier: MIT */
/* conf.h - what NGINX has of models: their locations, and beside the server their upstreams.
 *
 * Shape    pure functions: the same models give the same bytes. Each model gets a line, the location /NAME/, which
 *          says its name and its port; all else is in named.conf, and for all models the same. A name that is a path of
 *          the server's own, "api", "models" or "v1", gets none.
 *          Upstreams are a line each, and named for what they lead to: those that nobody needs any more can stay beside
 *          new ones for as long as NGINX may still read locations that need them.
 * Units    ports are numbers from 1 to 65535; models without one get no location.
 * Errors   none. What reaches the text is names, which the catalogue has checked, numbers, and an address and a unit's
 *          name that the configuration has checked: no model file can say anything to NGINX.
 * Owner    the text is appended to *out, which the caller frees.
 * Source   nginx/README.md; what the locations include is in nginx/home-lab-services.
 * Tests    tests/unit/nginx-config-updater/test_conf.c; `nginx -t` in tests/lint; tests/system/test_nginx.py
 */
#ifndef HL_NGINX_CONFIG_UPDATER_CONF_H
#define HL_NGINX_CONFIG_UPDATER_CONF_H

#include "base/buf.h"
#include "config/catalog.h"
#include "config/config.h"

/* The locations, for the server. Of the configuration: where the models listen, and who needs a key. site_password:
 * NGINX asks for one, which no model is to get. */
void hl_nginx_conf(const struct hl_config *config, const struct hl_catalog *catalog, bool site_password,
                   struct hl_buf *out);

/* Just those that these models need. */
void hl_nginx_upstreams(const struct hl_config *config, const struct hl_catalog *catalog, struct hl_buf *out);

/* Whether all of `need` is in `have`. */
bool hl_nginx_upstreams_cover(const struct hl_buf *have, const struct hl_buf *need);

/* Appends those of `before` that *out lacks. */
void hl_nginx_upstreams_keep(const struct hl_buf *before, struct hl_buf *out);

/* "api", "models" and "v1": models of these names can be reached by /v1/ alone. */
bool hl_nginx_name_reserved(const char *name);

#endif

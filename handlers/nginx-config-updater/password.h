/* SPDX-License-Identifier: MIT */
/* password.h - whether NGINX itself asks anybody for a name and a password: what a browser then sends with each request
 * is the site's, and no model's.
 *
 * Errors   none: files that we may not read ask for nothing, as far as we know.
 * Source   http://nginx.org/en/docs/http/ngx_http_auth_basic_module.html
 * Tests    tests/unit/nginx-config-updater/test_password.c, tests/system/test_site.py
 */
#ifndef HL_NGINX_CONFIG_UPDATER_PASSWORD_H
#define HL_NGINX_CONFIG_UPDATER_PASSWORD_H

#include <stdbool.h>

/* conf: NGINX's own, with all that it includes. */
bool hl_nginx_asks_password(const char *conf);

#endif

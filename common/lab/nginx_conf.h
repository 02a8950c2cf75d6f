/* nginx_conf.h - NGINX locations for models.
 *
 * Shape    a pure function: the same models give the same bytes. Each model gets
 *            /NAME/         its server, the prefix removed
 *            @model_NAME    the same, for a request that model-router has looked at
 *            @wake_NAME     where a request waits that its server did not take
 *            @run_NAME      its server once more: the last try
 *          A name that is a path of the server's own, "api" or "v1", gets no /NAME/.
 * Units    ports are numbers from 1 to 65535; models without one get no location.
 * Errors   none. What reaches the text is names, which the catalogue has checked, numbers, and an address that the
 *          configuration has checked: no model file can say anything to NGINX.
 * Owner    the text is appended to *out, which the caller frees.
 * Source   the README's page "NGINX"; what the locations include is in nginx/home-lab-services.
 * Tests    tests/unit/test_nginx_conf.c; `nginx -t` in tests/lint; tests/system/test_nginx.py
 */
#ifndef HL_LAB_NGINX_CONF_H
#define HL_LAB_NGINX_CONF_H

#include "base/buf.h"
#include "catalog.h"

/* host: where the models listen, an IP address. */
void hl_nginx_conf(const struct hl_catalog *catalog, const char *host, struct hl_buf *out);

/* "api" and "v1": models of these names can be reached by /v1/ alone. */
bool hl_nginx_name_reserved(const char *name);

/* For other makers of such locations (nginx_fleet.h): one that passes a request to `target`, without its last lines
 * and closing brace; and "ADDRESS:PORT", with brackets around an IPv6 address. */
#define HL_NGINX_TARGET_SIZE 64 /* bytes */
void hl_nginx_add_location(struct hl_buf *out, const char *prefix, const char *name, const char *suffix,
                           const char *include, const char *target);
void hl_nginx_target(const char *address, uint16_t port, char target[static HL_NGINX_TARGET_SIZE]);

#endif

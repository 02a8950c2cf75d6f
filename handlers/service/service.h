/* SPDX-License-Identifier: MIT */
/* service.h - what the three services share: where a route meets the host.
 *
 * Shape    a struct hl_service is one request's: configuration and tokens are read anew. The bus is opened if a
 *          route needs it. It, the catalogue and what is made of that alone are all that is kept.
 * Errors   this is where requests are logged: what changes something at "notice", what failed at "err".
 * Process  each request has its own; several may be answered at once.
 * Tests    tests/doors/, tests/system/
 */
#ifndef HL_SERVICE_SERVICE_H
#define HL_SERVICE_SERVICE_H

#include "config/catalog.h"
#include "config/config.h"
#include "config/tokens.h"
#include "http/routes.h"
#include "local.h"
#include "systemd/bus.h"
#include "systemd/units.h"

struct hl_service {
        const struct hl_routes *routes;
        struct hl_bus bus;
        struct hl_config config;
        uint64_t came_us;        /* as in struct hl_request */
        struct hl_token token;   /* that let its peer in; .name "" where none was needed */
        struct hl_local local;   /* the peer, where it is on this machine and was looked at */
        struct hl_err token_err; /* why tokens could not be read */
};

/* The whole main() of a service. */
int hl_service_main(const struct hl_routes *routes, int argc, char **argv);

/* The catalogue, for a service's answer. */
int hl_service_catalog(struct hl_context *ctx, struct hl_catalog *ret_catalog);

/* The state of each unit in a catalogue, in one call, which requests share that ask at the same time. *ret_states:
 * free() */
int hl_service_states(struct hl_service *service, struct hl_catalog *catalog, enum hl_unit_state **ret_states,
                      struct hl_err *err);

/* The model that stands for {model} in the path. *ret_model points into *ret_catalog. */
int hl_service_model(struct hl_context *ctx, struct hl_catalog *ret_catalog, const struct hl_model **ret_model);

/* "paused_until": null, or when requests for the model go on; "kept_until": null, or when it may be idle again. */
void hl_service_set_terms(hl_json *out, const struct hl_model *model);

/* Whether a request that was let in would be let in now, for answers that go on: a token may have been revoked. While
 * that cannot be read for the moment, it is still let in. scope: the bits of its route. */
bool hl_service_still_admits(const struct hl_request *request, unsigned scope);

/* limits.h, in the folder of this service. */
int hl_service_take(const struct hl_service *service, const char *what, unsigned count, int *ret_place);

/* Errors of routes, for their tables: of what asks systemd or logind, of what reads the models, and of what has one in
 * its path. */
#define HL_ERRORS_OF_THE_BUS                                                                                           \
        { 502, "unit_unusable" }, { 503, "bus_busy" },                                                                 \
        {                                                                                                              \
                503, "bus_unavailable"                                                                                 \
        }
#define HL_ERRORS_OF_MODELS                                                                                            \
        { 500, "models_unreadable" },                                                                                  \
        {                                                                                                              \
                503, "models_unreadable"                                                                               \
        }
#define HL_ERRORS_OF_A_MODEL { 400, "invalid_model_name" }, { 404, "model_not_found" }, HL_ERRORS_OF_MODELS
/* What hl_model_name_valid() takes, as a regular expression for tables of routes. */
#define HL_MODEL_NAME_PATTERN "^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$"

/* The answer of GET /health when something is missing. */
extern const struct hl_route_error hl_service_health_errors[];

/* Adds one line to the answer of GET /health: result is 0, or err says why not. The route ends with
 * hl_service_health(). */
void hl_service_health_note(struct hl_context *ctx, const char *what, int result, const struct hl_err *err);
/* The note on whether NGINX finds a socket unit's file, where that is up. */
void hl_service_health_socket(struct hl_context *ctx, const char *what, const char *unit);
int hl_service_health(struct hl_context *ctx);

#endif

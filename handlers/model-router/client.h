/* SPDX-License-Identifier: MIT */
/* client.h - whether two requests come from the same client, as far as addresses tell.
 *
 * Shape    pure. An IPv6 network of 64 bits is one client: each host of it has as many addresses as it likes.
 *          $hl_waiting_for of nginx/home-lab-services/http.conf is the same in NGINX.
 * Tests    tests/unit/model-router/test_client.c
 */
#ifndef HL_MODEL_ROUTER_CLIENT_H
#define HL_MODEL_ROUTER_CLIENT_H

#include <stdbool.h>

/* Two addresses as NGINX writes them. What is no address is the same as itself alone. */
bool hl_router_client_same(const char *a, const char *b);

#endif

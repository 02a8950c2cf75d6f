/* SPDX-License-Identifier: MIT */
/* product.h - the units of the product on a host, in one table: what `check`, `status` and the commands say of them.
 *
 * Errors   as in systemd/units.h.
 * Source   units/, handlers/README.md.
 * Tests    tests/system/test_check.py, tests/doors/test_cli.py
 */
#ifndef HL_HOME_LAB_SERVICES_PRODUCT_H
#define HL_HOME_LAB_SERVICES_PRODUCT_H

#include "systemd/units.h"

#include <stdint.h>

enum hl_product_flag {
        HL_PRODUCT_FOR_NGINX = 1, /* needed only where NGINX has our site */
        HL_PRODUCT_MAY_REST = 2,  /* runs now and then: only its failure counts */
};

struct hl_product_unit {
        const char *unit;
        uint16_t port;       /* of a socket unit; 0: none, or a unix socket */
        const char *label;   /* of the unit's line in `status`; NULL: no line */
        const char *stopped; /* what it means that the unit is stopped, and what to do; NULL: nothing to be said */
        unsigned flags;      /* enum hl_product_flag */
};

#define HL_PRODUCT_UNITS 14

extern const struct hl_product_unit hl_product_units[HL_PRODUCT_UNITS];

/* The state of each, in one call. */
int hl_product_states(struct hl_bus *bus, enum hl_unit_state *ret_states, struct hl_err *err);

/* The socket unit that has a port, or NULL. */
const char *hl_product_socket_of(uint16_t port);

/* The port of a service, "inference-service"; 0 where it has none. */
uint16_t hl_product_port_of(const char *service);

#endif

/* SPDX-License-Identifier: MIT */
#include "product.h"

#include "base/str.h"

#include <string.h>

enum { FOR_NGINX = HL_PRODUCT_FOR_NGINX, MAY_REST = HL_PRODUCT_MAY_REST };

/* In the order of `status`. */
const struct hl_product_unit hl_product_units[HL_PRODUCT_UNITS] = {
        { "home-lab-services.service", 0, "coordinator", "nothing of the lab runs: systemctl start home-lab-services" },
        { "shutdown-service.socket", 5001, "shutdown-service", "its port is closed: systemctl start shutdown-service" },
        { "inference-service.socket", 5002, "inference-service",
          "its port is closed: systemctl start inference-service" },
        { "model-monitor-service.socket", 5003, "model-monitor-service",
          "its port is closed: systemctl start model-monitor-service" },
        { "shutdown-service-fastcgi.socket" },
        { "inference-service-fastcgi.socket" },
        { "model-monitor-service-fastcgi.socket" },
        { "model-activity.socket" },
        { "model-idle-sweep.timer", 0, NULL, "no idle model is stopped: systemctl start model-idle-sweep.timer" },
        { "model-router.socket", 0, "model-router", "NGINX can start no model: systemctl start model-router.socket",
          FOR_NGINX },
        { "nginx-config-updater.path", 0, "nginx-config-updater",
          "NGINX learns of no change: systemctl start nginx-config-updater.path", FOR_NGINX },
        { "nginx-config-updater.timer", 0, NULL, "NGINX may miss a change: systemctl start nginx-config-updater.timer",
          FOR_NGINX },
        { "nginx-config-updater.service", 0, "  its last run",
          "NGINX has no new locations: systemctl status nginx-config-updater", FOR_NGINX | MAY_REST },
        { "nginx.service", 0, "nginx", "models have their own ports alone: systemctl start nginx; nginx -t",
          FOR_NGINX },
};

int hl_product_states(struct hl_bus *bus, enum hl_unit_state *ret_states, struct hl_err *err)
{
        const char *units[HL_PRODUCT_UNITS];
        for (size_t i = 0; i < HL_PRODUCT_UNITS; i++)
                units[i] = hl_product_units[i].unit;
        return hl_units_states(bus, units, HL_PRODUCT_UNITS, ret_states, err);
}

const char *hl_product_socket_of(uint16_t port)
{
        for (size_t i = 0; port && i < HL_PRODUCT_UNITS; i++)
                if (hl_product_units[i].port == port)
                        return hl_product_units[i].unit;
        return NULL;
}

uint16_t hl_product_port_of(const char *service)
{
        size_t len = strlen(service);
        for (size_t i = 0; i < HL_PRODUCT_UNITS; i++)
                if (hl_has_prefix(hl_product_units[i].unit, service) &&
                    strcmp(hl_product_units[i].unit + len, ".socket") == 0)
                        return hl_product_units[i].port;
        return 0;
}

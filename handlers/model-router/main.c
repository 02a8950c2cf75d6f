/* SPDX-License-Identifier: MIT */
/* model-router - says which model a request is for and whether it may be, starts models for requests that hold for
 * them, and hands the requests back to NGINX. Behind NGINX alone (nginx/home-lab-services), on a FastCGI socket.
 *
 * It looks at a request once and answers with the name of the location where the request goes on, so that neither
 * body nor answer passes through here. What waits is a connection and a name: should this program be stopped, it hands
 * all of them back for its successor to take up.
 */
#include "admit.h"
#include "answers.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/private.h"
#include "base/str.h"
#include "base/version.h"
#include "bodies.h"
#include "body.h"
#include "config/config_kept.h"
#include "cut.h"
#include "http/cors.h"
#include "kernel/sockets.h"
#include "looks.h"
#include "models/readiness.h"
#include "models/ready_mark.h"
#include "models/stop.h"
#include "named.h"
#include "nginx/ports.h"
#include "systemd/units.h"
#include "transport/fastcgi.h"
#include "transport/listener.h"
#include "waits.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sysexits.h>
#include <unistd.h>

#define RECEIVE_US (2 * HL_USEC_PER_SEC) /* NGINX has the whole request before it begins to send */

struct router {
        sd_event *event;
        sd_event_source *rest; /* once it goes off, connections are taken again */
        sd_event_source *listening;
        struct hl_bus bus;
        struct hl_router_named named;
        struct hl_router_cuts cuts;
        struct hl_router_waits *waits;
        struct hl_router_bodies *bodies;
};

/* ---- a model that did not take a request, or need not be asked ---- */

/* NGINX listens on all that is its own: while nobody does, its files need not be read for each request. */
static int check_port(struct router *router, const struct hl_model *model, struct hl_err *err)
{
        struct hl_listener somebody;
        if (hl_router_waits_is_starting(router->waits, model)) /* it was looked at for those */
                return 0;
        if (hl_sockets_listener(model->port, &somebody, err) == 0)
                return 0;
        *err = (struct hl_err){ 0 };
        return hl_nginx_ports_check(&router->bus, model, err);
}

/* Until its model is ready, a look is answered here and everything else waits: in the model's own location, which knows
 * what to do should this program end meanwhile. */
static void hold(struct router *router, struct hl_router_request *request, const struct hl_model *model)
{
        struct hl_err err = { 0 };
        const char *rest = NULL;
        enum hl_router_look look = hl_router_look(request, &rest);
        bool runs = hl_unit_start_hint(model->unit) > 0, may_be_ready = request->page == HL_PAGE_NAMED && runs;
        if (look != HL_ROUTER_NO_LOOK && !may_be_ready) {
                hl_router_answer_look(request, model, look, rest);
        } else if (request->call != HL_ROUTER_WAKE && !runs && check_port(router, model, &err) < 0) {
                hl_router_refuse(request, &err); /* it would come back to NGINX: it has no location to wait in */
        } else if (request->call != HL_ROUTER_WAKE) {
                hl_router_redirect(request, "wake", model->name, model->port, "X-HL-Again: 0\r\n");
        } else if (hl_router_waits_check(router->waits, &request->http.peer, &err) < 0) {
                hl_router_refuse_unavailable(request, model->name, &err);
        } else {
                hl_router_wait(router->waits, request, model);
        }
}

/* Whether what runs now ran already when the request was sent. What has ended since may have begun with it. */
static bool is_the_same(const struct hl_router_request *request, const struct hl_model *model)
{
        return request->sent_us == 0 || hl_unit_start_hint(model->unit) <= request->sent_us;
}

/* Whether it met the end of a connection that NGINX had kept, and changes nothing: RFC 9110, section 9.2.1. What has
 * worked for a while is not begun again, whatever it is. */
static bool may_be_sent_again(const struct hl_router_request *request)
{
        return (request->http.method == HL_GET || request->http.method == HL_HEAD) && request->sent_us > 0 &&
               request->failed_us <= request->sent_us + HL_SOCKETS_NGINX_KEPT_MS * HL_USEC_PER_MSEC;
}

/* A server that ends has closed its port before its connections. */
static bool is_listened_to(const struct hl_model *model)
{
        struct hl_listener somebody;
        struct hl_err ignored = { 0 };
        return hl_sockets_listener(model->port, &somebody, &ignored) > 0;
}

/* The model, or what listens in its place, closed the connection. A container's published port does so while its server
 * loads: what has never been ready had nothing of the request. Nor had one that was stopped for having nothing to
 * do. */
static void wake(struct router *router, struct hl_router_request *request, const struct hl_model *model)
{
        struct hl_unit_detail detail;
        struct hl_err err = { 0 };
        bool had_it = request->was_sent && !request->is_again,
             was_cut = had_it && !request->timed_out &&
                       hl_stop_has_cut(&router->bus, model, request->sent_us, request->failed_us);
        if (!had_it || was_cut) {
                hold(router, request, model);
                return;
        }
        bool runs_on = hl_units_detail(&router->bus, model->unit, &detail, &err) == 0 && !request->timed_out &&
                       detail.active == HL_UNIT_ACTIVE && is_the_same(request, model);
        if (runs_on && !hl_ready_mark_since(model->name, detail.active_since_monotonic_us))
                hold(router, request, model);
        else if (runs_on && may_be_sent_again(request) && is_listened_to(model))
                hl_router_run(request, model->name, model->port);
        else
                hl_router_refuse_cut(&router->cuts, request, model); /* to send it once more could do it twice */
}

/* ---- which model, and where its requests go ---- */

/* What listens on the port of one that does not run is another's; and while systemd starts it, nothing of it does. */
static bool may_take(const struct router *router, const struct hl_model *model)
{
        if (hl_unit_start_hint(model->unit) == 0)
                return false;
        return hl_router_waits_is_starting(router->waits, model) ? hl_readiness_was_seen(model)
                                                                 : !hl_readiness_is_strangers(model);
}

static void pass(struct router *router, struct hl_router_request *request, const struct hl_model *model)
{
        struct hl_err err = { 0 };
        if (model->port == 0) {
                hl_model_has_port(model, &err);
                hl_router_refuse_unavailable(request, model->name, &err);
        } else if (request->call == HL_ROUTER_WAKE) {
                wake(router, request, model);
        } else if (request->page == HL_PAGE_NAMED || !may_take(router, model)) {
                hold(router, request, model);
        } else {
                hl_router_redirect(request, "model", model->name, model->port, "");
        }
}

static void find(struct router *router, struct hl_router_request *request, const struct hl_config *config,
                 const char *name)
{
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        struct hl_err err = { 0 };
        if (hl_router_named_load(&router->named, config, name, &catalog, &err) < 0) {
                hl_router_refuse_unavailable(request, name, &err);
        } else if (catalog.count == 0) {
                hl_fail_no_model(name, "/v1/models", &err);
                hl_router_refuse(request, &err);
        } else {
                pass(router, request, &catalog.models[0]);
        }
}

/* Azure's clients have it in the path: /openai/deployments/NAME/chat/completions, or with a base URL that ends in
 * /v1. */
static char *deployment_of(const char *path)
{
        static const char *const before[] = { "/openai/deployments/", "/v1/deployments/" };
        char *name = NULL;
        for (size_t i = 0; i < HL_COUNT(before); i++) {
                const char *start = path + strlen(before[i]);
                if (hl_has_prefix(path, before[i]))
                        return hl_percent_decode(start, strcspn(start, "/"), &name) < 0 ? NULL : name;
        }
        return NULL;
}

/* Where a body does not say it, the query may. in_body: NULL where it does not. */
static void route_by(struct router *router, struct hl_router_request *request, const struct hl_config *config,
                     const char *in_body)
{
        struct hl_err err = { 0 };
        HL_CLEANUP(hl_free_pointer) char *name = NULL;
        if (in_body) {
                find(router, request, config, in_body);
                return;
        }
        if (hl_request_query(&request->http, "model", &name) < 0)
                name = NULL;
        if (!name)
                name = deployment_of(request->http.path);
        if (name) {
                find(router, request, config, name);
                return;
        }
        if (request->http.method == HL_POST)
                hl_fail(&err, HL_ERR_INVALID, EINVAL, "model_missing",
                        "\"model\" is missing: GET /v1/models lists those that are");
        else
                hl_fail(&err, HL_ERR_NOT_FOUND, ENOENT, "not_found",
                        "a request is routed here by \"model\", in its body or as ?model=; GET /v1/models lists them");
        hl_router_refuse(request, &err);
}

/* What a body said that was read already. */
struct said {
        const char *model; /* NULL: none */
        const struct hl_err *err;
};

/* said: NULL where the body is still to be read. */
static void route(struct router *router, struct hl_router_request *request, const struct hl_config *config,
                  const struct said *said)
{
        struct hl_err err = said ? *said->err : (struct hl_err){ 0 };
        HL_CLEANUP(hl_free_pointer) char *name = NULL;
        if (!said && request->http.method == HL_POST)
                hl_router_find_model(request, &name, &err);
        if (err.kind)
                hl_router_refuse(request, &err);
        else
                route_by(router, request, config, said ? said->model : name);
}

/* ---- one request ---- */

static void answer(struct router *router, struct hl_router_request *request, const struct hl_config *config,
                   const struct said *said)
{
        struct hl_problem problem = { 0 };
        struct hl_response response = { 0 };
        if (hl_router_admit(config, request, &problem) < 0) {
                hl_router_refuse_problem(request, &problem);
        } else if (request->page == HL_PAGE_NAMED && hl_cors_is_preflight(&request->http)) {
                hl_cors_preflight(&request->http, &response);
                hl_router_answer(request, &response);
        } else if (request->call != HL_ROUTER_ROUTE) {
                find(router, request, config, request->model);
        } else if (request->http.method == HL_OPTIONS) {
                hl_response_header(&response, "Allow", "GET, HEAD, POST, OPTIONS");
                response.status = 204;
                hl_router_answer(request, &response);
        } else {
                route(router, request, config, said);
        }
}

static void answer_now(struct router *router, struct hl_router_request *request, const struct said *said)
{
        struct hl_config config;
        struct hl_err err = { 0 };
        if (hl_config_kept_load(&config, &err) < 0) {
                hl_router_refuse_unavailable(request, request->model, &err);
        } else {
                answer(router, request, &config, said);
                hl_config_free(&config);
        }
}

static void on_body(void *data, struct hl_router_request *request, const char *model, const struct hl_err *err)
{
        struct router *router = data;
        answer_now(router, request, &(struct said){ .model = model, .err = err });
        hl_router_waits_asked(router->waits);
}

/* Takes fcgi. A refusal has to read the body, too. */
static void take(struct router *router, struct hl_fastcgi_request *fcgi)
{
        struct hl_problem problem = { 0 };
        struct hl_router_request *request = hl_router_request_new(fcgi, &problem);
        if (problem.status)
                hl_router_refuse_problem(request, &problem);
        else if (request->call == HL_ROUTER_ROUTE && request->http.method == HL_POST && hl_router_body_is_long(request))
                hl_router_bodies_read(router->bodies, request);
        else
                answer_now(router, request, NULL);
}

/* ---- the program ---- */

static int on_rested(sd_event_source *source, uint64_t now_us, void *data)
{
        (void)source;
        (void)now_us;
        const struct router *router = data;
        return sd_event_source_set_enabled(router->listening, SD_EVENT_ON);
}

static void rest(struct router *router)
{
        sd_event_source_set_enabled(router->listening, SD_EVENT_OFF);
        sd_event_source_set_time(router->rest, hl_clock_monotonic() + HL_LISTENER_REST_US);
        sd_event_source_set_enabled(router->rest, SD_EVENT_ONESHOT);
}

static int on_connection(sd_event_source *source, int listen_fd, uint32_t events, void *data)
{
        (void)source;
        (void)events;
        struct router *router = data;
        bool must_rest;
        int fd = hl_listener_accept(listen_fd, &must_rest);
        if (must_rest)
                rest(router);
        struct hl_fastcgi_request *fcgi = fd >= 0 ? hl_fastcgi_read(fd, RECEIVE_US) : NULL;
        if (fcgi)
                take(router, fcgi);
        hl_router_waits_asked(router->waits);
        return 0;
}

static int prepare(struct router *router)
{
        sigset_t term;
        sigemptyset(&term);
        sigaddset(&term, SIGTERM);
        sigprocmask(SIG_BLOCK, &term, NULL);
        int r = hl_fastcgi_init();
        if (r >= 0)
                r = sd_event_new(&router->event);
        if (r >= 0) /* without a handler it ends the loop */
                r = sd_event_add_signal(router->event, NULL, SIGTERM, NULL, NULL);
        if (r >= 0)
                r = hl_router_waits_new(router->event, &router->bus, hl_idle_from_env(hl_fastcgi_limits.idle_us),
                                        &router->waits);
        if (r >= 0)
                r = hl_router_bodies_new(router->event, hl_router_find_model, on_body, router, &router->bodies);
        if (r >= 0)
                r = sd_event_add_io(router->event, &router->listening, STDIN_FILENO, EPOLLIN, on_connection, router);
        if (r >= 0)
                r = sd_event_add_time(router->event, &router->rest, CLOCK_MONOTONIC, 0, 0, on_rested, router);
        if (r >= 0)
                r = sd_event_source_set_enabled(router->rest, SD_EVENT_OFF);
        router->cuts = (struct hl_router_cuts){ .event = router->event, .bus = &router->bus };
        return r;
}

int main(int argc, char **argv)
{
        if (hl_version_asked(argc, argv))
                return EXIT_SUCCESS;
        struct router router = { .bus = HL_BUS_INIT };
        hl_keep_private();
        hl_log_open("model-router");
        if (!hl_is_listening(STDIN_FILENO)) {
                fprintf(stderr, "model-router answers NGINX: it is started by systemd, behind model-router.socket\n");
                return EX_USAGE;
        }
        int r = prepare(&router);
        if (r >= 0)
                r = sd_event_loop(router.event);
        if (r < 0)
                hl_log(LOG_ERR, NULL, "%s", strerror(-r));
        if (router.bodies) /* before those who wait: these may come to wait, too */
                hl_router_bodies_free(router.bodies);
        hl_router_cuts_end(&router.cuts);
        if (router.waits)
                hl_router_waits_free(router.waits);
        hl_bus_free(&router.bus);
        hl_router_named_free(&router.named);
        sd_event_source_unref(router.rest);
        sd_event_source_unref(router.listening);
        sd_event_unref(router.event);
        return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

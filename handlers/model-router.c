/* model-router - says which model a request is for and whether it may be, starts models for requests that hold for them,
 * and hands the requests back to NGINX. Behind NGINX alone (nginx/home-lab-services), on a FastCGI socket.
 *
 * It looks at a request once and answers with the name of the location where the request goes on, so that neither
 * body nor answer passes through here. What waits is a connection and a name: should this program be stopped, it hands
 * all of them back for its successor to take up.
 */
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/version.h"
#include "doors/fastcgi.h"
#include "http/cors.h"
#include "lab/activity.h"
#include "lab/nginx_conf.h"
#include "lab/ready_mark.h"
#include "lab/units.h"
#include "lab/wake.h"
#include "router_admit.h"
#include "router_answers.h"
#include "router_body.h"
#include "router_cut.h"
#include "router_looks.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#define WAITING_MAX 900 /* requests at once; below what libfcgi's select() bears */
#define NOTE_EVERY_US HL_USEC_PER_SEC
#define RECEIVE_US (2 * HL_USEC_PER_SEC) /* NGINX has the whole request before it begins to send */

struct router {
        sd_event *event;
        sd_event_source *timer;
        uint64_t idle_us;
        struct hl_bus bus;
        struct hl_wake *wake;
        struct hl_router_cuts cuts;
        struct waiting *waiting;
        unsigned count;
};

/* A request that waits for its model. */
struct waiting {
        struct router *router;
        struct waiting *next, **link;
        struct hl_router_request *request; /* NULL once it was answered */
        sd_event_source *left;             /* NGINX closes the connection when the client has left */
        struct hl_wait *wait;
        uint64_t since_us;
        char model[HL_MODEL_NAME_MAX + 1];
        char *unit;
        char target[HL_NGINX_TARGET_SIZE];
};

/* ---- requests that wait ---- */

/* While requests wait the timer notes them, else it ends the program. */
static void rearm_timer(struct router *router)
{
        uint64_t span_us = router->count > 0 ? NOTE_EVERY_US : router->idle_us;
        sd_event_source_set_time(router->timer, hl_clock_monotonic() + span_us);
        sd_event_source_set_enabled(router->timer, SD_EVENT_ONESHOT);
}

static void forget(struct waiting *w)
{
        struct router *router = w->router;
        if (w->next)
                w->next->link = w->link;
        *w->link = w->next;
        sd_event_source_disable_unref(w->left);
        free(w->unit);
        free(w);
        if (--router->count == 0)
                rearm_timer(router);
}

/* The request is asked again from the start: of this router, or of its successor. */
static void hand_back(struct waiting *w)
{
        struct hl_err err = { 0 };
        struct hl_router_request *request = hl_steal(w->request);
        if (request->hand_backs >= HL_ROUTER_HAND_BACKS_MAX) {
                hl_fail(&err, HL_ERR_BUSY, EBUSY, "router_restarted", "the router was restarted too often: try again");
                hl_router_refuse_unavailable(request, w->model, &err);
                return;
        }
        HL_CLEANUP(hl_free_pointer) char *header = hl_format("X-HL-Again: %u\r\n", request->hand_backs + 1);
        hl_router_redirect_to(request, "wake", w->model, header);
}

/* While a request waits, its model is in use, however long it loads; unless the request is one that only looks. */
static void note_use(const struct waiting *w)
{
        struct hl_err err = { 0 };
        if (w->request->counts && hl_activity_touch(w->model, &err) < 0)
                hl_log(LOG_WARNING, NULL, "%s", err.message);
}

/* To the model. What a browser must be told of the answer, for a page of another origin, is NGINX's to say. */
static void go_on(struct waiting *w)
{
        struct hl_router_request *request = hl_steal(w->request);
        if (request->page != HL_PAGE_NAMED) {
                hl_router_redirect_to(request, "run", w->model, "");
                return;
        }
        HL_CLEANUP(hl_free_pointer)
        char *headers = hl_format("X-HL-Model: %s\r\nX-HL-Target: %s\r\nX-HL-Origin: %s\r\n", w->model, w->target,
                                  request->http.origin);
        hl_router_redirect(request, "hl_page", headers);
}

/* Should the model be stopped for being idle in this very moment, the request waits once more. */
static void pass_on(struct waiting *w)
{
        struct hl_err err = { 0 };
        enum hl_unit_active active = HL_UNIT_ACTIVE;
        note_use(w);
        if (hl_activity_is_being_stopped(w->model))
                hl_units_states(&w->router->bus, (const char *const[]){ w->unit }, 1, &active, &err);
        if (active != HL_UNIT_ACTIVE)
                hand_back(w);
        else
                go_on(w);
        const struct hl_log_field fields[] = { { "HL_MODEL", w->model }, { NULL, NULL } };
        uint64_t waited_us = hl_clock_monotonic() - w->since_us;
        hl_log(LOG_INFO, fields, "%s is ready; a request waited for %llu ms", w->model,
               (unsigned long long)(waited_us / HL_USEC_PER_MSEC));
}

static void on_told(void *data, const struct hl_err *err, const char *cause)
{
        struct waiting *w = data;
        w->request->cause = cause;
        if (err->kind)
                hl_router_refuse_unavailable(hl_steal(w->request), w->model, err);
        else
                pass_on(w);
        forget(w);
}

static int on_left(sd_event_source *source, int fd, uint32_t events, void *data)
{
        (void)source;
        (void)fd;
        (void)events;
        struct waiting *w = data;
        hl_wake_leave(w->wait);
        hl_router_request_free(hl_steal(w->request));
        forget(w);
        return 0;
}

static bool is_waited_for(const struct router *router, const char *model)
{
        for (const struct waiting *w = router->waiting; w; w = w->next)
                if (strcmp(w->model, model) == 0)
                        return true;
        return false;
}

static void wait_for(struct router *router, struct hl_router_request *request, const struct hl_config *config,
                     const struct hl_model *model)
{
        if (!is_waited_for(router, model->name) && hl_units_started_about(model->unit) == 0) {
                const struct hl_log_field fields[] = { { "HL_MODEL", model->name }, { NULL, NULL } };
                hl_log(LOG_NOTICE, fields, "starting %s for a request from %s", model->name, request->http.peer.name);
        }
        struct waiting *w = hl_alloc(sizeof(*w));
        *w = (struct waiting){ .router = router,
                               .next = router->waiting,
                               .link = &router->waiting,
                               .request = request,
                               .since_us = hl_clock_monotonic(),
                               .unit = hl_strdup(model->unit) };
        memcpy(w->model, model->name, sizeof(w->model));
        hl_nginx_target(config->upstream_host, model->port, w->target);
        if (w->next)
                w->next->link = &w->next;
        router->waiting = w;
        router->count++;
        if (sd_event_add_io(router->event, &w->left, hl_fastcgi_fd(request->fcgi), EPOLLRDHUP, on_left, w) < 0)
                w->left = NULL; /* then it is found out when it is answered */
        w->wait = hl_wake_wait(router->wake, model, on_told, w);
        note_use(w);
        if (router->count == 1)
                rearm_timer(router);
}

/* ---- a model that did not take a request, or need not be asked ---- */

/* Until its model is ready, a look is answered here and everything else waits: in the model's own location, which knows what
 * to do should this program end meanwhile. */
static void hold(struct router *router, struct hl_router_request *request, const struct hl_config *config,
                 const struct hl_model *model)
{
        struct hl_err err = { 0 };
        const char *rest = NULL;
        enum hl_router_look look = hl_router_look(request, &rest);
        bool may_be_ready = request->page == HL_PAGE_NAMED && hl_units_started_about(model->unit) > 0;
        if (look != HL_ROUTER_NO_LOOK && !may_be_ready) {
                hl_router_answer_look(request, model, look, rest);
        } else if (request->call != HL_ROUTER_WAKE) {
                hl_router_redirect_to(request, "wake", model->name, "X-HL-Again: 0\r\n");
        } else if (router->count >= WAITING_MAX) {
                hl_fail(&err, HL_ERR_BUSY, EBUSY, "too_many_waiting", "more than %d requests wait for models already",
                        WAITING_MAX);
                hl_router_refuse_unavailable(request, model->name, &err);
        } else {
                wait_for(router, request, config, model);
        }
}

/* The model, or what listens in its place, closed the connection. A container's published port does so while its server
 * loads: what has never been ready had nothing of the request. Nor had one that was stopped for having nothing to do. */
static void wake(struct router *router, struct hl_router_request *request, const struct hl_config *config,
                 const struct hl_model *model)
{
        struct hl_unit_detail detail;
        struct hl_err err = { 0 };
        bool had_it = request->was_sent && !request->is_again && !hl_activity_is_being_stopped(model->name);
        if (!had_it) {
                hold(router, request, config, model);
                return;
        }
        bool known = hl_units_detail(&router->bus, model->unit, &detail, &err) == 0;
        if (known && !request->timed_out && detail.active == HL_UNIT_ACTIVE &&
            !hl_ready_seen_since(model->name, detail.active_since_monotonic_us))
                hold(router, request, config, model);
        else
                hl_router_refuse_cut(&router->cuts, request, model); /* to send it once more could do it twice */
}

/* ---- which model, and where its requests go ---- */

static void pass(struct router *router, struct hl_router_request *request, const struct hl_config *config,
                 const struct hl_model *model)
{
        struct hl_err err = { 0 };
        if (model->port == 0) {
                if (hl_model_readable(model, &err) == 0)
                        hl_fail(&err, HL_ERR_CONFLICT, EINVAL, "model_without_port", "%s has no PORT: add one to %s",
                                model->name, model->file_path);
                hl_router_refuse_unavailable(request, model->name, &err);
        } else if (request->call == HL_ROUTER_WAKE) {
                wake(router, request, config, model);
        } else if (request->page == HL_PAGE_NAMED || hl_units_started_about(model->unit) == 0) {
                hold(router, request, config,
                     model); /* what listens on the port of one that does not run is another's */
        } else {
                hl_router_redirect_to(request, "model", model->name, "");
        }
}

static void find(struct router *router, struct hl_router_request *request, const struct hl_config *config,
                 const char *name)
{
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        struct hl_err err = { 0 };
        if (hl_catalog_load_named(config, name, &catalog, &err) < 0) {
                hl_router_refuse_unavailable(request, name, &err);
        } else if (catalog.count == 0) {
                hl_fail(&err, HL_ERR_NOT_FOUND, ENOENT, "model_not_found",
                        "there is no model \"%.*s\": GET /v1/models lists those that there are", HL_MODEL_NAME_MAX,
                        name);
                hl_router_refuse_request(request, &err);
        } else {
                pass(router, request, config, &catalog.models[0]);
        }
}

/* Azure's clients have it in the path: /v1/deployments/NAME/chat/completions. */
static char *deployment_of(const char *path)
{
        static const char before[] = "/v1/deployments/";
        char *name = NULL;
        const char *start = path + sizeof(before) - 1;
        if (!hl_has_prefix(path, before) || hl_percent_decode(start, strcspn(start, "/"), &name) < 0)
                return NULL;
        return name;
}

/* A body says it; where that does not, the query may. */
static void route(struct router *router, struct hl_router_request *request, const struct hl_config *config)
{
        struct hl_err err = { 0 };
        HL_CLEANUP(hl_free_pointer) char *name = NULL;
        bool has_body = request->http.method == HL_POST;
        if (has_body && hl_router_find_model(request->fcgi, &name, &err) < 0) {
                hl_router_refuse_request(request, &err);
                return;
        }
        if (!name && hl_request_query(&request->http, "model", &name) < 0)
                name = NULL;
        if (!name)
                name = deployment_of(request->http.path);
        if (name) {
                find(router, request, config, name);
                return;
        }
        if (has_body)
                hl_fail(&err, HL_ERR_INVALID, EINVAL, "model_missing",
                        "\"model\" is missing: GET /v1/models lists those that there are");
        else
                hl_fail(&err, HL_ERR_NOT_FOUND, ENOENT, "not_found",
                        "a request is routed here by \"model\", in its body or as ?model=; GET /v1/models lists them");
        hl_router_refuse_request(request, &err);
}

/* ---- one request ---- */

static void answer(struct router *router, struct hl_router_request *request, const struct hl_config *config)
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
                route(router, request, config);
        }
}

/* Takes fcgi. */
static void take(struct router *router, struct hl_fastcgi_request *fcgi)
{
        struct hl_config config;
        struct hl_err err = { 0 };
        struct hl_problem problem = { 0 };
        struct hl_router_request *request = hl_router_request_new(fcgi, &problem);
        if (problem.status) {
                hl_router_refuse_problem(request, &problem);
        } else if (hl_config_load(NULL, NULL, NULL, &config, &err) < 0) {
                hl_router_refuse_unavailable(request, request->model, &err);
        } else {
                answer(router, request, &config);
                hl_config_free(&config);
        }
}

/* ---- the program ---- */

static int on_connection(sd_event_source *source, int listen_fd, uint32_t events, void *data)
{
        (void)source;
        (void)events;
        struct router *router = data;
        int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
        struct hl_fastcgi_request *fcgi = fd >= 0 ? hl_fastcgi_read(fd, RECEIVE_US) : NULL;
        if (fcgi)
                take(router, fcgi);
        if (router->count == 0) /* else it notes those who wait, however many come */
                rearm_timer(router);
        return 0;
}

static int on_timer(sd_event_source *source, uint64_t now_us, void *data)
{
        (void)now_us;
        struct router *router = data;
        if (router->count == 0)
                return sd_event_exit(sd_event_source_get_event(source), EXIT_SUCCESS);
        for (const struct waiting *w = router->waiting; w; w = w->next)
                note_use(w);
        rearm_timer(router);
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
                r = sd_event_add_time(router->event, &router->timer, CLOCK_MONOTONIC,
                                      hl_clock_monotonic() + router->idle_us, 0, on_timer, router);
        if (r >= 0)
                r = sd_event_add_io(router->event, NULL, STDIN_FILENO, EPOLLIN, on_connection, router);
        if (r >= 0)
                router->wake = hl_wake_new(router->event, &router->bus, HL_WAKE_GRACE_US);
        router->cuts = (struct hl_router_cuts){ .event = router->event, .bus = &router->bus };
        return r;
}

int main(int argc, char **argv)
{
        if (hl_version_asked(argc, argv))
                return EXIT_SUCCESS;
        struct router router = { .bus = HL_BUS_INIT, .idle_us = hl_idle_of_environment(hl_fastcgi_limits.idle_us) };
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
        hl_router_cuts_end(&router.cuts);
        if (router.wake)
                hl_wake_free(router.wake);
        while (router.waiting) { /* for the successor, which systemd's socket starts */
                struct waiting *w = router.waiting;
                hand_back(w);
                forget(w);
        }
        sd_event_source_unref(router.timer);
        hl_bus_free(&router.bus);
        sd_event_unref(router.event);
        return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

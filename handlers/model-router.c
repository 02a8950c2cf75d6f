/* model-router - holds requests for models that do not run, starts these, and hands the requests back to NGINX; says
 * which model a request of the OpenAI API is for. Behind NGINX alone (nginx/home-lab-services), on a FastCGI socket.
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
#include "doors/fastcgi.h"
#include "doors/fastcgi_request.h"
#include "http/guard.h"
#include "lab/activity.h"
#include "lab/units.h"
#include "lab/wake.h"
#include "router_answers.h"
#include "router_body.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#define WAITING_MAX 900  /* requests at once; below what libfcgi's select() bears */
#define HAND_BACKS_MAX 6 /* NGINX takes ten redirections for a circle, and says so in HTML */
#define NOTE_EVERY_US HL_USEC_PER_SEC
#define RECEIVE_US (2 * HL_USEC_PER_SEC) /* NGINX has the whole request before it begins to send */

struct router {
        sd_event *event;
        sd_event_source *timer;
        uint64_t idle_us;
        struct hl_bus bus;
        struct hl_wake *wake;
        struct waiting *waiting;
        unsigned count;
};

/* A request that waits for its model. */
struct waiting {
        struct router *router;
        struct waiting *next, **link;
        struct hl_fastcgi_request *request;
        sd_event_source *left; /* NGINX closes the connection when the client has left */
        struct hl_wait *wait;
        uint64_t since_us;
        unsigned hand_backs; /* how often it was handed back already */
        char model[HL_MODEL_NAME_MAX + 1];
        char *unit;
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
static void hand_back(const struct waiting *w)
{
        struct hl_err err = { 0 };
        if (w->hand_backs >= HAND_BACKS_MAX) {
                hl_fail(&err, HL_ERR_BUSY, EBUSY, "router_restarted", "the router was restarted too often: try again");
                hl_router_refuse_unavailable(w->request, w->model, &err);
                return;
        }
        HL_CLEANUP(hl_free_pointer) char *header = hl_format("X-HL-Again: %u\r\n", w->hand_backs + 1);
        hl_router_redirect(w->request, "wake", w->model, header);
}

/* While a request waits, its model is in use, however long it loads; unless the request is one that only looks. */
static void note_use(const struct waiting *w)
{
        struct hl_err err = { 0 };
        const char *counts = hl_fastcgi_get(w->request, "HL_COUNTS");
        if (counts && strcmp(counts, "1") == 0 && hl_activity_touch(w->model, &err) < 0)
                hl_log(LOG_WARNING, NULL, "%s", err.message);
}

/* Should the model be stopped for being idle in this very moment, the request waits once more. */
static void pass_on(const struct waiting *w)
{
        struct hl_err err = { 0 };
        enum hl_unit_active active = HL_UNIT_ACTIVE;
        note_use(w);
        if (hl_activity_is_being_stopped(w->model))
                hl_units_states(&w->router->bus, (const char *const[]){ w->unit }, 1, &active, &err);
        if (active != HL_UNIT_ACTIVE)
                hand_back(w);
        else
                hl_router_redirect(w->request, "run", w->model, "");
        const struct hl_log_field fields[] = { { "HL_MODEL", w->model }, { NULL, NULL } };
        uint64_t waited_us = hl_clock_monotonic() - w->since_us;
        hl_log(LOG_INFO, fields, "%s is ready; a request waited for %llu ms", w->model,
               (unsigned long long)(waited_us / HL_USEC_PER_MSEC));
}

static void on_told(void *data, const struct hl_err *err)
{
        struct waiting *w = data;
        if (err->kind)
                hl_router_refuse_unavailable(w->request, w->model, err);
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
        hl_fastcgi_finish(w->request, NULL, 0);
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

static void wait_for(struct router *router, struct hl_fastcgi_request *request, const struct hl_model *model)
{
        if (!is_waited_for(router, model->name)) {
                const struct hl_log_field fields[] = { { "HL_MODEL", model->name }, { NULL, NULL } };
                hl_log(LOG_NOTICE, fields, "starting %s for a request from %s", model->name,
                       hl_fastcgi_get(request, "REMOTE_ADDR"));
        }
        struct waiting *w = hl_alloc(sizeof(*w));
        const char *again = hl_fastcgi_get(request, "HL_AGAIN");
        uint64_t hand_backs = 0;
        if (again && hl_parse_uint(again, HAND_BACKS_MAX, &hand_backs) < 0)
                hand_backs = HAND_BACKS_MAX;
        *w = (struct waiting){ .router = router,
                               .hand_backs = (unsigned)hand_backs,
                               .next = router->waiting,
                               .link = &router->waiting,
                               .request = request,
                               .since_us = hl_clock_monotonic(),
                               .unit = hl_strdup(model->unit) };
        memcpy(w->model, model->name, sizeof(w->model));
        if (w->next)
                w->next->link = &w->next;
        router->waiting = w;
        router->count++;
        if (sd_event_add_io(router->event, &w->left, hl_fastcgi_fd(request), EPOLLRDHUP, on_left, w) < 0)
                w->left = NULL; /* then it is found out when it is answered */
        w->wait = hl_wake_wait(router->wake, model, on_told, w);
        note_use(w);
        if (router->count == 1)
                rearm_timer(router);
}

/* ---- what a request is for ---- */

/* NGINX joins what several tries took by ", " and " : ". */
static const char *last_of(const char *list)
{
        if (!list)
                return "";
        const char *last = strrchr(list, ' ');
        return last ? last + 1 : list;
}

/* It had the request, and did not answer it. To send it once more could do twice what was asked for once. */
static void refuse_cut(struct router *router, struct hl_fastcgi_request *request, const struct hl_model *model)
{
        struct hl_unit_detail detail;
        struct hl_err err = { 0 }, bus_err = { 0 };
        bool timeout = strcmp(last_of(hl_fastcgi_get(request, "HL_UPSTREAM_STATUS")), "504") == 0;
        bool known = hl_units_detail(&router->bus, model->unit, &detail, &bus_err) == 0;
        HL_CLEANUP(hl_free_pointer)
        char *how = known && detail.active != HL_UNIT_ACTIVE ? hl_units_describe(&detail) : NULL;
        if (timeout)
                hl_fail(&err, HL_ERR_TIMEOUT, ETIMEDOUT, "model_timeout", "%s did not answer in time", model->name);
        else
                hl_fail(&err, HL_ERR_UPSTREAM, EIO, "model_ended",
                        "%s had the request and did not answer it%s%s; \"journalctl -u %s\" says why", model->name,
                        how ? ": it ended with " : "", how ? how : "", model->unit);
        hl_router_refuse(request, timeout ? 504 : 502, "model_unavailable", model->name, &err);
}

/* Who only looks at a model, a monitor above all, starts none. */
static bool is_a_look(const struct hl_fastcgi_request *request)
{
        const char *method = hl_fastcgi_get(request, "REQUEST_METHOD"), *path = hl_fastcgi_get(request, "REQUEST_URI");
        if (!method || !path || (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0))
                return false;
        path += strcspn(path + (*path == '/'), "/") + (*path == '/'); /* behind the model's name */
        path += *path == '/';
        return hl_in_list("health,metrics,props,slots", path, strcspn(path, "/?"));
}

static void wake(struct router *router, struct hl_fastcgi_request *request, const struct hl_model *model)
{
        struct hl_err err = { 0 };
        const char *status = last_of(hl_fastcgi_get(request, "HL_UPSTREAM_STATUS"));
        /* "-": no connection, so the model never saw the request; 503: it saw it and said that it is not ready. A model
         * that is stopped for having nothing to do had nothing of this request before its stop was queued. */
        bool sent = strcmp(last_of(hl_fastcgi_get(request, "HL_UPSTREAM_CONNECT_TIME")), "-") != 0;
        if (sent && strcmp(status, "503") != 0 && !hl_fastcgi_get(request, "HL_AGAIN") &&
            !hl_activity_is_being_stopped(model->name)) {
                refuse_cut(router, request, model);
        } else if (is_a_look(request)) {
                hl_fail(&err, HL_ERR_BUSY, EAGAIN, "model_not_loaded",
                        "%s is not loaded, and is not started for a look at it", model->name);
                hl_router_refuse_unavailable(request, model->name, &err);
        } else if (router->count >= WAITING_MAX) {
                hl_fail(&err, HL_ERR_BUSY, EBUSY, "too_many_waiting", "more than %d requests wait for models already",
                        WAITING_MAX);
                hl_router_refuse_unavailable(request, model->name, &err);
        } else {
                wait_for(router, request, model);
        }
}

/* ---- one request ---- */

static void unknown_model(struct hl_fastcgi_request *request, const char *name)
{
        struct hl_err err = { 0 };
        hl_fail(&err, HL_ERR_NOT_FOUND, ENOENT, "model_not_found",
                "there is no model \"%.*s\": GET /v1/models lists those that there are", HL_MODEL_NAME_MAX, name);
        hl_router_refuse(request, 404, "invalid_request_error", NULL, &err);
}

/* Whether this request may ask for anything: DNS rebinding makes a browser send requests under a name of its own. */
static bool is_admitted(struct hl_fastcgi_request *request, const struct hl_config *config)
{
        const struct hl_guard guard = { .host_names = config->allowed_hosts };
        const char *host = hl_fastcgi_get(request, "HTTP_HOST");
        struct hl_err err = { 0 };
        if (!host || hl_guard_is_our_host(&guard, host))
                return true;
        hl_fail(&err, HL_ERR_FORBIDDEN, EACCES, "host_not_allowed",
                "this host does not go by that name: use its address or add the name to auth.allowed_hosts");
        hl_router_refuse(request, 403, "invalid_request_error", NULL, &err);
        return false;
}

static void answer_for(struct router *router, struct hl_fastcgi_request *request, const struct hl_config *config,
                       const char *name, bool route)
{
        HL_CLEANUP(hl_catalog_free) struct hl_catalog catalog = { 0 };
        struct hl_err err = { 0 };
        if (!hl_model_name_valid(name)) {
                unknown_model(request, name);
        } else if (hl_catalog_load(config, name, NULL, NULL, &catalog, &err) < 0) {
                hl_router_refuse_unavailable(request, name, &err);
        } else if (catalog.count == 0) {
                unknown_model(request, name);
        } else if (catalog.models[0].port == 0) {
                hl_fail(&err, HL_ERR_CONFLICT, EINVAL, "model_without_port", "%s has no PORT: add one to %s", name,
                        catalog.models[0].file_path);
                hl_router_refuse_unavailable(request, name, &err);
        } else if (route) {
                hl_router_redirect(request, "model", name, "");
        } else {
                wake(router, request, &catalog.models[0]);
        }
}

static void route(struct router *router, struct hl_fastcgi_request *request, const struct hl_config *config)
{
        struct hl_err err = { 0 };
        HL_CLEANUP(hl_free_pointer) char *name = NULL;
        const char *method = hl_fastcgi_get(request, "REQUEST_METHOD");
        if (!method || strcmp(method, "POST") != 0) {
                hl_fail(&err, HL_ERR_NOT_FOUND, ENOENT, "not_found",
                        "only POST requests, whose body names a \"model\", are routed here; GET /v1/models lists them");
                hl_router_refuse(request, 404, "invalid_request_error", NULL, &err);
        } else if (hl_router_find_model(request, &name, &err) < 0) {
                hl_router_refuse(request, err.errnum == EFBIG ? 413 : 400, "invalid_request_error", NULL, &err);
        } else {
                answer_for(router, request, config, name, true);
        }
}

static void answer(struct router *router, struct hl_fastcgi_request *request)
{
        struct hl_config config;
        struct hl_err err = { 0 };
        const char *call = hl_fastcgi_get(request, "HL_CALL"), *model = hl_fastcgi_get(request, "HL_MODEL");
        if (hl_config_load(NULL, NULL, NULL, &config, &err) < 0) {
                hl_router_refuse_unavailable(request, model, &err);
                return;
        }
        if (is_admitted(request, &config)) {
                if (call && strcmp(call, "wake") == 0)
                        answer_for(router, request, &config, model ? model : "", false);
                else
                        route(router, request, &config);
        }
        hl_config_free(&config);
}

/* ---- the program ---- */

static int on_connection(sd_event_source *source, int listen_fd, uint32_t events, void *data)
{
        (void)source;
        (void)events;
        struct router *router = data;
        int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
        struct hl_fastcgi_request *request = fd >= 0 ? hl_fastcgi_read(fd, RECEIVE_US) : NULL;
        if (request)
                answer(router, request);
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
        return r;
}

int main(void)
{
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

/* SPDX-License-Identifier: MIT */
#include "bodies.h"

#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/queue.h>

#define STACK_SIZE (512 * 1024)

struct body {
        STAILQ_ENTRY(body) entry;
        struct hl_router_request *request;
        char *name;
        struct hl_err err; /* of kind NONE: it was read */
};

struct hl_router_bodies {
        sd_event_source *source;
        hl_router_find_fn *find;
        hl_router_body_fn *on_read;
        void *data;
        int read_fd; /* an eventfd: some were read */
        pthread_t thread;
        bool has_thread;
        pthread_mutex_t lock; /* of what follows */
        pthread_cond_t came;
        bool ends;
        STAILQ_HEAD(body_list, body) unread, read;
};

/* The first of a list, or NULL. */
static struct body *take_first(struct body_list *list)
{
        struct body *body = STAILQ_FIRST(list);
        if (body)
                STAILQ_REMOVE_HEAD(list, entry);
        return body;
}

static struct body *await_body(struct hl_router_bodies *bodies)
{
        pthread_mutex_lock(&bodies->lock);
        while (STAILQ_EMPTY(&bodies->unread) && !bodies->ends)
                pthread_cond_wait(&bodies->came, &bodies->lock);
        struct body *body = take_first(&bodies->unread);
        pthread_mutex_unlock(&bodies->lock);
        return body;
}

static void read_one(struct hl_router_bodies *bodies, struct body *body)
{
        bodies->find(body->request, &body->name, &body->err);
        pthread_mutex_lock(&bodies->lock);
        STAILQ_INSERT_TAIL(&bodies->read, body, entry);
        pthread_mutex_unlock(&bodies->lock);
        eventfd_write(bodies->read_fd, 1);
}

static void *read_all(void *data)
{
        struct body *body;
        while ((body = await_body(data)))
                read_one(data, body);
        return NULL;
}

static void begin_thread(struct hl_router_bodies *bodies)
{
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, STACK_SIZE);
        bodies->has_thread = pthread_create(&bodies->thread, &attributes, read_all, bodies) == 0;
        pthread_attr_destroy(&attributes);
}

void hl_router_bodies_read(struct hl_router_bodies *bodies, struct hl_router_request *request)
{
        struct body *body = hl_alloc(sizeof(*body));
        *body = (struct body){ .request = request };
        if (!bodies->has_thread)
                begin_thread(bodies);
        if (!bodies->has_thread) { /* others wait for it, but it is answered */
                read_one(bodies, body);
                return;
        }
        pthread_mutex_lock(&bodies->lock);
        STAILQ_INSERT_TAIL(&bodies->unread, body, entry);
        pthread_cond_signal(&bodies->came);
        pthread_mutex_unlock(&bodies->lock);
}

static struct body *take_read(struct hl_router_bodies *bodies)
{
        pthread_mutex_lock(&bodies->lock);
        struct body *body = take_first(&bodies->read);
        pthread_mutex_unlock(&bodies->lock);
        return body;
}

static void give_back(struct hl_router_bodies *bodies)
{
        struct body *body;
        while ((body = take_read(bodies))) {
                bodies->on_read(bodies->data, body->request, body->name, &body->err);
                free(body->name);
                free(body);
        }
}

static int on_read_fd(sd_event_source *source, int fd, uint32_t events, void *data)
{
        (void)source;
        (void)events;
        eventfd_t count;
        eventfd_read(fd, &count);
        give_back(data);
        return 0;
}

int hl_router_bodies_new(sd_event *event, hl_router_find_fn *find, hl_router_body_fn *on_read, void *data,
                         struct hl_router_bodies **ret_bodies)
{
        struct hl_router_bodies *bodies = hl_alloc(sizeof(*bodies));
        *bodies = (struct hl_router_bodies){ .find = find,
                                             .on_read = on_read,
                                             .data = data,
                                             .read_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                                             .lock = PTHREAD_MUTEX_INITIALIZER,
                                             .came = PTHREAD_COND_INITIALIZER };
        STAILQ_INIT(&bodies->unread);
        STAILQ_INIT(&bodies->read);
        int r = bodies->read_fd < 0 ? -errno : 0;
        if (r == 0)
                r = sd_event_add_io(event, &bodies->source, bodies->read_fd, EPOLLIN, on_read_fd, bodies);
        if (r < 0)
                hl_router_bodies_free(bodies);
        else
                *ret_bodies = bodies;
        return r < 0 ? r : 0;
}

void hl_router_bodies_free(struct hl_router_bodies *bodies)
{
        pthread_mutex_lock(&bodies->lock);
        bodies->ends = true;
        pthread_cond_signal(&bodies->came);
        pthread_mutex_unlock(&bodies->lock);
        if (bodies->has_thread)
                pthread_join(bodies->thread, NULL);
        give_back(bodies);
        sd_event_source_disable_unref(bodies->source);
        hl_close_fd(&bodies->read_fd);
        free(bodies);
}

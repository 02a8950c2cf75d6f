/* SPDX-License-Identifier: MIT */
#include "states_shared.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* One question, and those who have its answer. All have the same models. */
struct question {
        struct hl_catalog catalog; /* a share, so that no other one has its models' address */
        enum hl_unit_state *states;
        struct hl_err err;
        int result;
        unsigned askers;   /* and whoever it stands here for */
        uint64_t asked_us; /* before it was asked; 0: it is not yet */
        bool is_answered;
        pthread_cond_t changed; /* it is answered, or one of them may ask it */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct question *last; /* asked last; NULL: none was */
static struct question *next; /* not asked yet; NULL: nobody waits */

/* One is asked at a time. */
static bool is_asking(void)
{
        return last && !last->is_answered;
}

static bool is_of(const struct question *q, const struct hl_catalog *catalog)
{
        return q->catalog.models == catalog->models;
}

static struct question *new_question(struct hl_catalog *catalog)
{
        struct question *q = hl_alloc(sizeof(*q));
        q->catalog = hl_catalog_share(catalog);
        pthread_cond_init(&q->changed, NULL);
        q->states = hl_alloc(catalog->count * sizeof(*q->states));
        return q;
}

static void leave(struct question *q)
{
        if (!q || --q->askers > 0)
                return;
        pthread_cond_destroy(&q->changed);
        hl_catalog_free(&q->catalog);
        free(q->states);
        free(q);
}

/* With the mutex. NULL: others wait, who have other models. */
static struct question *join(struct hl_catalog *catalog, uint64_t came_us)
{
        struct question *q = last;
        if (!last || last->asked_us <= came_us || !is_of(last, catalog)) {
                if (next && !is_of(next, catalog))
                        return NULL;
                q = next = next ? next : new_question(catalog);
        }
        q->askers++;
        return q;
}

/* With the mutex, but for the time of the question. */
static void ask(struct question *q, struct hl_bus *bus, const struct hl_config *config)
{
        leave(last);
        last = q;
        q->askers++;
        next = NULL;
        q->asked_us = hl_clock_monotonic();
        pthread_mutex_unlock(&mutex);
        q->result = hl_states_read(bus, config, &q->catalog, q->states, &q->err);
        pthread_mutex_lock(&mutex);
        q->is_answered = true;
        pthread_cond_broadcast(&q->changed);
        if (next)
                pthread_cond_signal(&next->changed);
}

int hl_states_shared_read(struct hl_bus *bus, const struct hl_config *config, struct hl_catalog *catalog,
                          uint64_t came_us, enum hl_unit_state **ret_states, struct hl_err *err)
{
        size_t size = catalog->count * sizeof(**ret_states);
        HL_CLEANUP(hl_free_pointer) enum hl_unit_state *states = hl_alloc(size);
        pthread_mutex_lock(&mutex);
        struct question *q = join(catalog, came_us > 0 ? came_us : hl_clock_monotonic());
        while (q && !q->is_answered && is_asking())
                pthread_cond_wait(&q->changed, &mutex);
        if (q && !q->is_answered)
                ask(q, bus, config);
        int r = q ? q->result : 0;
        if (q && r == 0)
                memcpy(states, q->states, size);
        else if (q)
                *err = q->err;
        leave(q);
        pthread_mutex_unlock(&mutex);
        if (!q)
                r = hl_states_read(bus, config, catalog, states, err);
        if (r == 0)
                *ret_states = hl_steal(states);
        return r;
}

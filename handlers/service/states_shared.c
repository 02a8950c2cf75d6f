/* SPDX-License-Identifier: MIT */
#include "states_shared.h"

#include "base/err.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* One question, and those who wait for its answer. All have the same models. */
struct question {
        const struct hl_model *models;
        size_t count;
        enum hl_unit_state *states;
        struct hl_err err;
        int result;
        unsigned askers;
        bool is_answered;
        pthread_cond_t changed; /* it is answered, or one of them may ask it */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static bool asking;
static struct question *next; /* not asked yet; NULL: nobody waits */

/* With the mutex. NULL: others wait, who have other models. */
static struct question *join(const struct hl_catalog *catalog)
{
        if (next && (next->models != catalog->models || next->count != catalog->count))
                return NULL;
        if (!next) {
                next = hl_alloc(sizeof(*next));
                next->models = catalog->models;
                next->count = catalog->count;
                pthread_cond_init(&next->changed, NULL);
                next->states = hl_alloc(catalog->count * sizeof(*next->states));
        }
        next->askers++;
        return next;
}

static void leave(struct question *q)
{
        if (--q->askers > 0)
                return;
        pthread_cond_destroy(&q->changed);
        free(q->states);
        free(q);
}

/* With the mutex, but for the time of the question. */
static void ask(struct question *q, struct hl_bus *bus, const struct hl_config *config,
                const struct hl_catalog *catalog)
{
        next = NULL;
        asking = true;
        pthread_mutex_unlock(&mutex);
        q->result = hl_states_read(bus, config, catalog, q->states, &q->err);
        pthread_mutex_lock(&mutex);
        asking = false;
        q->is_answered = true;
        pthread_cond_broadcast(&q->changed);
        if (next)
                pthread_cond_signal(&next->changed);
}

int hl_states_shared_read(struct hl_bus *bus, const struct hl_config *config, const struct hl_catalog *catalog,
                          enum hl_unit_state **ret_states, struct hl_err *err)
{
        size_t size = catalog->count * sizeof(**ret_states);
        HL_CLEANUP(hl_free_pointer) enum hl_unit_state *states = hl_alloc(size);
        pthread_mutex_lock(&mutex);
        struct question *q = join(catalog);
        while (q && !q->is_answered && asking)
                pthread_cond_wait(&q->changed, &mutex);
        if (q && !q->is_answered)
                ask(q, bus, config, catalog);
        int r = q ? q->result : 0;
        if (q && r == 0)
                memcpy(states, q->states, size);
        else if (q)
                *err = q->err;
        if (q)
                leave(q);
        pthread_mutex_unlock(&mutex);
        if (!q)
                r = hl_states_read(bus, config, catalog, states, err);
        if (r == 0)
                *ret_states = hl_steal(states);
        return r;
}

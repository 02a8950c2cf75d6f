/* SPDX-License-Identifier: MIT */
/* service/states_shared: an answer is not older than who gets it, and one question is for all who wait. */
#include "base/err.h"
#include "base/mem.h"
#include "service/states_shared.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static struct hl_model models[2];
static unsigned questions;
static sem_t asked, may_answer, waits; /* a question has begun; it may end; somebody waits for another's */
static enum hl_unit_state now;         /* of all models; HL_UNIT_FAILED: the bus fails */

int __real_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int __wrap_hl_states_read(struct hl_bus *bus, const struct hl_config *config, const struct hl_catalog *catalog,
                          enum hl_unit_state *ret_states, struct hl_err *err);

int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
        sem_post(&waits);
        return __real_pthread_cond_wait(cond, mutex);
}

int __wrap_hl_states_read(struct hl_bus *bus, const struct hl_config *config, const struct hl_catalog *catalog,
                          enum hl_unit_state *ret_states, struct hl_err *err)
{
        (void)bus;
        (void)config;
        enum hl_unit_state then = now;
        __atomic_add_fetch(&questions, 1, __ATOMIC_RELAXED);
        sem_post(&asked);
        sem_wait(&may_answer);
        if (then == HL_UNIT_FAILED)
                return hl_fail(err, HL_ERR_BUSY, ETIMEDOUT, "bus_busy", "no answer");
        for (size_t i = 0; i < catalog->count; i++)
                ret_states[i] = then;
        return 0;
}

struct asker {
        pthread_t thread;
        struct hl_catalog catalog;
        enum hl_unit_state state;
        struct hl_err err;
        int result;
};

static void *run(void *data)
{
        struct asker *asker = data;
        HL_CLEANUP(hl_free_pointer) enum hl_unit_state *states = NULL;
        struct hl_bus bus = HL_BUS_INIT;
        const struct hl_config config = { 0 };
        asker->result = hl_states_shared_read(&bus, &config, &asker->catalog, &states, &asker->err);
        asker->state = states ? states[asker->catalog.count - 1] : HL_UNIT_INACTIVE;
        return NULL;
}

static void begin_at(struct asker *asker, struct hl_model *first, size_t count)
{
        *asker = (struct asker){ .catalog = { .models = first, .count = count } };
        assert_int_equal(pthread_create(&asker->thread, NULL, run, asker), 0);
}

static void begin(struct asker *asker, size_t count)
{
        begin_at(asker, &models[2 - count], count);
}

static void end(struct asker *asker)
{
        assert_int_equal(pthread_join(asker->thread, NULL), 0);
}

static int reset(void **state)
{
        (void)state;
        questions = 0;
        sem_init(&asked, 0, 0);
        sem_init(&may_answer, 0, 0);
        sem_init(&waits, 0, 0);
        return 0;
}

/* One asks and two come meanwhile, who may not have what the first is told. */
static void ask_three(struct asker askers[3], enum hl_unit_state first, enum hl_unit_state then)
{
        now = first;
        begin(&askers[0], 2);
        sem_wait(&asked);
        begin(&askers[1], 2);
        begin(&askers[2], 2);
        sem_wait(&waits);
        sem_wait(&waits);
        now = then;
        sem_post(&may_answer);
        sem_wait(&asked);
        sem_post(&may_answer);
        for (int i = 0; i < 3; i++)
                end(&askers[i]);
}

static void who_comes_meanwhile_shares_the_next_question(void **state)
{
        struct asker askers[3];
        (void)state;
        ask_three(askers, HL_UNIT_INACTIVE, HL_UNIT_ACTIVE);
        assert_int_equal(questions, 2);
        assert_int_equal(askers[0].state, HL_UNIT_INACTIVE);
        assert_int_equal(askers[1].state, HL_UNIT_ACTIVE);
        assert_int_equal(askers[2].state, HL_UNIT_ACTIVE);
}

static void a_failure_is_told_to_all_of_them_and_to_nobody_else(void **state)
{
        struct asker askers[3], later;
        (void)state;
        ask_three(askers, HL_UNIT_ACTIVE, HL_UNIT_FAILED);
        assert_int_equal(askers[0].result, 0);
        for (int i = 1; i < 3; i++) {
                assert_int_equal(askers[i].result, -ETIMEDOUT);
                assert_string_equal(askers[i].err.code, "bus_busy");
        }
        now = HL_UNIT_STARTING;
        begin(&later, 2);
        sem_post(&may_answer);
        end(&later);
        assert_int_equal(later.state, HL_UNIT_STARTING);
}

static void ask_beside(struct hl_model *models_of_other)
{
        struct asker first, second, other;
        now = HL_UNIT_ACTIVE;
        begin(&first, 2);
        sem_wait(&asked);
        begin(&second, 2);
        sem_wait(&waits);
        begin_at(&other, models_of_other, 1);
        sem_wait(&asked);
        for (int i = 0; i < 3; i++)
                sem_post(&may_answer);
        end(&first);
        end(&second);
        end(&other);
        assert_int_equal(questions, 3);
        assert_int_equal(other.state, HL_UNIT_ACTIVE);
}

/* The catalogue has changed between them. */
static void who_has_other_models_asks_alone(void **state)
{
        (void)state;
        ask_beside(&models[1]);
}

static void who_has_one_of_the_models_asks_alone(void **state)
{
        (void)state;
        ask_beside(&models[0]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(who_comes_meanwhile_shares_the_next_question, reset),
                cmocka_unit_test_setup(a_failure_is_told_to_all_of_them_and_to_nobody_else, reset),
                cmocka_unit_test_setup(who_has_other_models_asks_alone, reset),
                cmocka_unit_test_setup(who_has_one_of_the_models_asks_alone, reset),
        };
        return cmocka_run_group_tests_name("states_shared", tests, NULL, NULL);
}

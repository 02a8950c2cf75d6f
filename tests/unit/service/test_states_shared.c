/* SPDX-License-Identifier: MIT */
/* service/states_shared: an answer is not older than who gets it, and one question is for all who wait. */
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
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

static struct hl_catalog ours, others; /* before and after a file has changed */
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
        uint64_t came_us;
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
        asker->result = hl_states_shared_read(&bus, &config, &asker->catalog, asker->came_us, &states, &asker->err);
        asker->state = states ? states[asker->catalog.count - 1] : HL_UNIT_INACTIVE;
        return NULL;
}

static void begin_with(struct asker *asker, struct hl_catalog *catalog, uint64_t came_us)
{
        *asker = (struct asker){ .catalog = hl_catalog_share(catalog), .came_us = came_us };
        assert_int_equal(pthread_create(&asker->thread, NULL, run, asker), 0);
}

static void begin(struct asker *asker)
{
        begin_with(asker, &ours, 0);
}

static void end(struct asker *asker)
{
        assert_int_equal(pthread_join(asker->thread, NULL), 0);
        hl_catalog_free(&asker->catalog);
}

static struct hl_catalog catalog_of_two(void)
{
        return (struct hl_catalog){ .models = hl_alloc(2 * sizeof(struct hl_model)), .count = 2 };
}

static int reset(void **state)
{
        (void)state;
        questions = 0;
        sem_init(&asked, 0, 0);
        sem_init(&may_answer, 0, 0);
        sem_init(&waits, 0, 0);
        ours = catalog_of_two();
        others = catalog_of_two();
        return 0;
}

static int forget(void **state)
{
        (void)state;
        hl_catalog_free(&ours);
        hl_catalog_free(&others);
        return 0;
}

/* One asks and two come meanwhile, who may not have what the first is told. */
static void ask_three(struct asker askers[3], enum hl_unit_state first, enum hl_unit_state then)
{
        now = first;
        begin(&askers[0]);
        sem_wait(&asked);
        begin(&askers[1]);
        begin(&askers[2]);
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
        begin(&later);
        sem_post(&may_answer);
        end(&later);
        assert_int_equal(later.state, HL_UNIT_STARTING);
}

/* Some wait for a thread, while another answers one that came with them. */
static void who_came_before_a_question_has_its_answer(void **state)
{
        struct asker first, waited, later;
        (void)state;
        uint64_t came_us = hl_clock_monotonic();
        hl_sleep_or_hangup(-1, 1);
        now = HL_UNIT_ACTIVE;
        begin_with(&first, &ours, came_us);
        sem_wait(&asked);
        sem_post(&may_answer);
        end(&first);
        uint64_t then_us = hl_clock_monotonic();

        now = HL_UNIT_INACTIVE;
        begin_with(&waited, &ours, came_us);
        end(&waited);
        assert_int_equal(questions, 1);
        assert_int_equal(waited.state, HL_UNIT_ACTIVE);

        sem_post(&may_answer);
        begin_with(&later, &ours, then_us);
        end(&later);
        assert_int_equal(questions, 2);
        assert_int_equal(later.state, HL_UNIT_INACTIVE);
}

/* The catalogue has changed between them. */
static void who_has_other_models_asks_alone(void **state)
{
        struct asker first, second, other;
        (void)state;
        now = HL_UNIT_ACTIVE;
        begin(&first);
        sem_wait(&asked);
        begin(&second);
        sem_wait(&waits);
        begin_with(&other, &others, 1);
        sem_wait(&asked);
        for (int i = 0; i < 3; i++)
                sem_post(&may_answer);
        end(&first);
        end(&second);
        end(&other);
        assert_int_equal(questions, 3);
        assert_int_equal(other.state, HL_UNIT_ACTIVE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(who_comes_meanwhile_shares_the_next_question, reset, forget),
                cmocka_unit_test_setup_teardown(a_failure_is_told_to_all_of_them_and_to_nobody_else, reset, forget),
                cmocka_unit_test_setup_teardown(who_came_before_a_question_has_its_answer, reset, forget),
                cmocka_unit_test_setup_teardown(who_has_other_models_asks_alone, reset, forget),
        };
        return cmocka_run_group_tests_name("states_shared", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* config/claim, config/budget: what a model's file and config.json say of memory and groups. */
#include "support.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "config/catalog.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GIB (UINT64_C(1) << 30)

/* The model m whose file says this; findings are added. hl_catalog_free() */
static struct hl_catalog load(const char *folder, const char *text, struct hl_buf *findings)
{
        const struct hl_config config = { .models_dir = test_path(folder, "models"),
                                          .unit_template = "model@%s.service",
                                          .health_path = "/health" };
        const struct hl_report report = { test_note_finding, findings };
        struct hl_catalog catalog;
        struct hl_err err = { 0 };
        test_write(folder, "models/m", text);
        if (hl_catalog_load(&config, "m", &report, &catalog, &err) != 0)
                fail_msg("%s", err.message);
        assert_int_equal(catalog.count, 1);
        return catalog;
}

static void a_file_says_what_its_model_needs(void **state)
{
        struct hl_buf findings = { 0 };
        struct hl_catalog catalog =
                load(*state, "PORT=1\nGPU_MEMORY=\"0:18G 3:6G\"\nMEMORY=1.5G\nGROUP=\" big  chat big \"\nKEEP=yes\n",
                     &findings);
        const struct hl_claim *claim = &catalog.models[0].claim;
        assert_int_equal(findings.len, 0);
        assert_true(claim->bytes[0] == 18 * GIB && claim->bytes[3] == 6 * GIB && claim->bytes[1] == 0);
        assert_true(claim->bytes[HL_MEMORY] == GIB + GIB / 2);
        assert_string_equal(claim->groups, "big,chat");
        assert_true(claim->keep);
        assert_true(hl_claim_is_any(claim));
        struct hl_model copy = hl_model_copy(&catalog.models[0]);
        hl_catalog_free(&catalog);
        assert_string_equal(copy.claim.groups, "big,chat");
        hl_model_free(&copy);

        catalog = load(*state, "PORT=1\nGPU_MEMORY=18G\nKEEP=no\n", &findings);
        assert_true(catalog.models[0].claim.bytes[0] == 18 * GIB && !catalog.models[0].claim.keep);
        assert_null(catalog.models[0].claim.groups);
        hl_catalog_free(&catalog);
        static const char *const kept[] = { "True", "YES", "Yes", "on", "y" };
        for (size_t i = 0; i < HL_COUNT(kept); i++) {
                HL_CLEANUP(hl_free_pointer) char *text = hl_format("PORT=1\nKEEP=%s\n", kept[i]);
                catalog = load(*state, text, &findings);
                assert_true(catalog.models[0].claim.keep);
                hl_catalog_free(&catalog);
        }
        catalog = load(*state, "PORT=1\nKEEP=False\n", &findings);
        assert_false(catalog.models[0].claim.keep);
        hl_catalog_free(&catalog);
        catalog = load(*state, "PORT=1\nKEEP=on\nGROUP=\n", &findings);
        assert_false(hl_claim_is_any(&catalog.models[0].claim));
        hl_catalog_free(&catalog);
        assert_int_equal(findings.len, 0);
}

static void what_makes_no_sense_is_told_and_left_out(void **state)
{
        static const struct {
                const char *line, *finding;
        } wrong[] = {
                { "GPU_MEMORY=18GB", "m:2: GPU_MEMORY: must be an amount such as \"18G\" (of GPU 0)" },
                { "GPU_MEMORY=", "not \"\"" },
                { "GPU_MEMORY=0", "not \"0\"" },
                { "GPU_MEMORY=24", "not \"24\"" },
                { "MEMORY=24000", "not \"24000\"" },
                { "GPU_MEMORY=\"18G 6G\"", "not \"18G 6G\"" },
                { "GPU_MEMORY=\"00:18G\"", "not \"00:18G\"" },
                { "GPU_MEMORY=\"16:1G\"", "not \"16:1G\"" },
                { "GPU_MEMORY=\":1G\"", "not \":1G\"" },
                { "GPU_MEMORY=\"gpu0:1G\"", "not \"gpu0:1G\"" },
                { "GPU_MEMORY=\"0:1G 0:2G\"", "m:2: GPU_MEMORY: names GPU 0 twice: leave one of the two" },
                { "MEMORY=lots", "m:2: MEMORY: must be an amount such as \"6G\", with K, M, G or T, not \"lots\"" },
                { "GROUP=\"big,chat\"", "m:2: GROUP: must be names between blanks" },
                { "GROUP=-x", "not \"-x\"" },
                { "KEEP=always", "m:2: KEEP: must be \"yes\" or \"no\", not \"always\"" },
                { "GPUMEMORY=18G", "did you mean GPU_MEMORY?" },
        };
        for (size_t i = 0; i < HL_COUNT(wrong); i++) {
                struct hl_buf findings = { 0 };
                HL_CLEANUP(hl_free_pointer) char *text = hl_format("PORT=1\n%s\n", wrong[i].line);
                struct hl_catalog catalog = load(*state, text, &findings);
                if (!findings.data || !strstr(findings.data, wrong[i].finding))
                        fail_msg("%s: %s", wrong[i].line, findings.data ? findings.data : "nothing is told");
                assert_false(hl_claim_is_any(&catalog.models[0].claim));
                assert_false(catalog.models[0].claim.keep);
                assert_int_equal(catalog.models[0].port, 1);
                hl_catalog_free(&catalog);
                hl_buf_free(&findings);
        }
}

static int load_config(const char *folder, const char *text, struct hl_config *config, struct hl_buf *findings)
{
        const struct hl_report report = { test_note_finding, findings };
        struct hl_err err = { 0 };
        test_write(folder, "config.json", text);
        return hl_config_load(&report, config, &err);
}

static void the_configuration_says_what_the_host_has(void **state)
{
        struct hl_config config;
        struct hl_buf findings = { 0 };
        assert_int_equal(load_config(*state,
                                     "{\"capacity\": {\"gpus\": {\"0\": \"23G\", \"1\": \"8G\"}, \"memory\": \"56G\",\n"
                                     "\"min_residency_seconds\": 0, \"queue_seconds\": 1.5}}",
                                     &config, &findings),
                         0);
        const struct hl_capacity_budget *budget = &config.capacity;
        assert_true(budget->is_set && budget->bytes[0] == 23 * GIB && budget->bytes[1] == 8 * GIB);
        assert_true(budget->bytes[2] == 0 && budget->bytes[HL_MEMORY] == 56 * GIB);
        assert_true(budget->min_residency_us == 0 && budget->queue_us == 1500 * HL_USEC_PER_MSEC);
        hl_config_free(&config);

        assert_int_equal(load_config(*state, "{}", &config, &findings), 0);
        assert_false(config.capacity.is_set);
        assert_true(config.capacity.bytes[0] == 0 && config.capacity.bytes[HL_MEMORY] == 0);
        assert_true(config.capacity.min_residency_us == 30 * HL_USEC_PER_SEC);
        assert_true(config.capacity.queue_us == 120 * HL_USEC_PER_SEC);
        hl_config_free(&config);
        assert_int_equal(findings.len, 0);
}

static void a_wrong_budget_is_told_with_its_line(void **state)
{
        static const struct {
                const char *section, *finding;
        } wrong[] = {
                { "\"gpus\": {\n\"0\": \"23GB\"}", "config.json:3: capacity.gpus.0: must be an amount such as" },
                { "\"gpus\": {\n\"00\": \"23G\"}", "config.json:3: capacity.gpus.00: is not a known key" },
                { "\"gpus\": {\"0\": 23}", "capacity.gpus.0: must be an amount such as" },
                { "\"gpus\": [\"23G\"]", "capacity.gpus: must be null or an object such as {\"0\": \"23G\"}" },
                { "\"memory\": \"80%\"", "capacity.memory: must be an amount such as" },
                { "\"queue_seconds\": -1", "capacity.queue_seconds: must be a number of seconds from 0 to 3600" },
                { "\"min_residency_seconds\": \"30\"", "capacity.min_residency_seconds: must be a number of seconds" },
                { "\"gpu\": {}", "capacity.gpu: is not a known key" },
        };
        for (size_t i = 0; i < HL_COUNT(wrong); i++) {
                struct hl_config config;
                struct hl_buf findings = { 0 };
                HL_CLEANUP(hl_free_pointer) char *text = hl_format("{\n\"capacity\": {%s}}", wrong[i].section);
                assert_int_equal(load_config(*state, text, &config, &findings), -EINVAL);
                if (!findings.data || !strstr(findings.data, wrong[i].finding))
                        fail_msg("%s: %s", wrong[i].section, findings.data ? findings.data : "nothing is told");
                hl_buf_free(&findings);
        }
}

static void a_claim_matters_where_the_host_is_limited(void **state)
{
        (void)state;
        struct hl_capacity_budget none = { 0 }, gpu = { .bytes[0] = 23 * GIB };
        struct hl_claim claim = { .bytes[0] = GIB }, other = { .bytes[1] = GIB }, group = { .groups = (char[]){ "a" } };
        assert_false(hl_claim_matters(&claim, &none));
        assert_true(hl_claim_matters(&claim, &gpu));
        assert_false(hl_claim_matters(&other, &gpu));
        assert_true(hl_claim_matters(&group, &none));
        struct hl_claim two = { .groups = (char[]){ "x,big,a" } }, three = { .groups = (char[]){ "bi,big" } };
        size_t len = 0;
        assert_true(hl_has_prefix(hl_claim_shared_group(&two, &three, &len), "big"));
        assert_int_equal(len, 3);
        assert_null(hl_claim_shared_group(&group, &three, &len));
        assert_null(hl_claim_shared_group(&claim, &three, &len));
        assert_null(hl_claim_shared_group(&three, &claim, &len));
}

#define IN_FOLDER(function) cmocka_unit_test_setup_teardown(function, test_folder_setup, test_folder_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_FOLDER(a_file_says_what_its_model_needs),
                IN_FOLDER(what_makes_no_sense_is_told_and_left_out),
                IN_FOLDER(the_configuration_says_what_the_host_has),
                IN_FOLDER(a_wrong_budget_is_told_with_its_line),
                cmocka_unit_test(a_claim_matters_where_the_host_is_limited),
        };
        return cmocka_run_group_tests_name("claim", tests, NULL, NULL);
}

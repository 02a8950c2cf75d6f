/* SPDX-License-Identifier: MIT */
/* config/catalog: the models folder. */
#include "support.h"

#include "base/clock.h"
#include "base/mem.h"
#include "config/catalog.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct hl_config *config_of(const char *folder)
{
        static struct hl_config config;
        config = (struct hl_config){ .models_dir = test_path(folder, "models"),
                                     .unit_template = "model@%s.service",
                                     .health_path = "/health",
                                     .start_timeout_us = 120 * HL_USEC_PER_SEC,
                                     .idle_threshold_us = 30 * HL_USEC_PER_MINUTE };
        return &config;
}

static void load(const char *folder, const char *only, struct hl_catalog *catalog, struct hl_buf *findings)
{
        struct hl_err err = { 0 };
        const struct hl_report report = { test_note_finding, findings };
        if (hl_catalog_load(config_of(folder), only, &report, catalog, &err) != 0)
                fail_msg("%s", err.message);
}

static void models_are_read_and_sorted(void **state)
{
        struct hl_catalog catalog;
        struct hl_buf findings = { 0 };
        test_write(*state, "models/b:7b-q4.gguf", "PORT=\"8198\"\n");
        test_write(*state, "models/a_1", "PORT=80\nHEALTH_PATH=/ok\nIDLE_TIMEOUT=never\nSTART_TIMEOUT=2min\nX=\"y\"\n");
        test_write(*state, "models/C", "PORT=1\nPORT=65535\nIDLE_TIMEOUT=1h 30min\n");
        must(mkdir(test_path(*state, "models/folder"), 0755) == 0);
        load(*state, NULL, &catalog, &findings);
        assert_true(test_contains(&findings, "C:2: PORT: once more: line 1 is ignored, remove one of the two\n"));
        hl_buf_free(&findings);
        assert_int_equal(catalog.count, 3);
        assert_string_equal(catalog.models[0].name, "C");
        assert_int_equal(catalog.models[0].port, 65535); /* the later one, as in systemd */
        assert_true(catalog.models[0].idle_timeout_us == 90 * HL_USEC_PER_MINUTE);
        assert_string_equal(catalog.models[1].name, "a_1");
        assert_string_equal(catalog.models[1].health_path, "/ok");
        assert_true(catalog.models[1].idle_timeout_us == HL_USEC_INFINITY);
        assert_true(catalog.models[1].start_timeout_us == 2 * HL_USEC_PER_MINUTE);
        assert_string_equal(catalog.models[2].unit, "model@b:7b-q4.gguf.service");
        assert_int_equal(catalog.models[2].port, 8198);
        assert_string_equal(catalog.models[2].health_path, "/health");
        assert_true(catalog.models[2].idle_timeout_us == 30 * HL_USEC_PER_MINUTE);
        assert_true(catalog.models[2].start_timeout_us == 120 * HL_USEC_PER_SEC);
        char *text = test_read(catalog.models[2].file_path);
        assert_string_equal(text, "PORT=\"8198\"\n");
        free(text);
        assert_ptr_equal(hl_catalog_find_named(&catalog, "a_1"), &catalog.models[1]);
        assert_null(hl_catalog_find_named(&catalog, "a_"));
        hl_catalog_free(&catalog);
        assert_int_equal(catalog.count, 0);
        hl_catalog_free(&catalog);

        load(*state, "a_1", &catalog, &findings);
        assert_int_equal(catalog.count, 1);
        assert_string_equal(catalog.models[0].name, "a_1");
        hl_catalog_free(&catalog);
        load(*state, "../config.json", &catalog, &findings);
        assert_int_equal(catalog.count, 0);
        hl_catalog_free(&catalog);
        load(*state, "", &catalog, &findings);
        assert_int_equal(catalog.count, 0);
        hl_catalog_free(&catalog);
        hl_buf_free(&findings);
}

static void wrong_values_are_told_and_left_out(void **state)
{
        static const struct {
                const char *text, *finding;
        } wrong[] = {
                { "PORT=0\n", "m:1: PORT: must be a port number from 1 to 65535" },
                { "PORT=65536\n", "m:1: PORT: must be a port number" },
                { "PORT=-1\n", "m:1: PORT: must be a port number" },
                { "PORT=80a\n", "m:1: PORT: must be a port number" },
                { "PORT=\n", "m:1: PORT: must be a port number" },
                { "A=1\nPORT=8080 # comment\n", "m:2: PORT: must be a port number" },
                { "A=1\n", "m:0: PORT: is missing: without it the model cannot be reached" },
                { "", "m:0: PORT: is missing: without it the model cannot be reached" },
                { "PORT=1\nHEALTH_PATH=health\n", "m:2: HEALTH_PATH: must be a path that begins with /" },
                { "PORT=1\nHEALTH_PATH=\n", "m:2: HEALTH_PATH: must be a path that begins with /" },
                { "PORT=1\nHEALTH_PATH=\"/a\r\nX: y\"\n", "m:2: HEALTH_PATH: must be a path that begins with /" },
                { "PORT=1\nHEALTH_PATH=/a b\n", "m:2: HEALTH_PATH: must be a path that begins with /" },
                { "PORT=1\nIDLE_TIMEOUT=soon\n", "m:2: IDLE_TIMEOUT: must be a time span such as \"45min\"" },
                { "PORT=1\nIDLE_TIMEOUT=0\n", "m:2: IDLE_TIMEOUT: must be a time span" },
                { "PORT=1\nIDLE_TIMEOUT=-1min\n", "m:2: IDLE_TIMEOUT: must be a time span" },
                { "PORT=1\nSTART_TIMEOUT=999ms\n", "m:2: START_TIMEOUT: must be a time span from 1s to 1h" },
                { "PORT=1\nSTART_TIMEOUT=61min\n", "m:2: START_TIMEOUT: must be a time span from 1s to 1h" },
                { "PORT=1\nSTART_TIMEOUT=never\n", "m:2: START_TIMEOUT: must be a time span from 1s to 1h" },
                { "PORT=1\nnonsense\n", "m:2: : expected NAME=VALUE" },
        };
        for (size_t i = 0; i < HL_COUNT(wrong); i++) {
                struct hl_catalog catalog;
                struct hl_buf findings = { 0 };
                test_write(*state, "models/m", wrong[i].text);
                load(*state, NULL, &catalog, &findings);
                if (!test_contains(&findings, wrong[i].finding))
                        fail_msg("%s\n%s", wrong[i].text, findings.data ? findings.data : "nothing was told");
                assert_int_equal(catalog.count, 1); /* listed, without what was wrong */
                assert_int_equal(catalog.models[0].port, strncmp(wrong[i].text, "PORT=1", 6) == 0 ? 1 : 0);
                assert_string_equal(catalog.models[0].health_path, "/health");
                assert_true(catalog.models[0].idle_timeout_us ==
                            (catalog.models[0].port ? 30 * HL_USEC_PER_MINUTE : HL_USEC_INFINITY));
                assert_true(catalog.models[0].start_timeout_us == 120 * HL_USEC_PER_SEC);
                hl_catalog_free(&catalog);
                hl_buf_free(&findings);
        }
}

/* Whoever asks such a model is told what stands in PORT's place, and not to add what is there. */
static void why_there_is_no_port(void **state)
{
        static const struct {
                const char *text, *why;
        } cases[] = {
                { "COMMAND=x\n", "m has no PORT to be asked on: add one to " },
                { "IDLE_TIMEOUT=0\n", "m has no PORT to be asked on: add one to " },
                { "PORT=8224 # my port\n", "m:1: PORT must be a port number from 1 to 65535, not \"8224 # my port\"" },
                { "export PORT=1\n", "m:1: expected NAME=VALUE, so \"export PORT\" is ignored" },
                { "\xEF\xBB\xBFPORT=1\n", "m:1: begins with a byte order mark" },
                { "COMMAND=\"x\nPORT=\"1\"\n", "m:1: COMMAND is read as \"x PORT=1\"\"" },
                { "port=1\n", "m:1: port means nothing to us: did you mean PORT?" },
        };
        for (size_t i = 0; i < HL_COUNT(cases); i++) {
                struct hl_catalog catalog;
                struct hl_buf findings = { 0 };
                struct hl_err err = { 0 };
                test_write(*state, "models/m", cases[i].text);
                load(*state, NULL, &catalog, &findings);
                assert_int_equal(hl_model_has_port(&catalog.models[0], &err), -EINVAL);
                assert_string_equal(err.code, "model_without_port");
                if (!strstr(err.message, cases[i].why))
                        fail_msg("\"%s\" instead of \"%s\"", err.message, cases[i].why);
                hl_catalog_free(&catalog);
                hl_buf_free(&findings);
        }
        struct hl_catalog catalog;
        struct hl_buf findings = { 0 };
        struct hl_err err = { 0 };
        test_write(*state, "models/m", "export PORT=x\nPORT=1\n");
        load(*state, NULL, &catalog, &findings);
        assert_int_equal(hl_model_has_port(&catalog.models[0], &err), 0);
        hl_catalog_free(&catalog);
        hl_buf_free(&findings);
}

static void when_a_model_is_idle(void **state)
{
        static const struct {
                const char *text;
                uint64_t us;
        } files[] = {
                { "PORT=1\n", 30 * HL_USEC_PER_MINUTE },
                { "PORT=1\nIDLE_TIMEOUT=90\n", 90 * HL_USEC_PER_SEC },
                { "PORT=1\nIDLE_TIMEOUT=never\n", HL_USEC_INFINITY },
                { "PORT=1\nIDLE_TIMEOUT=Never\n", HL_USEC_INFINITY },
                { "PORT=1\nIDLE_TIMEOUT=infinity\n", HL_USEC_INFINITY }, /* systemd's word for it */
                { "A=1\n", HL_USEC_INFINITY },                           /* nobody can tell whether it is in use, */
                { "IDLE_TIMEOUT=90\n", 90 * HL_USEC_PER_SEC },           /* and somebody says that it does not matter */
        };
        for (size_t i = 0; i < HL_COUNT(files); i++) {
                struct hl_catalog catalog;
                struct hl_buf findings = { 0 };
                test_write(*state, "models/m", files[i].text);
                load(*state, NULL, &catalog, &findings);
                if (catalog.models[0].idle_timeout_us != files[i].us)
                        fail_msg("%s: %llu", files[i].text, (unsigned long long)catalog.models[0].idle_timeout_us);
                hl_catalog_free(&catalog);
                hl_buf_free(&findings);
        }
}

static void hostile_names_are_no_models(void **state)
{
        static const char *const bad[] = { "",   ".hidden", "..",  "a/b", "a b",      "a\nb",   "-a",    "_a",
                                           ":a", "a%s",     "a;b", "a@b", "\xC3\xA9", "a\\x2d", "a$(x)", "../x" };
        static const char *const good[] = { "a", "9", "A.b_c:d-e", "a..b", "llama-3.1:8b" };
        for (size_t i = 0; i < HL_COUNT(bad); i++)
                assert_false(hl_model_name_valid(bad[i]));
        for (size_t i = 0; i < HL_COUNT(good); i++)
                assert_true(hl_model_name_valid(good[i]));
        char name[HL_MODEL_NAME_MAX + 2];
        memset(name, 'a', sizeof(name) - 1);
        name[HL_MODEL_NAME_MAX + 1] = '\0';
        assert_false(hl_model_name_valid(name));
        name[HL_MODEL_NAME_MAX] = '\0';
        assert_true(hl_model_name_valid(name));

        struct hl_catalog catalog;
        struct hl_buf findings = { 0 };
        test_write(test_path(*state, "models"), name, "PORT=1\n");
        test_write(*state, "models/.hidden", "PORT=1\n");
        test_write(*state, "models/a\n\x1b[31m", "PORT=1\n");
        test_write(*state, "models/a b", "PORT=1\n");
        load(*state, NULL, &catalog, &findings);
        assert_int_equal(catalog.count, 1);
        assert_string_equal(catalog.models[0].name, name);
        assert_true(test_contains(&findings, ".hidden:0: : is skipped: "));
        assert_true(test_contains(&findings, "a??[31m:0: : is skipped: ")); /* safe on a terminal */
        assert_true(test_contains(&findings, "a b:0: : is skipped: "));
        hl_catalog_free(&catalog);
        hl_buf_free(&findings);
}

static void odd_files_are_told(void **state)
{
        struct hl_catalog catalog;
        struct hl_buf findings = { 0 };
        must(symlink("/nonexistent", test_path(*state, "models/dangling")) == 0);
        must(mkfifo(test_path(*state, "models/pipe"), 0600) == 0);
        char *large = hl_alloc(HL_MODEL_FILE_SIZE_MAX + 2);
        memset(large, '\n', HL_MODEL_FILE_SIZE_MAX + 1);
        test_write(*state, "models/large", large);
        free(large);
        load(*state, NULL, &catalog, &findings);
        assert_int_equal(catalog.count, 1);
        assert_true(test_contains(&findings, "dangling:0: : is skipped: it is no regular file"));
        assert_true(test_contains(&findings, "large:0: : is longer than 65536 bytes"));
        assert_true(test_contains(&findings, "pipe:0: : is skipped: it is no regular file"));
        hl_catalog_free(&catalog);
        hl_buf_free(&findings);
}

/* What was meant, where what is there means nothing. */
static void what_was_meant_is_told(void **state)
{
        static const struct {
                const char *text, *finding;
        } wrong[] = {
                { "port=8198\n", "m:1: port: means nothing to us: did you mean PORT?" },
                { "PROT=8198\nCOMMAND=x\n", "m:0: PORT: is missing" },
                { "#PORT=8198\n", "m:0: PORT: is missing" },
                { "COMMAND=\"x\nPORT=1\"\n", "m:0: PORT: is missing" },
                { "PORT=1\nCOMAND=x\n", "m:2: COMAND: means nothing to us: did you mean COMMAND?" },
                { "PORT=1\nCommand=x\n", "m:2: Command: means nothing to us: did you mean COMMAND?" },
                { "PORT=1\nCMD=x\n", "m:2: CMD: means nothing to us: did you mean COMMAND?" },
                { "PORT=1\ncheckEndpoint=/x\n", "m:2: checkEndpoint: means nothing to us: did you mean HEALTH_PATH?" },
                { "PORT=1\nVRAM=24G\n", "m:2: VRAM: means nothing to us: did you mean GPU_MEMORY?" },
                { "PORT=1\nHEALTH_URL=/x\n", "m:2: HEALTH_URL: means nothing to us: did you mean HEALTH_PATH?" },
                { "PORT=1\nIDLE_TIMEOT=5min\n", "m:2: IDLE_TIMEOT: means nothing to us: did you mean IDLE_TIMEOUT?" },
                { "PORT=1 # mine\n", "m:1: PORT: must be a port number from 1 to 65535, not \"1 # mine\": a comment" },
                { "PORT=1\nPATH=/opt/x/bin:$PATH\n", "m:2: PATH: has a $ or ~, and nothing is expanded in this file" },
                { "PORT=1\nHF_HOME=~/hf\n", "m:2: HF_HOME: has a $ or ~, and nothing" },
                { "PORT=1\nX=1\nARGS=\"--x ${X} --port 1\"\n", "m:3: ARGS: has a $ or ~, and nothing" },
                { "PORT=1\nARGS=--port=$PORT\n", "m:2: ARGS: has a $ or ~, and nothing" },
                { "PORT=1\nLD_LIBRARY_PATH=${X}/lib\n", "m:2: LD_LIBRARY_PATH: has a $ or ~, and nothing" },
                { "PORT=1\nCOMMAND=x --y \\\nIDLE_TIMEOUT=5min\n",
                  "m:2: COMMAND: takes the line \"IDLE_TIMEOUT=5min\" for its last word" },
                { "PORT=1\nMemoryMax=24G\n", "m:2: MemoryMax: is for the unit, and means nothing in this file: \"sudo "
                                             "systemctl edit model@m.service\"" },
        };
        static const char *const right[] = {
                "PORT=1\nCOMMAND=x ~/y $PORT\nAPI_KEY=a$b\nMODEL_PATH=/srv/x\n",
                "PORT=1\nCOMMAND=env KEEP=1 make x PORT=1\nModel=1\n",
                "PORT=1\nCOMMAND=make x MEMORY=8G\n",
                "PORT=1\nCOMMAND=\"x \\\n# --y\n--z\"\n",
                "PORT=1\nCOMMAND=x\nHOST=127.0.0.1\nPORTS=2\nTIMEOUTS=1\nA=${B}\n",
        };
        for (size_t i = 0; i < HL_COUNT(wrong) + HL_COUNT(right); i++) {
                bool is_wrong = i < HL_COUNT(wrong);
                const char *text = is_wrong ? wrong[i].text : right[i - HL_COUNT(wrong)];
                struct hl_catalog catalog;
                struct hl_buf findings = { 0 };
                test_write(*state, "models/m", text);
                load(*state, NULL, &catalog, &findings);
                if (is_wrong ? !test_contains(&findings, wrong[i].finding) : findings.len > 0)
                        fail_msg("%s\n%s", text, findings.data ? findings.data : "nothing was told");
                hl_catalog_free(&catalog);
                hl_buf_free(&findings);
        }
}

/* ---- files that cannot be read ---- */

static int read_result = 1; /* of every file, instead of reading it; 1: it is read */

int __real_hl_read_file(int dir_fd, const char *path, size_t max, struct hl_buf *buf);
int __wrap_hl_read_file(int dir_fd, const char *path, size_t max, struct hl_buf *buf);
int __wrap_hl_read_file(int dir_fd, const char *path, size_t max, struct hl_buf *buf)
{
        return read_result < 1 ? read_result : __real_hl_read_file(dir_fd, path, max, buf);
}

static void a_model_whose_file_may_not_be_read_stays(void **state)
{
        struct hl_catalog catalog;
        struct hl_buf findings = { 0 };
        struct hl_err err = { 0 };
        test_write(*state, "models/m", "PORT=1\n");
        read_result = -EACCES;
        load(*state, NULL, &catalog, &findings);
        read_result = 1;
        assert_int_equal(catalog.count, 1);
        assert_int_equal(catalog.models[0].read_error, EACCES);
        assert_int_equal(catalog.models[0].port, 0);
        assert_true(test_contains(&findings, "m:0: : cannot be read by the user "));
        assert_false(test_contains(&findings, "PORT"));
        assert_int_equal(hl_model_readable(&catalog.models[0], &err), -EACCES);
        assert_int_equal(err.kind, HL_ERR_CONFLICT);
        assert_string_equal(err.code, "model_file_unreadable");
        assert_non_null(strstr(err.message, "models/m cannot be read by the user "));
        assert_non_null(strstr(err.message, "sudo chmod 0644 "));
        assert_non_null(strstr(err.message, "sudo systemctl edit model@m.service"));
        hl_catalog_free(&catalog);
        hl_buf_free(&findings);
}

static void a_model_that_systemd_would_not_start_stays(void **state)
{
        struct hl_catalog catalog;
        struct hl_buf findings = { 0 };
        struct hl_err err = { 0 };
        test_write(*state, "models/m", "X=\xFC\nPORT=1\n");
        load(*state, NULL, &catalog, &findings);
        assert_int_equal(catalog.models[0].port, 1); /* it may run */
        assert_int_equal(hl_model_readable(&catalog.models[0], &err), -EILSEQ);
        assert_true(test_contains(&findings, "m:1: X: is not UTF-8"));
        hl_catalog_free(&catalog);
        hl_buf_free(&findings);
}

/* They are not gone because the disk is not there for a moment. */
static void files_that_cannot_be_read_now(void **state)
{
        static const int errors[] = { EIO, EMFILE, ENFILE, ENOMEM, ESTALE };
        test_write(*state, "models/m", "PORT=1\n");
        for (size_t i = 0; i < HL_COUNT(errors); i++) {
                struct hl_catalog catalog = { .count = 42 };
                struct hl_err err = { 0 };
                read_result = -errors[i];
                assert_int_equal(hl_catalog_load(config_of(*state), NULL, NULL, &catalog, &err), -errors[i]);
                assert_int_equal(err.kind, HL_ERR_BUSY);
                assert_int_equal(catalog.count, 42);
        }
        struct hl_catalog catalog;
        struct hl_buf findings = { 0 };
        read_result = -ENOENT; /* removed between two looks */
        load(*state, NULL, &catalog, &findings);
        read_result = 1;
        assert_int_equal(catalog.count, 0);
        assert_int_equal(findings.len, 0);
        hl_catalog_free(&catalog);
}

static void a_copy_of_a_model_outlives_its_catalogue(void **state)
{
        struct hl_catalog catalog;
        struct hl_buf findings = { 0 };
        test_write(*state, "models/m", "PORT=x\nALIASES=\"a b\"\nHEALTH_PATH=/ok\n");
        test_write(*state, "models/n", "PORT=1\n");
        load(*state, NULL, &catalog, &findings);
        struct hl_model m = hl_model_copy(&catalog.models[0]), n = hl_model_copy(&catalog.models[1]);
        hl_catalog_free(&catalog);
        assert_string_equal(m.name, "m");
        assert_string_equal(m.unit, "model@m.service");
        assert_string_equal(m.health_path, "/ok");
        assert_string_equal(m.aliases[0], "a");
        assert_string_equal(m.aliases[1], "b");
        assert_null(m.aliases[2]);
        assert_non_null(strstr(m.port_error, "PORT"));
        assert_null(n.aliases);
        assert_null(n.port_error);
        hl_model_free(&m);
        hl_model_free(&n);
        hl_buf_free(&findings);
}

static void absent_and_unreadable_folders(void **state)
{
        struct hl_catalog catalog = { .count = 42 };
        struct hl_err err = { 0 };
        struct hl_config config = *config_of(*state);
        config.models_dir = test_path(*state, "none"); /* a disk that is not there, perhaps */
        assert_int_equal(hl_catalog_load(&config, NULL, NULL, &catalog, &err), -ENOENT);
        assert_int_equal(err.kind, HL_ERR_INTERNAL);
        err = (struct hl_err){ 0 };
        test_write(*state, "file", "");
        config.models_dir = test_path(*state, "file");
        catalog.count = 42;
        assert_int_equal(hl_catalog_load(&config, NULL, NULL, &catalog, &err), -ENOTDIR);
        assert_int_equal(err.kind, HL_ERR_INTERNAL);
        assert_int_equal(catalog.count, 42);
}

#define IN_FOLDER(function) cmocka_unit_test_setup_teardown(function, test_folder_setup, test_folder_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_FOLDER(models_are_read_and_sorted),
                IN_FOLDER(wrong_values_are_told_and_left_out),
                IN_FOLDER(why_there_is_no_port),
                IN_FOLDER(when_a_model_is_idle),
                IN_FOLDER(hostile_names_are_no_models),
                IN_FOLDER(odd_files_are_told),
                IN_FOLDER(what_was_meant_is_told),
                IN_FOLDER(a_model_whose_file_may_not_be_read_stays),
                IN_FOLDER(a_model_that_systemd_would_not_start_stays),
                IN_FOLDER(files_that_cannot_be_read_now),
                IN_FOLDER(a_copy_of_a_model_outlives_its_catalogue),
                IN_FOLDER(absent_and_unreadable_folders),
        };
        return cmocka_run_group_tests_name("catalog", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* config/config: every error with file, line and key; defaults. */
#include "support.h"

#include "base/clock.h"
#include "base/mem.h"
#include "config/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int load(const char *folder, const char *text, struct hl_config *config, struct hl_buf *findings,
                struct hl_err *err)
{
        if (text)
                test_write(folder, "config.json", text);
        *err = (struct hl_err){ 0 };
        const struct hl_report report = { test_note_finding, findings };
        return hl_config_load(&report, config, err);
}

static int read_result = 1; /* of every file, instead of reading it (see tests/tests.mk: --wrap); 1: it is read */

int __real_hl_read_file(int dir_fd, const char *path, size_t max, struct hl_buf *buf);
int __wrap_hl_read_file(int dir_fd, const char *path, size_t max, struct hl_buf *buf);

int __wrap_hl_read_file(int dir_fd, const char *path, size_t max, struct hl_buf *buf)
{
        return read_result < 1 ? read_result : __real_hl_read_file(dir_fd, path, max, buf);
}

static void a_file_that_cannot_be_read(void **state)
{
        static const struct {
                int error;
                enum hl_err_kind kind;
        } rows[] = { { EACCES, HL_ERR_INTERNAL }, { EFBIG, HL_ERR_INTERNAL }, { EISDIR, HL_ERR_INTERNAL },
                     { EIO, HL_ERR_BUSY },        { EMFILE, HL_ERR_BUSY },    { ENFILE, HL_ERR_BUSY },
                     { ESTALE, HL_ERR_BUSY },     { ENOMEM, HL_ERR_BUSY } };
        for (size_t i = 0; i < HL_COUNT(rows); i++) {
                struct hl_config c;
                struct hl_buf findings = { 0 };
                struct hl_err err;
                read_result = -rows[i].error;
                assert_true(load(*state, NULL, &c, &findings, &err) < 0);
                read_result = 1;
                assert_int_equal(err.kind, rows[i].kind);
                assert_string_equal(err.code,
                                    err.kind == HL_ERR_BUSY ? "configuration_unreadable" : "configuration_invalid");
                assert_non_null(strstr(findings.data, strerror(rows[i].error)));
                hl_buf_free(&findings);
        }
}

static void an_absent_file_means_defaults(void **state)
{
        struct hl_config c;
        struct hl_buf findings = { 0 };
        struct hl_err err;
        unsetenv("MODELS_CONFIG_DIR");
        assert_int_equal(load(*state, NULL, &c, &findings, &err), 0);
        assert_int_equal(findings.len, 0);
        assert_true(c.default_minutes == 1);
        assert_string_equal(c.default_action, "poweroff");
        assert_string_equal(c.models_dir, "/etc/home-lab-services/models");
        assert_string_equal(c.unit_template, "model@%s.service");
        assert_string_equal(c.health_path, "/health");
        assert_true(c.start_timeout_us == 120 * HL_USEC_PER_SEC);
        assert_true(c.active_threshold_us == 10 * HL_USEC_PER_MINUTE);
        assert_true(c.idle_threshold_us == 30 * HL_USEC_PER_MINUTE);
        assert_true(c.host_idle_us == HL_USEC_INFINITY);
        assert_string_equal(c.host_idle_action, "poweroff");
        assert_true(c.trust_loopback);
        assert_null(c.allowed_hosts[0]);
        assert_false(c.models_need_token);
        assert_null(c.allowed_origins[0]);
        assert_string_equal(c.nginx_output, "/var/lib/home-lab-services/nginx/models.conf");
        assert_string_equal(c.upstream_host, "127.0.0.1");
        hl_config_free(&c);

        assert_int_equal(load(*state, "{}\n", &c, &findings, &err), 0); /* and so does an empty object */
        assert_string_equal(c.health_path, "/health");
        hl_config_free(&c);
}

static void all_keys_are_read(void **state)
{
        struct hl_config c;
        struct hl_buf findings = { 0 };
        struct hl_err err;
        unsetenv("MODELS_CONFIG_DIR");
        assert_int_equal(
                load(*state,
                     "{\"shutdown\":{\"default_minutes\":2.5,\"default_action\":\"reboot\"},"
                     "\"inference\":{\"models_dir\":\"/m\",\"unit_template\":\"llama@%s.service\","
                     "\"start_timeout_seconds\":7,\"health_path\":\"/ok?x=1\"},"
                     "\"monitoring\":{\"active_threshold_minutes\":0.5,\"idle_threshold_minutes\":525600,"
                     "\"host_idle_minutes\":90,\"host_idle_action\":\"halt\"},"
                     "\"auth\":{\"loopback\":\"token\",\"allowed_hosts\":[\"a.example\",\"b\"],\"models\":\"token\","
                     "\"allowed_origins\":[\"https://chat.example\",\"vscode-webview://*\",\"null\"]},"
                     "\"nginx\":{\"output\":\"/n\",\"upstream_host\":\"::1\"}}",
                     &c, &findings, &err),
                0);
        assert_true(c.default_minutes == 2.5);
        assert_string_equal(c.default_action, "reboot");
        assert_string_equal(c.models_dir, "/m");
        assert_string_equal(c.unit_template, "llama@%s.service");
        assert_string_equal(c.health_path, "/ok?x=1");
        assert_true(c.start_timeout_us == 7 * HL_USEC_PER_SEC);
        assert_true(c.active_threshold_us == HL_USEC_PER_MINUTE / 2);
        assert_true(c.idle_threshold_us == 525600 * HL_USEC_PER_MINUTE);
        assert_true(c.host_idle_us == 90 * HL_USEC_PER_MINUTE);
        assert_string_equal(c.host_idle_action, "halt");
        assert_false(c.trust_loopback);
        assert_string_equal(c.allowed_hosts[1], "b");
        assert_null(c.allowed_hosts[2]);
        assert_true(c.models_need_token);
        assert_string_equal(c.allowed_origins[1], "vscode-webview://*");
        assert_string_equal(c.allowed_origins[2], "null");
        assert_null(c.allowed_origins[3]);
        assert_string_equal(c.nginx_output, "/n");
        assert_string_equal(c.upstream_host, "::1");
        hl_config_free(&c);
        hl_config_free(&c); /* twice does nothing */

        assert_int_equal(load(*state, "{\"monitoring\":{\"host_idle_minutes\":null}}", &c, &findings, &err), 0);
        assert_true(c.host_idle_us == HL_USEC_INFINITY);
        hl_config_free(&c);
}

static void every_error_is_told_with_file_line_and_key(void **state)
{
        static const struct {
                const char *text, *finding;
        } wrong[] = {
                { "{\n\"shutdown\": {\n\"default_minutes\": 0 } }",
                  "config.json:3: shutdown.default_minutes: must be a" },
                { "{\"shutdown\":{\"default_minutes\":525601}}", "config.json:1: shutdown.default_minutes: must be" },
                { "{\"shutdown\":{\"default_minutes\":\"1\"}}",
                  "shutdown.default_minutes: must be a number of minutes" },
                { "{\"shutdown\":{\"default_action\":\"suspend\"}}",
                  "shutdown.default_action: must be \"poweroff\", " },
                { "{\"inference\":{\"models_dir\":\"models\"}}", "inference.models_dir: must be an absolute path" },
                { "{\"inference\":{\"models_dir\":\"/a b\"}}",
                  "inference.models_dir: must be an absolute path without blanks" },
                { "{\"inference\":{\"models_dir\":null}}", "inference.models_dir: must be an absolute path, not null" },
                { "{\"inference\":{\"unit_template\":\"model.service\"}}",
                  "inference.unit_template: must be the name" },
                { "{\"inference\":{\"unit_template\":\"a@%s%s.service\"}}", "inference.unit_template: must be the" },
                { "{\"inference\":{\"unit_template\":\"a/b@%s.service\"}}", "inference.unit_template: must be the" },
                { "{\"inference\":{\"unit_template\":\"a@%d.service\"}}", "inference.unit_template: must be the" },
                { "{\"inference\":{\"unit_template\":\"@%s.service\"}}", "inference.unit_template: must be the name" },
                { "{\"inference\":{\"start_timeout_seconds\":0}}", "inference.start_timeout_seconds: must be a whole" },
                { "{\"inference\":{\"start_timeout_seconds\":3601}}", "inference.start_timeout_seconds: must be a" },
                { "{\"inference\":{\"start_timeout_seconds\":1.5}}", "inference.start_timeout_seconds: must be a" },
                { "{\"inference\":{\"health_path\":\"health\"}}", "inference.health_path: must be a path that begins" },
                { "{\"inference\":{\"health_path\":\"/a\\r\\nX: y\"}}", "inference.health_path: must be a path" },
                { "{\"monitoring\":{\"idle_threshold_minutes\":-1}}", "monitoring.idle_threshold_minutes: must be" },
                { "{\"monitoring\":{\"active_threshold_minutes\":0}}", "monitoring.active_threshold_minutes: must" },
                { "{\"monitoring\":{\"active_threshold_minutes\":null}}", "monitoring.active_threshold_minutes: must" },
                { "{\"monitoring\":{\"host_idle_minutes\":false}}", "monitoring.host_idle_minutes: must be null or" },
                { "{\"monitoring\":{\"host_idle_action\":\"off\"}}", "monitoring.host_idle_action: must be" },
                { "{\"auth\":{\"loopback\":true}}", "auth.loopback: must be \"trust\" or \"token\", not true" },
                { "{\"auth\":{\"allowed_hosts\":\"a\"}}", "auth.allowed_hosts: must be an array of host names" },
                { "{\"auth\":{\"allowed_hosts\":[1]}}", "auth.allowed_hosts: must be an array of host names" },
                { "{\"auth\":{\"allowed_hosts\":[\"a\",\"http://b.lan/\"]}}",
                  "auth.allowed_hosts: must be names alone" },
                { "{\"auth\":{\"allowed_hosts\":[\"b.lan:5002\"]}}", "auth.allowed_hosts: must be names alone" },
                { "{\"auth\":{\"allowed_hosts\":[\"\"]}}", "auth.allowed_hosts: must be names alone" },
                { "{\"auth\":{\"models\":\"closed\"}}", "auth.models: must be \"open\" or \"token\", not \"closed\"" },
                { "{\"auth\":{\"models\":true}}", "auth.models: must be \"open\" or \"token\", not true" },
                { "{\n\"auth\":{\n\"allowed_origins\":[\"http://a\",\n\"http://b/\"]}}",
                  "config.json:3: auth.allowed_origins: \"http://b/\" must end with its host or port: no slash" },
                { "{\"auth\":{\"allowed_origins\":[\"*\"]}}", "auth.allowed_origins: \"*\" would let every page in" },
                { "{\"auth\":{\"allowed_origins\":[\"https://a:443\"]}}",
                  "\"https://a:443\" must be without its port" },
                { "{\"auth\":{\"allowed_origins\":[\"a\\u001bb\"]}}", "\"a?b\" has a character that no browser sends" },
                { "{\"auth\":{\"allowed_origins\":\"*\"}}", "auth.allowed_origins: must be an array of origins" },
                { "{\"auth\":{\"allowed_origins\":[null]}}", "auth.allowed_origins: must be an array of origins" },
                { "{\"nginx\":{\"output\":\"\"}}", "nginx.output: must be an absolute path" },
                { "{\"nginx\":{\"upstream_host\":\"localhost\"}}", "nginx.upstream_host: must be an IP address" },
                { "{\n\n\"nginx\":{\n\"port\":1}}",
                  "config.json:4: nginx.port: is not a known key; known here are out" },
                { "{\n\"extra\":1}", "config.json:2: extra: is not a known key; known here are shutdown, inference," },
                { "{\"auth\":[]}", "config.json:1: auth: must be an object, not []" },
                { "{\n\"auth\":{},\n\"auth\":{}}", "config.json:3: : the key \"auth\" appears twice" },
                { "{\n\"auth\":{},\n}", "config.json:3: : expected a key in double quotes" },
                { "{\n\"auth\":{},\n}",
                  "double quotes: line 2 has a comma too many, in front of a closing bracket: remove it" },
                { "{\"auth\":{\"allowed_hosts\":[\"a\",]}}", ": line 1 has a comma too many" },
                { "{ // x\n}", ": line 1 has a comment, and JSON has none: remove it" },
                { "{\n# x\n}", ": line 2 has a comment, and JSON has none: remove it" },
                { "{\n'auth': {}}", ": line 2 has single quotes, and JSON wants" },
                { "{\n\xE2\x80\x9C"
                  "auth\xE2\x80\x9D: {}}",
                  ": line 2 has a typographic quote, space or colon" },
                { "{\"auth\"\xEF\xBC\x9A {}}", ": line 1 has a typographic quote, space or colon" },
                { "\xFF\xFE{", ": line 1 has bytes as UTF-16 has them: save it as UTF-8" },
                { "", "config.json:1: : expected a JSON object" },
                { "{\"auth\":{\"loopback\":\"\xff\"}}", "config.json:1: : expected valid UTF-8" },
        };
        for (size_t i = 0; i < HL_COUNT(wrong); i++) {
                struct hl_buf findings = { 0 };
                struct hl_config c = { .default_minutes = 42 };
                struct hl_err err;
                assert_int_equal(load(*state, wrong[i].text, &c, &findings, &err), -EINVAL);
                assert_int_equal(err.kind, HL_ERR_INTERNAL);
                assert_string_equal(err.code, "configuration_invalid");
                if (!test_contains(&findings, wrong[i].finding))
                        fail_msg("%s\n%s", wrong[i].text, findings.data);
                assert_true(c.default_minutes == 42); /* untouched */
                hl_buf_free(&findings);
        }
}

/* A file of Windows' notepad, with a NUL for each letter of ASCII. */
static void utf_16_is_told_as_such(void **state)
{
        static const char text[] = "{\0}\0\n";
        struct hl_buf findings = { 0 };
        struct hl_config c;
        struct hl_err err = { 0 };
        const struct hl_report report = { test_note_finding, &findings };
        FILE *file = fopen(test_path(*state, "config.json"), "w");
        must(file && fwrite(text, 1, sizeof(text), file) == sizeof(text) && fclose(file) == 0);
        assert_int_equal(hl_config_load(&report, &c, &err), -EINVAL);
        assert_true(test_contains(&findings, ": line 1 has bytes as UTF-16 has them: save it as UTF-8"));
        hl_buf_free(&findings);
}

static void all_errors_are_told_at_once(void **state)
{
        struct hl_buf findings = { 0 };
        struct hl_config c;
        struct hl_err err;
        load(*state,
             "{\n\"shutdown\":{\"default_minutes\":0,\n\"x\":1},\n\"inference\":{\"models_dir\":\"m\"},\n\"y\":2}", &c,
             &findings, &err);
        assert_true(test_contains(&findings, ":2: shutdown.default_minutes: "));
        assert_true(test_contains(&findings, ":3: shutdown.x: "));
        assert_true(test_contains(&findings, ":4: inference.models_dir: "));
        assert_true(test_contains(&findings, ":5: y: "));
        hl_buf_free(&findings);
        assert_int_equal(hl_config_load(NULL, &c, &err), -EINVAL); /* without anybody to tell */
}

static void unreadable_files_are_errors(void **state)
{
        struct hl_buf findings = { 0 };
        struct hl_config c;
        struct hl_err err;
        must(mkdir(test_path(*state, "config.json"), 0755) == 0);
        assert_int_equal(load(*state, NULL, &c, &findings, &err), -EINVAL);
        assert_true(test_contains(&findings, "config.json:0: : Is a directory"));
        must(rmdir(test_path(*state, "config.json")) == 0);
        must(symlink("/nowhere", test_path(*state, "config.json")) == 0); /* it may say that this host needs a token */
        assert_int_equal(load(*state, NULL, &c, &findings, &err), -EINVAL);
        assert_true(test_contains(&findings, "config.json:0: : is a link that leads nowhere"));
        must(unlink(test_path(*state, "config.json")) == 0);
        hl_buf_free(&findings);

        char *large = hl_alloc(HL_CONFIG_SIZE_MAX + 2);
        memset(large, ' ', HL_CONFIG_SIZE_MAX + 1);
        memcpy(large, "{}", 2);
        assert_int_equal(load(*state, large, &c, &findings, &err), -EINVAL);
        assert_true(test_contains(&findings, "config.json:0: : File too large"));
        large[HL_CONFIG_SIZE_MAX] = '\0';
        assert_int_equal(load(*state, large, &c, &findings, &err), 0);
        hl_config_free(&c);
        free(large);
        hl_buf_free(&findings);
}

static void folders_come_from_the_environment(void **state)
{
        struct hl_config c;
        struct hl_buf findings = { 0 };
        struct hl_err err;
        assert_string_equal(hl_configuration_dir(), *state);
        assert_string_equal(hl_state_dir(), *state);
        assert_int_equal(load(*state, "{\"inference\":{\"models_dir\":\"/m\"}}", &c, &findings, &err), 0);
        assert_string_equal(c.models_dir, getenv("MODELS_CONFIG_DIR")); /* stronger than the file */
        hl_config_free(&c);
        setenv("CONFIGURATION_DIRECTORY", "relative", 1);
        assert_string_equal(hl_configuration_dir(), "/etc/home-lab-services");
        setenv("STATE_DIRECTORY", "", 1);
        assert_string_equal(hl_state_dir(), "/var/lib/home-lab-services");
}

#define IN_FOLDER(function) cmocka_unit_test_setup_teardown(function, test_folder_setup, test_folder_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_FOLDER(an_absent_file_means_defaults),
                IN_FOLDER(a_file_that_cannot_be_read),
                IN_FOLDER(all_keys_are_read),
                IN_FOLDER(every_error_is_told_with_file_line_and_key),
                IN_FOLDER(utf_16_is_told_as_such),
                IN_FOLDER(all_errors_are_told_at_once),
                IN_FOLDER(unreadable_files_are_errors),
                IN_FOLDER(folders_come_from_the_environment),
        };
        return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* nginx-config-updater/cluster/kubeconfig: what kubectl writes is understood; what cannot be used says why. */
#include "support.h"

#include "base/mem.h"
#include "nginx-config-updater/cluster/kubeconfig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HEAD "apiVersion: v1\nkind: Config\ncurrent-context: home\n"
#define CONTEXTS "contexts:\n- {name: other, context: {}}\n- name: home\n  context:\n    cluster: c\n    user: u\n"
#define CLUSTERS "clusters:\n- name: c\n  cluster:\n    server: https://10.0.0.1:6443/\n"
#define USERS "users:\n- name: u\n  user:\n"
#define WHOLE HEAD CONTEXTS CLUSTERS USERS "    token: secret\n"

static int load(const char *folder, const char *text, struct hl_kubeconfig *ret_config, struct hl_err *err)
{
        *err = (struct hl_err){ 0 };
        test_write(folder, "config", text);
        return hl_kubeconfig_load(test_path(folder, "config"), ret_config, err);
}

static void a_token_is_read_with_its_server(void **state)
{
        HL_CLEANUP(hl_kubeconfig_free) struct hl_kubeconfig config = { 0 };
        struct hl_err err;
        assert_int_equal(load(*state, WHOLE, &config, &err), 0);
        assert_string_equal(config.server, "https://10.0.0.1:6443");
        assert_string_equal(config.token, "secret");
        assert_null(config.ca);
        assert_null(config.certificate);
}

static void json_is_yaml(void **state)
{
        HL_CLEANUP(hl_kubeconfig_free) struct hl_kubeconfig config = { 0 };
        struct hl_err err;
        assert_int_equal(
                load(*state,
                     "{\"current-context\":\"h\",\"contexts\":[{\"name\":\"h\",\"context\":{\"cluster\":\"c\","
                     "\"user\":\"u\"}}],\"clusters\":[{\"name\":\"c\",\"cluster\":{\"server\":\"https://a\"}}],"
                     "\"users\":[{\"name\":\"u\",\"user\":{\"token\":\"t\"}}]}",
                     &config, &err),
                0);
        assert_string_equal(config.server, "https://a");
}

static void certificates_as_data_and_as_files_beside_it(void **state)
{
        HL_CLEANUP(hl_kubeconfig_free) struct hl_kubeconfig config = { 0 };
        struct hl_err err;
        test_write(*state, "client.key", "KEY\n");
        test_write(*state, "token", "from a file\n");
        HL_CLEANUP(hl_free_pointer)
        char *text =
                hl_format(HEAD CONTEXTS CLUSTERS "    certificate-authority-data: Q0E=\n" USERS
                                                 "    client-certificate-data: Q0VSVA==\n    client-key: client.key\n"
                                                 "    token: old\n    tokenFile: %s\n",
                          test_path(*state, "token"));
        assert_int_equal(load(*state, text, &config, &err), 0);
        assert_string_equal(config.ca, "CA");
        assert_string_equal(config.certificate, "CERT");
        assert_string_equal(config.key, "KEY");
        assert_string_equal(config.token, "from a file");
}

static void what_cannot_be_used_says_why(void **state)
{
        static const struct {
                const char *text, *says;
        } wrong[] = {
                { "a: [", "line 2: not YAML" },
                { "--- just text", "no \"current-context\"" },
                { HEAD, "no \"home\" in \"contexts\"" },
                { HEAD CONTEXTS, "no \"c\" in \"clusters\"" },
                { HEAD CONTEXTS CLUSTERS, "no \"u\" in \"users\"" },
                { HEAD CONTEXTS CLUSTERS USERS "    exec: {command: aws}\n", "\"exec\"" },
                { HEAD CONTEXTS CLUSTERS USERS "    client-certificate-data: Q0E=\n", "only one of" },
                { HEAD CONTEXTS CLUSTERS USERS "    client-certificate-data: Q0E\n", "is not base64" },
                { HEAD CONTEXTS CLUSTERS USERS "    client-certificate-data: Q=E=\n", "is not base64" },
                { HEAD CONTEXTS CLUSTERS USERS "    client-certificate-data: AAAA\n", "is not base64" }, /* a NUL */
                { HEAD CONTEXTS CLUSTERS USERS "    tokenFile: /nowhere/token\n", "/nowhere/token cannot be read" },
                { HEAD CONTEXTS "clusters: [{name: c, cluster: {server: 'http://a'}}]\n" USERS "    token: t\n",
                  "https://" },
                { HEAD CONTEXTS "clusters: [{name: c, cluster: {server: 'https://'}}]\n" USERS "    token: t\n",
                  "https://" },
                { HEAD CONTEXTS CLUSTERS "    insecure-skip-tls-verify: true\n" USERS "    token: t\n",
                  "insecure-skip-tls-verify" },
                { HEAD "contexts: &a [*a]\n", "no \"home\" in \"contexts\"" }, /* it contains itself */
        };
        for (size_t i = 0; i < HL_COUNT(wrong); i++) {
                struct hl_kubeconfig config = { 0 };
                struct hl_err err;
                assert_true(load(*state, wrong[i].text, &config, &err) < 0);
                if (!strstr(err.message, wrong[i].says))
                        fail_msg("\"%s\" does not say \"%s\"", err.message, wrong[i].says);
                assert_null(config.server);
        }
}

static void an_empty_or_absent_file(void **state)
{
        struct hl_kubeconfig config = { 0 };
        struct hl_err err;
        assert_int_equal(load(*state, "", &config, &err), -EINVAL);
        err = (struct hl_err){ 0 };
        assert_int_equal(hl_kubeconfig_load("/nowhere/config", &config, &err), -ENOENT);
        assert_int_equal(err.kind, HL_ERR_NOT_FOUND);
}

static void the_environment_names_it(void **state)
{
        HL_CLEANUP(hl_kubeconfig_free) struct hl_kubeconfig config = { 0 };
        struct hl_err err = { 0 };
        test_write(*state, "config", WHOLE);
        must(setenv("KUBECONFIG", test_path(*state, "config"), 1) == 0);
        assert_int_equal(hl_kubeconfig_load(NULL, &config, &err), 0);
        unsetenv("KUBECONFIG");
}

static void outside_of_a_pod_there_is_no_pods_account(void **state)
{
        (void)state;
        struct hl_kubeconfig config = { 0 };
        struct hl_err err = { 0 };
        unsetenv("KUBERNETES_SERVICE_HOST");
        assert_int_equal(hl_kubeconfig_load_pod(&config, &err), -ENOENT);
        assert_int_equal(err.kind, HL_ERR_NOT_FOUND);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_token_is_read_with_its_server, test_folder_setup,
                                                test_folder_teardown),
                cmocka_unit_test_setup_teardown(json_is_yaml, test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(certificates_as_data_and_as_files_beside_it, test_folder_setup,
                                                test_folder_teardown),
                cmocka_unit_test_setup_teardown(what_cannot_be_used_says_why, test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(an_empty_or_absent_file, test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(the_environment_names_it, test_folder_setup, test_folder_teardown),
                cmocka_unit_test(outside_of_a_pod_there_is_no_pods_account),
        };
        return cmocka_run_group_tests_name("kubeconfig", tests, NULL, NULL);
}

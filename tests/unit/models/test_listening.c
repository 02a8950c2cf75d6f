/* SPDX-License-Identifier: MIT */
/* models/listening and kernel/unix_listeners: what COMMAND says, and where the model's unit listens. The kernel's list
 * of TCP sockets is answered here (see tests/tests.mk: --wrap), the unix socket is a real one. */
#include "support.h"

#include "base/mem.h"
#include "kernel/sockets.h"
#include "kernel/unix_listeners.h"
#include "models/listening.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct hl_listener sockets[4];
static size_t socket_count;

int __wrap_hl_sockets_listeners(uint16_t port, hl_listener_fn *each, void *data, struct hl_err *err);

int __wrap_hl_sockets_listeners(uint16_t port, hl_listener_fn *each, void *data, struct hl_err *err)
{
        (void)port;
        (void)err;
        for (size_t i = 0; i < socket_count; i++)
                each(data, &sockets[i]);
        return 0;
}

static void what_a_command_says(void **state)
{
        (void)state;
        static const struct {
                const char *command;
                bool says;
        } cases[] = {
                { "llama-server --port 8299 -m x", true },
                { "llama-server --port=8299", true },
                { "server -p 8299", true },
                { "server -p8299", true },
                { "server --bind 0.0.0.0:8299", true },
                { "fake.py 8299", true },
                { "OLLAMA_HOST=127.0.0.1:8299 ollama serve", true },
                { "server 127.0.0.1:8299", true },
                { "llama-server --port 8299 --metrics-port 8299", false },
                { "server --metrics-port 8299", false }, /* its own port it may have from the variable PORT */
                { "METRICS_PORT=8299 server", false },
                { "server --grpc-port=8299", false },
                { "llama-server --port 18299", false },
                { "llama-server --port 82991", false },
                { "llama-server -m x", false },
                { "server --port 8299 --port $PORT", false },
                { "server --admin 8299 --port ${PORT}", false },
                { "server --port 8202 8299", false },
                { "", false },
        };
        for (size_t i = 0; i < HL_COUNT(cases); i++)
                if (hl_listening_command_says(cases[i].command, 8299, 8202) != cases[i].says)
                        fail_msg("%s", cases[i].command);
}

static uint64_t group(const char *folder)
{
        struct stat status;
        must(stat(folder, &status) == 0);
        return status.st_ino;
}

static void look(const char *folder, const char *command, struct hl_listening *l)
{
        static char unit[] = "model@m.service";
        struct hl_model model = { .name = "m2", .port = 8202, .unit = unit };
        HL_CLEANUP(hl_free_pointer) char *text = hl_format("COMMAND='%s'\n", command);
        test_write(folder, "models/m2", text);
        model.file_path = hl_strdup(test_path(folder, "models/m2"));
        hl_listening_look(&model, l);
        free(model.file_path);
}

static void where_it_listens(void **state)
{
        const char *own = test_path(*state, "system.slice/system-model.slice/model@m.service");
        HL_CLEANUP(hl_free_pointer) char *command = hl_format("mkdir -p '%s'", own);
        must(system(command) == 0);
        setenv("HL_CGROUP_ROOT", *state, 1);
        uint64_t mine = group(own);
        struct hl_listening l;
        const struct hl_listener at_8299 = { .port = 8299, .cgroup = mine, .address = { 127, 0, 0, 1 } },
                                 at_9001 = { .port = 9001, .cgroup = mine },
                                 others = { .port = 8300, .cgroup = mine + 1000 },
                                 v6 = { .port = 8202, .cgroup = mine, .is_v6 = true, .address = { [15] = 1 } },
                                 lan = { .port = 8202, .cgroup = mine, .address = { 192, 168, 1, 5 } },
                                 here = { .port = 8202, .cgroup = mine };
        sockets[0] = others;
        socket_count = 1;
        look(*state, "x --port 8299", &l);
        assert_int_equal(l.where, HL_LISTENS_NOWHERE);

        sockets[1] = at_8299;
        socket_count = 2;
        look(*state, "x --port 8299", &l);
        assert_int_equal(l.where, HL_LISTENS_ELSEWHERE);
        assert_true(l.is_certain);
        assert_non_null(strstr(l.sentence, "m2 listens on 8299, but PORT is 8202: write PORT=\"8299\""));
        look(*state, "x --port $PORT", &l);
        assert_int_equal(l.where, HL_LISTENS_ELSEWHERE);
        assert_false(l.is_certain);
        assert_non_null(strstr(l.sentence, "m2 listens on 8299, but PORT is 8202"));

        sockets[2] = at_9001;
        socket_count = 3;
        look(*state, "x --port 8299", &l);
        assert_int_equal(l.where, HL_LISTENS_ELSEWHERE);
        assert_false(l.is_certain);
        assert_non_null(strstr(l.sentence, "m2 listens on 8299 and 9001, but PORT is 8202"));

        sockets[3] = here;
        socket_count = 4;
        look(*state, "x --port 8299", &l);
        assert_int_equal(l.where, HL_LISTENS_HERE);

        sockets[0] = v6;
        socket_count = 1;
        look(*state, "x --host ::1", &l);
        assert_true(l.is_certain);
        assert_non_null(strstr(l.sentence, "m2 listens on ::1 alone, port 8202"));
        look(*state, "x", &l);
        assert_int_equal(l.where, HL_LISTENS_ELSEWHERE);
        assert_false(l.is_certain);
        sockets[0] = lan;
        look(*state, "x --host 192.168.1.5", &l);
        assert_true(l.is_certain);
        assert_non_null(strstr(l.sentence, "m2 listens on 192.168.1.5 alone"));

        sockets[0] = at_8299;
        sockets[0].cgroup = 0; /* an older kernel says nothing of it */
        look(*state, "x --port 8299", &l);
        assert_int_equal(l.where, HL_LISTENS_UNKNOWN);
        unsetenv("HL_CGROUP_ROOT");
}

static void a_unix_socket_that_is_spoken_of(void **state)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        strcpy(address.sun_path, test_path(*state, "m.sock"));
        HL_CLEANUP(hl_close_fd) int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        must(bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
        HL_CLEANUP(hl_free_pointer) char *command = hl_format("server --uds %s --x", address.sun_path);
        assert_null(hl_unix_listener_in(command)); /* it does not listen yet */
        must(listen(fd, 1) == 0);
        HL_CLEANUP(hl_free_pointer) char *found = hl_unix_listener_in(command);
        assert_string_equal(found, address.sun_path);
        HL_CLEANUP(hl_free_pointer) char *longer = hl_format("server --uds %s2", address.sun_path);
        assert_null(hl_unix_listener_in(longer));
        assert_null(hl_unix_listener_in("server --port 8202"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_a_command_says),
                cmocka_unit_test_setup_teardown(where_it_listens, test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(a_unix_socket_that_is_spoken_of, test_folder_setup,
                                                test_folder_teardown),
        };
        return cmocka_run_group_tests_name("listening", tests, NULL, NULL);
}

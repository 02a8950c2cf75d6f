/* SPDX-License-Identifier: MIT */
/* models/owner and kernel/cgroups: a tree of control groups of the test's own, and a socket that the kernel puts in
 * none of them: its number is answered here (see tests/tests.mk: --wrap). */
#include "support.h"

#include "base/mem.h"
#include "kernel/cgroups.h"
#include "models/owner.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PORT 8198
#define MODEL "/system.slice/system-model.slice/model@m.service"

static struct hl_listener seen;
static int there;

int __wrap_hl_sockets_listener(uint16_t port, struct hl_listener *ret_listener, struct hl_err *err);

int __wrap_hl_sockets_listener(uint16_t port, struct hl_listener *ret_listener, struct hl_err *err)
{
        (void)err;
        *ret_listener = seen;
        ret_listener->port = port;
        return there;
}

static const char *root;

static uint64_t number_of(const char *path)
{
        struct stat status;
        HL_CLEANUP(hl_free_pointer) char *folder = hl_format("%s%s", root, path);
        must(stat(folder, &status) == 0);
        return status.st_ino;
}

static void make(const char *path)
{
        HL_CLEANUP(hl_free_pointer) char *command = hl_format("mkdir -p '%s%s'", root, path);
        must(system(command) == 0);
}

static int setup(void **state)
{
        test_folder_setup(state);
        root = *state;
        setenv("HL_CGROUP_ROOT", root, 1);
        make(MODEL "/own/below");
        make("/system.slice/system-model.slice/model@other.service");
        make("/system.slice/stranger.service");
        make("/system.slice/docker.service");
        make("/user.slice/user-0.slice/session-3.scope");
        make("/user.slice/user-1000.slice/user@1000.service/user.slice/podman-17.scope");
        make("/mine.slice/model@elsewhere.service");
        there = 1;
        return 0;
}

static int teardown(void **state)
{
        unsetenv("HL_CGROUP_ROOT");
        return test_folder_teardown(state);
}

static struct hl_model model_named(const char *name)
{
        struct hl_model model = { .port = PORT, .unit = hl_format("model@%s.service", name) };
        strcpy(model.name, name);
        return model;
}

static void expect(const char *path, uint32_t uid, enum hl_owner_kind kind, const char *described)
{
        static const struct hl_listener loopback = { .address = { 127, 0, 0, 1 } };
        struct hl_model model = model_named("m");
        struct hl_owner owner;
        struct hl_err err = { 0 };
        seen = loopback;
        seen.uid = uid;
        seen.cgroup = path ? number_of(path) : 0;
        assert_int_equal(hl_owner_find(PORT, model.unit, &owner, &err), 0);
        HL_CLEANUP(hl_free_pointer) char *text = hl_owner_describe(&owner, &model);
        if (owner.kind != kind || (described && !strstr(text, described)))
                fail_msg("%s of %u: %d, \"%s\"", path, uid, (int)owner.kind, text);
        hl_owner_free(&owner);
        free(model.unit);
}

static void whose_a_port_is(void **state)
{
        (void)state;
        expect(MODEL, 900, HL_OWNER_OWN, NULL);
        expect(MODEL "/own/below", 900, HL_OWNER_OWN, NULL);
        expect("/system.slice/system-model.slice/model@other.service", 900, HL_OWNER_STRANGER,
               "port 8198 is used by the model other");
        expect("/mine.slice/model@elsewhere.service", 900, HL_OWNER_STRANGER, "the model elsewhere");
        expect("/system.slice/stranger.service", 900, HL_OWNER_STRANGER, "unit stranger.service");
        expect("/user.slice/user-0.slice/session-3.scope", 900, HL_OWNER_STRANGER, "session-3.scope");
        /* Root's may be there for the model, but not what root typed on a terminal. */
        expect("/system.slice/stranger.service", 0, HL_OWNER_TRUSTED, NULL);
        expect("/user.slice/user-0.slice/session-3.scope", 0, HL_OWNER_STRANGER, NULL);
        /* Container engines publish ports for others, with root and without. */
        expect("/system.slice/docker.service", 0, HL_OWNER_TRUSTED, NULL);
        expect("/user.slice/user-1000.slice/user@1000.service/user.slice/podman-17.scope", 1000, HL_OWNER_TRUSTED,
               NULL);
        expect(NULL, 900, HL_OWNER_TRUSTED, NULL); /* nobody can tell */
        seen = (struct hl_listener){ .is_v6 = true, .v6_only = true, .cgroup = 1 };
        struct hl_owner owner;
        struct hl_err err = { 0 };
        assert_int_equal(hl_owner_find(PORT, "model@m.service", &owner, &err), 0);
        assert_int_equal(owner.kind, HL_OWNER_NOBODY); /* a connection to 127.0.0.1 does not come there */
        there = 0;
        assert_int_equal(hl_owner_find(PORT, "model@m.service", &owner, &err), 0);
        assert_int_equal(owner.kind, HL_OWNER_NOBODY);
}

static void without_a_tree_nobody_is_a_stranger(void **state)
{
        (void)state;
        uint64_t number = number_of("/system.slice/stranger.service");
        struct hl_owner owner;
        struct hl_err err = { 0 };
        seen = (struct hl_listener){ .address = { 127, 0, 0, 1 }, .uid = 900, .cgroup = number };
        setenv("HL_CGROUP_ROOT", "/nonexistent", 1);
        assert_int_equal(hl_owner_find(PORT, "model@m.service", &owner, &err), 0);
        assert_int_equal(owner.kind, HL_OWNER_TRUSTED);
}

static void groups_of_a_unit(void **state)
{
        (void)state;
        struct hl_cgroups groups;
        hl_cgroups_of_unit("model@m.service", &groups);
        assert_string_equal(groups.path, MODEL);
        assert_int_equal(groups.count, 3);
        assert_true(hl_cgroups_have(&groups, number_of(MODEL "/own")));
        assert_false(hl_cgroups_have(&groups, number_of("/system.slice")));
        hl_cgroups_free(&groups);
        hl_cgroups_of_unit("model@elsewhere.service", &groups); /* with a Slice= of its own */
        assert_string_equal(groups.path, "/mine.slice/model@elsewhere.service");
        hl_cgroups_free(&groups);
        hl_cgroups_of_unit("model@none.service", &groups);
        assert_null(groups.path);
        assert_int_equal(groups.count, 0);

        make("/system.slice/system-my\\x2dmodel.slice/my-model@a.service");
        hl_cgroups_of_unit("my-model@a.service", &groups);
        assert_int_equal(groups.count, 1);
        hl_cgroups_free(&groups);
        HL_CLEANUP(hl_free_pointer) char *path = hl_cgroups_path(number_of(MODEL "/own"));
        assert_string_equal(path, MODEL "/own");
        HL_CLEANUP(hl_free_pointer) char *unit = hl_cgroups_unit(path);
        assert_string_equal(unit, "model@m.service");
        assert_null(hl_cgroups_unit("/user.slice"));
        assert_null(hl_cgroups_path(1));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(whose_a_port_is, setup, teardown),
                cmocka_unit_test_setup_teardown(without_a_tree_nobody_is_a_stranger, setup, teardown),
                cmocka_unit_test_setup_teardown(groups_of_a_unit, setup, teardown),
        };
        return cmocka_run_group_tests_name("owner", tests, NULL, NULL);
}

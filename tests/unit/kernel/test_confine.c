/* SPDX-License-Identifier: MIT */
/* kernel/confine: what a process that is confined can still do, tried in a child, as nothing takes it back. */
#include "support.h"

#include "base/mem.h"
#include "kernel/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <linux/landlock.h>
#include <linux/openat2.h>

/* The folder that it may write in is "mine", and a file that its user owns is "other/file". */
static const char *folder;

static const char *in(const char *name)
{
        return test_path(folder, name);
}

static bool opens(const char *path, int flags)
{
        HL_CLEANUP(hl_close_fd) int fd = open(path, flags | O_CLOEXEC, 0600);
        return fd >= 0;
}

static bool opens_by_openat2(const char *path, int flags)
{
        const struct open_how how = { .flags = (unsigned)flags };
        HL_CLEANUP(hl_close_fd) int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
        return fd >= 0;
}

static bool changes_mode(void)
{
        HL_CLEANUP(hl_close_fd) int fd = open(in("other/file"), O_RDONLY | O_CLOEXEC);
        return chmod(in("other/file"), 0666) == 0 || fchmod(fd, 0666) == 0 ||
               syscall(452 /* fchmodat2 */, AT_FDCWD, in("other/file"), 0666, 0) == 0;
}

static bool changes_attributes(void)
{
        return setxattr(in("other/file"), "user.x", "x", 1, 0) == 0 || errno != EPERM ||
               removexattr(in("other/file"), "user.x") == 0 || errno != EPERM;
}

static bool moves(const char *from, const char *to)
{
        return rename(in(from), in(to)) == 0;
}

static bool links(const char *from, const char *to)
{
        return link(in(from), in(to)) == 0;
}

static bool runs_a_program(void)
{
        pid_t pid = fork();
        if (pid == 0) {
                execl("/bin/true", "true", (char *)NULL);
                _exit(1);
        }
        int status;
        return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* In a place of its own, as a page that was written, or as one that others share. */
static bool runs_what_it_wrote(void)
{
        void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        int shared = shmget(IPC_PRIVATE, 4096, 0600);
        must(page != MAP_FAILED && shared >= 0);
        bool runs = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
                            MAP_FAILED ||
                    mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0 ||
                    syscall(SYS_pkey_mprotect, page, 4096, PROT_READ | PROT_EXEC, -1) == 0 ||
                    shmat(shared, NULL, SHM_EXEC) != (void *)-1;
        must(shmctl(shared, IPC_RMID, NULL) == 0);
        return runs;
}

/* 0 where all is as it should be, or which line it is not. */
#define holds(condition)                                                                                               \
        do {                                                                                                           \
                if (!(condition))                                                                                      \
                        return __LINE__ % 256;                                                                         \
        } while (0)

static int try_to_break_out(void)
{
        holds(opens(in("mine/new"), O_WRONLY | O_CREAT | O_TRUNC));
        holds(opens(in("mine"), O_TMPFILE | O_RDWR));
        holds(moves("mine/new", "mine/renamed") && unlink(in("mine/renamed")) == 0);
        holds(opens("/etc/passwd", O_RDONLY) && opens("/proc/self/status", O_RDONLY) && opens("/var/lib", O_RDONLY));

        holds(!opens("/tmp", O_RDONLY) && !opens("/var/tmp", O_RDONLY) && !opens("/tmp/file", O_WRONLY | O_CREAT));
        holds(!opens(in("other/file"), O_WRONLY) && !opens(in("other/file"), O_RDWR | O_APPEND));
        holds(!opens(in("other/file"), O_RDONLY | O_TRUNC) && !opens_by_openat2(in("other/file"), O_RDONLY | O_TRUNC));
        holds(!opens(in("other/file"), O_ACCMODE | O_TRUNC));
        holds(truncate(in("other/file"), 0) < 0);
        holds(!opens(in("other/new"), O_WRONLY | O_CREAT) && mkdir(in("other/folder"), 0700) < 0);
        holds(mkdir(in("mine/folder"), 0700) < 0 && mkfifo(in("mine/pipe"), 0600) < 0);
        holds(symlink("/etc/passwd", in("other/link")) < 0 && unlink(in("other/file")) < 0);
        holds(!moves("other/file", "mine/moved") && !moves("mine/there", "other/moved"));
        holds(!links("other/file", "mine/linked") && !links("mine/there", "other/linked"));
        holds(!changes_mode() && !changes_attributes());
        holds(!runs_a_program() && !runs_what_it_wrote());
        holds(personality(ADDR_NO_RANDOMIZE) < 0);
        return 0;
}

/* Where a file system is none of /tmp: the build's own folder. */
static int setup(void **state)
{
        char *path = hl_strdup("build/confined.XXXXXX");
        must(mkdtemp(path));
        folder = realpath(path, NULL);
        must(folder && mkdir(in("mine"), 0700) == 0 && mkdir(in("other"), 0700) == 0);
        test_write(folder, "mine/there", "mine");
        test_write(folder, "other/file", "other");
        *state = path;
        return 0;
}

static int teardown(void **state)
{
        HL_CLEANUP(hl_free_pointer) char *command = hl_format("rm -r %s", folder);
        must(system(command) == 0);
        free((char *)(uintptr_t)folder);
        free(*state);
        return 0;
}

static int status_of(int (*child)(void))
{
        int status;
        pid_t pid = fork();
        if (pid == 0)
                _exit(child());
        must(waitpid(pid, &status, 0) == pid);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int confined(void)
{
        must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
        setenv("HL_CONFINED_TO", in("mine"), 1);
        int r = hl_confine();
        holds(r == 0);
        return try_to_break_out();
}

static void who_is_confined_writes_in_its_folder_alone(void **state)
{
        (void)state;
        if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 2)
                skip();
        assert_int_equal(status_of(confined), 0);
        HL_CLEANUP(hl_free_pointer) char *other = test_read(in("other/file"));
        assert_string_equal(other, "other");
}

static int not_asked(void)
{
        unsetenv("HL_CONFINED_TO");
        holds(hl_confine() == 0);
        holds(opens(in("other/file"), O_WRONLY));
        return 0;
}

static void nobody_is_who_is_not_asked_to_be(void **state)
{
        (void)state;
        assert_int_equal(status_of(not_asked), 0);
}

/* Without NoNewPrivileges= the kernel refuses it to all but root: nothing goes on then. */
static int with_old_privileges(void)
{
        if (geteuid() == 0)
                must(setresuid(65534, 65534, 65534) == 0);
        setenv("HL_CONFINED_TO", in("mine"), 1);
        holds(hl_confine() < 0);
        return 0;
}

static void what_cannot_be_done_is_said(void **state)
{
        (void)state;
        assert_int_equal(status_of(with_old_privileges), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(who_is_confined_writes_in_its_folder_alone, setup, teardown),
                cmocka_unit_test_setup_teardown(nobody_is_who_is_not_asked_to_be, setup, teardown),
                cmocka_unit_test_setup_teardown(what_cannot_be_done_is_said, setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include "confine_calls.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#include <linux/filter.h>
#include <linux/seccomp.h>

/* Numbers of all architectures, for headers that are older. */
enum { FCHMODAT2 = 452, SETXATTRAT = 463, REMOVEXATTRAT = 466, FILE_SETATTR = 469 };

#define LOAD(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (offset))
#define ANSWER(error) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define UNLESS(value, skipped) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, (skipped))
#define DENY(call) UNLESS(call, 1), ANSWER(EPERM)

/* The lower half of an argument. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ARGUMENT(i) (offsetof(struct seccomp_data, args) + (i) * sizeof(__u64))
#else
#define ARGUMENT(i) (offsetof(struct seccomp_data, args) + (i) * sizeof(__u64) + sizeof(__u32))
#endif

/* To open a file for reading alone, or for neither, and cut it off: nobody means that, and Landlock allows it before
 * Linux 6.2. */
#define DENY_CUTTING(call, flags)                                                                                      \
        UNLESS(call, 7), LOAD(ARGUMENT(flags)), BPF_STMT(BPF_ALU | BPF_AND | BPF_K, O_TRUNC | O_ACCMODE),              \
                UNLESS(O_TRUNC, 1), ANSWER(EPERM), UNLESS(O_TRUNC | O_ACCMODE, 1), ANSWER(EPERM), ALLOW

/* Where the third argument has all of these bits. */
#define DENY_BITS(call, bits)                                                                                          \
        UNLESS(call, 5), LOAD(ARGUMENT(2)), BPF_STMT(BPF_ALU | BPF_AND | BPF_K, (bits)), UNLESS(bits, 1),              \
                ANSWER(EPERM), ALLOW

int hl_confine_calls(void)
{
        static struct sock_filter filter[] = {
                LOAD(offsetof(struct seccomp_data, nr)),
                DENY(SYS_truncate),
                DENY(SYS_fchmod),
                DENY(SYS_fchmodat),
                DENY(FCHMODAT2),
                DENY(SYS_setxattr),
                DENY(SYS_lsetxattr),
                DENY(SYS_fsetxattr),
                DENY(SETXATTRAT),
                DENY(SYS_removexattr),
                DENY(SYS_lremovexattr),
                DENY(SYS_fremovexattr),
                DENY(REMOVEXATTRAT),
                DENY(FILE_SETATTR),
                DENY(SYS_personality),
                /* No memory that was written is run. */
                DENY_BITS(SYS_mprotect, PROT_EXEC),
                DENY_BITS(SYS_pkey_mprotect, PROT_EXEC),
                DENY_BITS(SYS_shmat, SHM_EXEC),
#ifdef SYS_mmap2
                DENY_BITS(SYS_mmap2, PROT_WRITE | PROT_EXEC),
#elif !defined(__s390__) /* there, they are in memory */
                DENY_BITS(SYS_mmap, PROT_WRITE | PROT_EXEC),
#endif
#ifdef SYS_chmod
                DENY(SYS_chmod),
#endif
#ifdef SYS_truncate64
                DENY(SYS_truncate64),
#endif
#ifdef SYS_open
                DENY_CUTTING(SYS_open, 1),
#endif
                DENY_CUTTING(SYS_openat, 2),
                /* Its flags are in memory. Who finds that a kernel does not have it asks openat(). */
                UNLESS(SYS_openat2, 1),
                ANSWER(ENOSYS),
                ALLOW,
        };
        static const struct sock_fprog program = { .len = HL_COUNT(filter), .filter = filter };
        return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 ? -errno : 0;
}

/* SPDX-License-Identifier: MIT */
/* private.h - nobody but root reads or writes this process's memory.
 *
 * Shape    several programs of different rights have one user, which may else attach to each of them and act in its
 *          place. A crash leaves no core file, which would hold the same. Not with a sanitizer: that attaches itself.
 * Errors   none.
 * Source   PR_SET_DUMPABLE in prctl(2), ptrace(2).
 * Tests    tests/system/test_rights.py
 */
#ifndef HL_BASE_PRIVATE_H
#define HL_BASE_PRIVATE_H

#include <sys/prctl.h>

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define HL_HAS_SANITIZER
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define HL_HAS_SANITIZER
#endif

static inline void hl_keep_private(void)
{
#ifndef HL_HAS_SANITIZER
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

#endif

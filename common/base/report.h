/* SPDX-License-Identifier: MIT */
/* report.h - what is wrong with a file of the user's, told one by one, so that all of it is shown at once.
 *
 * Shape    whoever reads files takes a struct hl_report; NULL: nobody wants to hear of the findings.
 * Tests    tests/unit/config/test_catalog.c, tests/unit/config/test_config.c
 */
#ifndef HL_BASE_REPORT_H
#define HL_BASE_REPORT_H

/* line 0: the file as a whole; key "" where no key is meant. */
typedef void hl_finding_fn(void *data, const char *file, unsigned line, const char *key, const char *message);

struct hl_report {
        hl_finding_fn *fn;
        void *data;
};

static inline void hl_report_tell(const struct hl_report *report, const char *file, unsigned line, const char *key,
                                  const char *message)
{
        if (report)
                report->fn(report->data, file, line, key, message);
}

#endif

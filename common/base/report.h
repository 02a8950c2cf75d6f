/* SPDX-License-Identifier: MIT */
/* report.h - what is wrong with a file of the user's, told one by one, so that all of it is shown at once. */
#ifndef HL_BASE_REPORT_H
#define HL_BASE_REPORT_H

/* line 0: the file as a whole; key "" where no key is meant. */
typedef void hl_finding_fn(void *data, const char *file, unsigned line, const char *key, const char *message);

#endif

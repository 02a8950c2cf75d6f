/* SPDX-License-Identifier: MIT */
/* claim.h - what a model needs to run, as its file says, and what the host has for all of them.
 *
 * Shape    amounts are arrays with one place for each resource: the GPUs by their number, and the host's memory behind
 *          them. Whoever compares a claim with a budget goes through both alike.
 * Units    bytes. 0 in a claim: it says nothing. 0 in a budget: there is no limit.
 * Errors   a value that makes no sense is -EINVAL, with a sentence about what to write: free().
 * Owner    hl_claim_free() and hl_claim_copy(); the budget is plain data.
 * Source   handlers/MODELS.md (GPU_MEMORY, MEMORY, GROUP, KEEP); handlers/README.md ("capacity").
 * Tests    tests/unit/config/test_claim.c
 */
#ifndef HL_CONFIG_CLAIM_H
#define HL_CONFIG_CLAIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HL_GPUS_MAX 16        /* of one host */
#define HL_MEMORY HL_GPUS_MAX /* the place of the host's memory; those before it are GPUs, by their number */
#define HL_RESOURCES (HL_MEMORY + 1)
#define HL_GROUP_MAX 64 /* bytes of the name of one group */

/* Two models of a group never run together. */
struct hl_claim {
        uint64_t bytes[HL_RESOURCES];
        char *groups; /* "big,chat": comma-separated, for hl_in_list(); NULL: none */
        bool keep;    /* never evicted */
};

struct hl_capacity_budget {
        bool is_set;                  /* config.json has a "capacity" */
        uint64_t bytes[HL_RESOURCES]; /* 0: no limit is said */
        uint64_t min_residency_us;    /* a model that was loaded is not evicted before */
        uint64_t queue_us;            /* a request waits for room at most this long */
};

/* Whether it claims memory or is in a group: a model that does neither excludes nobody, and nobody excludes it. */
bool hl_claim_is_any(const struct hl_claim *claim);

/* Whether starting a model with this claim has to be asked about at all: it is in a group, or claims something that the
 * budget limits. */
bool hl_claim_matters(const struct hl_claim *claim, const struct hl_capacity_budget *budget);

/* The first group that both are in; *ret_len bytes. NULL: they share none. */
const char *hl_claim_shared_group(const struct hl_claim *a, const struct hl_claim *b, size_t *ret_len);

/* "gpu 0", "memory". buffer: HL_RESOURCE_TEXT bytes. Returns it. */
#define HL_RESOURCE_TEXT 16
char *hl_resource_name(size_t resource, char *buffer);

/* The values of a model file's keys. On failure the claim is as before. */
int hl_claim_set_gpu_memory(struct hl_claim *claim, const char *value, char **ret_problem);
int hl_claim_set_memory(struct hl_claim *claim, const char *value, char **ret_problem);
int hl_claim_set_groups(struct hl_claim *claim, const char *value, char **ret_problem);
int hl_claim_set_keep(struct hl_claim *claim, const char *value, char **ret_problem);

struct hl_claim hl_claim_copy(const struct hl_claim *claim);
void hl_claim_free(struct hl_claim *claim);

#endif

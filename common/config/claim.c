/* SPDX-License-Identifier: MIT */
#include "claim.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/size.h"
#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_SHOWN_MAX 60 /* bytes of a wrong value that a sentence repeats */
#define BLANKS " \t\r\n"

bool hl_claim_is_any(const struct hl_claim *claim)
{
        for (size_t i = 0; i < HL_RESOURCES; i++)
                if (claim->bytes[i] > 0)
                        return true;
        return claim->groups;
}

bool hl_claim_matters(const struct hl_claim *claim, const struct hl_capacity_budget *budget)
{
        for (size_t i = 0; i < HL_RESOURCES; i++)
                if (claim->bytes[i] > 0 && budget->bytes[i] > 0)
                        return true;
        return claim->groups;
}

const char *hl_claim_shared_group(const struct hl_claim *a, const struct hl_claim *b, size_t *ret_len)
{
        const char *groups = a->groups, *group;
        while ((group = hl_next_word(&groups, ret_len)) && !hl_in_list(b->groups, group, *ret_len))
                ;
        return group;
}

char *hl_resource_name(size_t resource, char *buffer)
{
        if (resource == HL_MEMORY)
                snprintf(buffer, HL_RESOURCE_TEXT, "memory");
        else
                snprintf(buffer, HL_RESOURCE_TEXT, "gpu %zu", resource);
        return buffer;
}

static int refuse(char **ret_problem, const char *expected, const char *value)
{
        HL_CLEANUP(hl_free_pointer) char *shown = hl_shorten(value, strlen(value), VALUE_SHOWN_MAX);
        *ret_problem = hl_format("%s, not \"%s\"", expected, shown);
        return -EINVAL;
}

/* The number of a GPU in front of a ':'; without one it is GPU 0. A number has one spelling. */
static int read_gpu(const char *word, const char *colon, size_t *ret_gpu)
{
        HL_CLEANUP(hl_free_pointer) char *text = hl_strndup(word, (size_t)(colon - word));
        uint64_t gpu;
        if (hl_parse_uint(text, HL_GPUS_MAX - 1, &gpu) < 0 || (text[0] == '0' && text[1]))
                return -EINVAL;
        *ret_gpu = gpu;
        return 0;
}

#define GPU_MEMORY_WORDS                                                                                               \
        "must be an amount such as \"18G\" (of GPU 0), or one for each GPU such as \"0:18G 1:6G\", with K, M, G or T"

int hl_claim_set_gpu_memory(struct hl_claim *claim, const char *value, char **ret_problem)
{
        HL_CLEANUP(hl_free_pointer) char *words = hl_strdup(value);
        uint64_t amounts[HL_GPUS_MAX] = { 0 };
        size_t count = 0, alone = 0;
        char *left = NULL;
        for (char *word = strtok_r(words, BLANKS, &left); word; word = strtok_r(NULL, BLANKS, &left), count++) {
                const char *colon = strchr(word, ':');
                size_t gpu = 0;
                alone += !colon;
                uint64_t bytes;
                if ((colon && read_gpu(word, colon, &gpu) < 0) || hl_parse_size(colon ? colon + 1 : word, &bytes) < 0)
                        return refuse(ret_problem, GPU_MEMORY_WORDS, value);
                if (colon && amounts[gpu] > 0) {
                        *ret_problem = hl_format("names GPU %zu twice: leave one of the two", gpu);
                        return -EINVAL;
                }
                amounts[gpu] = bytes;
        }
        if (count == 0 || (alone > 0 && count > 1))
                return refuse(ret_problem, GPU_MEMORY_WORDS, value);
        memcpy(claim->bytes, amounts, sizeof(amounts));
        return 0;
}

int hl_claim_set_memory(struct hl_claim *claim, const char *value, char **ret_problem)
{
        return hl_parse_size(value, &claim->bytes[HL_MEMORY]) == 0
                       ? 0
                       : refuse(ret_problem, "must be an amount such as \"6G\", with K, M, G or T", value);
}

static bool is_group(const char *word)
{
        size_t len = 0;
        while (isalnum((unsigned char)word[len]) || (len > 0 && word[len] && strchr("._-", word[len])))
                len++;
        return len > 0 && len <= HL_GROUP_MAX && word[len] == '\0';
}

int hl_claim_set_groups(struct hl_claim *claim, const char *value, char **ret_problem)
{
        HL_CLEANUP(hl_free_pointer) char *words = hl_strdup(value);
        struct hl_buf groups = { 0 };
        char *left = NULL;
        for (char *word = strtok_r(words, BLANKS, &left); word; word = strtok_r(NULL, BLANKS, &left)) {
                if (!is_group(word)) {
                        hl_buf_free(&groups);
                        return refuse(ret_problem,
                                      "must be names between blanks, of letters, digits, \".\", \"_\" and \"-\"",
                                      value);
                }
                if (!hl_in_list(groups.data, word, strlen(word)))
                        hl_buf_addf(&groups, "%s%s", groups.len > 0 ? "," : "", word);
        }
        free(claim->groups);
        claim->groups = groups.data;
        return 0;
}

int hl_claim_set_keep(struct hl_claim *claim, const char *value, char **ret_problem)
{
        static const char yes[] = "yes,y,true,t,on,1", no[] = "no,n,false,f,off,0"; /* systemd's own words */
        HL_CLEANUP(hl_free_pointer) char *word = hl_strdup(value);
        for (char *c = word; *c; c++)
                *c = (char)tolower((unsigned char)*c);
        bool is_yes = hl_in_list(yes, word, strlen(word));
        if (!is_yes && !hl_in_list(no, word, strlen(word)))
                return refuse(ret_problem, "must be \"yes\" or \"no\"", value);
        claim->keep = is_yes;
        return 0;
}

struct hl_claim hl_claim_copy(const struct hl_claim *claim)
{
        struct hl_claim copy = *claim;
        copy.groups = hl_strdup(claim->groups);
        return copy;
}

void hl_claim_free(struct hl_claim *claim)
{
        free(hl_steal(claim->groups));
}

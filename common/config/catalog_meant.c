/* SPDX-License-Identifier: MIT */
/* Which model a client means by a name that none has: catalog.h. */
#include "catalog.h"

#include "aliases.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

#define BLANKS " \t\n\v\f\r"
#define LATEST ":latest"

/* What LiteLLM and its like put before a name to say how a server is spoken to. */
static const char servers[] =
        "openai,custom_openai,text-completion-openai,openai_like,openai-compatible,litellm_proxy,azure,"
        "ollama,ollama_chat,lm_studio,lmstudio,hosted_vllm,vllm,llamafile,llamacpp,llama.cpp,localai,"
        "anthropic,custom,local,models";

/* Without ":latest", too. */
static const struct hl_model *find_tagged(const struct hl_catalog *catalog, const char *name)
{
        const struct hl_model *found = hl_catalog_find_named(catalog, name);
        size_t len = strlen(name), tag = strlen(LATEST);
        if (found || len <= tag || strcmp(name + len - tag, LATEST) != 0)
                return found;
        HL_CLEANUP(hl_free_pointer) char *untagged = hl_strndup(name, len - tag);
        return hl_catalog_find_named(catalog, untagged);
}

char *hl_catalog_trim(const char *written)
{
        const char *start = written + strspn(written, BLANKS), *end = start + strlen(start);
        while (end > start && strchr(BLANKS, end[-1]))
                end--;
        char *name = hl_strndup(start, (size_t)(end - start));
        if (hl_alias_valid(name))
                return name;
        free(name);
        return NULL;
}

const struct hl_model *hl_catalog_find_meant(const struct hl_catalog *catalog, const char *name)
{
        const struct hl_model *found = find_tagged(catalog, name);
        size_t server = strcspn(name, "/");
        if (!found && name[server] && hl_in_list(servers, name, server))
                found = find_tagged(catalog, name + server + 1);
        return found;
}

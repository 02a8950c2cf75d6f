/* SPDX-License-Identifier: MIT */
#include "parameters.h"

#include "base/mem.h"
#include "base/str.h"

#include <string.h>

static const struct hl_parameter *find(const struct hl_parameter *known, const char *name, size_t len)
{
        for (const struct hl_parameter *p = known; p && p->name; p++)
                if (strlen(p->name) == len && memcmp(p->name, name, len) == 0)
                        return p;
        return NULL;
}

/* For a sentence. free() */
static char *list_names(const struct hl_parameter *known)
{
        struct hl_buf names = { 0 };
        for (const struct hl_parameter *p = known; p && p->name; p++)
                hl_buf_addf(&names, "%s%s", p == known ? "" : ",", p->name);
        return names.data ? names.data : hl_strdup("none");
}

static int check_value(const struct hl_request *request, const struct hl_parameter *p, struct hl_problem *problem)
{
        HL_CLEANUP(hl_free_pointer) char *value = NULL;
        uint64_t number = 0;
        int r = hl_request_query(request, p->name, &value);
        if (p->choices && (r < 0 || !value || !hl_in_list(p->choices, value, strlen(value))))
                return hl_problem(problem, 400, "invalid_parameter", "\"%s\" must be one of: %s", p->name, p->choices);
        if (p->max > 0 && (r < 0 || !value || hl_parse_uint(value, p->max, &number) < 0 || number < p->min))
                return hl_problem(problem, 400, "invalid_parameter", "\"%s\" must be %s", p->name, p->expected);
        return 0;
}

int hl_parameters_check(const struct hl_request *request, const struct hl_parameter *known, struct hl_problem *problem)
{
        for (const char *s = request->query; s && *s;) {
                size_t len = strcspn(s, "&"), name = strcspn(s, "=&");
                int shown = (int)(name < 40 ? name : 40);
                const struct hl_parameter *meant = find(known, s, name);
                HL_CLEANUP(hl_free_pointer) char *all = meant ? NULL : list_names(known);
                if (len > 0 && !meant)
                        return hl_problem(problem, 400, "unknown_parameter",
                                          "unknown query parameter \"%.*s\"; known here: %s", shown, s, all);
                if (len > 0 && s[name] != '=')
                        return hl_problem(problem, 400, "invalid_parameter", "\"%.*s\" needs a value: %.*s=…", shown, s,
                                          shown, s);
                for (const char *other = s + len; len > 0 && *other; other += 1 + strcspn(other + 1, "&"))
                        if (strncmp(other + 1, s, name + 1) == 0)
                                return hl_problem(problem, 400, "invalid_parameter", "send \"%.*s\" once", shown, s);
                int r = len > 0 ? check_value(request, meant, problem) : 0;
                if (r < 0)
                        return r;
                s += len + (s[len] == '&');
        }
        return 0;
}

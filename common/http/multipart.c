#include "multipart.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TYPE "multipart/form-data"
#define BOUNDARY_MAX 70 /* bytes: RFC 2046 */

bool hl_multipart_is(const char *content_type)
{
        size_t len = strlen(TYPE);
        return content_type && strncasecmp(content_type, TYPE, len) == 0 &&
               (!content_type[len] || strchr("; \t", content_type[len]));
}

/* The value of `name="value"` or `name=value` among parameters that are separated by ';', in line[0..len]. */
static char *parameter(const char *line, size_t len, const char *name)
{
        const char *end = line + len;
        size_t name_len = strlen(name);
        bool quoted = false;
        for (const char *c = line; c < end; c++) {
                if (quoted && *c == '\\')
                        c++; /* what it escapes ends nothing */
                else if (*c == '"')
                        quoted = !quoted;
                if (quoted || *c != ';')
                        continue;
                const char *p = c + 1;
                while (p < end && (*p == ' ' || *p == '\t'))
                        p++;
                if ((size_t)(end - p) <= name_len || strncasecmp(p, name, name_len) != 0 || p[name_len] != '=')
                        continue;
                p += name_len + 1;
                bool in_quotes = p < end && *p == '"';
                p += in_quotes;
                const char *value = p;
                while (p < end && (in_quotes ? *p != '"' : *p != ';' && *p != ' '))
                        p++;
                return hl_strndup(value, (size_t)(p - value));
        }
        return NULL;
}

/* The name of the part whose headers are headers[0..len]; NULL where it has none. */
static char *part_name(const char *headers, size_t len)
{
        static const char wanted[] = "Content-Disposition:";
        const char *end = headers + len;
        for (const char *line = headers; line < end;) {
                const char *next = memmem(line, (size_t)(end - line), "\r\n", 2);
                size_t line_len = next ? (size_t)(next - line) : (size_t)(end - line);
                if (line_len > strlen(wanted) && strncasecmp(line, wanted, strlen(wanted)) == 0)
                        return parameter(line, line_len, "name");
                line += line_len + 2;
        }
        return NULL;
}

int hl_multipart_field(const char *content_type, const char *body, size_t len, const char *name, char **ret_value)
{
        HL_CLEANUP(hl_free_pointer) char *boundary = parameter(content_type, strlen(content_type), "boundary");
        HL_CLEANUP(hl_free_pointer) char *found = NULL;
        if (!boundary || !*boundary || strlen(boundary) > BOUNDARY_MAX)
                return -EINVAL;
        /* Each part begins behind the delimiter and ends where CRLF and the delimiter follow. */
        HL_CLEANUP(hl_free_pointer) char *delimiter = hl_format("\r\n--%s", boundary);
        size_t delimiter_len = strlen(delimiter);
        const char *end = body + len, *at = body;
        if (len < delimiter_len || memcmp(body, delimiter + 2, delimiter_len - 2) != 0)
                return -EINVAL;
        at += delimiter_len - 2;
        while (end - at >= 2 && memcmp(at, "--", 2) != 0) {
                const char *headers = at + 2; /* behind the line break */
                const char *next = memmem(at, (size_t)(end - at), delimiter, delimiter_len);
                const char *content = memmem(at, (size_t)(end - at), "\r\n\r\n", 4);
                if (memcmp(at, "\r\n", 2) != 0 || !next || !content || content + 4 > next)
                        return -EINVAL;
                HL_CLEANUP(hl_free_pointer) char *part = part_name(headers, (size_t)(content - headers) + 2);
                content += 4;
                if (part && strcmp(part, name) == 0) {
                        if (found || memchr(content, '\0', (size_t)(next - content)))
                                return -EINVAL;
                        found = hl_strndup(content, (size_t)(next - content));
                }
                at = next + delimiter_len;
        }
        if (end - at < 2)
                return -EINVAL;
        *ret_value = hl_steal(found);
        return 0;
}

/* SPDX-License-Identifier: MIT */
/* config.json, whatever it holds: every value is within its bounds, or there is a finding with a line of the file. */
#include "fuzz.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/origin.h"
#include "base/str.h"
#include "config/config.h"

#include <errno.h>
#include <string.h>

static const uint8_t *text;
static size_t text_len;

int __wrap_hl_read_file(int dir_fd, const char *path, size_t max, struct hl_buf *buf);
int __wrap_hl_read_file(int dir_fd, const char *path, size_t max, struct hl_buf *buf)
{
        (void)dir_fd;
        (void)path;
        return fuzz_give(text, text_len, max, buf);
}

static unsigned findings;

static void finding(void *data, const char *path, unsigned line, const char *key, const char *message)
{
        unsigned lines = 1;
        (void)data;
        for (size_t i = 0; i < text_len; i++)
                lines += text[i] == '\n';
        fuzz_must(path && key && *message && line <= lines);
        findings++;
}

static bool is_span(uint64_t us)
{
        return us > 0 && us <= HL_MINUTES_MAX * HL_USEC_PER_MINUTE;
}

static void check(const struct hl_config *c)
{
        fuzz_must(c->default_minutes > 0 && c->default_minutes <= HL_MINUTES_MAX);
        fuzz_must(hl_in_list("poweroff,reboot,halt", c->default_action, strlen(c->default_action)));
        fuzz_must(hl_in_list("poweroff,reboot,halt", c->host_idle_action, strlen(c->host_idle_action)));
        fuzz_must(*c->models_dir == '/' && *c->health_path == '/' && *c->nginx_output == '/');
        fuzz_must(!strpbrk(c->health_path, " \r\n") && !strpbrk(c->nginx_output, " \r\n"));
        const char *percent = strchr(c->unit_template, '%');
        fuzz_must(percent && percent[1] == 's' && !strchr(percent + 1, '%') && !strchr(c->unit_template, '/'));
        fuzz_must(c->start_timeout_us >= HL_USEC_PER_SEC &&
                  c->start_timeout_us <= HL_START_TIMEOUT_MAX_SECONDS * HL_USEC_PER_SEC);
        fuzz_must(is_span(c->active_threshold_us) && is_span(c->idle_threshold_us));
        fuzz_must(c->host_idle_us == HL_USEC_INFINITY || is_span(c->host_idle_us));
        fuzz_must(hl_is_address(c->upstream_host));
        for (const char **host = c->allowed_hosts; *host; host++)
                fuzz_must(**host && !strpbrk(*host, "/:* "));
        for (const char **origin = c->allowed_origins; *origin; origin++)
                fuzz_must(!hl_origin_problem(*origin));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct hl_config config = { 0 };
        struct hl_err err = { 0 }, quiet = { 0 };
        const struct hl_report report = { finding, NULL };
        text = data;
        text_len = size;
        findings = 0;
        int r = hl_config_load(&report, &config, &err);
        fuzz_must(r == 0 ? findings == 0 : r == -EINVAL && findings > 0 && err.kind == HL_ERR_INTERNAL);
        if (r == 0) {
                check(&config);
                hl_config_free(&config);
        }
        fuzz_must(hl_config_load(NULL, &config, &quiet) == r); /* whether anybody hears of it or not */
        if (r == 0)
                hl_config_free(&config);
        return 0;
}

/* SPDX-License-Identifier: MIT */
/* What a model's server answers when it is asked whether it has loaded: the same, however it comes in pieces. */
#include "fuzz.h"

#include "base/mem.h"
#include "models/probe.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static struct fuzz_input answer;
static size_t step;

ssize_t __wrap_read(int fd, void *bytes, size_t size);
ssize_t __wrap_read(int fd, void *bytes, size_t size)
{
        (void)fd;
        size_t n = size < step ? size : step;
        n = n < answer.left ? n : answer.left;
        memcpy(bytes, answer.data, n);
        answer.data += n;
        answer.left -= n;
        return (ssize_t)n;
}

static int judge(const uint8_t *data, size_t size, size_t at_once, bool no_text)
{
        struct hl_probe *probe = hl_alloc(sizeof(*probe));
        short events;
        probe->fd = -1;
        probe->request = hl_strdup("");
        probe->no_text = no_text;
        answer = (struct fuzz_input){ data, size };
        step = at_once;
        int status = hl_probe_step(probe, &events);
        fuzz_must((status >= 100 && status <= 999) || status == -EPROTO);
        fuzz_must(probe->len <= HL_PROBE_ANSWER_MAX && !probe->answer[probe->len]);
        hl_probe_end(probe);
        free(probe);
        return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct fuzz_input input = { data, size };
        size_t at_once = fuzz_byte(&input) % 64 + 1u;
        int status = judge(input.data, input.left, SIZE_MAX, false);
        fuzz_must(judge(input.data, input.left, at_once, false) == status);
        int head = judge(input.data, input.left, at_once, true);
        fuzz_must(head == status || (head == 200 && status == 503)); /* only a text can make a difference */
        return 0;
}

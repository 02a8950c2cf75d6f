/* SPDX-License-Identifier: MIT */
#include "fake_model.h"

#include "base/io.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Takes fd. */
static void answer_one(struct fake_model *model, int fd, const char *answer)
{
        char bytes[1024];
        if (hl_wait_fd(fd, POLLIN, test_deadline()) == 1) {
                ssize_t n = read(fd, bytes, sizeof(bytes));
                hl_buf_add(&model->requests, bytes, n > 0 ? (size_t)n : 0);
        }
        model->asked++;
        if (strcmp(answer, "…") == 0) {
                must(model->silent_count < FAKE_SILENT_MAX);
                model->silent[model->silent_count++] = fd;
                return;
        }
        hl_write_all(fd, answer, strlen(answer), test_deadline());
        close(fd);
}

static void *serve(void *data)
{
        struct fake_model *model = data;
        const char *const *next = model->answers;
        int fd;
        while ((fd = accept(model->listener, NULL, NULL)) >= 0) {
                answer_one(model, fd, *next);
                next += next[1] != NULL;
        }
        return NULL;
}

void fake_model_start(struct fake_model *model, const char *const *answers)
{
        *model = (struct fake_model){ .answers = answers };
        model->listener = test_listen(&model->port);
        must(pthread_create(&model->thread, NULL, serve, model) == 0);
}

void fake_model_stop(struct fake_model *model)
{
        shutdown(model->listener, SHUT_RDWR); /* accept() returns */
        must(pthread_join(model->thread, NULL) == 0);
        close(model->listener);
        for (unsigned i = 0; i < model->silent_count; i++)
                close(model->silent[i]);
        hl_buf_free(&model->requests);
}

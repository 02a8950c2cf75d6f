/* SPDX-License-Identifier: MIT */
/* Whatever COMMAND is, reading it ends, in bounds, with a sentence or with words that belong to its commands. */
#include "base/err.h"
#include "base/mem.h"
#include "config/command.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *variable(void *data, const char *name)
{
        (void)data;
        return *name == 'P' ? "value" : *name == 'Q' ? "two words" : NULL;
}

static void check(const struct hl_command *command)
{
        if (!command->script || command->count == 0)
                abort();
        for (size_t i = 0; i < command->count; i++)
                if (!command->words[i].text || (!command->is_program && command->words[i].command >= command->commands))
                        abort();
        for (unsigned i = 0; i < command->commands; i++)
                hl_command_program(command, i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        HL_CLEANUP(hl_free_pointer) char *text = hl_strndup((const char *)data, size);
        struct hl_command command = { 0 };
        struct hl_err err = { 0 };
        int r = hl_command_read(text, variable, NULL, &command, &err);
        if (r < 0 && (r != -EINVAL || strncmp(err.message, "COMMAND ", strlen("COMMAND ")) != 0))
                abort();
        if (r == 0)
                check(&command);
        hl_command_free(&command);
        return 0;
}

/* SPDX-License-Identifier: MIT */
/* config/command, config/command_place, config/access: COMMAND as people type it. */
#include "support.h"

#include "base/err.h"
#include "base/mem.h"
#include "config/access.h"
#include "config/command.h"
#include "config/command_place.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *variable(void *data, const char *name)
{
        static const char *const values[][2] = { { "PORT", "8198" },
                                                 { "MODEL", "/srv/my model.gguf" },
                                                 { "HOME", "/var/lib/home-lab-models" } };
        for (size_t i = 0; i < HL_COUNT(values); i++)
                if (strcmp(name, values[i][0]) == 0)
                        return values[i][1];
        return data && strcmp(name, "PATH") == 0 ? data : NULL;
}

static void as_it_is_typed(void **state)
{
        static const struct {
                const char *command, *script;
        } commands[] = {
                { "llama-server --port 8198", "exec llama-server --port 8198" },
                { "CUDA_VISIBLE_DEVICES=0 vllm serve x", "CUDA_VISIBLE_DEVICES=0 exec vllm serve x" },
                { "A=1 B=\"x y\" prog", "A=1 B=\"x y\" exec prog" },
                { "\"/srv/my server\" -m ~/x", "exec \"/srv/my server\" -m ~/x" },
                { "$PROGRAM --x", "exec $PROGRAM --x" },
                /* one option a line */
                { "vllm serve\n  --port 1\n  --x", "exec vllm serve   --port 1   --x" },
                { "\nvllm serve\n  --port 1\n", " exec vllm serve   --port 1 " },
                { "vllm serve \\\n  --port 1 \\\n --x", "exec vllm serve   --port 1  --x" },
                { "vllm serve \\ \n --x", "exec vllm serve   --x" }, /* a blank behind the backslash */
                { "vllm serve \\  # the big one\n --x", "exec vllm serve   --x" },
                { "vllm serve a\\ #b c", "exec vllm serve a\\ #b c" }, /* no line follows */
                { "vllm serve \\\n --x \\", "exec vllm serve  --x " }, /* an option was here */
                { "[ -e x ] && prog $$ $(DATE -u)", "[ -e x ] && exec prog $$ $(DATE -u)" },
                { "[ \"$HOME\" ] && prog", "[ \"$HOME\" ] && exec prog" },
                { "vllm serve\r\n --x\r\n", "exec vllm serve  --x " },
                { "vllm serve \\\r\n --x", "exec vllm serve   --x" },
                { "vllm serve\n # --slow\n --x # fast", "exec vllm serve   --x " },
                { "X=1\nvllm serve", "{ X=1; export X; } && exec vllm serve" },
                { "X=1\n# y\nY=2 Z=3\ncd a\np -m $X",
                  "{ X=1 ; export X; } && { Y=2 Z=3; export Y Z; } && cd a && exec p -m $X" },
                { "cd a; X=1\nY=2 p", "cd a; { X=1; export X; } && Y=2 exec p" },
                { "X=1 \\\n p", "X=1  exec p" },
                { "X=1 >log\np", "X=1 >log exec p" },
                { "p --json '{\n\"a\": 1}' \"b\nc\"", "exec p --json '{\n\"a\": 1}' \"b\nc\"" },
                /* more than one command */
                { "cd /srv/x && ./server", "cd /srv/x && exec ./server" },
                { "cd /srv/x; ./server", "cd /srv/x; exec ./server" },
                { "source venv/bin/activate && vllm serve", "source venv/bin/activate && exec vllm serve" },
                { ". venv/bin/activate; exec vllm serve", ". venv/bin/activate; exec vllm serve" },
                { "cd /srv/x\nsource v/activate\nvllm serve\n --x",
                  "cd /srv/x && source v/activate && exec vllm serve  --x" },
                { "cd /srv/x &&\n  prog\n", "cd /srv/x &&   exec prog " },
                { "cat >c <<E\nu=http://h/?a=1&b=2\nE\np", "cat >c <<E\nu=http://h/?a=1&b=2\nE\np" },
                { "if ((x&1)); then p; fi", "if ((x&1)); then p; fi" },
                { "echo a\npip install -r x\n# y\np\n --x", "echo a; pip install -r x ; exec p  --x" },
                { "pip install\n -r x && p\n p/x", "pip install  -r x && exec p  p/x" },
                { "sleep 5 | p\nx", "sleep 5 | p x" },
                { "cd /srv/x || exit 1\n./p\n --x", "cd /srv/x || exit 1; exec ./p  --x" },
                { "[ -f e ] && source e\n[ -z \"$X\" ] && X=1\np",
                  "[ -f e ] && source e; [ -z \"$X\" ] && { X=1; export X; }; exec p" },
                { "cd /nope && A=1\np", "cd /nope && { A=1; export A; } && exec p" },
                { "[ -n \"$X\" ] || X=5\np", "[ -n \"$X\" ] || { X=5; export X; }; exec p" },
                { "P+=:/x\np", "{ P+=:/x; export P; } && exec p" },
                { "git clone\nhttps://x/y && p", "git clone https://x/y && exec p" },
                { "nvidia-smi -i 0 -pl\n250 && p", "nvidia-smi -i 0 -pl 250 && exec p" },
                { "cd x && source e\np", "cd x && source e && exec p" },
                { "pip install -q\n  x==1\n  y && p", "pip install -q   x==1   y && exec p" },
                { "pip install\nx\n&& p", "pip install x && exec p" },
                { "rm -f\n /a\n /b; p", "rm -f  /a  /b; exec p" },
                { "git pull\n> /dev/null && p", "git pull > /dev/null && exec p" },
                { "rm -f x\n2>/dev/null\np", "rm -f x 2>/dev/null; exec p" },
                { "sleep\n9", "exec sleep 9" },
                { "p x --names\n p large", "exec p x --names  p large" },
                { "exec\n -a name p", "exec  -a name p" },
                { "sleep 1 &# note\np", "sleep 1 & exec p" },
                { "T=p@ss# p", "T=p@ss# exec p" },
                { "trap 'x' TERM\nexec >log 2>&1\ncd x\np", "trap 'x' TERM; exec >log 2>&1; cd x && p" },
                { "conda run -n x\n p\n --y", "exec conda run -n x  p  --y" },
                { ". c.sh\nconda activate x\np\n --y", ". c.sh && conda activate x && exec p  --y" },
                { "exec p\n --x", "exec p  --x" },
                { "cd /srv/x\n&& prog", "cd /srv/x && exec prog" },
                { "export A=1\nprog", "export A=1 && exec prog" },
                { "prog --x | tee /tmp/log", "prog --x | tee /tmp/log" },
                { "cd x && prog 2>&1 | tee log", "cd x && prog 2>&1 | tee log" },
                { "a | b; c", "a | b; exec c" },
                { "p /srv/a\xE2\x80\x93\xE2\x88\x92x\xEF\xBC\x88\xE5\xA4\xA7\xEF\xBC\x89 '\xE2\x80\x9Cx\xE3\x80\x80y'",
                  "exec p /srv/a\xE2\x80\x93\xE2\x88\x92x\xEF\xBC\x88\xE5\xA4\xA7\xEF\xBC\x89 "
                  "'\xE2\x80\x9Cx\xE3\x80\x80y'" },
                { "`which p` a^b 'x^\n&amp;' $ # y", "exec `which p` a^b 'x^\n&amp;' $ " },
                { "p [\"a-z\"]*x {\"a\",b} [ab]", "exec p [\"a-z\"]*x {\"a\",b} [ab]" },
                { "a & b", "a & exec b" },
                { "a & echo b; wait", "a & echo b; wait" },
                { "a & P=$!; wait $P", "a & P=$!; wait $P" },
                { "unalias -a; mapfile -t x <y; a", "unalias -a; mapfile -t x <y; exec a" },
                { "a& b", "a& exec b" },
                { "a&&b", "a&&exec b" },
                { "p 'http://x/?a=1&b=2' \"blk.(0|1)\" a\\(b", "exec p 'http://x/?a=1&b=2' \"blk.(0|1)\" a\\(b" },
                { "declare -a x=(1 2); p", "declare -a x=(1 2); p" },
                { "f() { p; }; f", "f() { p; }; f" },
                { "prog >log 2>&1", "exec prog >log 2>&1" },
                { "prog &>log", "exec prog &>log" },
                { "a || b", "a || exec b" },
                /* what a shell alone understands stays as it is */
                { "if a; then\nb\nfi", "if a; then\nb\nfi" },
                { "(cd x; y)", "(cd x; y)" },
                { "for i in 1; do\n x\ndone", "for i in 1; do\n x\ndone" },
                { "exec prog", "exec prog" },
                { "sh -c 'cd x\nexec y'", "exec sh -c 'cd x\nexec y'" },
                { "p $(date) `a b` ${X:-y z} \"$(q \"r\")\"", "exec p $(date) `a b` ${X:-y z} \"$(q \"r\")\"" },
        };
        (void)state;
        for (size_t i = 0; i < HL_COUNT(commands); i++) {
                struct hl_command command;
                struct hl_err err = { 0 };
                if (hl_command_read(commands[i].command, variable, NULL, &command, &err) < 0)
                        fail_msg("%s\n%s", commands[i].command, err.message);
                if (strcmp(command.script, commands[i].script) != 0)
                        fail_msg("%s\n--- is\n%s\n--- expected\n%s", commands[i].command, command.script,
                                 commands[i].script);
                hl_command_free(&command);
        }
}

static void what_cannot_run_is_refused(void **state)
{
        static const char *const commands[][2] = {
                { "", "COMMAND is missing, so there is nothing to run" },
                { " \n\t", "COMMAND is missing" },
                { "# all of it", "COMMAND is missing" },
                { "X=1 Y=2", "COMMAND only sets variables" },
                { "prog &", "COMMAND ends with &" },
                { "nohup prog > log 2>&1 &", "COMMAND ends with &" },
                { "cd x && prog & ", "COMMAND ends with &" },
                { "nohup prog >log 2>&1 & disown", "remove the & and what follows it" },
                { "prog & echo $! >pid; true", "remove the & and what follows it" },
                { "prog & P=$!", "COMMAND ends with &" },
                { "prog 'x", "a quote is not closed: 'x" },
                { "prog \"x", "a quote is not closed: \"x" },
                { "prog $(x", "does not end: $(x" },
                { "prog ${x", "does not end: ${x" },
                { "prog \xE2\x80\x9Cx\xE2\x80\x9D", "has a typographic quote" },
                { "prog \xE2\x80\x93port 1", "has a typographic quote" },
                { "prog\xC2\xA0--x", "has a typographic quote" },
                { "prog\xE2\x80\x8B --x", "has a typographic quote" },
                { "prog \xE2\x88\x92\xE2\x88\x92port 1", "has a typographic quote" }, /* minus */
                { "prog -\xE2\x80\x91port 1", "has a typographic quote" },            /* one that does not break */
                { "prog \xE2\x80\x95port 1", "has a typographic quote" },             /* a bar */
                { "prog \xEF\xBC\x8D\xEF\xBC\x8Dport 1",
                  "has a typographic quote" },                                      /* as wide as a letter of Chinese */
                { "prog\xE3\x80\x80--port 1", "has a typographic quote" },          /* such a space */
                { "prog\xE2\x80\xAF--port 1", "has a typographic quote" },          /* a narrow space */
                { "prog -m \xE2\x80\x9Ex\xE2\x80\x9C", "has a typographic quote" }, /* German */
                { "prog -m \xC2\xABx\xC2\xBB", "has a typographic quote" },         /* French */
                { "prog -m \xE2\x80\xAA/srv/x", "has a typographic quote" },        /* from a window of Windows' */
                { "prog --kwargs {\"a\": 1}", "put '…' around it: {\"a\": 1}" },
                { "prog --allowed-origins [\"*\"]", "put '…' around it: [\"*\"]" },
                { "prog --x=[ \"a\", \"b\"]", "put '…' around it: [ \"a\"" },
                { "prog ''{\"a\": 1}", "put '…' around it: {\"a\": 1}" },
                { "prog --kwargs={ \"a\":{\"b\":1}}", "put '…' around it: { \"a\":" },
                { "printf a\nexec prog", "put && between commands: exec prog" },
                { "docker rm -f x\n docker run --rm x", "put && between commands: docker run" },
                { "prog --port $(PORT)", "write $PORT: $(PORT)" },
                { "prog --port \"$$PORT\"", "write $PORT: $$PORT" },
                { "[\"prog\", \"--port\", \"1\"]", "COMMAND is a list: write it as in a shell" },
                { " [ 'prog' ]", "COMMAND is a list" },
                { "prog a\n cd x", "put && between commands: cd x" },
                { "prog --key ${env.HF_TOKEN}", "write $PORT: ${env.HF_TOKEN}" },
                { "$env:X=1; prog", "write $PORT: $env:X=1" },
                { "prog ^\n --port 1", "as in a shell of Windows': leave that away" },
                { "prog `\r\n --port 1 `\r\n --x", "as in a shell of Windows': leave that away" },
                { "cd /srv &amp;&amp; prog", "write the character itself: &amp;&amp; prog" },
                { "prog -m &quot;/srv/x&quot;", "write the character itself: &quot;" },
                { "```bash\nprog --x\n```", "has Markdown's backquotes around it: remove that" },
                { " `prog --x` \n", "has Markdown's backquotes around it: remove that" },
                { "$ prog --x", "has a shell's prompt in front of it: remove that: $ prog" },
                { "me@box:~/x# prog --x", "has a shell's prompt in front of it: remove that" },
                { "prog --port ${{ PORT }}", "write $PORT: ${{ PORT }}" },
                { "prog --hook http://x/?a=1&b=2", "quotes around the word: http://x/?a=1&b=2" },
                { "prog -ot blk.(0|1).ffn=CPU", "quotes around the word: blk.(0|1).ffn=CPU" },
        };
        (void)state;
        for (size_t i = 0; i < HL_COUNT(commands); i++) {
                struct hl_command command;
                struct hl_err err = { 0 };
                int r = hl_command_read(commands[i][0], variable, NULL, &command, &err);
                if (r != -EINVAL || err.kind != HL_ERR_INVALID || !strstr(err.message, commands[i][1]))
                        fail_msg("%s\n%d: %s", commands[i][0], r, err.message);
        }
}

static void the_words_are_what_the_program_is_given(void **state)
{
        static const struct {
                const char *command, *words;
        } commands[] = {
                { "p -m \"my model\" 'a b' c\\ d", "p|-m|my model|a b|c d|" },
                { "p --port $PORT -m \"$MODEL\" ~/x",
                  "p|--port|8198|-m|/srv/my model.gguf|/var/lib/home-lab-models/x|" },
                { "p $MODEL $NONE \"a$(b)\"", "p|?|?|?|" },
                { "p \"a\\\"b\\$c\\d\" '{\"a\": 1}'", "p|a\"b$c\\d|{\"a\": 1}|" },
                { "X=1 p /srv/*.gguf >log 2>&1", "=X=1|p|*/srv/*.gguf|>log|>1|" },
                { "p </srv/in >>out 2>&1", "p|</srv/in|>out|>1|" },
                { "cd x && p", "cd|x|p|" },
        };
        (void)state;
        for (size_t i = 0; i < HL_COUNT(commands); i++) {
                struct hl_command command;
                struct hl_err err = { 0 };
                struct hl_buf words = { 0 };
                assert_int_equal(hl_command_read(commands[i].command, variable, NULL, &command, &err), 0);
                for (size_t k = 0; k < command.count; k++) {
                        const struct hl_word *word = &command.words[k];
                        hl_buf_addf(&words, "%s%s%s%s|", word->is_assignment ? "=" : "",
                                    word->is_input    ? "<"
                                    : word->is_target ? ">"
                                                      : "",
                                    word->is_pattern ? "*" : "", word->is_known ? word->text : "?");
                }
                if (strcmp(words.data, commands[i].words) != 0)
                        fail_msg("%s\n%s\n%s", commands[i].command, words.data, commands[i].words);
                hl_buf_free(&words);
                hl_command_free(&command);
        }
}

static void a_variable_that_nobody_sets_is_known(void **state)
{
        struct hl_command command;
        struct hl_err err = { 0 };
        (void)state;
        assert_int_equal(
                hl_command_read("p -v $PWD:/x --user $UID $PORT ${STATE_DIRECTORY}/y $USER '$X' $MODLE ${Y:-z}",
                                variable, NULL, &command, &err),
                0);
        assert_string_equal(command.unset, "MODLE");
        hl_command_free(&command);
}

/* ---- here ---- */

static void judge(const char *text, const char *path, const char *expected)
{
        struct hl_command command;
        struct hl_err err = { 0 };
        const struct hl_command_place place = { .variable = variable,
                                                .data = (void *)(uintptr_t)path,
                                                .unit = "model@m.service",
                                                .no_new_privileges = true };
        assert_int_equal(hl_command_read(text, variable, NULL, &command, &err), 0);
        int r = hl_command_judge(&command, &place, &err);
        if ((r < 0) != (expected != NULL) || (expected && !strstr(err.message, expected)))
                fail_msg("%s\n%d: %s", text, r, err.message);
        hl_command_free(&command);
}

static void what_a_unit_cannot_bear_is_refused(void **state)
{
        const char *folder = *state, *programs = test_path(folder, "bin");
        static const char *const names[] = { "llama-server", "docker", "podman",    "sudo",   "setsid",
                                             "conda",        "tmux",   "systemctl", "screen", "systemd-run" };
        must(mkdir(programs, 0755) == 0);
        for (size_t i = 0; i < HL_COUNT(names); i++) {
                HL_CLEANUP(hl_free_pointer) char *name = hl_format("bin/%s", names[i]);
                test_write(folder, name, "#!/bin/sh\n");
                must(chmod(test_path(folder, name), 0755) == 0);
        }
        HL_CLEANUP(hl_free_pointer) char *path = hl_format("/nowhere:%s", test_path(folder, "bin"));
        test_write(folder, "bin/moved", "#!/nowhere/venv/bin/python3 -E\nx\n");
        test_write(folder, "bin/windows", "#!/bin/sh\r\nx\r\n");
        must(chmod(test_path(folder, "bin/moved"), 0755) == 0 && chmod(test_path(folder, "bin/windows"), 0755) == 0);
        judge("llama-server", path, NULL);
        judge("moved --x", path,
              "/bin/moved is a script, and cannot be run by the program that its first line names: "
              "there is no folder /nowhere");
        judge(test_path(folder, "bin/moved"), path, "there is no folder /nowhere");
        judge("windows", path, "/bin/windows has Windows' line ends");
        judge("if true; then", path, "COMMAND is not what a shell can read: ");
        judge("llama-server )", path, "COMMAND is not what a shell can read: syntax error near unexpected token `)'");
        judge("lama-server --x", path, "there is no program lama-server that ");
        judge("CUDA_VISIBLE_DEVICES=0 lama-server", path, "there is no program lama-server that ");
        judge("env X=1 lama-server", path, "there is no program ");
        judge("X=1\nlama-server", path, "there is no program lama-server that ");
        judge("PATH=/elsewhere\nllama-server", path, NULL); /* as behind export */
        judge("exec >/nowhere/log 2>&1; llama-server", path, NULL);
        judge("exec 2>&1; lama-server", path, "there is no program lama-server that ");
        judge("command >/nowhere/log lama-server", path, "there is no program lama-server that ");
        judge("PATH=/elsewhere llama-server", path, "there is no program llama-server that ");
        judge("PATH=/elsewhere:$PATH llama-server", path, NULL);
        judge("source venv/bin/activate && vllm serve", path, NULL); /* that may bring it */
        judge("cd /srv/x && ./server", path, NULL);
        judge("unalias -a; mapfile -t x </dev/null; llama-server", path, NULL);
        judge("cd /srv/x && nosuch", "/nowhere", NULL);
        judge("/nowhere/server", path, "there is no folder /nowhere");
        judge("./server", path, "write its full path");
        judge("sudo llama-server", path, "sudo has no use in a unit: \"sudo systemctl edit model@m.service\"");
        judge("set CUDA_VISIBLE_DEVICES=0 && llama-server", path, "write it in front of the program, without set");
        judge("set -eu; set -- X=1; llama-server", path, NULL);
        judge("setsid llama-server", path, "goes to the background");
        judge("tmux new -d x", path, "goes to the background");
        judge("tmux -L x new-session -d x", path, "goes to the background");
        judge("tmux attach", path, "wants a terminal");
        judge("tmux kill-server; llama-server", path, NULL);
        judge("X=1\nconda activate x\nllama-server", path, "conda activate");
        judge("screen -m -d -S x llama-server", path, "goes to the background");
        judge("screen -AmdS x llama-server", path, "goes to the background");
        judge("screen llama-server", path, "wants a terminal");
        judge("screen -dmS x llama-server -D", path, "goes to the background");
        judge("screen -DmS x llama-server", path, NULL);
        judge("screen -D -m llama-server", path, NULL);
        judge("systemctl start x", path, "systemctl only asks for another unit");
        judge("systemd-run --scope llama-server", path, NULL);
        judge("service x start", path, "service only asks for another unit");
        judge("docker restart x", path, "goes to the background");
        judge("docker restart x; docker logs -f x", path, NULL);
        judge("docker run --name \"\" -v $(pwd):/x --rm x", path, NULL);
        judge("docker run --rm -q vllm -dp 2", path, NULL);
        judge("docker compose run --rm -T vllm -dp 2", path, NULL);
        judge("PATH+=:/elsewhere; lama-server", path, NULL);
        judge("conda activate x && vllm serve", path, "write \"conda run");
        judge("conda run -n x vllm serve", path, NULL);
        judge("podman run -d x", path, "goes to the background");
        judge("podman run --rm -itd x", path, "goes to the background");
        judge("podman run --detach --rm x", path, "goes to the background");
        judge("podman run --gpus all -dp 8198:8080 x", path, "goes to the background");
        judge("podman run -d=true x", path, "goes to the background");
        judge("podman run -p 1:2 -ti -v /d:/d x", path, NULL);
        judge("podman run -d=false x", path, NULL);
        judge("docker exec -it x llama-server", path, "with -it docker wants a terminal");
        judge("podman exec -d x llama-server", path, "goes to the background");
        judge("podman exec x llama-server -d", path, NULL);
        judge("podman restart x", path, "write \"start --attach\"");
        judge("podman run --rm -p 1:2 -e A=d x -d 1", path, NULL); /* that is its program's */
        judge("docker run --rm -it x", path, "with -it docker wants a terminal");
        judge("docker run -i --tty x", path, "with -it docker wants a terminal");
        judge("podman run -it x", path, NULL); /* it only warns */
        judge("podman compose -f x up -d", path, "goes to the background");
        judge("podman compose -f x up", path, NULL);
        judge("podman start x", path, "write \"start --attach\"");
        judge("podman start -a x", path, NULL);
}

static void why_a_file_cannot_be_opened(void **state)
{
        const char *folder = *state;
        test_write(folder, "file", "x");
        assert_null(hl_access_explain(test_path(folder, "file"), HL_ACCESS_READ));
        HL_CLEANUP(hl_free_pointer) char *none = hl_access_explain(test_path(folder, "none"), HL_ACCESS_READ);
        assert_non_null(strstr(none, "there is no /"));
        HL_CLEANUP(hl_free_pointer) char *way = hl_access_explain("/nowhere/at/all", HL_ACCESS_READ);
        assert_string_equal(way, "there is no folder /nowhere");
        HL_CLEANUP(hl_free_pointer) char *run = hl_access_explain(test_path(folder, "file"), HL_ACCESS_RUN);
        assert_non_null(strstr(run, "sudo chmod a+rx "));
        HL_CLEANUP(hl_free_pointer) char *directory = hl_access_explain("/usr", HL_ACCESS_RUN);
        assert_string_equal(directory, "/usr is a folder, and no program");
        assert_null(hl_access_explain("/usr/bin/env", HL_ACCESS_RUN));

        must(symlink("/nowhere/weights", test_path(folder, "weights")) == 0 &&
             symlink("none", test_path(folder, "link")) == 0);
        must(symlink("loop", test_path(folder, "loop")) == 0 && symlink("file", test_path(folder, "good")) == 0);
        assert_null(hl_access_explain(test_path(folder, "good"), HL_ACCESS_READ));
        HL_CLEANUP(hl_free_pointer) char *link = hl_access_explain(test_path(folder, "link"), HL_ACCESS_READ);
        assert_non_null(strstr(link, "/link leads to /"));
        assert_non_null(strstr(link, "/none: there is no /"));
        HL_CLEANUP(hl_free_pointer) char *linked = hl_access_explain(test_path(folder, "weights/x"), HL_ACCESS_READ);
        assert_non_null(strstr(linked, "/weights leads to /nowhere/weights: there is no folder /nowhere"));
        HL_CLEANUP(hl_free_pointer) char *loop = hl_access_explain(test_path(folder, "loop"), HL_ACCESS_READ);
        assert_non_null(strstr(loop, "Too many levels"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(as_it_is_typed),
                cmocka_unit_test(what_cannot_run_is_refused),
                cmocka_unit_test(the_words_are_what_the_program_is_given),
                cmocka_unit_test(a_variable_that_nobody_sets_is_known),
                cmocka_unit_test_setup_teardown(what_a_unit_cannot_bear_is_refused, test_folder_setup,
                                                test_folder_teardown),
                cmocka_unit_test_setup_teardown(why_a_file_cannot_be_opened, test_folder_setup, test_folder_teardown),
        };
        return cmocka_run_group_tests_name("command", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* models/cause_line: what real servers print when they do not start, and the line that says why. */
#include "support.h"

#include "base/mem.h"
#include "base/str.h"
#include "models/cause_line.h"

#include <stdlib.h>
#include <string.h>

static void expect_line(int priority, const char *logged, const char *expected, bool is_error)
{
        struct hl_cause_line best = { 0 };
        hl_cause_line_offer(&best, priority, logged);
        if (strcmp(best.text, expected) != 0 || hl_cause_line_is_error(&best) != is_error)
                fail_msg("\"%s\" (%d) instead of \"%s\"", best.text, best.score, expected);
}

static void servers_of_all_kinds(void **state)
{
        (void)state;
        static const struct {
                const char *logged, *expected;
        } cases[] = {
                /* llama-server, as of b11669 */
                { "0.00.001.103 I srv  llama_server: initializing ...\n"
                  "0.00.004.705 W srv  llama_server: security: no API key is set and CORS allows all origins\n"
                  "0.00.006.331 I srv    load_model: loading model '/srv/models/tinny.gguf'\n"
                  "0.00.006.438 E gguf_init_from_file: failed to open GGUF file '/srv/models/tinny.gguf' (No such file "
                  "or "
                  "directory)\n"
                  "0.00.006.538 E llama_model_load: error loading model: llama_model_loader: failed to load model from "
                  "/srv/models/tinny.gguf\n"
                  "0.00.006.557 E llama_model_load_from_file_impl: failed to load model\n"
                  "0.00.006.585 E common_fit_params: encountered an error while trying to fit params to free device "
                  "memory: failed to load model\n"
                  "0.00.006.610 E srv    load_model: failed to load model, '/srv/models/tinny.gguf'\n"
                  "0.00.006.612 I srv    operator(): operator(): cleaning up before exit...\n"
                  "0.00.007.001 E srv  llama_server: exiting due to model loading error\n",
                  "gguf_init_from_file: failed to open GGUF file '/srv/models/tinny.gguf' (No such file or "
                  "directory)" },
                /* an older one, which did not say why */
                { "main: loading model\n"
                  "gguf_init_from_file: failed to open GGUF file '/srv/a.gguf'\n"
                  "llama_model_load: error loading model: llama_model_loader: failed to load model from /srv/a.gguf\n"
                  "llama_model_load_from_file_impl: failed to load model\n"
                  "common_init_from_params: failed to load model '/srv/a.gguf', try reducing --n-gpu-layers if you're "
                  "running out of VRAM\n"
                  "srv    load_model: failed to load model\n"
                  "srv    operator(): operator(): cleaning up before exit...\n"
                  "main: exiting due to model loading error\n",
                  "gguf_init_from_file: failed to open GGUF file '/srv/a.gguf'" },
                /* -hf without a network */
                { "0.00.033.042 E get_repo_commit: error: HTTPLIB failed: Could not establish connection\n"
                  "0.00.033.058 W get_repo_files: failed to resolve commit for ggml-org/gemma-3-270m-it-GGUF\n"
                  "0.00.035.466 E llama_model_load_from_file_impl: exactly one out metadata, path_model, and file must "
                  "be defined\n"
                  "0.00.035.542 I srv    operator(): operator(): cleaning up before exit...\n",
                  "get_repo_commit: error: HTTPLIB failed: Could not establish connection" },
                { "error: invalid argument: --prt\n", "error: invalid argument: --prt" },
                { "0.00.006.122 E gguf_init_from_reader: invalid magic characters: 'hell', expected 'GGUF'\n"
                  "0.00.006.329 E llama_model_load_from_file_impl: failed to load model\n"
                  "0.00.006.824 E srv  llama_server: exiting due to model loading error\n",
                  "gguf_init_from_reader: invalid magic characters: 'hell', expected 'GGUF'" },
                { "0.00.006.240 E llama_model_load: error loading model: tensor 'blk.0.attn_q.weight' data is not "
                  "within "
                  "the file bounds, model is corrupted or incomplete\n"
                  "0.00.006.420 E srv    load_model: failed to load model, '/tmp/c2.gguf'\n"
                  "0.00.006.802 E srv  llama_server: exiting due to model loading error\n",
                  "llama_model_load: error loading model: tensor 'blk.0.attn_q.weight' data is not within the file "
                  "bounds, model is corrupted or incomplete" },
                { "0.00.006.143 E srv         start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: "
                  "18778\n"
                  "0.00.006.165 I srv    operator(): operator(): cleaning up before exit...\n"
                  "0.00.006.251 E srv  llama_server: exiting due to HTTP server error\n",
                  "srv start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 18778" },
                { "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 39979.48 MiB on device 0: cudaMalloc failed: "
                  "out of memory\n"
                  "alloc_tensor_range: failed to allocate CUDA0 buffer of size 41921548288\n"
                  "llama_model_load: error loading model: unable to allocate CUDA0 buffer\n"
                  "llama_model_load_from_file_impl: failed to load model\n",
                  "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 39979.48 MiB on device 0: cudaMalloc failed: "
                  "out "
                  "of memory" },
                /* vLLM: the engine's exception, and what the API server makes of it */
                { "(EngineCore_DP0 pid=17374) ERROR 09-28 15:47:24 [core.py:718] EngineCore failed to start.\n"
                  "(EngineCore_DP0 pid=17374) ERROR 09-28 15:47:24 [core.py:718] Traceback (most recent call last):\n"
                  "(EngineCore_DP0 pid=17374) ERROR 09-28 15:47:24 [core.py:718]   File \"/x/gpu_worker.py\", line "
                  "180, in "
                  "init_device\n"
                  "(EngineCore_DP0 pid=17374) ERROR 09-28 15:47:24 [core.py:718]     raise ValueError(\n"
                  "(EngineCore_DP0 pid=17374) ERROR 09-28 15:47:24 [core.py:718] ValueError: Free memory on device "
                  "(3.22/4.0 GiB) on startup is less than desired GPU memory utilization (0.9, 3.6 GiB).\n"
                  "(APIServer pid=17312) Traceback (most recent call last):\n"
                  "(APIServer pid=17312)   File \"/usr/lib/python3.10/asyncio/runners.py\", line 44, in run\n"
                  "(APIServer pid=17312)     raise RuntimeError(\"Engine core initialization failed. \"\n"
                  "(APIServer pid=17312) RuntimeError: Engine core initialization failed. See root cause above. Failed "
                  "core proc(s): {}\n"
                  "/usr/lib/python3.10/multiprocessing/resource_tracker.py:224: UserWarning: resource_tracker: There "
                  "appear to be 2 leaked shared_memory objects to clean up at shutdown\n"
                  "  warnings.warn('resource_tracker: There appear to be %d '\n",
                  "ValueError: Free memory on device (3.22/4.0 GiB) on startup is less than desired GPU memory "
                  "utilization "
                  "(0.9, 3.6 GiB)." },
                { "INFO 11-25 22:00:00 [__init__.py:241] Automatically detected platform cuda.\n"
                  "usage: vllm serve [model_tag] [options]\n"
                  "vllm serve: error: unrecognized arguments: --prt 8000\n",
                  "vllm serve: error: unrecognized arguments: --prt 8000" },
                /* Ollama */
                { "Error: listen tcp 127.0.0.1:11434: bind: address already in use\n",
                  "Error: listen tcp 127.0.0.1:11434: bind: address already in use" },
                { "Error: unknown command \"servee\" for \"ollama\"\n",
                  "Error: unknown command \"servee\" for \"ollama\"" },
                { "time=2026-01-31T23:00:00.000+01:00 level=INFO source=routes.go:1187 msg=\"Listening on "
                  "127.0.0.1:11434\"\n"
                  "time=2026-01-31T23:00:01.000+01:00 level=ERROR source=sched.go:426 msg=\"error loading llama "
                  "server\" "
                  "error=\"unable to allocate 8 GiB: out of memory\"\n",
                  "error loading llama server: unable to allocate 8 GiB: out of memory" },
                /* TGI */
                { "{\"timestamp\":\"2026-01-31T23:00:00Z\",\"level\":\"INFO\",\"fields\":{\"message\":\"Args { .. "
                  "}\"},\"target\":\"text_generation_launcher\"}\n"
                  "{\"timestamp\":\"2026-01-31T23:00:01Z\",\"level\":\"ERROR\",\"fields\":{\"message\":\"Shard 0 "
                  "failed to "
                  "start\"},\"target\":\"text_generation_launcher\"}\n",
                  "Shard 0 failed to start" },
                /* ComfyUI, and Python at large */
                { "Total VRAM 24268 MB, total RAM 64216 MB\n"
                  "Traceback (most recent call last):\n"
                  "  File \"/opt/ComfyUI/main.py\", line 132, in <module>\n"
                  "    import execution\n"
                  "ModuleNotFoundError: No module named 'torch'\n",
                  "ModuleNotFoundError: No module named 'torch'" },
                { "Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\nKeyError: 'x'\n\n"
                  "During handling of the above exception, another exception occurred:\n\n"
                  "Traceback (most recent call last):\n  File \"a.py\", line 4, in <module>\n"
                  "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\n",
                  "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB." },
                { "python3: can't open file '/srv/app.py': [Errno 2] No such file or directory\n",
                  "python3: can't open file '/srv/app.py': [Errno 2] No such file or directory" },
                { "INFO:     Started server process [1]\nINFO:     Waiting for application startup.\n"
                  "INFO:     Application startup complete.\n"
                  "ERROR:    [Errno 98] error while attempting to bind on address ('127.0.0.1', 8198): address already "
                  "in "
                  "use\nINFO:     Waiting for application shutdown.\nINFO:     Application shutdown complete.\n",
                  "[Errno 98] error while attempting to bind on address ('127.0.0.1', 8198): address already in use" },
                { "[2026-01-31 23:00:00 +0000] [17] [INFO] Starting gunicorn 21.2.0\n"
                  "[2026-01-31 23:00:00 +0000] [17] [ERROR] Connection in use: ('127.0.0.1', 8198)\n",
                  "Connection in use: ('127.0.0.1', 8198)" },
                { "2026-01-31 23:00:00,123 - INFO - load INSTRUCTOR_Transformer\n"
                  "2026-01-31 23:00:01,123 - ERROR - tokenizer.json is not there\n",
                  "tokenizer.json is not there" },
                /* Node, Go, Rust, C++ */
                { "node:internal/modules/cjs/loader:1228\n  throw err;\n  ^\n\nError: Cannot find module '/srv/x.js'\n"
                  "    at Module._resolveFilename (node:internal/modules/cjs/loader:1225:15)\n"
                  "    at node:internal/main/run_main_module:28:49 {\n  code: 'MODULE_NOT_FOUND',\n  requireStack: "
                  "[]\n}\n"
                  "\nNode.js v20.19.2\n",
                  "Error: Cannot find module '/srv/x.js'" },
                { "flag provided but not defined: -prt\nUsage of server:\n  -port int\n    \tthe port (default 8080)\n",
                  "flag provided but not defined: -prt" },
                { "panic: runtime error: index out of range [5] with length 3\n\ngoroutine 1 [running]:\nmain.main()\n"
                  "\t/srv/main.go:9 +0x1d\nexit status 2\n",
                  "panic: runtime error: index out of range [5] with length 3" },
                { "thread 'main' panicked at src/main.rs:5:5:\n"
                  "called `Result::unwrap()` on an `Err` value: Os { code: 2, kind: NotFound, message: \"No such file "
                  "or "
                  "directory\" }\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n",
                  "called `Result::unwrap()` on an `Err` value: Os { code: 2, kind: NotFound, message: \"No such file "
                  "or "
                  "directory\" }" },
                { "terminate called after throwing an instance of 'std::runtime_error'\n  what():  no GPU is there\n",
                  "what(): no GPU is there" },
                { "/src/ggml.c:1: GGML_ASSERT(ctx) failed\n", "/src/ggml.c:1: GGML_ASSERT(ctx) failed" },
                /* shells, the loader, docker */
                { "/bin/sh: 1: exec: cd: not found\n", "/bin/sh: 1: exec: cd: not found" },
                { "bash: line 1: lama-server: command not found\n", "bash: line 1: lama-server: command not found" },
                { "llama-server: error while loading shared libraries: libcuda.so.1: cannot open shared object file: "
                  "No "
                  "such file or directory\n",
                  "llama-server: error while loading shared libraries: libcuda.so.1: cannot open shared object file: "
                  "No "
                  "such file or directory" },
                { "Unable to find image 'x:latest' locally\n"
                  "docker: Error response from daemon: pull access denied for x, repository does not exist\n"
                  "\nRun 'docker run --help' for more information\n",
                  "docker: Error response from daemon: pull access denied for x, repository does not exist" },
                { "docker: permission denied while trying to connect to the Docker daemon socket at "
                  "unix:///var/run/docker.sock\n\nRun 'docker run --help' for more information\n",
                  "docker: permission denied while trying to connect to the Docker daemon socket at "
                  "unix:///var/run/docker.sock" },
        };
        for (size_t i = 0; i < HL_COUNT(cases); i++)
                expect_line(6, cases[i].logged, cases[i].expected, true);
}

/* As model@.service writes them, with a priority of its own. */
static void a_priority_is_believed(void **state)
{
        (void)state;
        struct hl_cause_line best = { 0 };
        const char *said =
                "/etc/home-lab-services/models/m: there is no program lama-server that home-lab-models may run";
        hl_cause_line_offer(&best, 3, said);
        hl_cause_line_offer(&best, 6, "error: no such file or directory");
        assert_string_equal(best.text, said);
        assert_true(hl_cause_line_is_error(&best));
}

static void a_program_without_words_of_error(void **state)
{
        (void)state;
        expect_line(6, "this box has 4 GB\n\n", "this box has 4 GB", false);
        expect_line(6, "", "", false);
        expect_line(6, "\n \n====\n", "", false);
        expect_line(6, "INFO: error rate 0\nbye\n", "bye", false);
        /* A warning is no cause where there is an error, or a last word. */
        expect_line(6, "WARNING: /etc/x.conf: No such file or directory\nERROR: no GPU\n", "no GPU", true);
}

static void one_line_for_any_place(void **state)
{
        (void)state;
        expect_line(6, "\033[1;31merror:\033[0m no\tsuch \x01 file\r\n", "error: no such file", true);
        expect_line(6, "\033]0;title\aerror: x\n", "error: x", true);
        expect_line(6, "error: \xff\xfe\n", "error: ??", true);
        expect_line(6,
                    "error: \xC2\x9B"
                    "31mno such file\n",
                    "error: 31mno such file", true);
        expect_line(6, "Fehler: error in Straße\n", "Fehler: error in Straße", true);
        char long_line[5000];
        for (size_t shift = 0; shift < 4; shift++) { /* wherever the cut falls */
                memset(long_line, 'x', shift);
                strcpy(long_line + shift, "error ");
                for (size_t at = strlen(long_line); at + 4 < sizeof(long_line); at += 3)
                        strcpy(long_line + at, "€");
                struct hl_cause_line best = { 0 };
                hl_cause_line_offer(&best, 6, long_line);
                size_t len = strlen(best.text);
                assert_true(len < HL_CAUSE_SIZE);
                assert_true(len > HL_CAUSE_SIZE - 10);
                assert_true(hl_utf8_valid(best.text, len));
                assert_string_equal(best.text + len - strlen("…"), "…");
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(servers_of_all_kinds),
                cmocka_unit_test(a_priority_is_believed),
                cmocka_unit_test(a_program_without_words_of_error),
                cmocka_unit_test(one_line_for_any_place),
        };
        return cmocka_run_group_tests_name("cause_line", tests, NULL, NULL);
}

# SPDX-License-Identifier: MIT
# The unit tests and the fuzzers: everything but each program's main() once more, with the sanitizers. Included by the Makefile.

FUZZ_SECONDS := 30 # of each target, by "make fuzz"
FUZZ_RUNS := 3000   # inputs of each target, by "make check-fuzz"
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -O1 -g
TEST_CFLAGS = $(LANGUAGE) -Itests/unit $(WARNINGS) $(WERROR) $(LIBRARY_CFLAGS)
TEST_LIBS = $(LIBS) -lm

TESTED := $(SOURCES) $(filter-out %/main.c,$(PARTS))

# $(call sanitized,SUBFOLDER): their objects and llhttp's below it.
sanitized = $(TESTED:%.c=$(BUILD)/$(1)/%.o) $(patsubst $(LLHTTP_FOLDER)/%.c,$(BUILD)/$(1)/llhttp/%.o,$(LLHTTP_SOURCES))

UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/asan/%,$(sort $(wildcard tests/unit/*/test_*.c)))
UNIT_SUPPORT := $(patsubst %.c,$(BUILD)/asan/%.o,$(wildcard tests/unit/*.c))

# Files of the system that a unit test may not write: the test answers in their place.
$(BUILD)/asan/base/test_log: TEST_LDFLAGS := -Wl,--wrap=access -Wl,--wrap=sendto
$(BUILD)/asan/config/test_catalog: TEST_LDFLAGS := -Wl,--wrap=hl_read_file
$(BUILD)/asan/service/test_catalog_kept $(BUILD)/asan/model-router/test_named: \
	TEST_LDFLAGS := -Wl,--wrap=hl_read_file -Wl,--wrap=inotify_add_watch
$(BUILD)/asan/service/test_states_shared: TEST_LDFLAGS := -Wl,--wrap=hl_states_read -Wl,--wrap=pthread_cond_wait
$(BUILD)/asan/config/test_config_kept: TEST_LDFLAGS := -Wl,--wrap=hl_read_file -Wl,--wrap=inotify_add_watch \
	-Wl,--wrap=hl_clock_realtime
$(BUILD)/asan/config/test_tokens: TEST_LDFLAGS := -Wl,--wrap=hl_read_file
$(BUILD)/asan/config/test_config: TEST_LDFLAGS := -Wl,--wrap=hl_read_file
$(BUILD)/asan/systemd/test_shutdown: TEST_LDFLAGS := -Wl,--wrap=hl_read_file -Wl,--wrap=stat
$(BUILD)/asan/kernel/test_sockets: TEST_LDFLAGS := -Wl,--wrap=recv
$(BUILD)/asan/transport/test_fastcgi: TEST_LDFLAGS := -Wl,--wrap=accept4
$(BUILD)/asan/models/test_owner: TEST_LDFLAGS := -Wl,--wrap=hl_sockets_listener
$(BUILD)/asan/models/test_listening: TEST_LDFLAGS := -Wl,--wrap=hl_sockets_listeners
$(BUILD)/asan/models/test_cause: TEST_LDFLAGS := -Wl,--wrap=hl_journal_read
$(BUILD)/asan/models/test_usage: TEST_LDFLAGS := -Wl,--wrap=hl_unit_start_hint -Wl,--wrap=hl_units_cgroup \
	-Wl,--wrap=hl_work_seen

.PHONY: check-unit unit-tests
check-unit: unit-tests ## C tests of the modules, with the sanitizers
	$(Q)tests/run-unit $(UNIT_TESTS)

unit-tests: $(UNIT_TESTS)

$(BUILD)/asan/libhomelab.a: $(call sanitized,asan) $(UNIT_SUPPORT)
	$(Q)rm -f $@
	$(Q)$(AR) qcs $@ $^ # q: files of one name stand in several folders

$(UNIT_TESTS): $(BUILD)/asan/%: $(BUILD)/asan/tests/unit/%.o $(BUILD)/asan/libhomelab.a $(STAMP)
	@mkdir -p $(@D)
	@echo "  LD $@"
	$(Q)$(CC) $(SANITIZE) $(TEST_LDFLAGS) -o $@ $(filter %.o %.a,$^) -lcmocka $(TEST_LIBS)

.PRECIOUS: $(BUILD)/asan/%.o $(BUILD)/asan/llhttp/%.o
$(BUILD)/asan/%.o: %.c Makefile tests/tests.mk $(STAMP)
	@mkdir -p $(@D); echo "  CC $< (sanitized)"
	$(Q)$(CC) $(TEST_CFLAGS) $(SANITIZE) -c -o $@ $<

$(BUILD)/asan/llhttp/%.o: $(LLHTTP_FOLDER)/%.c Makefile $(STAMP)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LLHTTP_CFLAGS) $(SANITIZE) -c -o $@ $<

# The fuzzers need clang; its coverage goes into our code and llhttp's alike. What they have found before, and what covers
# most, stands in tests/fuzz/seeds: the replays run it with any compiler.
FUZZ_TARGETS := $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZERS := $(FUZZ_TARGETS:%=$(BUILD)/fuzz/fuzz_%)
REPLAYS := $(FUZZ_TARGETS:%=$(BUILD)/asan/fuzz/replay_%)
FUZZ_FLAGS := -fsanitize=fuzzer-no-link $(SANITIZE)

# What a target puts itself in the place of. Each is named as the program that is linked with it.
fuzz_programs = $(BUILD)/fuzz/fuzz_$(1) $(BUILD)/asan/fuzz/replay_$(1)
$(call fuzz_programs,config): FUZZ_LDFLAGS := -Wl,--wrap=hl_read_file
$(call fuzz_programs,connection): FUZZ_LDFLAGS := -Wl,--wrap=read -Wl,--wrap=hl_write_all
$(call fuzz_programs,fastcgi): FUZZ_LDFLAGS := -Wl,--wrap=getrandom
$(call fuzz_programs,fleet): FUZZ_LDFLAGS := -Wl,--wrap=hl_http_client_ask
$(call fuzz_programs,kubeconfig): FUZZ_LDFLAGS := -Wl,--wrap=hl_read_file
$(call fuzz_programs,probe): FUZZ_LDFLAGS := -Wl,--wrap=read
$(call fuzz_programs,sockets): FUZZ_LDFLAGS := -Wl,--wrap=send -Wl,--wrap=recv
$(call fuzz_programs,tokens): FUZZ_LDFLAGS := -Wl,--wrap=hl_read_file -Wl,--wrap=hl_replace_file

FUZZ_PROGRAMS := $(REPLAYS) $(if $(shell command -v clang),$(FUZZERS))

.PHONY: check-fuzz fuzz
check-fuzz: $(FUZZ_PROGRAMS) ## each fuzzer's seeds once more, and FUZZ_RUNS inputs made of them
	$(Q)tests/run-fuzz --runs $(FUZZ_RUNS) $(FUZZ_TARGETS)

# Finds are left in $(BUILD)/fuzz; the seeds in the sources are not added to.
fuzz: $(FUZZ_PROGRAMS) ## FUZZ_SECONDS of each fuzzer
	$(Q)tests/run-fuzz --seconds $(FUZZ_SECONDS) $(FUZZ_TARGETS)

$(BUILD)/fuzz/libhomelab.a: $(call sanitized,fuzz)
	$(Q)rm -f $@
	$(Q)$(AR) qcs $@ $^

$(BUILD)/fuzz/fuzz_%: $(BUILD)/fuzz/tests/fuzz/fuzz_%.o $(BUILD)/fuzz/libhomelab.a
	@echo "  LD $@"
	$(Q)clang -fsanitize=fuzzer $(SANITIZE) $(FUZZ_LDFLAGS) -o $@ $^ $(TEST_LIBS)

$(BUILD)/asan/fuzz/replay_%: $(BUILD)/asan/tests/fuzz/fuzz_%.o $(BUILD)/asan/tests/fuzz/replay.o $(BUILD)/asan/libhomelab.a $(STAMP)
	@mkdir -p $(@D); echo "  LD $@"
	$(Q)$(CC) $(SANITIZE) $(FUZZ_LDFLAGS) -o $@ $(filter %.o %.a,$^) $(TEST_LIBS)

.PRECIOUS: $(BUILD)/fuzz/%.o $(BUILD)/fuzz/llhttp/%.o
$(BUILD)/fuzz/%.o: %.c Makefile tests/tests.mk
	@mkdir -p $(@D); echo "  CC $< (fuzzed)"
	$(Q)clang $(TEST_CFLAGS) $(FUZZ_FLAGS) -c -o $@ $<

$(BUILD)/fuzz/llhttp/%.o: $(LLHTTP_FOLDER)/%.c Makefile
	@mkdir -p $(@D)
	$(Q)clang $(LLHTTP_CFLAGS) $(FUZZ_FLAGS) -c -o $@ $<

$(BUILD)/asan/common/http/parser.o $(BUILD)/fuzz/common/http/parser.o: TEST_CFLAGS += $(LLHTTP_CFLAGS)

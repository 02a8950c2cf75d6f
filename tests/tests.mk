# SPDX-License-Identifier: MIT
# The unit tests and the fuzzers: everything but each program's main() once more, with the sanitizers. Included by the Makefile.

FUZZ_SECONDS := 30
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -O1 -g
TEST_CFLAGS = $(LANGUAGE) -Itests/unit $(WARNINGS) $(WERROR) $(LIBRARY_CFLAGS)
TEST_LIBS = $(LIBS) -lm

TESTED := $(SOURCES) $(filter-out %/main.c,$(PARTS))

# $(call sanitized,SUBFOLDER): their objects and llhttp's below it.
sanitized = $(TESTED:%.c=$(BUILD)/$(1)/%.o) $(patsubst $(LLHTTP_FOLDER)/%.c,$(BUILD)/$(1)/llhttp/%.o,$(LLHTTP_SOURCES))

UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/asan/%,$(sort $(wildcard tests/unit/*/test_*.c)))
UNIT_SUPPORT := $(patsubst %.c,$(BUILD)/asan/%.o,$(wildcard tests/unit/*.c))

# Files of the system that a unit test may not write: the test answers in their place.
$(BUILD)/asan/config/test_catalog: TEST_LDFLAGS := -Wl,--wrap=hl_read_file
$(BUILD)/asan/systemd/test_shutdown: TEST_LDFLAGS := -Wl,--wrap=hl_read_file -Wl,--wrap=stat
$(BUILD)/asan/kernel/test_sockets: TEST_LDFLAGS := -Wl,--wrap=recv
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

# The fuzzers need clang; its coverage goes into our code and llhttp's alike.
FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_FLAGS := -fsanitize=fuzzer-no-link $(SANITIZE)

.PHONY: fuzz
# Finds are left beside the program; the seeds in the sources are not added to.
fuzz: $(FUZZERS) ## FUZZ_SECONDS of each fuzzer
	$(Q)for program in $(FUZZERS); do \
		seeds=tests/fuzz/seeds/$${program##*/fuzz_}; \
		mkdir -p "$$program.corpus"; \
		echo "  FUZZ $$program, $(FUZZ_SECONDS) s"; \
		"$$program" -max_total_time=$(FUZZ_SECONDS) -timeout=5 -rss_limit_mb=1024 -max_len=100000 -verbosity=0 \
			-print_final_stats=1 -artifact_prefix="$$program." "$$program.corpus" "$$seeds" || exit 1; \
	done

$(BUILD)/fuzz/fuzz_%: $(BUILD)/fuzz/tests/fuzz/fuzz_%.o $(call sanitized,fuzz)
	@echo "  LD $@"
	$(Q)clang -fsanitize=fuzzer $(SANITIZE) -o $@ $^ $(TEST_LIBS)

.PRECIOUS: $(BUILD)/fuzz/%.o $(BUILD)/fuzz/llhttp/%.o
$(BUILD)/fuzz/%.o: %.c Makefile tests/tests.mk
	@mkdir -p $(@D); echo "  CC $< (fuzzed)"
	$(Q)clang $(TEST_CFLAGS) $(FUZZ_FLAGS) -c -o $@ $<

$(BUILD)/fuzz/llhttp/%.o: $(LLHTTP_FOLDER)/%.c Makefile
	@mkdir -p $(@D)
	$(Q)clang $(LLHTTP_CFLAGS) $(FUZZ_FLAGS) -c -o $@ $<

$(BUILD)/asan/common/http/parser.o $(BUILD)/fuzz/common/http/parser.o: TEST_CFLAGS += $(LLHTTP_CFLAGS)

# SPDX-License-Identifier: MIT
# Home Lab Services. "make help" says what there is to make.

BUILD := build
PREFIX := /usr/local
# CC, CFLAGS, CPPFLAGS and LDFLAGS may come from the environment, as those of dpkg-buildflags do.
ifeq ($(origin CC),default)
CC := gcc
endif
CFLAGS ?= -O2 -g
PKG_CONFIG ?= pkg-config
# V=1 shows the commands.
Q := $(if $(V),,@)
# CI=true, as build servers set it, makes warnings errors.
WERROR := $(if $(CI),-Werror)

WARNINGS := -Wall -Wextra -Wno-missing-field-initializers -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wcast-qual -Wwrite-strings -Wundef -Wvla -Wformat=2 -Wdate-time -Werror=implicit-function-declaration
# _FORTIFY_SOURCE needs an optimizing compiler. An environment that names it has chosen a level.
FORTIFY := $(if $(findstring _FORTIFY_SOURCE,$(CPPFLAGS) $(CFLAGS)),,$(if $(filter-out -O0,$(filter -O%,$(CFLAGS))),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2))
HARDENING := -fstack-protector-strong -fPIE $(FORTIFY)
LANGUAGE := -std=gnu17 -D_GNU_SOURCE -Icommon -Ihandlers -MMD -MP
ALL_CFLAGS = $(LANGUAGE) $(WARNINGS) $(WERROR) $(HARDENING) $(LIBRARY_CFLAGS) $(CPPFLAGS) $(CFLAGS)
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(LDFLAGS)

# pkg-config is asked once, and only where something is built: "make test" installs it first. Not every libfcgi has a .pc.
LIBRARIES := libsystemd json-c libcurl yaml-0.1 libmd
pkg_config = $(shell $(PKG_CONFIG) $(1) $(LIBRARIES)) $(shell $(PKG_CONFIG) $(1) fcgi 2>/dev/null || echo $(2))
LIBRARY_CFLAGS = $(eval LIBRARY_CFLAGS := $$(call pkg_config,--cflags))$(LIBRARY_CFLAGS)
LIBS = $(eval LIBS := $$(call pkg_config,--libs,-lfcgi) -pthread $(LLHTTP_LIBS))$(LIBS)

# Debian 13 and Ubuntu have llhttp as a library. Debian 12 has its C sources, in the package node-llhttp: they are compiled
# in, and so are those of a release of llhttp's own, unpacked in LLHTTP=DIR.
LLHTTP :=
LLHTTP_FOLDER := $(or $(LLHTTP:%=%/src),$(if $(wildcard /usr/include/llhttp.h),,/usr/share/llhttp))
LLHTTP_SOURCES := $(if $(LLHTTP_FOLDER),$(wildcard $(LLHTTP_FOLDER)/*.c))
LLHTTP_LIBS := $(if $(LLHTTP_SOURCES),,-lllhttp)
LLHTTP_CFLAGS := $(if $(LLHTTP_SOURCES),-isystem $(or $(LLHTTP:%=%/include),/usr/share/include/llhttp) -DLLHTTP_STRICT_MODE=1)

SERVICES := shutdown-service inference-service model-monitor-service
PROGRAMS := $(SERVICES) model-router model-activity model-idle-sweep model-command model-gate model-measure nginx-config-updater home-lab-services
# Each program is what its folder holds, and the three services share one more. The library is what programs share.
SOURCES := $(wildcard common/*/*.c)
PARTS := $(wildcard handlers/*/*.c handlers/*/*/*.c)
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o) $(patsubst $(LLHTTP_FOLDER)/%.c,$(BUILD)/llhttp/%.o,$(LLHTTP_SOURCES))
LIBRARY := $(BUILD)/libhomelab.a

.PHONY: all
all: $(PROGRAMS:%=$(BUILD)/%) ## the programs (the default)

# Another compiler or other flags make everything anew: this file changes, and all that is compiled or linked depends on it.
# Warnings as errors change no program, so WERROR is none of them.
STAMP := $(BUILD)/flags
.PHONY: FORCE
$(STAMP): export NOW = $(CC) $(filter-out $(WERROR),$(ALL_CFLAGS)) $(ALL_LDFLAGS) $(LIBS)
$(STAMP): FORCE
	@mkdir -p $(@D); printf '%s\n' "$$NOW" | cmp -s - $@ || printf '%s\n' "$$NOW" >$@

program_sources = $(filter handlers/$(1)/% $(if $(filter $(1),$(SERVICES)),handlers/service/%),$(PARTS))
program_objects = $(patsubst %.c,$(BUILD)/%.o,$(call program_sources,$(1)))

.SECONDEXPANSION:
$(PROGRAMS:%=$(BUILD)/%): $(BUILD)/%: $$(call program_objects,$$*) $(LIBRARY) $(STAMP)
	@echo "  LD $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o %.a,$^) $(LIBS)

$(LIBRARY): $(OBJECTS)
	$(Q)rm -f $@
	$(Q)$(AR) qcs $@ $^ # q: two rooms may have files of one name

$(BUILD)/%.o: %.c Makefile $(STAMP)
	@mkdir -p $(@D); echo "  CC $<"
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(BUILD)/common/http/parser.o: private ALL_CFLAGS += $(LLHTTP_CFLAGS)

# Not ours: built as it comes, without our warnings.
$(BUILD)/llhttp/%.o: $(LLHTTP_FOLDER)/%.c Makefile $(STAMP)
	@mkdir -p $(@D); echo "  CC $<"
	$(Q)$(CC) -O2 -fPIE $(LLHTTP_CFLAGS) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

.PHONY: install uninstall
install: all ## on this host, or below DESTDIR. As root
	BUILD=$(abspath $(BUILD)) PREFIX=$(PREFIX) DESTDIR=$(DESTDIR) units/install-services.sh install

uninstall: ## takes all of it off again, but for your files. As root
	PREFIX=$(PREFIX) DESTDIR=$(DESTDIR) units/install-services.sh uninstall

.PHONY: deb
deb: ## the packages of this release of Debian, in $(BUILD)/deb
	units/debian/make-deb $(BUILD)/deb

.PHONY: run test test-fast check lint bench
run: ## the product in a throwaway machine: a tour, then until Ctrl-C. ONCE=1: only the tour. As root
	tests/install-dependencies run
	tests/demo/run

test: ## everything, the real machines too. As root
	tests/install-dependencies test
	$(Q)$(MAKE) --no-print-directory all
	tests/run lint unit fuzz kubernetes system doors

test-fast: all ## check, and what is not slow in machines of one Debian. As root
	tests/run lint unit fuzz system-fast doors

check: all ## what needs neither root nor a machine: lint, unit, fuzz, doors
	tests/run lint unit fuzz doors

lint: all ## what can be said of the sources without running them
	tests/lint

bench: all ## what it costs beside floors and peers, as build/bench.md. As root
	$(Q)tests/bench/bench $(BUILD)

include tests/tests.mk

.PHONY: format compile_commands.json clean help
format: ## clang-format, of all C sources
	clang-format -i $(sort $(shell find common handlers tests -name '*.[ch]'))

COMMANDS := compile_commands.json
compile_commands.json: ## for editors and clang tools: how each source is compiled
	@$(MAKE) --no-print-directory -nB V=1 all unit-tests | sed -nE \
		-e '/ -c -o [^ ]+ [^ ]+\.c$$/!d; s/["\\]/\\&/g' \
		-e 's|.* ([^ ]+)$$|  { "directory": "$(CURDIR)", "file": "\1", "command": "&" },|p' | \
		sed -e '1 s/^/[\n/' -e '$$ s/,$$/\n]/' >$(COMMANDS)

clean: ## removes what was built
	rm -rf $(BUILD) compile_commands.json

help: ## this
	@sed -nE 's/^([a-z_.-]+):[^#]*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 26

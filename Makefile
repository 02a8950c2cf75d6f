# SPDX-License-Identifier: MIT
# Home Lab Services. The README says what there is to make.

BUILD := build
PREFIX := /usr/local
CC := gcc
CFLAGS := -O2 -g
# V=1 shows the commands.
Q := $(if $(V),,@)
# CI=true, as build servers set it, makes warnings errors.
WERROR := $(if $(CI),-Werror)

WARNINGS := -Wall -Wextra -Wno-missing-field-initializers -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wcast-qual -Wwrite-strings -Wundef -Wvla -Wformat=2 -Wdate-time -Werror=implicit-function-declaration
HARDENING := -fstack-protector-strong -fPIE -D_FORTIFY_SOURCE=2
ALL_CFLAGS = -std=gnu17 -D_GNU_SOURCE -Icommon -Ihandlers -MMD -MP $(WARNINGS) $(WERROR) $(HARDENING) $(CFLAGS) $(EXTRA_CFLAGS)
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(LDFLAGS) $(EXTRA_CFLAGS)

# Debian 13 and Ubuntu have llhttp as a library. Debian 12 has its C sources, in the package node-llhttp: they are compiled
# in, and so are those of a release of llhttp's own, unpacked in LLHTTP=DIR.
LLHTTP :=
LLHTTP_FOLDER := $(or $(LLHTTP:%=%/src),$(if $(wildcard /usr/include/llhttp.h),,/usr/share/llhttp))
LLHTTP_SOURCES := $(if $(LLHTTP_FOLDER),$(wildcard $(LLHTTP_FOLDER)/*.c))
LLHTTP_LIBS := $(if $(LLHTTP_SOURCES),,-lllhttp)
LLHTTP_CFLAGS := $(if $(LLHTTP_SOURCES),-isystem $(or $(LLHTTP:%=%/include),/usr/share/include/llhttp) -DLLHTTP_STRICT_MODE=1)

SERVICES := shutdown-service inference-service model-monitor-service
PROGRAMS := $(SERVICES) model-router model-activity model-idle-sweep model-command nginx-config-updater home-lab-services
# Each program is what its folder holds, and the three services share one more. The library is what programs share.
SOURCES := $(wildcard common/*/*.c)
PARTS := $(wildcard handlers/*/*.c handlers/*/*/*.c)
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o) $(patsubst $(LLHTTP_FOLDER)/%.c,$(BUILD)/llhttp/%.o,$(LLHTTP_SOURCES))
LIBRARY := $(BUILD)/libhomelab.a
LIBS := -lsystemd -lcurl -lyaml -ljson-c -lmd -lfcgi -pthread $(LLHTTP_LIBS)

.PHONY: all
all: $(PROGRAMS:%=$(BUILD)/%)

program_sources = $(filter handlers/$(1)/% $(if $(filter $(1),$(SERVICES)),handlers/service/%),$(PARTS))
program_objects = $(patsubst %.c,$(BUILD)/%.o,$(call program_sources,$(1)))

.SECONDEXPANSION:
$(PROGRAMS:%=$(BUILD)/%): $(BUILD)/%: $$(call program_objects,$$*) $(LIBRARY)
	@echo "  LD $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(LIBRARY): $(OBJECTS)
	$(Q)rm -f $@
	$(Q)$(AR) qcs $@ $^ # q: two rooms may have files of one name

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D); echo "  CC $<"
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(BUILD)/common/http/parser.o: ALL_CFLAGS += $(LLHTTP_CFLAGS)

# Not ours: built as it comes, without our warnings.
$(BUILD)/llhttp/%.o: $(LLHTTP_FOLDER)/%.c Makefile
	@mkdir -p $(@D); echo "  CC $<"
	$(Q)$(CC) -O2 -fPIE $(LLHTTP_CFLAGS) $(EXTRA_CFLAGS) -c -o $@ $<

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

.PHONY: install uninstall
install: all
	BUILD=$(abspath $(BUILD)) PREFIX=$(PREFIX) DESTDIR=$(DESTDIR) units/install-services.sh install

uninstall:
	PREFIX=$(PREFIX) DESTDIR=$(DESTDIR) units/install-services.sh uninstall

.PHONY: run test check lint bench
# The product in a throwaway machine with demo models: a tour, then until Ctrl-C. ONCE=1: only the tour.
run:
	tests/install-dependencies run
	tests/demo/run

# Everything, the real machines too. As root.
test:
	tests/install-dependencies test
	$(Q)$(MAKE) --no-print-directory all
	tests/run lint unit doors system kubernetes

# What needs neither root nor a machine.
check: all
	tests/run lint unit doors

lint: all
	tests/lint

# What a request costs, as ratios within one run. As root.
bench: all
	tests/bench/requests

include tests/tests.mk

.PHONY: clean
clean:
	rm -rf $(BUILD)

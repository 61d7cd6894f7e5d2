# SPDX-License-Identifier: Apache-2.0
# bottler's one Makefile. `make help` lists the targets.
#
#   MODE=release (default) | debug | asan | clang      objects go to build/$(MODE)/
#   WERROR=1   warnings are errors      V=1   show commands      PREFIX=/usr/local DESTDIR=
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules
SHELL := /bin/bash

VERSION := 0.1.0
MODE    ?= release
PREFIX  ?= /usr/local
DESTDIR ?=
V       ?=
Q       := $(if $(V),,@)

# ---- dependencies --------------------------------------------------------------------------------
# Debian 12 packages; "a|b" is satisfied by either. A goal that needs them has them installed first (apt-get, with
# sudo when not root): the stamps below are included makefiles, so make starts over once they are there.
DEPS_build := gcc make pkg-config libcurl4-openssl-dev libjansson-dev libyaml-dev libssl-dev \
              libsystemd-dev libmicrohttpd-dev libarchive-dev
DEPS_test  := libcmocka-dev bats jq git curl openssl python3 mitmproxy procps util-linux iproute2 iptables \
              docker.io|docker-ce docker.io|docker-ce-cli mmdebstrap ca-certificates vim-tiny|vim rsync openssh-client openssh-server
DEPS_lint  := clang clang-format clang-tidy cppcheck shellcheck
DEPS_PC    := libcurl jansson yaml-0.1 openssl libsystemd libmicrohttpd libarchive

GOALS := $(if $(MAKECMDGOALS),$(MAKECMDGOALS),all)
NEED_build := $(filter-out help clean format,$(GOALS))
NEED_test  := $(filter check check-% images demo test% deps bench,$(GOALS))$(filter build/%/tests/%,$(GOALS))
NEED_lint  := $(filter lint deps,$(GOALS))$(filter clang,$(MODE))
-include $(if $(NEED_build),build/deps-build.mk) $(if $(NEED_test),build/deps-test.mk) $(if $(NEED_lint),build/deps-lint.mk)
build/deps-%.mk: tests/rig/deps.sh Makefile
	@mkdir -p build
	@tests/rig/deps.sh $(foreach d,$(DEPS_$*),'$(d)')
	@touch $@

ifeq ($(origin CC),default)
CC := $(if $(filter clang,$(MODE)),clang,gcc)
endif
AR := ar

B := build/$(MODE)

# ---- flags ---------------------------------------------------------------------------------------
PC_CFLAGS := $(shell pkg-config --cflags $(DEPS_PC) 2>/dev/null)
PC_LIBS   := $(shell pkg-config --libs $(DEPS_PC) 2>/dev/null)

WARN := -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wstrict-prototypes \
  -Wmissing-prototypes -Wold-style-definition -Wredundant-decls -Wwrite-strings -Wcast-qual \
  -Wcast-align -Wpointer-arith -Wundef -Wvla -Walloca -Wformat=2 -Wimplicit-fallthrough \
  -Wswitch-enum -Wdouble-promotion -Wfloat-equal -Wnull-dereference -Wmissing-format-attribute
WARN_GCC := -Wformat-signedness -Wformat-truncation=2 -Wduplicated-cond -Wduplicated-branches \
  -Wlogical-op -Wjump-misses-init -Warith-conversion -Walloc-zero -Wuse-after-free=3
WARN_CLANG := -Wcomma -Wassign-enum -Wconditional-uninitialized -Wunreachable-code \
  -Wno-gnu-statement-expression -Wno-gnu-zero-variadic-macro-arguments
IS_CLANG := $(findstring clang,$(CC))

HOUSE_CFLAGS := -std=gnu17 -D_GNU_SOURCE -DBOTTLER_VERSION='"$(VERSION)"' -I. \
  -include spec/base/banned.h -fno-common -fvisibility=hidden -g $(WARN) \
  $(if $(IS_CLANG),$(WARN_CLANG),$(WARN_GCC)) $(if $(WERROR),-Werror) $(PC_CFLAGS)
HARDEN_CFLAGS := -O2 -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection \
  -fcf-protection=full -fPIE $(if $(IS_CLANG),,-ftrivial-auto-var-init=zero)
HARDEN_LDFLAGS := -pie -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code,--as-needed
SAN := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
MODE_CFLAGS_release := $(HARDEN_CFLAGS)
MODE_LDFLAGS_release := $(HARDEN_LDFLAGS)
MODE_CFLAGS_clang := $(HARDEN_CFLAGS)
MODE_LDFLAGS_clang := $(HARDEN_LDFLAGS)
MODE_CFLAGS_debug := -O0
MODE_CFLAGS_asan := -O1 $(SAN)
MODE_LDFLAGS_asan := $(SAN)

ALL_CFLAGS  := $(HOUSE_CFLAGS) $(MODE_CFLAGS_$(MODE)) $(CFLAGS)
ALL_LDFLAGS := $(MODE_LDFLAGS_$(MODE)) $(LDFLAGS)

# ---- layers --------------------------------------------------------------------------------------
# One static library a layer. A layer's tests link only it and lower ones: an upward call doesn't link.
LAYERS := spec render reconcile controller
SRC_spec       := $(wildcard spec/base/*.c spec/*.c)
SRC_render     := $(wildcard render/*.c)
SRC_reconcile  := $(wildcard reconcile/*.c)
SRC_controller := $(filter-out controller/main.c,$(wildcard controller/*.c controller/*/*.c))
obj = $(patsubst %.c,$(B)/%.o,$(1))

LIBS_spec       := $(B)/libspec.a
LIBS_render     := $(B)/librender.a $(LIBS_spec)
LIBS_reconcile  := $(B)/libreconcile.a $(LIBS_render)
LIBS_controller := $(B)/libcontroller.a $(LIBS_reconcile)

.PHONY: all
all: $(B)/bottler build/bottler

# The agent's launcher runs inside containers of any image, so it is static and has none of a mode's flags;
# the render library carries its bytes.
LAUNCH_CFLAGS := -std=gnu17 -D_GNU_SOURCE -I. -include spec/base/banned.h $(WARN) \
  $(if $(IS_CLANG),$(WARN_CLANG),$(WARN_GCC)) $(if $(WERROR),-Werror) -Os -D_FORTIFY_SOURCE=3 -fstack-protector-strong
LAUNCH_LDFLAGS := -static -s -Wl,--build-id=none,-z,relro,-z,noexecstack
$(B)/launch: sidecars/agent/launch.c spec/base/banned.h Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(LAUNCH_CFLAGS) $(LAUNCH_LDFLAGS) -o $@ $<
$(B)/render/launcher.o: $(B)/launch
$(B)/render/launcher.o: ALL_CFLAGS += -DBOTTLER_LAUNCH='"$(B)/launch"'
# So does the guard,
$(B)/guard: sidecars/guard/guard.c spec/base/banned.h Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(LAUNCH_CFLAGS) $(LAUNCH_LDFLAGS) -o $@ $<
$(B)/render/guard.o: $(B)/guard
$(B)/render/guard.o: ALL_CFLAGS += -DBOTTLER_GUARD='"$(B)/guard"'
# and attest's probe, as an archive whose bytes depend on nothing but its modules,
PROBE := $(sort $(wildcard sidecars/probe/*.py))
$(B)/probe.tar: $(PROBE) sidecars/probe Makefile
	@mkdir -p $(@D)
	$(Q)tar --format=ustar --owner=0 --group=0 --numeric-owner --mtime=@0 --mode=0644 \
	  --transform='s,^,bottler-probe/,' -C sidecars/probe -cf $@ $(notdir $(PROBE))
$(B)/render/probe_bundle.o: $(B)/probe.tar
$(B)/render/probe_bundle.o: ALL_CFLAGS += -DBOTTLER_PROBE='"$(B)/probe.tar"'
# and the program of doctor's trial.
$(B)/render/doctor_trial.o: sidecars/doctor/trial.py
$(B)/render/doctor_trial.o: ALL_CFLAGS += -DBOTTLER_TRIAL='"sidecars/doctor/trial.py"'

define layer_rule
$(B)/lib$(1).a: $(call obj,$(SRC_$(1)))
	$$(Q)rm -f $$@ && $(AR) rcs $$@ $$^
endef
$(foreach l,$(LAYERS),$(eval $(call layer_rule,$(l))))

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# No program without a class of change for every field of a manifest.
$(B)/fields_check: $(B)/tests/rig/fields_check.o $(LIBS_spec)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PC_LIBS)
$(B)/fields.ok: $(B)/fields_check
	$(Q)$< && touch $@

$(B)/bottler: $(B)/controller/main.o $(LIBS_controller) | $(B)/fields.ok
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PC_LIBS)

# The plain path people type; always the mode that was built last.
.PHONY: build/bottler
build/bottler: $(B)/bottler
	$(Q)cmp -s $< $@ || install -m 0755 $< $@

# ---- unit tests ----------------------------------------------------------------------------------
# tests/unit/<layer>/test_*.c, each a cmocka program linked with its layer and those below.
UNIT_SRC  := $(foreach l,$(LAYERS),$(wildcard tests/unit/$(l)/test_*.c))
UNIT_BIN  := $(patsubst %.c,$(B)/%,$(UNIT_SRC))
define unit_rule
$(B)/tests/unit/$(1)/test_%: $(B)/tests/unit/$(1)/test_%.o $(B)/tests/unit/support.o $(LIBS_$(1))
	$$(Q)$$(CC) $$(ALL_LDFLAGS) -o $$@ $$^ $$(PC_LIBS) -lcmocka
endef
$(foreach l,$(LAYERS),$(eval $(call unit_rule,$(l))))

# ---- fuzz targets: corpora run as tests through a plain driver; with libFuzzer by hand ------------
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_BIN := $(patsubst %.c,$(B)/%,$(FUZZ_SRC))
$(B)/tests/fuzz/fuzz_%: $(B)/tests/fuzz/fuzz_%.o $(B)/tests/fuzz/driver.o $(LIBS_controller)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PC_LIBS)

FUZZ_CORPUS = $(wildcard tests/fuzz/corpus/$(patsubst fuzz_%,%,$(notdir $(1))))

# ---- checks --------------------------------------------------------------------------------------
# `make check` is every test there is; check-unit only those that need neither root nor an engine.
.PHONY: check check-unit check-e2e images demo bench
check: build/bottler $(UNIT_BIN) $(FUZZ_BIN) images
	@MODE=$(MODE) tests/run unit:$(B) fuzz:$(B) egress probe e2e:$(B)/bottler
check-unit: build/bottler $(UNIT_BIN) $(FUZZ_BIN)
	@MODE=$(MODE) tests/run unit:$(B) fuzz:$(B) egress probe
check-e2e: build/bottler images
	@MODE=$(MODE) tests/run e2e:$(B)/bottler
images:
	@RIG_PIPELOCK_OPTIONAL=1 tests/rig/images.sh
demo: build/bottler
	@BOTTLER=$(B)/bottler tests/rig/demo.sh
bench: build/bottler
	@BOTTLER=$(B)/bottler tests/bench/run.sh

.PHONY: lint format
C_FILES := $(wildcard */*.c */*.h sidecars/*/*.c spec/base/*.c spec/base/*.h tests/*/*.c tests/*/*.h tests/unit/*/*.c tests/unit/*/*.h)
lint:
	@tests/lint.sh
format:
	clang-format -i $(C_FILES)

# ---- install -------------------------------------------------------------------------------------
.PHONY: install clean help deps
install: $(B)/bottler
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/bottler/sidecars/egress $(DESTDIR)$(PREFIX)/share/bottler/examples
	install -m 0755 $(B)/bottler $(DESTDIR)$(PREFIX)/bin/bottler
	install -m 0644 $(filter-out %/README.md,$(wildcard sidecars/egress/*)) $(DESTDIR)$(PREFIX)/share/bottler/sidecars/egress/
	install -d $(DESTDIR)$(PREFIX)/share/man/man1
	$(B)/bottler --man >$(DESTDIR)$(PREFIX)/share/man/man1/bottler.1
	install -m 0644 $(wildcard examples/*.yaml) $(DESTDIR)$(PREFIX)/share/bottler/examples/
deps:
	@echo "everything that building, testing and linting need is installed"
clean:
	rm -rf build/release build/debug build/asan build/clang build/bottler build/log
help:
	@echo "make            build build/bottler                make install PREFIX= DESTDIR="
	@echo "make demo       a bottle's life on a private engine   make check      every test"
	@echo "make check-unit tests without an engine          make lint       formatters and linters"
	@echo "make bench      what the chain costs, 10 minutes (docs/bench.md)"
	@echo "make deps       install what all of these need   MODE=release|debug|asan|clang  WERROR=1  V=1"

.PRECIOUS: $(B)/%.o
-include $(shell find $(B) -name '*.d' 2>/dev/null)

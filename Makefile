# Parley: build, run and test. `make help` lists the goals.
#
# Only git, make and a shell are needed to begin with: `make run` and `make test` install the rest by scripts/install.sh. So nothing here
# may call pkg-config or the compiler before a recipe runs: what needs them is expanded lazily, once, by `once`.

SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := build

# All processors by default; a recursive make takes part in its parent's job server.
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += --jobs=$(shell nproc) --no-print-directory
endif

CC := gcc
CLANG ?= clang

SOURCES := $(wildcard core/*.c db/*.c media/*.c stream/*.c api/*.c jobs/*.c cli/*.c)
LIBRARY_SOURCES := $(filter-out cli/main.c,$(SOURCES))
UNIT_TESTS := $(wildcard tests/unit/*_test.c)
UNIT_SUPPORT := $(filter-out $(UNIT_TESTS),$(wildcard tests/unit/*.c))
DB_TESTS := $(wildcard tests/db/*_conformance.c)
DB_BENCHES := $(wildcard tests/db/*_bench.c)
DB_SUPPORT := $(filter-out $(DB_TESTS) $(DB_BENCHES),$(wildcard tests/db/*.c))
FAULT_TESTS := $(wildcard tests/fault/*_test.c)
FAULT_SOURCES := $(filter-out $(FAULT_TESTS),$(wildcard tests/fault/*.c))
BENCH_SOURCES := $(wildcard tests/bench/*.c)
FUZZ_SOURCES := $(wildcard tests/fuzz/*.c)
FUZZ_TESTS := $(filter %_fuzz.c,$(FUZZ_SOURCES))
TOOL_SOURCES := $(wildcard tests/storage/*_tool.c)
STORAGE_SOURCES := $(filter-out $(TOOL_SOURCES),$(wildcard tests/storage/*.c))
HEADERS := $(wildcard core/*.h db/*.h media/*.h stream/*.h api/*.h jobs/*.h cli/*.h)
ALL_C := $(SOURCES) $(HEADERS) $(wildcard tests/*/*.c tests/*/*.h)

# $(call once,NAME,command): runs the command when the variable is first used, and then remembers its output.
comma := ,
once = $(eval $(1) := $$(shell $(2)))$($(1))
PACKAGES := libmicrohttpd sqlite3 libmariadb hiredis jansson libcrypto libcurl expat zlib
PACKAGE_CFLAGS = $(call once,PACKAGE_CFLAGS,pkg-config --cflags $(PACKAGES))
PACKAGE_LIBS = $(call once,PACKAGE_LIBS,pkg-config --libs $(PACKAGES))
CMOCKA_LIBS = $(call once,CMOCKA_LIBS,pkg-config --libs cmocka)

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wswitch -Wvla -Wformat=2 -Wundef -Wpointer-arith \
            -Wwrite-strings -Wno-format-zero-length
HARDENING := -O2 -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
COMMON = -std=gnu11 -g $(WARNINGS) -D_GNU_SOURCE -I. $(PACKAGE_CFLAGS) -DPARLEY_VERSION='"$(VERSION)"' -pthread
LINK = -pthread -Wl,-z,relro,-z,now

# ---- Variants -------------------------------------------------------------------------------------------------------------------------
# Each is the same sources with other flags: build/parley$(1) from objects in build/obj$(1), and build/obj$(1)/libparley.a for tests.
# $(1) suffix, $(2) flags, $(3) more sources.

define variant
FLAGS$(1) := $(2)
OBJECTS$(1) := $$(patsubst %.c,build/obj$(1)/%.o,$$(SOURCES) $(3))

build/obj$(1)/%.o: %.c Makefile
	@mkdir -p $$(@D)
	@echo "cc$(1) $$<"
	@$$(CC) $$(COMMON) $$(FLAGS$(1)) -MMD -MP -c $$< -o $$@

build/parley$(1): $$(OBJECTS$(1))
	@echo "ld $$@"
	@$$(CC) $$(FLAGS$(1)) $$^ -o $$@ $$(LINK) $$(PACKAGE_LIBS)

build/obj$(1)/libparley.a: $$(patsubst %.c,build/obj$(1)/%.o,$$(LIBRARY_SOURCES) $(3))
	@rm -f $$@
	@ar rcs $$@ $$^

build/unit$(1)/%: build/obj$(1)/tests/unit/%.o $$(patsubst %.c,build/obj$(1)/%.o,$$(UNIT_SUPPORT) $$(DB_SUPPORT)) build/obj$(1)/libparley.a
	@mkdir -p $$(@D)
	@$$(CC) $$(FLAGS$(1)) $$^ -o $$@ $$(LINK) $$(PACKAGE_LIBS) $$(CMOCKA_LIBS)

build/db$(1)/%: build/obj$(1)/tests/db/%.o $$(patsubst %.c,build/obj$(1)/%.o,$$(DB_SUPPORT)) build/obj$(1)/libparley.a
	@mkdir -p $$(@D)
	@$$(CC) $$(FLAGS$(1)) $$^ -o $$@ $$(LINK) $$(PACKAGE_LIBS) $$(CMOCKA_LIBS)

# It holds copies of what is served as files.
build/obj$(1)/api/pages.o: build/pages/table.h

# Whoever prints the version is compiled again when it changes.
$$(patsubst %.c,build/obj$(1)/%.o,$$(VERSION_USERS)): build/version

-include $$(OBJECTS$(1):.o=.d) $$(patsubst %.c,build/obj$(1)/%.d,$$(UNIT_TESTS) $$(UNIT_SUPPORT) $$(DB_TESTS) $$(DB_BENCHES) $$(DB_SUPPORT) $$(FAULT_TESTS) $$(BENCH_SOURCES) $$(FUZZ_SOURCES) \
	$$(TOOL_SOURCES))
endef

VERSION_USERS := $(if $(SOURCES),$(shell grep -l PARLEY_VERSION $(SOURCES)))

# The product is built with the compiler at hand, whatever it warns of; what developers build knows no warnings.
$(eval $(call variant,,$(HARDENING),))
$(eval $(call variant,-check,$(HARDENING) -Werror,))
$(eval $(call variant,-fault,$(HARDENING) -DPARLEY_FAULTS,$(FAULT_SOURCES)))
$(eval $(call variant,-asan,-O1 -fno-omit-frame-pointer -fsanitize=address$(comma)undefined -fno-sanitize-recover=all,))
$(eval $(call variant,-tsan,-O1 -fno-omit-frame-pointer -fsanitize=thread,))

# Tests of faults need the places that can break, so they link the fault variant.
build/fault/%: build/obj-fault/tests/fault/%.o build/obj-fault/libparley.a
	@mkdir -p $(@D)
	@$(CC) $(FLAGS-fault) $^ -o $@ $(LINK) $(PACKAGE_LIBS) $(CMOCKA_LIBS)

# Fuzz targets run by a plain driver with the compiler at hand; `make fuzz` lets clang's libFuzzer run them, which sees what they reach.
$(eval $(call variant,-fuzz,-O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link$(comma)address$(comma)undefined \
	-fno-sanitize-recover=all,))
build/obj-fuzz/%.o: CC := $(CLANG)

build/fuzz/%: build/obj-asan/tests/fuzz/%.o build/obj-asan/tests/fuzz/driver.o build/obj-asan/libparley.a
	@mkdir -p $(@D)
	@$(CC) $(FLAGS-asan) $^ -o $@ $(LINK) $(PACKAGE_LIBS)

build/libfuzzer/%: build/obj-fuzz/tests/fuzz/%.o build/obj-fuzz/libparley.a
	@mkdir -p $(@D)
	@$(CLANG) $(FLAGS-fuzz) -fsanitize=fuzzer $^ -o $@ $(LINK) $(PACKAGE_LIBS)

build/bench: $(patsubst %.c,build/obj/%.o,$(BENCH_SOURCES)) build/obj/libparley.a
	@echo "ld $@"
	@$(CC) $(FLAGS) $^ -o $@ $(LINK) $(PACKAGE_LIBS) -lm

# The contract of media/storage.h, for any storage, under the sanitizers.
build/storage_conformance: $(patsubst %.c,build/obj-asan/%.o,$(STORAGE_SOURCES)) build/obj-asan/libparley.a
	@echo "ld $@"
	@$(CC) $(FLAGS-asan) $^ -o $@ $(LINK) $(PACKAGE_LIBS) $(CMOCKA_LIBS)

# Programs by which tests in other languages reach functions of the product.
build/tools/%: build/obj/tests/storage/%_tool.o build/obj/libparley.a
	@mkdir -p $(@D)
	@echo "ld $@"
	@$(CC) $(FLAGS) $^ -o $@ $(LINK) $(PACKAGE_LIBS)

# The list is written again when a file comes or goes.
PAGE_FILES := $(sort $(shell find web docs/site -type f) $(wildcard docs/*.md)) openapi.yaml

build/pages/table.h: scripts/pages.sh build/pages/list $(PAGE_FILES)
	@scripts/pages.sh build/pages

build/pages/list: FORCE
	@mkdir -p build/pages
	@[ "$$(cat $@ 2>/dev/null)" = '$(PAGE_FILES)' ] || echo '$(PAGE_FILES)' > $@

build/version: FORCE
	@mkdir -p build
	@[ "$$(cat $@ 2>/dev/null)" = '$(VERSION)' ] || echo '$(VERSION)' > $@

.PHONY: FORCE
FORCE:
.SECONDARY:

# ---- Goals ----------------------------------------------------------------------------------------------------------------------------

UNIT = $(patsubst tests/unit/%.c,build/unit$(1)/%,$(UNIT_TESTS))
DRIVER = $(patsubst tests/db/%.c,build/db$(1)/%,$(DB_TESTS))
FAULT_PROGRAMS := $(patsubst tests/fault/%.c,build/fault/%,$(FAULT_TESTS))

.PHONY: build
build: build/parley ## build build/parley

.PHONY: run
run: ## install what is missing, build, and serve from ./data
	@scripts/install.sh run
	@$(MAKE) build
	@exec env PARLEY_DATA_DIR="$${PARLEY_DATA_DIR:-data}" build/parley serve

.PHONY: cluster
cluster: ## install what is missing, build, and serve from two nodes on MariaDB, Redis, Ceph and HAProxy (CLUSTER_PORT=8080)
	@scripts/install.sh cluster
	@$(MAKE) build
	@exec scripts/cluster.sh

.PHONY: test
test: ## install what is missing, build, and run every test suite
	@scripts/install.sh test
	@$(MAKE) binaries
	@scripts/test.sh

.PHONY: binaries
BINARIES := build/parley $(addprefix build/parley,-fault -asan -tsan) $(call UNIT,) $(call UNIT,-asan) $(call UNIT,-tsan) \
            $(call DRIVER,) $(call DRIVER,-asan) $(FAULT_PROGRAMS) $(patsubst tests/fuzz/%.c,build/fuzz/%,$(FUZZ_TESTS)) build/bench build/storage_conformance \
            $(patsubst tests/storage/%_tool.c,build/tools/%,$(TOOL_SOURCES))
binaries: $(BINARIES) ## build everything that tests run

.PHONY: unit unit-asan unit-tsan
unit: $(call UNIT,) ## run the unit tests
	@scripts/programs.sh $^
unit-asan: $(call UNIT,-asan) ## the same under AddressSanitizer and UBSan
	@scripts/programs.sh $^
unit-tsan: $(call UNIT,-tsan) ## the same under ThreadSanitizer
	@scripts/programs.sh $^

.PHONY: driver
driver: $(call DRIVER,) $(call DRIVER,-asan) ## run the tests of the database drivers, on SQLite and on a MariaDB of their own
	@scripts/programs.sh $^
	@tests/support/mariadb.sh run env AT_ONCE=1 scripts/programs.sh $^

.PHONY: fault
fault: build/parley-fault $(FAULT_PROGRAMS) ## run the tests of the storage that forgets
	@scripts/programs.sh $(FAULT_PROGRAMS)

.PHONY: check
check: ## what every commit must pass, in a minute
	@$(MAKE) --output-sync=target --keep-going check-warnings check-format check-layers check-contract check-static unit-asan
	@echo "check: passed"

CHECKED_C := $(SOURCES) $(BENCH_SOURCES) $(FAULT_SOURCES) $(FAULT_TESTS) $(UNIT_TESTS) $(UNIT_SUPPORT) $(DB_TESTS) $(DB_BENCHES) $(DB_SUPPORT) $(FUZZ_SOURCES) $(TOOL_SOURCES) $(STORAGE_SOURCES)

.PHONY: check-warnings check-format check-layers check-contract check-static
check-warnings: $(patsubst %.c,build/obj-check/%.o,$(CHECKED_C))
check-format:
	@clang-format --dry-run -Werror $(ALL_C)
check-layers:
	@scripts/layers.sh
check-contract: build/parley
	@scripts/contract.sh
check-static: build/pages/table.h
	@scripts/static.sh $(SOURCES)

.PHONY: fmt
fmt: ## format all C sources
	@clang-format -i $(ALL_C)

.PHONY: bench
bench: ## measure this machine beside its peers, and print the table of goals (BENCH="--quick posts")
	@scripts/install.sh bench
	@$(MAKE) build build/bench
	@build/bench $(BENCH)

.PHONY: bench-quick
bench-quick: ## the same in under three minutes
	@$(MAKE) bench BENCH="--quick $(BENCH)"

.PHONY: screenshots
screenshots: ## take README.md's pictures of the browser client anew
	@scripts/install.sh test
	@$(MAKE) build
	@npm install --prefix tests --no-audit --no-fund --no-save
	@node tests/web/screenshots.mjs docs/images

.PHONY: soak
soak: ## long repetitions of the tests (SOAK_KILLS=300 SOAK_ROUNDS=20)
	@scripts/install.sh soak
	@$(MAKE) binaries
	@scripts/soak.sh

.PHONY: fuzz
fuzz: ## fuzz every target by libFuzzer (FUZZ_SECONDS=60)
	@scripts/install.sh fuzz
	@$(MAKE) $(patsubst tests/fuzz/%.c,build/libfuzzer/%,$(FUZZ_TESTS))
	@scripts/fuzz.sh build/libfuzzer

# Under DESTDIR, for those who make packages. Settings that are there stay. The files of deploy/ name the places of an installation to /usr/local.
prefix ?= /usr/local
sysconfdir ?= /etc
bindir = $(prefix)/bin
sbindir = $(prefix)/sbin
mandir = $(prefix)/share/man
unitdir = $(prefix)/lib/systemd/system
PLACED = sed -e 's|/usr/local/bin|$(bindir)|g' -e 's|/usr/local/sbin|$(sbindir)|g' -e 's|/etc/parley|$(sysconfdir)/parley|g'

.PHONY: install
install: build ## install to /usr/local, with a systemd unit (prefix=, sysconfdir=, DESTDIR=)
	@install -D -m 755 build/parley $(DESTDIR)$(bindir)/parley
	@install -d $(DESTDIR)$(sbindir) $(DESTDIR)$(unitdir) $(DESTDIR)$(sysconfdir)/parley
	@$(PLACED) deploy/parleyctl >$(DESTDIR)$(sbindir)/parleyctl && chmod 755 $(DESTDIR)$(sbindir)/parleyctl
	@for unit in parley.service parley-cleanup.service parley-cleanup.timer; do \
		$(PLACED) deploy/$$unit >$(DESTDIR)$(unitdir)/$$unit && chmod 644 $(DESTDIR)$(unitdir)/$$unit || exit; \
	done
	@install -D -m 644 deploy/parley.1 $(DESTDIR)$(mandir)/man1/parley.1
	@install -d $(DESTDIR)$(mandir)/man8 && echo '.so man1/parley.1' >$(DESTDIR)$(mandir)/man8/parleyctl.8
	@[ -e $(DESTDIR)$(sysconfdir)/parley/parley.conf ] || \
		install -m 600 deploy/parley.conf $(DESTDIR)$(sysconfdir)/parley/parley.conf

.PHONY: deb
deb: ## build a Debian package in build/ (DEB_VERSION=)
	@scripts/install.sh deb
	@$(MAKE) build
	+@scripts/deb.sh

.PHONY: packages
packages: ## try the package and the container's image in a clean Debian, as root (PACKAGES_OF="package image")
	@scripts/install.sh packages
	@$(MAKE) build
	+@scripts/packages.sh $(PACKAGES_OF)

.PHONY: install-deps
install-deps: ## install what building, testing and checking need
	@scripts/install.sh check

.PHONY: clean
clean: ## remove build/
	@rm -rf build

.PHONY: help
help: ## list the goals
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 22

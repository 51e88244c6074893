# SPDX-License-Identifier: GPL-2.0-or-later

CARGO ?= cargo
INSTALL ?= install
LDCONFIG ?= ldconfig
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
EXAMPLES = $(PREFIX)/share/doc/virtio-ring/examples
MANDIR ?= $(PREFIX)/share/man
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p;/^version/q' Cargo.toml)
SYMBOLS := $(shell sed '/^\#/d' src/symbols.txt)

# For make kernel-module: the folder of another kernel's headers.
KERNEL ?=

# Where cargo builds: the variable, or what its configuration says. The tools and
# scripts look there, too. (Root, who installs, may have no cargo.)
ifndef CARGO_TARGET_DIR
CARGO_TARGET_DIR := $(shell $(CARGO) metadata --format-version 1 --no-deps 2>/dev/null | \
	sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
CARGO_TARGET_DIR := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
endif
override CARGO_TARGET_DIR := $(abspath $(CARGO_TARGET_DIR))
export CARGO_TARGET_DIR
# For another processor: cargo's name of it and the prefix of its compiler's names,
# make CARGO_BUILD_TARGET=aarch64-unknown-linux-gnu CROSS_COMPILE=aarch64-linux-gnu-
ifdef CARGO_BUILD_TARGET
CROSS := $(CROSS_COMPILE)
export CARGO_TARGET_$(shell echo $(CARGO_BUILD_TARGET) | tr a-z- A-Z_)_LINKER := $(CROSS)gcc
endif
BUILT := $(CARGO_TARGET_DIR)$(addprefix /,$(CARGO_BUILD_TARGET))
OUT := $(BUILT)/release
# An installed copy, for the tests and for make compare.
STAGE := $(BUILT)/stage

# For make fuzz: how long.
SECONDS ?= 600

# For make differential: operations, and more options.
OPS ?= 50000000

# For attack, bench, compare, counts, differential and guest: make compare ARGS="--only vringh --kernel 6.1 --runs 5"
ARGS ?=

.PHONY: all library man header install uninstall help dist package check-abi \
	test-reproducible stage test needs-test needs-compare test-rust test-man test-c test-cross test-upstream \
	compare interop test-interop attack test-attack aba poll-cost counts model stress \
	carry clean \
	test-differential differential differences test-fuzz fuzz bench mutants \
	kernel-module test-kernel-module guest

## To build and to install

# The library, shared and static, one relocatable object, and the manual pages.
all: library $(OUT)/virtio_ring.o man

# The library, shared and static.
library:
	$(CARGO) build --release
	@# A program that is linked against this folder asks for this name when it starts.
	ln -sf libvirtio_ring.so $(OUT)/libvirtio_ring.so.1

# One relocatable object, for programs whose makefiles want virtio_ring.o: what
# the exported functions need, and no other global name.
$(OUT)/virtio_ring.o: library src/symbols.txt
	$(CROSS)ld -r --gc-sections $(addprefix -u ,$(SYMBOLS)) -e $(firstword $(SYMBOLS)) \
		$(OUT)/libvirtio_ring.a -o $@.tmp
	$(CROSS)objcopy --keep-global-symbols=src/symbols.txt $@.tmp $@
	rm $@.tmp

# The manual pages, of the comments in the header.
man:
	@env -u CARGO_BUILD_TARGET $(CARGO) run -q -p manual -- include/virtio_ring.h \
		man/virtio_ring.7.in '$(OUT)/man'

# Name, what it is about, compiler and linker flags.
define pc
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' \
		-e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' -e 's|@VERSION@|$(VERSION)|' \
		-e 's|@NAME@|$(1)|' -e 's|@ABOUT@|$(2)|' -e 's|@CFLAGS@|$(3)|' \
		-e 's|@LIBS@|$(4)|' virtio_ring.pc.in \
		> '$(DESTDIR)$(LIBDIR)/pkgconfig/$(1).pc'
endef

# Tells the loader of a library in a folder that it looks into; what to do, where this
# can't be done here (another folder, DESTDIR, no rights).
define run_ldconfig
	@PATH="$$PATH:/usr/sbin:/sbin"; \
	if [ -z '$(DESTDIR)' ] && [ "$$(id -u)" -eq 0 ] && \
		$(LDCONFIG) -vNX 2>/dev/null | grep -q '^$(LIBDIR):'; then \
		echo '$(LDCONFIG)'; $(LDCONFIG); \
	else \
		echo 'to start programs: run ldconfig as root if the loader looks into $(LIBDIR), else link with -Wl,-rpath,$(LIBDIR)'; \
	fi
endef

# Copies what make has built, and builds nothing, as root may have no cargo. PREFIX is
# /usr/local, LIBDIR is PREFIX/lib, INCLUDEDIR is PREFIX/include, DESTDIR is empty.
install:
	@ls $(OUT)/libvirtio_ring.so $(OUT)/libvirtio_ring.a > /dev/null || { echo 'run make first' >&2; exit 1; }
	$(INSTALL) -d '$(DESTDIR)$(LIBDIR)/pkgconfig' '$(DESTDIR)$(INCLUDEDIR)'
	$(INSTALL) -m 755 $(OUT)/libvirtio_ring.so '$(DESTDIR)$(LIBDIR)/libvirtio_ring.so.1'
	ln -sf libvirtio_ring.so.1 '$(DESTDIR)$(LIBDIR)/libvirtio_ring.so'
	$(INSTALL) -m 644 $(OUT)/libvirtio_ring.a '$(DESTDIR)$(LIBDIR)'
	$(INSTALL) -m 644 include/virtio_ring.h '$(DESTDIR)$(INCLUDEDIR)'
	$(INSTALL) -d '$(DESTDIR)$(EXAMPLES)'
	$(INSTALL) -m 644 examples/* '$(DESTDIR)$(EXAMPLES)'
	$(INSTALL) -d '$(DESTDIR)$(MANDIR)/man3' '$(DESTDIR)$(MANDIR)/man7'
	$(INSTALL) -m 644 $(OUT)/man/man3/*.3 '$(DESTDIR)$(MANDIR)/man3'
	$(INSTALL) -m 644 $(OUT)/man/man7/*.7 '$(DESTDIR)$(MANDIR)/man7'
	$(call pc,virtio_ring,,,$(space)-Wl$(comma)--defsym=__virtio_ring_abi_6_1=1)
	$(call pc,virtio_ring-6.12,$(comma) 6.12,$(space)-DVIRTIO_RING_ABI_6_12,$(space)-Wl$(comma)--defsym=__virtio_ring_abi_6_12=1)
	$(call pc,virtio_ring-series,$(comma) wrap counter series,$(space)-DVIRTIO_RING_ABI_SERIES,$(space)-Wl$(comma)--defsym=__virtio_ring_abi_series=1)
	$(call pc,virtio_ring-mainline,$(comma) 6.19 and later,$(space)-DVIRTIO_RING_ABI_MAINLINE,$(space)-Wl$(comma)--defsym=__virtio_ring_abi_mainline=1)
	$(run_ldconfig)

# Removes what make install puts there, with the same variables. To know what that is, it
# installs to another folder first.
uninstall:
	@temp=$$(mktemp -d) && trap 'rm -rf "$$temp"' EXIT && \
	$(MAKE) -s install DESTDIR="$$temp" > /dev/null && \
	find "$$temp" ! -type d -printf '/%P\n' | while read -r file; do \
		rm -fv '$(DESTDIR)'"$$file"; \
	done
	@rmdir '$(DESTDIR)$(EXAMPLES)' '$(DESTDIR)$(dir $(EXAMPLES))' 2> /dev/null || true

# Removes all that was built.
clean:
	$(CARGO) clean

# Lists what make can do: the comment above each target.
help:
	@awk '/^## / { print "\n" substr($$0, 4) ":" } \
		/^# / { text = text (text ? "\n                     " : "") substr($$0, 3); next } \
		/^[a-z][-a-z]*:[^=]*$$/ { sub(":", "", $$1); printf "%-20s %s\n", $$1, text } \
		{ text = "" }' Makefile

comma := ,
space := $() $()

## In the repository only; make dist leaves the rest of this file out

# Makes include/virtio_ring.h of the sources.
header:
	VIRTIO_RING_WRITE_HEADER=1 $(CARGO) test --test header

DIST := virtio-ring-$(VERSION)

# A tarball of the last commit that builds without a network, in target/dist.
dist:
	scripts/dist $(DIST) $(CARGO_TARGET_DIR)/dist

# Is the library from the repository the same, byte by byte, as the one from the tarball?
test-reproducible: dist
	scripts/reproducible $(CARGO_TARGET_DIR)/dist/$(DIST).tar.xz

# Debian packages from make dist, built and used in clean roots: target/package.
package: dist
	scripts/setup mmdebstrap
	scripts/package $(CARGO_TARGET_DIR)/dist/$(DIST).tar.xz $(CARGO_TARGET_DIR)/package

# What programs notice that were linked against an earlier library, or against C's ring.
check-abi:
	scripts/setup abigail-tools xz-utils
	scripts/check-abi $(CARGO_TARGET_DIR)/abi

# An installed copy in target/stage.
stage: all
	$(MAKE) install DESTDIR= PREFIX='$(STAGE)' LIBDIR='$(STAGE)/lib' INCLUDEDIR='$(STAGE)/include' MANDIR='$(STAGE)/share/man'

# Both say first what they fetch and install; make test SETUP=list only says it.
needs-compare: NEEDS := pkg-config valgrind xz-utils
# What the steps of make test ask scripts/setup for, taken together.
needs-test: NEEDS := g++ libc6-dbg libc6-dev mandoc patch pkg-config valgrind xz-utils
needs-compare needs-test:
	@for kernel in 6.1 6.12; do SETUP=list scripts/kernel-tree $$kernel > /dev/null || exit; done
	@SETUP='$(SETUP)' scripts/setup $(NEEDS)

ifdef SETUP
ifneq ($(filter-out test compare,$(or $(MAKECMDGOALS),all)),)
$(error SETUP=list is for make test and make compare)
endif
test compare: %: needs-%
	@echo 'make $@ would install or fetch nothing else, apart from crates that cargo downloads'
else
# Everything that CI runs.
test: needs-test test-rust test-man test-c counts poll-cost aba test-attack test-differential \
	test-upstream test-interop test-kernel-module test-fuzz

# Upstream's tests, on C's ring and on ours: a table, and target/compare/report.md.
compare: needs-compare stage
	$(CARGO) build --release -p vhost-test-device -p compare
	$(OUT)/compare $(ARGS)
endif

# Do the faults of make mutants still fit? Formatting, lints, unit and integration tests.
test-rust: all
	scripts/mutants --check
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) test --workspace
	$(CARGO) test --release --test carry
	$(CARGO) test --test install -- --ignored

# The manual pages: a page for each function, and nothing that mandoc warns of.
test-man: man
	scripts/setup mandoc
	@for name in $(SYMBOLS); do ls '$(OUT)'/man/man3/$$name.3 > /dev/null || exit; done
	grep -L '^\.so' '$(OUT)'/man/man*/* | xargs mandoc -T lint -W warning

# C programs of ours against an installed copy.
test-c: stage
	$(CARGO) run -q -p c-tests -- '$(STAGE)'

# The same and more on other processors, under qemu-user (docs/platforms.md).
test-cross:
	scripts/test-cross arm64
	scripts/test-cross armhf
	scripts/test-cross riscv64

# The fuzzers are a workspace of their own: lints, the corpus, and a minute.
test-fuzz:
	scripts/setup g++
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	$(CARGO) clippy --manifest-path fuzz/Cargo.toml --locked --target-dir $(CARGO_TARGET_DIR)/fuzz/lint -- -D warnings
	scripts/fuzz run 60

# As long as one likes: make fuzz SECONDS=3600
fuzz:
	scripts/fuzz run $(SECONDS)

# A short form of make attack.
test-attack:
	$(MAKE) attack ARGS=--short

# A short form of make compare.
test-upstream:
	$(MAKE) compare ARGS=--short

# Random sequences of operations on C's ring and on ours: make differential OPS=N
differential: all
	scripts/setup xz-utils
	$(CARGO) build --release -p differential
	$(OUT)/differential --ops $(OPS) --threads 2 $(ARGS)

# A short form of make differential.
test-differential:
	$(MAKE) differential OPS=5000000

# The table of what differs from C.
differences:
	$(CARGO) run --release -p differential -- --differences > docs/differences.md

# A device that lies, on C's rings and on ours.
attack: library
	scripts/setup xz-utils
	$(CARGO) build --release -p attack
	$(OUT)/attack $(ARGS)

# Device programs of others at the other end of the ring: SCMI, a disk, a network card.
interop: library
	scripts/setup xz-utils
	$(CARGO) build --release -p interop
	$(OUT)/interop $(ARGS)

# A short form, with the device programs that are in the cache.
test-interop:
	$(MAKE) interop ARGS=--short

# Linux's own virtio_ring.ko, on this ring: make kernel-module KERNEL=folder-of-headers
kernel-module:
	KERNEL='$(KERNEL)' kernel/build '$(CARGO_TARGET_DIR)/kernel'
	KERNEL='$(KERNEL)' kernel/check '$(CARGO_TARGET_DIR)/kernel/virtio_ring.ko'

# The same with the packages that are in the cache, and one boot.
test-kernel-module:
	rustfmt --edition 2024 --check kernel/ring.rs
	@if scripts/kernel-packages --cached > /dev/null; then \
		$(MAKE) kernel-module KERNEL=; \
	else \
		echo 'test-kernel-module: skipped, as make kernel-module has not fetched its packages'; \
	fi
	@if scripts/kernel-packages --cached guest > /dev/null; then \
		$(MAKE) guest ARGS=--short; \
	else \
		echo 'test-kernel-module: no boot, as make guest has not fetched its packages'; \
	fi

# Debian's kernel in QEMU, with C's module and with ours: make guest ARGS="--only 'ours packed=on'"
guest: all
	$(MAKE) kernel-module KERNEL=
	kernel/guest/run '$(CARGO_TARGET_DIR)/kernel' $(ARGS)

# Faults, one after the other, and what notices them: an hour or more.
# make mutants ARGS="--seed 2 --draw 100"
mutants: all
	scripts/setup xz-utils
	$(CARGO) build --release -p differential
	nice scripts/mutants $(ARGS)

# What a poller is told after just so many buffers.
aba: all
	scripts/setup xz-utils
	c_tests/aba/run

# Instructions that counting wraps costs get_buf.
poll-cost: all
	scripts/poll-cost

# Instructions for a buffer, held against tools/counts/ceilings.toml.
counts: all
	scripts/setup valgrind
	$(CARGO) build --release -p counts
	$(OUT)/counts $(ARGS)

# This ring, C's and others, timed in turns; the report is in target/bench.
# criterion's benchmark, one ring after the other: cargo bench -p ring-benches
bench: all
	scripts/setup valgrind xz-utils
	$(CARGO) build --release -p ring-benches
	$(OUT)/ring-benches $(ARGS)

# The long form of the model checker's tests.
model:
	VIRTIO_RING_LONG=1 $(CARGO) test -p virtio-ring-protocol --test model

# The long form of the stress tests.
stress:
	VIRTIO_RING_LONG=1 $(CARGO) test --release --test stress -- --nocapture --test-threads=1

# The long form of what carries buffers.
carry:
	VIRTIO_RING_LONG=1 $(CARGO) test --release --test carry

# Commands for developers. All except clean need a Debian 12 machine with cargo, and run as root, because
# they install missing packages.

CARGO ?= cargo

.PHONY: image test boot-matrix fuzz aarch64 bench setup clean

# Builds an image with Nix, shows its partitions, boots it in QEMU, and prints the time of each step.
image: setup
	$(CARGO) build --release
	tests/example

# All tests except those of `make aarch64`. (The tests that cargo reports as ignored are measurements,
# and helpers that other tests start.)
test: setup
	tests/room
	$(CARGO) test

# Boots every partition table with every boot loader, from firmware until init prints a line. Part of
# `make test`.
boot-matrix: setup
	tests/room
	$(CARGO) test --quiet --test boot_matrix

# Damages images at random, 100,000 times, and prints how long `inspect` and `diff` took for each kind.
fuzz: setup
	INSPECT_IMAGES=100000 $(CARGO) test --test program inspect::fuzz -- --nocapture

# Tests the program for aarch64, emulated: its unit tests, images that are equal to those of x86_64 to
# the byte, and guests and boots of that architecture.
aarch64: setup
	tests/aarch64/setup
	CARGO=$(CARGO) tests/aarch64/run

# Runs the benchmarks, prints the results, and writes target/bench.json and docs/performance.md. Needs
# 14 GiB of free memory.
bench: setup
	$(CARGO) bench --bench image --bench stage

setup:
	tests/setup

clean:
	$(CARGO) clean

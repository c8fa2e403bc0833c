# The commands of a person who works on this. All but clean run on a Debian 12 machine, as root
# (they install what is missing), with cargo.

CARGO ?= cargo

.PHONY: image test boot-matrix aarch64 bench setup clean

# Builds an image with Nix, shows its partitions and what took how long, and boots it in QEMU.
image: setup
	$(CARGO) build --release
	tests/example

# Every test but those of make aarch64. (What cargo calls ignored are measurements and helpers that
# tests start themselves.)
test: setup
	tests/room
	$(CARGO) test

# Every partition table with every boot loader, from firmware to a line of init. `make test` does it, too.
boot-matrix: setup
	tests/room
	$(CARGO) test --quiet --test boot_matrix

# The program for aarch64, emulated: its unit tests, the same images to the byte as this machine's
# program makes, and guests and boots of that architecture.
aarch64: setup
	tests/aarch64/setup
	CARGO=$(CARGO) tests/aarch64/run

# Measures, prints, and writes target/bench.json and docs/performance.md. Takes 14 GiB of free memory.
bench: setup
	$(CARGO) bench --bench image --bench stage

setup:
	tests/setup

clean:
	$(CARGO) clean

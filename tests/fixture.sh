# The fixture for shell scripts (tests/common is that for tests): where it is, how Nix builds from it.
# Sourced by bash in the repository's root.

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
# What tests/setup downloaded.
cache=$target/fixture
# What tests/setup built of it: the programs that judge images, in bin, and OVMF, in share.
programs=$cache/programs

export NIX_CONFIG="
substituters =
sandbox = true
sandbox-fallback = false
sandbox-paths = /bin/sh=$cache/bootstrap/busybox
build-users-group = nixbld
max-jobs = 2
"
unset NIX_REMOTE NIX_PATH

# Builds an expression in which `fixture` is the value of tests/fixtures, and prints the store path.
build_fixture() { # build_fixture LINK EXPRESSION [PROGRAM]
  nix-build --out-link "$1" -E "
    let fixture = import ./tests/fixtures { cache = $cache; ${3:+program = $3;} };
    in $2"
}

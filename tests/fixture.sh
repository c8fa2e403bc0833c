# The fixture for shell scripts (the counterpart of tests/common): its location, and how Nix builds from
# it. Sourced by bash in the repository's root.

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
# The files that tests/setup downloads.
cache=$target/fixture
# The programs that tests/setup builds from them, in bin, and OVMF, in share.
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

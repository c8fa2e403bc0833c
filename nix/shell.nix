# The environment for developing the program and running its tests.
{
  mkShell,
  make-disk-image,
  acl,
  attr,
  cargo,
  clippy,
  dosfstools,
  e2fsprogs,
  gptfdisk,
  mtools,
  nixfmt-tree,
  parted,
  qemu-utils,
  rsync,
  rust-analyzer,
  rustfmt,
  sqlite,
  util-linux,
}:

mkShell {
  inputsFrom = [ make-disk-image ];
  packages = [
    acl
    attr
    cargo
    clippy
    dosfstools
    e2fsprogs
    gptfdisk
    mtools
    nixfmt-tree
    parted
    qemu-utils
    rsync
    rust-analyzer
    rustfmt
    sqlite
    util-linux
  ];
}

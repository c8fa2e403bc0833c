# nixpkgs' own tests of make-disk-image.nix, with our function instead. They run virtual machines.
#
# `nix build .#checks.x86_64-linux.nixpkgs-tests` runs all of them, and
# `nix build .#checks.x86_64-linux.nixpkgs-tests.grow-partition` runs one. Evaluating all of them needs
# about 9 GB of memory, because each of their about 20 machines is a NixOS system.
{
  pkgs,
  lib,
  makeDiskImage,
  ...
}:

let
  # `import`, except that nixpkgs' make-disk-image.nix is replaced with our function. A copy of nixpkgs
  # with that file replaced would have to be built before the evaluation.
  importWithOurs =
    file:
    let
      path = builtins.unsafeDiscardStringContext (toString file);
    in
    if baseNameOf path == "make-disk-image.nix" then
      makeDiskImage
    else
      cache.${path} or cache."${path}/default.nix" or (load file);

  load = builtins.scopedImport { import = importWithOurs; };

  # The values of all files, by path. `import` caches them, but scopedImport does not: every machine of
  # every test would parse the 2,000 modules of NixOS again and keep them in memory.
  cache = lib.listToAttrs (
    map (file: lib.nameValuePair (toString file) (load file)) (
      lib.concatMap lib.filesystem.listFilesRecursive [
        (pkgs.path + "/lib")
        (pkgs.path + "/nixos")
      ]
    )
  );

  inherit (pkgs.stdenv.hostPlatform) system;

  tests = importWithOurs (pkgs.path + "/nixos/tests/all-tests.nix") {
    inherit system;
    # The tests use the module system of this `lib`, which imports the modules.
    pkgs = pkgs // {
      lib = importWithOurs (pkgs.path + "/lib");
    };
    callTest = config: config.test;
  };

  # The tests that this nixpkgs has: an older one does not have all of them.
  named =
    names: group:
    let
      has =
        name: group ? ${name} || lib.warn "check-nixpkgs-tests: this nixpkgs has no test ${name}" false;
    in
    lib.genAttrs (lib.filter has names) (name: group.${name});

  onX86 = lib.optionals (system == "x86_64-linux");

  groups = named (
    [ "systemd-repart" ]
    ++ onX86 [
      "limine"
      "systemd-boot"
    ]
  ) tests;

  chosen =
    named [
      "grow-partition"
      "image-contents"
      "qemu-vm-external-disk-image"
    ] tests
    // withPrefix "systemd-repart" (groups.systemd-repart or { })
    // withPrefix "limine" (groups.limine or { })
    // withPrefix "systemd-boot" (
      named (onX86 [
        "basicXbootldr"
        "entryFilenameXbootldr"
      ]) (groups.systemd-boot or { })
    );

  # The tests of a group, without those that do not exist for this system.
  withPrefix =
    prefix: group:
    lib.mapAttrs' (name: lib.nameValuePair "${prefix}-${name}") (
      lib.filterAttrs (_: lib.isDerivation) group
    );
in

pkgs.linkFarm "check-nixpkgs-tests" chosen // chosen

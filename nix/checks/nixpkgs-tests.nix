# nixpkgs' own tests of make-disk-image.nix, with ours in its place. They run virtual machines.
#
# `nix build .#checks.x86_64-linux.nixpkgs-tests` runs all of them, and
# `nix build .#checks.x86_64-linux.nixpkgs-tests.grow-partition` one. To evaluate them all takes
# about 9 GB of memory, as each of their 20 or so machines is a NixOS.
{
  pkgs,
  lib,
  makeDiskImage,
  ...
}:

let
  # As `import`, but that what imports nixpkgs' make-disk-image.nix gets ours. A copy of nixpkgs with
  # that one file replaced would have to be built before anything could be evaluated.
  importWithOurs =
    file:
    let
      path = builtins.unsafeDiscardStringContext (toString file);
    in
    if baseNameOf path == "make-disk-image.nix" then
      makeDiskImage
    else
      remembered.${path} or remembered."${path}/default.nix" or (load file);

  load = builtins.scopedImport { import = importWithOurs; };

  # What each file comes to, by its path. `import` remembers that, and scopedImport does not: every
  # machine of every test would parse the 2,000 modules of NixOS anew and keep them in memory.
  remembered = lib.listToAttrs (
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
    # The module system imports modules, and the tests take it from here.
    pkgs = pkgs // {
      lib = importWithOurs (pkgs.path + "/lib");
    };
    callTest = config: config.test;
  };

  # Those that this nixpkgs has: an older one has not all of them.
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

  # The tests of a group, without what is none on this system.
  withPrefix =
    prefix: group:
    lib.mapAttrs' (name: lib.nameValuePair "${prefix}-${name}") (
      lib.filterAttrs (_: lib.isDerivation) group
    );
in

pkgs.linkFarm "check-nixpkgs-tests" chosen // chosen

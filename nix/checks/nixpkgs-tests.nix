# nixpkgs' own tests of make-disk-image.nix, with ours in its place. They run virtual machines.
#
# `nix build .#checks.x86_64-linux.nixpkgs-tests` runs all of them, and
# `nix build .#checks.x86_64-linux.nixpkgs-tests.grow-partition` one.
{
  pkgs,
  lib,
  makeDiskImage,
  nixpkgs,
  ...
}:

let
  # As `import`, but that what imports nixpkgs' make-disk-image.nix gets ours. A copy of nixpkgs with
  # that one file replaced would have to be built before anything could be evaluated.
  importWithOurs =
    file:
    if baseNameOf file == "make-disk-image.nix" then
      makeDiskImage
    else
      builtins.scopedImport { import = importWithOurs; } file;

  inherit (pkgs.stdenv.hostPlatform) system;

  tests = importWithOurs (nixpkgs + "/nixos/tests/all-tests.nix") {
    inherit system;
    # The module system imports modules, and the tests take it from here.
    pkgs = pkgs // {
      lib = importWithOurs (nixpkgs + "/lib");
    };
    callTest = config: config.test;
  };

  chosen = {
    inherit (tests) grow-partition image-contents qemu-vm-external-disk-image;
  }
  // withPrefix "systemd-repart" tests.systemd-repart
  // lib.optionalAttrs (system == "x86_64-linux") (
    {
      systemd-boot-xbootldr = tests.systemd-boot.basicXbootldr;
      systemd-boot-entry-filename-xbootldr = tests.systemd-boot.entryFilenameXbootldr;
    }
    // withPrefix "limine" tests.limine
  );

  # The tests of a group, without what is none on this system.
  withPrefix =
    prefix: group:
    lib.mapAttrs' (name: lib.nameValuePair "${prefix}-${name}") (
      lib.filterAttrs (_: lib.isDerivation) group
    );
in

pkgs.linkFarm "check-nixpkgs-tests" chosen // chosen

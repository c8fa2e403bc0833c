# The Nix code is formatted with nixfmt.
{ pkgs, lib, ... }:

pkgs.runCommand "check-format"
  {
    nativeBuildInputs = [ pkgs.nixfmt ];
    source = lib.fileset.toSource {
      root = ../..;
      fileset = lib.fileset.unions [
        ../../flake.nix
        (lib.fileset.fileFilter (file: file.hasExt "nix") ../.)
      ];
    };
  }
  ''
    find $source -name '*.nix' -exec nixfmt --check {} +
    touch $out
  ''

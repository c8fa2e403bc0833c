# The nixpkgs sources, laid out like a channel: <store path>/nixos is the source tree.
{
  pkgs,
  lib,
  # The configuration that determines the version of the channel.
  nixos,
}:

pkgs.runCommand "nixos-${nixos.system.nixos.version}"
  {
    source = lib.cleanSource pkgs.path;
    inherit (nixos.system.nixos) versionSuffix;
  }
  ''
    mkdir $out
    cp -a $source $out/nixos
    chmod -R u+w $out/nixos
    rm -rf $out/nixos/.git

    # <nixpkgs> is found below the channel, too.
    [ -e $out/nixos/nixpkgs ] || ln -s . $out/nixos/nixpkgs

    printf %s "$versionSuffix" > $out/nixos/.version-suffix
  ''

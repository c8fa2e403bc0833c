# nixpkgs' sources in the shape of a channel: <store path>/nixos is the tree.
{
  pkgs,
  lib,
  # The configuration whose version the channel has.
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

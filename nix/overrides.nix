# Gives a derivation of make-disk-image.nix an `overrideAttrs` that refuses what would have no
# effect, and `old` the same names, so that whoever reads them is told what to do instead.
#
# lib.overrideDerivation does not come by here; the program refuses these attributes, too.
{ lib }:

let
  refused =
    lib.mapAttrs
      (
        name: instead:
        throw ''
          make-disk-image: ${name} can't be overridden: a program makes the image, without the shell code of nixpkgs' function.
          ${instead}''
      )
      {
        QEMU_OPTS = "Set the arguments memSize and guestTimeout: nothing else of the guest's machine can be chosen.";
        buildCommand = "Set arguments of the function, such as contents, or override postVM, which runs when the image is there.";
        preVM = "Set arguments of the function, such as diskSize or contents, or override postVM, which runs when the image is there.";
      };

  withOverrides =
    drv:
    refused
    // drv
    // {
      overrideAttrs =
        change:
        let
          # As everywhere: an attribute set, or a function of `old`, or of `final` and `old`.
          checked =
            final: previous:
            let
              old = refused // previous;
              first = if lib.isFunction change then change old else change;
              changes = if lib.isFunction first then change final old else first;
              wrong = builtins.attrNames (builtins.intersectAttrs refused changes);
            in
            if wrong == [ ] then changes else refused.${builtins.head wrong};
        in
        withOverrides (drv.overrideAttrs checked);
    };
in
withOverrides

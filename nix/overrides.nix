# Gives a derivation of make-disk-image.nix an `overrideAttrs` that refuses attributes that would have
# no effect. The derivation and `old` have these attributes, too: reading one throws an error that
# says what to do instead.
#
# lib.overrideDerivation bypasses this file; the program also refuses these attributes.
{ lib }:

let
  refused =
    lib.mapAttrs
      (
        name: instead:
        throw ''
          make-disk-image[override]: ${name} cannot be overridden: the image is made by a program, not by the shell code of nixpkgs' function.
          ${instead}''
      )
      {
        QEMU_OPTS = "Set the arguments memSize, guestTimeout and guestMachine; other properties of the guest's machine cannot be changed.";
        buildCommand = "Set arguments of the function, such as contents, or override postVM, which runs when the image is complete.";
        preVM = "Set arguments of the function, such as diskSize or contents, or override postVM, which runs when the image is complete.";
      };

  withOverrides =
    drv:
    refused
    // drv
    // {
      overrideAttrs =
        change:
        let
          # As usual, `change` is an attribute set, a function of `old`, or a function of `final` and `old`.
          checked =
            final: previous:
            let
              changesTo =
                old:
                let
                  first = if lib.isFunction change then change old else change;
                in
                if lib.isFunction first then change final old else first;
              changes = changesTo (refused // previous);
              named = builtins.intersectAttrs refused changes;
              # A function that returns `old // { ... }` also returns refused attributes that it did not set.
              wanted = builtins.attrNames (builtins.intersectAttrs named (changesTo previous));
            in
            if named == { } then
              changes
            else if wanted == [ ] then
              removeAttrs changes (builtins.attrNames named)
            else
              refused.${builtins.head wanted};
        in
        withOverrides (drv.overrideAttrs checked);
    };
in
withOverrides

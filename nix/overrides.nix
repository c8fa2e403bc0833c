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
              changesTo =
                old:
                let
                  first = if lib.isFunction change then change old else change;
                in
                if lib.isFunction first then change final old else first;
              changes = changesTo (refused // previous);
              named = builtins.intersectAttrs refused changes;
              # Whoever returns `old // { ... }` names them without wanting to.
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

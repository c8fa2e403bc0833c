//! Attributes that somebody has overridden in the derivation and that nothing would read.
//!
//! nix/overrides.nix refuses the same ones in `overrideAttrs`; `lib.overrideDerivation` changes the
//! derivation without asking anybody.

use super::attributes::Attributes;
use super::problems::Problems;

/// What nixpkgs' derivation has and callers override there, with what to do instead.
const REFUSED: [(&str, &str); 3] = [
    (
        "QEMU_OPTS",
        "set the arguments memSize and guestTimeout: nothing else of the guest's machine can be chosen",
    ),
    (
        "buildCommand",
        "set arguments of the function, such as contents, or override postVM, which runs when the \
         image is there",
    ),
    (
        "preVM",
        "set arguments of the function, such as diskSize or contents, or override postVM, which \
         runs when the image is there",
    ),
];

/// Why an attribute or variable `name` can't be overridden, if it can't.
pub(super) fn refused(name: &str) -> Option<String> {
    let (_, instead) = REFUSED.into_iter().find(|(refused, _)| *refused == name)?;
    Some(format!(
        "can't be overridden: the program make-disk-image makes the image, without the shell code \
         of nixpkgs' function; {instead}"
    ))
}

/// Notes each attribute of the derivation that would have no effect.
pub(super) fn refuse(top: &Attributes<'_>, image: &Attributes<'_>, problems: &mut Problems) {
    for (name, _) in REFUSED {
        if let Some(message) = refused(name).filter(|_| top.has(name)) {
            problems.add(top.at(name), message);
        }
    }
    for (name, _) in image.entries().unwrap_or_default() {
        if top.has(name) {
            let message =
                "has no effect in the derivation: it is an argument of make-disk-image.nix";
            problems.add(top.at(name), message);
        }
    }
}

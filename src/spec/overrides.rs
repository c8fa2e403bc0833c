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

/// Notes each attribute that would have no effect.
pub(super) fn refuse(top: &Attributes<'_>, image: &Attributes<'_>, problems: &mut Problems) {
    // A nixpkgs of 2026 has variables there.
    let env = match top.optional("env") {
        Some(_) => top.object("env", &mut Problems::default()),
        None => None,
    };
    for (name, instead) in REFUSED {
        for place in [Some(top), env.as_ref()].into_iter().flatten() {
            if place.optional(name).is_some() {
                let message = format!(
                    "can't be overridden: the program make-disk-image makes the image, without the \
                     shell code of nixpkgs' function; {instead}"
                );
                problems.add(place.at(name), message);
            }
        }
    }
    for (name, _) in image.iter() {
        if top.optional(name).is_some() {
            let message =
                "has no effect in the derivation: it is an argument of make-disk-image.nix";
            problems.add(top.at(name), message);
        }
    }
}

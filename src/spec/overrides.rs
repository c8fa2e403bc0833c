//! Attributes that were overridden in the derivation and would have no effect.
//!
//! nix/overrides.nix rejects the same attributes in `overrideAttrs`, but `lib.overrideDerivation`
//! bypasses it.

use super::attributes::Attributes;
use super::problems::Problems;

/// Attributes of nixpkgs' derivation that callers override there, with what to do instead.
const REFUSED: [(&str, &str); 3] = [
    (
        "QEMU_OPTS",
        "set the arguments memSize, guestTimeout and guestMachine; other properties of the guest's \
         machine cannot be changed",
    ),
    (
        "buildCommand",
        "set arguments of the function, such as contents, or override postVM, which runs when the \
         image is complete",
    ),
    (
        "preVM",
        "set arguments of the function, such as diskSize or contents, or override postVM, which \
         runs when the image is complete",
    ),
];

/// Returns the error message if the attribute or variable `name` cannot be overridden.
pub(super) fn refused(name: &str) -> Option<String> {
    let (_, instead) = REFUSED.into_iter().find(|(refused, _)| *refused == name)?;
    Some(format!(
        "cannot be overridden: the image is made by a program, not by the shell code of nixpkgs' \
         function; {instead}"
    ))
}

/// Reports each attribute of the derivation that would have no effect.
pub(super) fn reject(top: &Attributes<'_>, image: &Attributes<'_>, problems: &mut Problems) {
    for (name, _) in REFUSED {
        if let Some(message) = refused(name).filter(|_| top.has(name)) {
            problems.add(top.at(name), message);
        }
    }
    for (name, _) in image.entries().unwrap_or_default() {
        if top.has(name) {
            let message =
                "has no effect in the derivation; set it as an argument of make-disk-image.nix";
            problems.add(top.at(name), message);
        }
    }
}

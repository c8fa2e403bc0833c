//! The closure, and the small root that `nixos-install` creates.
//!
//! The root contains the files of a system outside its store: Nix's database, the profiles, the
//! channel, `/etc/NIXOS`. The caller's `nixos-install` creates it, invoked as in nixpkgs, but with
//! a store whose database already lists every path of the closure. So it copies none of them, and
//! the files of the closure are read directly from the Nix store later.

mod clean;
mod closure;
mod database;
mod install;
mod leaks;
mod parents;
mod workspace;

pub use closure::{check, registration};
pub use install::install;

/// The directory of Nix's database, relative to the root of a system.
pub(crate) const DATABASE: &str = "nix/var/nix/db";

//! The closure, and the small root that `nixos-install` leaves.
//!
//! The root holds what a system has besides its store: Nix's database, the profiles, the channel,
//! `/etc/NIXOS`. The caller's own `nixos-install` makes it, run as nixpkgs runs it, but against a
//! store whose database knows every path of the closure already; so it copies none of them, and
//! the files of the closure come straight from the Nix store later.

mod clean;
mod closure;
mod database;
mod install;
mod leaks;
mod parents;
mod workplace;

pub use closure::{check, registration};
pub use install::install;

/// The directory of Nix's database, relative to the root of a system.
pub(crate) const DATABASE: &str = "nix/var/nix/db";

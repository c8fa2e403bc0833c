//! The Nix code, evaluated by the machine's Nix with the small `pkgs` of tests/fixtures/nixpkgs.
//! Nothing is built, and no network or store of the machine is used.

mod arguments;
mod assertions;
mod derivation;
pub mod flake;
mod module;
pub mod nix;
mod overrides;
mod read;
mod tables;

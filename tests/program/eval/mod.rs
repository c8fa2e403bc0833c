//! The Nix code, evaluated by the machine's Nix with the small `pkgs` of tests/fixtures/nixpkgs.
//! Nothing is built, and no network or store of the machine is used.

mod arguments;
mod assertions;
mod derivation;
mod flake;
mod module;
mod nix;
mod overrides;
mod read;
mod tables;

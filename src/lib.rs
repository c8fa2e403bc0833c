//! NixOS disk images: from the attributes of a derivation to a bootable file.
//!
//! Data flows in one direction, and the modules are listed in this order: attributes become a
//! [`spec::Spec`], the closure and the installed files become a [`tree::Tree`], trees and a
//! partition table become an [`image::Image`], and the image is written to a file.
//! `docs/architecture.md` describes the data flow on one page.

// General helpers, independent of images.
mod absent;
pub mod aligned;
pub mod code;
pub mod escape;
mod excerpt;
pub mod owner;
mod stdout;

mod codec;

mod cores;
mod sys;

mod holes;
mod untrusted;

mod leftover;
mod remove;

pub mod progress;

mod process;

pub mod supervisor;

pub mod scheme;

pub mod spec;

mod inputs;

pub mod tree;

pub mod layout;

pub mod fs;

pub mod image;

mod plan;

pub mod store;

pub mod stage;

mod installed;

mod assemble;

pub mod guest;

mod install;

mod output;

pub mod build;

mod container;

mod partitions;

mod volume;

pub mod preview;

pub mod inspect;

pub mod diff;

pub mod command;

#[cfg(test)]
mod tests;

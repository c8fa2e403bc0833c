//! The guest stage: a temporary virtual machine in which the image's own system installs its boot
//! loader.
//!
//! The guest boots the planned disk, which is served to its machine and never written. With this
//! program as its `/init` ([`init`]), it sends its changes back. They are merged into the trees, and
//! the disk is planned again: nothing that the guest's kernel wrote is kept, so the time and order of
//! its writes do not affect the image.

mod attempt;
mod backend;
mod console;
mod halt;
pub mod init;
mod initrd;
pub mod job;
mod judge;
mod machine;
mod marker;
mod merge;
pub mod modules;
mod protected;
mod qemu;
pub mod report;
mod room;
mod run;
mod seeds;
#[cfg(test)]
mod tests;
mod uml;
mod vhost;

pub(crate) use backend::{Candidate, candidates};
pub use merge::{boot, length_of_paths, root};
pub(crate) use run::{Outcome, run};

//! The guest stage: a throw-away virtual machine in which the image's own system installs its boot
//! loader.
//!
//! The guest boots the planned disk, which is served to its machine and never written. With this program as
//! its `/init` ([`init`]) it sends back what it changed. That is merged into the trees, and the disk
//! is planned again: what the guest's kernel wrote is never kept, so when and how it wrote does not
//! show in the image.

mod attempt;
mod console;
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
mod ways;

pub use merge::{boot, length_of_paths, root};
pub use run::{Outcome, run};

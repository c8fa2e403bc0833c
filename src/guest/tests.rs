//! Values for the tests of several modules.

use std::time::Duration;

use crate::guest::job::Job;
use crate::spec::{Architecture, Machine, Qemu};

/// Returns a plain machine.
pub fn machine() -> Machine {
    Machine {
        architecture: Architecture::X86_64,
        memory: 1024,
        timeout: Duration::from_secs(60),
        only: None,
        qemu: Qemu {
            program: "/qemu".into(),
            kernel: "/kernel".into(),
            modules: "/modules".into(),
            firmware: None,
        },
        uml: None,
    }
}

/// Returns a job without tasks.
pub fn job(token: &str) -> Job {
    Job {
        token: token.to_owned(),
        time: 1,
        root: "/dev/vda".to_owned(),
        root_type: "ext4".to_owned(),
        boot: Vec::new(),
        store: "/nix/store".to_owned(),
        links: Vec::new(),
        efi_variables: false,
        boot_loader: false,
        owners: Vec::new(),
        areas: Vec::new(),
    }
}

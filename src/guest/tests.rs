//! Values that tests of several modules use.

use std::time::Duration;

use crate::spec::{Architecture, Guest};

/// A guest with nothing special.
pub fn guest() -> Guest {
    Guest {
        architecture: Architecture::X86_64,
        kernel: "/kernel".into(),
        modules: "/modules".into(),
        qemu: "/qemu".into(),
        firmware: None,
        system_management_mode: false,
        devices: Vec::new(),
        memory: 1024,
        timeout: Duration::from_secs(60),
        boot_loader: true,
    }
}

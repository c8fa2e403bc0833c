//! Values that tests of several modules use.

use std::time::Duration;

use crate::spec::{self, Architecture, Guest, Identity};

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

/// That of a deterministic image.
pub fn identity() -> Identity {
    let json = serde_json::to_vec(&spec::tests::attributes()).unwrap();
    spec::parse(&json).unwrap().identity
}

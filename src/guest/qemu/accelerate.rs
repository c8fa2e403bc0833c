//! How QEMU runs the guest's instructions, and whether it can.

use std::fs::{self, OpenOptions};

/// How QEMU runs the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// On the processor, through `/dev/kvm`.
    Kvm,
    /// In software. It is slower, but always available.
    Tcg,
}

impl Accelerator {
    /// Returns its name for messages.
    pub fn name(self) -> &'static str {
        match self {
            Accelerator::Kvm => "KVM",
            Accelerator::Tcg => "TCG",
        }
    }
}

/// Checks that KVM can be used on this builder.
///
/// # Errors
/// The reason why it cannot.
pub fn kvm() -> Result<(), String> {
    let mut options = OpenOptions::new();
    let device = options.read(true).write(true).open("/dev/kvm");
    device.map_err(|error| format!("/dev/kvm: {error}"))?;
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    if !has_extensions(&processor) {
        return Err(
            "the processor has neither vmx nor svm, although /dev/kvm can be opened".to_owned(),
        );
    }
    Ok(())
}

/// Returns whether a processor that `/proc/cpuinfo` describes as `processor` may have extensions for KVM.
fn has_extensions(processor: &str) -> bool {
    // Only x86 has this line.
    let flags = processor.lines().find(|line| line.starts_with("flags"));
    let extended = |flags: &str| flags.split_whitespace().any(|f| f == "vmx" || f == "svm");
    flags.is_none_or(extended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_x86_processor_without_extensions_cannot_run_kvm() {
        for (processor, expected) in [
            ("flags\t\t: fpu vmx sse\n", true),
            ("flags : svm\n", true),
            ("flags : fpu svmx\n", false),
            ("CPU implementer : 0x41\n", true),
        ] {
            assert_eq!(has_extensions(processor), expected, "{processor}");
        }
    }
}

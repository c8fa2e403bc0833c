//! Selects the accelerators to try.

use std::fs::{self, OpenOptions};
use std::path::Path;

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

/// Returns the accelerators to try, in order. Even if `/dev/kvm` can be opened, a guest may hang under KVM,
/// for example if the processor has no extensions for it. So TCG always comes after KVM.
pub fn candidates() -> &'static [Accelerator] {
    let opens = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .map_err(|error| error.to_string());
    let processor = fs::read_to_string(Path::new("/proc/cpuinfo")).unwrap_or_default();
    let (list, reason) = choose(opens.map(drop), &processor);
    log::info!("{reason}");
    list
}

fn choose(opens: Result<(), String>, processor: &str) -> (&'static [Accelerator], String) {
    let emulated = |reason: String| (&[Accelerator::Tcg][..], reason);
    if let Err(error) = opens {
        return emulated(format!("the guest is emulated: /dev/kvm: {error}"));
    }
    // Only x86 has this line.
    let x86 = processor.lines().find(|line| line.starts_with("flags"));
    let extended = |flags: &str| flags.split_whitespace().any(|f| f == "vmx" || f == "svm");
    if x86.is_some_and(|flags| !extended(flags)) {
        return emulated(
            "the guest is emulated: the processor has neither vmx nor svm, although /dev/kvm can be \
             opened"
                .to_owned(),
        );
    }
    (
        &[Accelerator::Kvm, Accelerator::Tcg],
        "the guest runs under KVM".to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_kvm_only_if_it_can_work() {
        use Accelerator::{Kvm, Tcg};
        let absent = || Err("No such file or directory".to_owned());
        for (opens, processor, list) in [
            (Ok(()), "flags\t\t: fpu vmx sse\n", &[Kvm, Tcg][..]),
            (Ok(()), "flags : svm\n", &[Kvm, Tcg]),
            (Ok(()), "flags : fpu svmx\n", &[Tcg]),
            (Ok(()), "CPU implementer : 0x41\n", &[Kvm, Tcg]),
            (absent(), "flags : vmx\n", &[Tcg]),
        ] {
            assert_eq!(choose(opens, processor).0, list, "{processor}");
        }
    }
}

//! QEMU's own sandbox: a seccomp filter that it applies to itself.

use std::process::Command;

/// Everything that the filter can deny. A guest with two disks and a console needs none of it. (libvirt
/// uses the same value for all of its guests.)
const DENIED: &str = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";

/// Makes QEMU apply the filter.
pub fn confine(qemu: &mut Command) {
    qemu.args(["-sandbox", DENIED]);
}

/// Returns whether a QEMU that ended at once with these `messages` may have ended because of the filter:
/// QEMU was built without it, or the builder does not allow it. If seccomp(2) is missing, QEMU says
/// nothing at all (system/qemu-seccomp.c, seccomp_register; system/vl.c, QEMU_OPTION_sandbox).
pub fn may_have_refused(messages: &str) -> bool {
    let named = ["-sandbox", "seccomp"];
    messages.is_empty() || named.iter().any(|name| messages.contains(name))
}

//! QEMU's own sandbox: a seccomp filter that it applies to itself.

use std::process::Command;

/// Everything that the filter can deny. A guest with two disks and a console needs none of it. (libvirt
/// uses the same value for all of its guests.)
const DENIED: &str = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";

/// Makes QEMU apply the filter.
pub fn confine(qemu: &mut Command) {
    qemu.args(["-sandbox", DENIED]);
}

/// Returns whether `messages` are those of a QEMU that ended because it cannot apply the filter: it was
/// built without it, or the builder does not allow it.
pub fn refused(messages: &str) -> bool {
    ["-sandbox", "seccomp"]
        .iter()
        .any(|name| messages.contains(name))
}

//! Checks of plans and images.

use std::path::Path;
use std::process::Command;

use make_disk_image::fs::Plan;

use crate::common::{next, run, said};

/// A program of f2fs-tools.
pub fn tool(name: &str) -> Command {
    next::program(&format!("usr/sbin/{name}"))
}

/// Checks the order that [`Plan`] promises.
pub fn check_plan(plan: &dyn Plan) {
    let mut parts: Vec<(u64, u64)> = Vec::new();
    let mut last = 0;
    plan.metadata(&mut |offset, bytes| {
        assert!(offset >= last, "metadata at {offset} after {last}");
        last = offset + bytes.len() as u64;
        assert!(last <= plan.length());
        parts.push((offset, last));
        Ok(())
    })
    .unwrap();
    let mut last = 0;
    for data in plan.data() {
        assert!(data.offset >= last && data.length > 0);
        assert_eq!(data.offset % 4096, 0);
        last = data.offset + data.length;
        parts.push((data.offset, last));
    }
    parts.sort_unstable();
    for pair in parts.windows(2) {
        assert!(pair[0].1 <= pair[1].0, "{pair:?} overlap");
    }
}

/// Asserts that `fsck.f2fs` finds nothing to fix, neither in a dry run nor in a real one.
pub fn check(image: &Path) {
    for arguments in [&["-f", "--dry-run"][..], &["-f"]] {
        let mut fsck = tool("fsck.f2fs");
        let output = run(fsck.args(arguments).arg(image));
        let text = said(&output);
        // It prints the phase of fixing SIT types in any case.
        let is_bad = |line: &&str| {
            ["[Fail]", "[ASSERT]", "[FIX]", "Error", "corrupt"]
                .iter()
                .any(|word| line.contains(word))
                && !line.starts_with("Info: Force to fix corruption")
                && !line.contains("other corrupted bugs                           [Ok..]")
        };
        let bad: Vec<&str> = text.lines().filter(is_bad).collect();
        let is_complete = text.contains("other corrupted bugs                           [Ok..]");
        assert!(
            output.status.success() && bad.is_empty() && is_complete,
            "{fsck:?}: {}\n{bad:?}\n{text}",
            output.status
        );
    }
}

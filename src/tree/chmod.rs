//! rsync's `--chmod`.

/// Changes to modes, as `rsync --chmod` and `chmod(1)` write them: `755`, `D755,F644`,
/// `u+rwX,go-w`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chmod {}

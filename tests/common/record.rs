//! Records of a guest's report that no init would write.

use make_disk_image::guest::report::{Record, RecordKind};

/// A record of the root file system for `path`, with nothing but its kind.
pub fn record(path: &str, kind: RecordKind) -> Record {
    Record {
        volume: 0,
        path: path.into(),
        kind,
        mode: 0o755,
        uid: 0,
        gid: 0,
        mtime: (1, 0),
        flags: 0,
        xattrs: Vec::new(),
        sparse: None,
    }
}

//! The identifiers in the headers of disk formats.

use uuid::Uuid;

use crate::spec::Identity;

/// Derives a UUID for `purpose` from that of the root file system.
pub(super) fn derived(identity: &Identity, purpose: &[u8]) -> Uuid {
    Uuid::new_v5(&identity.root_file_system, purpose)
}

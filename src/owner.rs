//! Users and groups, by name and by number.

use serde::{Deserialize, Serialize};

/// A user and a group: names, or numbers in decimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// The user.
    pub user: String,
    /// The group.
    pub group: String,
}

/// User ID and group ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ids {
    /// User ID.
    pub uid: u32,
    /// Group ID.
    pub gid: u32,
}

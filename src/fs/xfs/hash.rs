//! The hash of names (`xfs_da_hashname` in fs/xfs/libxfs/xfs_da_btree.c).

/// Returns the hash of `name`.
pub fn hash(name: &[u8]) -> u32 {
    let fold = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0u32, |value, &byte| value << 7 ^ u32::from(byte))
    };
    let mut chunks = name.chunks_exact(4);
    let whole = chunks
        .by_ref()
        .fold(0u32, |hash, four| hash.rotate_left(28) ^ fold(four));
    let rest = chunks.remainder();
    let turn = match rest.len() {
        0 => return whole,
        1 => 7,
        2 => 14,
        _ => 21,
    };
    whole.rotate_left(turn) ^ fold(rest)
}

#[cfg(test)]
mod tests {
    use super::hash;

    #[test]
    fn hashes_names_as_xfs_db_does() {
        // From the command `hash` of xfs_db.
        for (name, expected) in [
            (".", 0x2e),
            ("..", 0x172e),
            ("abc", 0x18_7163),
            ("SGI_ACL_FILE", 0x275b_19c4),
            ("SGI_ACL_DEFAULT", 0x9811_8557),
            ("hostname", 0x4d09_c97a),
        ] {
            assert_eq!(hash(name.as_bytes()), expected, "{name}");
        }
    }
}

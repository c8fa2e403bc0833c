//! Seeds and identities: what every machine must make for itself, and so may not come from the
//! guest into an image that many machines start from.

/// Whether what a guest does to this path of a volume is forgotten. What a user puts there by
/// `contents` stays as it is.
pub fn is_one(volume: u32, path: &[u8]) -> bool {
    // Written by bootctl install (random-seed(7) of systemd).
    const BOOT: [&[u8]; 1] = [b"loader/random-seed"];
    const ROOT: [&[u8]; 5] = [
        b"etc/machine-id",
        b"var/lib/dbus/machine-id",
        b"var/lib/systemd/credential.secret",
        b"var/lib/systemd/random-seed",
        b"var/lib/NetworkManager/secret_key",
    ];
    if volume > 0 {
        return BOOT.iter().any(|known| known.eq_ignore_ascii_case(path));
    }
    let host_key = path
        .strip_prefix(b"etc/ssh/ssh_host_")
        .is_some_and(|rest| rest.ends_with(b"_key") || rest.ends_with(b"_key.pub"));
    ROOT.contains(&path)
        || host_key
        || BOOT
            .iter()
            .any(|known| path.strip_prefix(b"boot/") == Some(*known))
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_are_known_and_other_files_kept() {
        for (volume, path, seed) in [
            (1, "loader/random-seed", true),
            (1, "LOADER/RANDOM-SEED", true),
            (1, "loader/loader.conf", false),
            (0, "loader/random-seed", false),
            (0, "boot/loader/random-seed", true),
            (0, "etc/machine-id", true),
            (0, "etc/ssh/ssh_host_ed25519_key", true),
            (0, "etc/ssh/ssh_host_ed25519_key.pub", true),
            (0, "etc/ssh/ssh_config", false),
            (0, "home/etc/machine-id", false),
        ] {
            assert_eq!(super::is_one(volume, path.as_bytes()), seed, "{path}");
        }
    }
}

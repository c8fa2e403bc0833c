//! `make-disk-image inspect` on images of this and of other programs, compared with what their own tools
//! say, and on hostile ones.
//!
//! `INSPECT_IMAGES` is the number of random images (5000).
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test that cannot continue panics, and its images are small"
)]

mod agreement;
mod containers;
mod files;
mod foreign;
mod fuzz;
mod hostile;
pub mod images;
mod maps;
mod our_images;

use std::path::{Path, PathBuf};

use crate::common::{command, stdout};

/// Runs a bash script with these arguments, and returns its standard output.
pub fn script(script: &str, arguments: &[&Path]) -> String {
    let mut bash = command("bash");
    bash.args(["-euo", "pipefail", "-c", script, "bash"]);
    stdout(bash.args(arguments))
}

/// Makes a raw disk of 100 MiB with an ESP (FAT32) and an ext4 file system, both with files, by the tools
/// of Debian.
pub fn disk(directory: &Path) -> PathBuf {
    let image = directory.join("disk.raw");
    script(
        r#"mkdir "$1/tree" "$1/tree/etc" "$1/tree/bin" "$1/tree/deep"
        cd "$1/tree"
        echo 'welcome to NixOS' >etc/motd
        ln -s motd etc/link
        ln -s /etc/link bin/absolute
        head -c 300000 /dev/urandom >bin/program
        truncate -s 3M bin/sparse
        echo end >>bin/sparse
        for number in $(seq 300); do echo "$number" >"deep/file-$number"; done
        chmod 4755 bin/program
        truncate -s 100M "$2"
        sgdisk -U 97FD5997-F390-0B4A-A3F8-D106C1723AEA -n 1:2048:83967 -t 1:EF00 -c 1:ESP \
          -u 1:1C06F03B-704E-4657-B9CD-681A087A2FDC -n 2:83968:204766 -c 2:primary \
          -u 2:F222513B-DED1-49FA-B591-20CE86A2FE7F "$2" >&2
        mkfs.ext4 -q -F -b 4096 -L nixos -U f222513b-ded1-49fa-b591-20ce86a2fe7f \
          -d "$1/tree" -E offset=$((83968 * 512)) "$2" 58M
        truncate -s 40M "$2.fat"
        mkfs.fat --invariant -F 32 -n ESP "$2.fat" >&2
        mcopy -Q -s -i "$2.fat" "$1/tree/etc/motd" "$1/tree/deep" "$1/tree/bin/program" ::/
        dd if="$2.fat" of="$2" bs=512 seek=2048 conv=notrunc status=none
        rm "$2.fat""#,
        &[directory, &image],
    );
    image
}

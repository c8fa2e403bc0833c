//! UUIDs, volume IDs and the time.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use uuid::{Uuid, uuid};

use super::attributes::{Attributes, boolean, quoted, text};
use super::problems::{Problems, Read};
use super::{FileSystemKind, Identity};
use crate::scheme::{PartitionGuid, PartitionTable};

/// The disk GUID that sgdisk writes for the one in nixpkgs' make-disk-image.nix, which lacks a
/// digit.
const DISK: Uuid = uuid!("97FD5997-F390-0B4A-A3F8-D106C1723AEA");

/// The GUIDs of the first and the second partition in nixpkgs, unless they are the root partition.
const OTHER_PARTITIONS: [Uuid; 2] = [
    uuid!("1C06F03B-704E-4657-B9CD-681A087A2FDC"),
    uuid!("970C694F-AFD0-4B99-B750-CDB7A329AB6F"),
];

/// The default GUID of the root partition in nixpkgs.
const ROOT_PARTITION: Uuid = uuid!("F222513B-DED1-49FA-B591-20CE86A2FE7F");

/// The time of everything in a deterministic image, as in the Nix store.
const DETERMINISTIC_TIME: i64 = 1;

/// Reads the identity. The caller's UUIDs are used only in deterministic images.
pub(super) fn identity(
    image: &Attributes<'_>,
    table: Read<PartitionTable>,
    kind: &Read<FileSystemKind>,
    problems: &mut Problems,
) -> Read<Identity> {
    if !image.required("deterministic", boolean, problems)? {
        return Ok(random());
    }
    let root_partition = match table {
        Ok(table) if table.is_gpt() => fixed_uuid(image, "rootGPUID", "rootGPUID", problems),
        Ok(_) => Ok(ROOT_PARTITION),
        Err(noted) => Err(noted),
    };
    let normally = "rootFSUID (normally equal to rootGPUID)";
    let root_file_system = match kind {
        Ok(FileSystemKind::Ext4) => fixed_uuid(image, "rootFSUID", normally, problems),
        // In nixpkgs, null is the default for other types.
        Ok(kind) if kind.has_uuid() => match image.optional("rootFSUID", uuid, problems) {
            Ok(None) => root_partition,
            Ok(Some(uuid)) => Ok(uuid),
            Err(noted) => Err(noted),
        },
        Ok(kind) => no_uuid(image, kind, problems).and(root_partition),
        Err(noted) => Err(*noted),
    };
    Ok(Identity {
        deterministic: true,
        disk: DISK,
        root_partition: root_partition?,
        other_partitions: OTHER_PARTITIONS,
        root_file_system: root_file_system?,
        time: DETERMINISTIC_TIME,
    })
}

/// Checks that the caller sets no UUID for a file system that stores none.
fn no_uuid(image: &Attributes<'_>, kind: &FileSystemKind, problems: &mut Problems) -> Read<()> {
    if !image.has("rootFSUID") {
        return Ok(());
    }
    let message = format!(
        "{} stores no UUID; leave rootFSUID out, and find the root file system by its partition \
         (/dev/disk/by-partuuid)",
        kind.name()
    );
    Err(problems.add(image.at("rootFSUID"), message))
}

/// Returns the caller's UUID. `argument` names the attribute in the message if it is missing.
fn fixed_uuid(
    image: &Attributes<'_>,
    key: &str,
    argument: &str,
    problems: &mut Problems,
) -> Read<Uuid> {
    let message = || {
        format!("deterministic = true needs a fixed UUID; set {argument}, or deterministic = false")
    };
    let uuid = image.optional(key, uuid, problems)?;
    problems.check(&image.at(key), uuid.ok_or_else(message))
}

fn uuid(at: &str, value: &Value, problems: &mut Problems) -> Read<Uuid> {
    let text = text(at, value, problems)?;
    // Uuid alone would also accept braces, URNs and digits without hyphens, which sgdisk and
    // tune2fs reject.
    let uuid = Uuid::try_parse(text).ok().filter(|_| text.len() == 36);
    let message = || {
        format!(
            "{} is not a UUID; use the format of uuidgen, \
             such as F222513B-DED1-49FA-B591-20CE86A2FE7F",
            quoted(text)
        )
    };
    problems.check(at, uuid.ok_or_else(message))
}

/// Returns random UUIDs and the time of the build, like nixpkgs without `deterministic`.
fn random() -> Identity {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    // If the clock is before 1970, use 1970.
    let seconds = elapsed.map_or(0, |elapsed| elapsed.as_secs());
    Identity {
        deterministic: false,
        disk: Uuid::new_v4(),
        root_partition: Uuid::new_v4(),
        other_partitions: [Uuid::new_v4(), Uuid::new_v4()],
        root_file_system: Uuid::new_v4(),
        time: i64::try_from(seconds).unwrap_or(i64::MAX),
    }
}

impl Identity {
    /// Returns the GUID of a partition.
    pub fn partition(&self, guid: PartitionGuid) -> Uuid {
        let [first, second] = self.other_partitions;
        match guid {
            PartitionGuid::First => first,
            PartitionGuid::Second => second,
            PartitionGuid::Root => self.root_partition,
        }
    }

    /// Returns the volume ID of the FAT file system in a partition: the first four bytes of the
    /// partition's GUID. It is fixed or random like the GUID, and different for each partition of a
    /// disk.
    pub(crate) fn fat_volume(&self, guid: PartitionGuid) -> u32 {
        self.partition(guid).as_fields().0
    }
}

//! The plan of an image, for people and as JSON.

use std::fmt;

use indicatif::HumanBytes;
use serde::Serialize;

use super::Missing;
use super::estimate::KIND;
use crate::guest::Candidate;
use crate::layout::{Layout, MEBIBYTE, Partition};
use crate::plan::Disk;
use crate::scheme::Entry;
use crate::spec::{FileSystemKind, Identity, Spec, System, Tasks};

/// The plan of an image. Its fields are the JSON that `plan --json` prints; docs/plan.md describes
/// them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    basis: Basis,
    missing_paths: usize,
    missing_files: Vec<String>,
    format: String,
    file_name: String,
    system: Option<String>,
    closure: Closure,
    guest: Option<Guest>,
    disk: DiskReport,
    root: Root,
    /// The table for people and the lines about the size.
    #[serde(skip)]
    text: String,
}

/// What the sizes are computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Basis {
    /// Every file of the image: they are exact.
    Files,
    /// Every file except those that the guest will write.
    FilesBeforeGuest,
    /// The lengths of NARs.
    NarSizes,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Closure {
    paths: usize,
    nar_bytes: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Guest {
    reasons: Vec<String>,
    architecture: &'static str,
    memory_mebibytes: u64,
    timeout_seconds: u64,
    machines: Vec<Machine>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Machine {
    name: &'static str,
    obstacle: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DiskReport {
    partition_table_type: &'static str,
    bytes: u64,
    automatic: bool,
    /// The smallest diskSize that is sufficient, in MiB; `None` if none is.
    smallest_disk_size: Option<u64>,
    partitions: Vec<PartitionReport>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PartitionReport {
    number: u32,
    role: &'static str,
    first_sector: u64,
    last_sector: u64,
    bytes: u64,
    #[serde(rename = "type")]
    kind: Option<String>,
    guid: Option<String>,
    name: Option<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Root {
    fs_type: &'static str,
    label: String,
    uuid: Option<String>,
    bytes: u64,
    free_bytes: u64,
    free_bytes_for_root: u64,
    /// `None` if the number is not fixed.
    inodes: Option<u64>,
    used_inodes: u64,
    smallest_bytes: Option<u64>,
}

impl Report {
    /// Gathers the figures of `disk`. `machines` are the guest's.
    pub(super) fn new(
        spec: &Spec,
        disk: &Disk,
        smallest: Option<u64>,
        missing: &Missing,
        machines: Option<&[Candidate]>,
    ) -> Report {
        let basis = match (missing.is_empty(), &spec.guest) {
            (false, _) => Basis::NarSizes,
            (true, Some(_)) => Basis::FilesBeforeGuest,
            (true, None) => Basis::Files,
        };
        let lengths = spec.closure.iter().map(|info| info.nar_size);
        let usage = disk.root.usage();
        let kind = &spec.root.kind;
        let planned = match basis {
            Basis::NarSizes => &KIND,
            Basis::Files | Basis::FilesBeforeGuest => kind,
        };
        Report {
            basis,
            missing_paths: missing.paths,
            missing_files: missing.others.clone(),
            format: spec.output.format.name().to_owned(),
            file_name: spec.output.file_name(),
            system: match &spec.system {
                System::StoreOnly => None,
                System::Installed(installation) => Some(installation.toplevel.to_string()),
            },
            closure: Closure {
                paths: spec.closure.len(),
                nar_bytes: lengths.fold(0, u64::saturating_add),
            },
            guest: guest(spec, machines.unwrap_or_default()),
            disk: DiskReport {
                partition_table_type: spec.table.name(),
                bytes: disk.layout.disk_length,
                automatic: disk.sizes.is_some(),
                smallest_disk_size: smallest,
                partitions: partitions(&disk.layout, &spec.identity),
            },
            root: Root {
                fs_type: kind.name(),
                label: spec.root.label.clone(),
                uuid: kind
                    .has_uuid()
                    .then(|| spec.identity.root_file_system.to_string()),
                bytes: usage.length,
                free_bytes: usage.available,
                free_bytes_for_root: usage.available_to_root,
                inodes: Some(usage.inodes).filter(|inodes| *inodes > 0),
                used_inodes: usage.inodes_used,
                smallest_bytes: disk.sizes.map(|sizes| sizes.file_system),
            },
            text: text(spec, disk, planned),
        }
    }

    /// Returns the plan as JSON.
    ///
    /// # Errors
    /// Never in practice: every field can be written as JSON.
    pub fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }
}

fn text(spec: &Spec, disk: &Disk, kind: &FileSystemKind) -> String {
    let layout = disk.layout.describe(&spec.identity);
    let size = match (&disk.sizes, &disk.cramped) {
        (Some(sizes), _) => format!("{sizes}\n\n"),
        (None, Some(cramped)) => format!("warning: {cramped}\n\n"),
        (None, None) => String::new(),
    };
    format!("{layout}\n{size}{}\n", disk.describe_root(kind))
}

fn guest(spec: &Spec, machines: &[Candidate]) -> Option<Guest> {
    let guest = spec.guest.as_ref()?;
    Some(Guest {
        reasons: reasons(&guest.tasks),
        architecture: guest.machine.architecture.name(),
        memory_mebibytes: guest.machine.memory,
        timeout_seconds: guest.machine.timeout.as_secs(),
        machines: machines
            .iter()
            .map(|candidate| Machine {
                name: candidate.kind.name(),
                obstacle: candidate.obstacle.clone(),
            })
            .collect(),
    })
}

/// Returns why a guest runs.
fn reasons(tasks: &Tasks) -> Vec<String> {
    let loader = tasks.boot_loader.as_ref();
    let loader = loader.map(|_| "it installs the boot loader (installBootLoader)".to_owned());
    let owners = tasks.owners.iter();
    let owners = owners.map(|names| {
        let name = |name: &str| crate::escape::short(name.as_bytes());
        format!(
            "it looks up the owner {}:{} of an entry in contents",
            name(&names.user),
            name(&names.group)
        )
    });
    loader.into_iter().chain(owners).collect()
}

fn partitions(layout: &Layout, identity: &Identity) -> Vec<PartitionReport> {
    let partition = |partition: &Partition| {
        let (kind, guid, name) = match partition.scheme.entry {
            Entry::None => (None, None, None),
            Entry::Mbr { system, .. } => (Some(format!("{system:#04x}")), None, None),
            Entry::Gpt { kind, name } => {
                let guid = identity.partition(partition.scheme.guid);
                (
                    Some(format!("{kind:X}")),
                    Some(format!("{guid:X}")),
                    Some(name),
                )
            }
        };
        PartitionReport {
            number: partition.number,
            role: partition.role().name(),
            first_sector: partition.first_sector,
            last_sector: partition.last_sector,
            bytes: partition.length(),
            kind,
            guid,
            name,
        }
    };
    layout.partitions.iter().map(partition).collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "image: {} ({})", self.file_name, self.format)?;
        self.fmt_size(f)?;
        writeln!(
            f,
            "closure: {} paths, {} as NARs",
            self.closure.paths,
            HumanBytes(self.closure.nar_bytes)
        )?;
        match &self.system {
            Some(system) => writeln!(f, "system: {system}")?,
            None => writeln!(f, "system: none, only store paths (onlyNixStore)")?,
        }
        self.fmt_guest(f)?;
        self.fmt_basis(f)?;
        write!(f, "\n{}", self.text)?;
        match &self.root.uuid {
            Some(uuid) => writeln!(f, "  label {}, UUID {uuid}", self.root.label),
            None => Ok(()),
        }
    }
}

impl Report {
    fn fmt_size(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let disk = &self.disk;
        let about = match self.basis {
            Basis::Files => "",
            Basis::FilesBeforeGuest | Basis::NarSizes => "about ",
        };
        let mebibytes = disk.bytes.div_ceil(MEBIBYTE);
        match disk.automatic {
            true => write!(f, "disk: {about}{mebibytes} MiB (diskSize = \"auto\")")?,
            false => write!(f, "disk: {mebibytes} MiB (diskSize = {mebibytes})")?,
        }
        match disk.smallest_disk_size {
            Some(smallest) => {
                writeln!(f, "; the smallest sufficient diskSize is {about}{smallest}")
            }
            None => writeln!(f),
        }
    }

    fn fmt_guest(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(guest) = &self.guest else {
            return writeln!(f, "guest: none");
        };
        writeln!(
            f,
            "guest: {}, {} MiB of memory, at most {} s",
            guest.architecture, guest.memory_mebibytes, guest.timeout_seconds
        )?;
        for reason in &guest.reasons {
            writeln!(f, "  {reason}")?;
        }
        writeln!(
            f,
            "  machines, in the order in which this machine tries them:"
        )?;
        for machine in &guest.machines {
            match &machine.obstacle {
                None => writeln!(f, "    {}", machine.name)?,
                Some(obstacle) => writeln!(f, "    not {}: {obstacle}", machine.name)?,
            }
        }
        Ok(())
    }

    fn fmt_basis(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.basis {
            Basis::Files => writeln!(f, "sizes: exact"),
            Basis::FilesBeforeGuest => writeln!(
                f,
                "sizes: exact, except for what the guest will write: the boot loader's files, accounts, and \
                 what else activation creates"
            ),
            Basis::NarSizes => {
                writeln!(f, "sizes: estimated, without contents")?;
                if self.missing_paths > 0 {
                    writeln!(
                        f,
                        "  {} of {} paths of the closure are not on this machine",
                        self.missing_paths, self.closure.paths
                    )?;
                }
                for file in &self.missing_files {
                    writeln!(f, "  {file} is not on this machine")?;
                }
                if self.root.fs_type != KIND.name() {
                    writeln!(f, "  computed for ext4, not for {}", self.root.fs_type)?;
                }
                Ok(())
            }
        }
    }
}

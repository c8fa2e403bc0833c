//! Partition schemes: what each `partitionTableType` of nixpkgs is.

/// nixpkgs' `partitionTableType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionTable {
    /// No table: the disk is the root file system.
    None,
    /// MBR, one partition.
    Legacy,
    /// MBR, a FAT boot partition and root.
    LegacyBoot,
    /// GPT, a BIOS boot partition and root.
    LegacyGpt,
    /// GPT, an ESP and root.
    Efi,
    /// GPT, an ESP, an XBOOTLDR partition and root.
    EfiXbootldr,
    /// GPT, an ESP, a BIOS boot partition and root.
    Hybrid,
}

impl PartitionTable {
    /// Whether its partitions have GUIDs.
    pub fn is_gpt(self) -> bool {
        match self {
            PartitionTable::None | PartitionTable::Legacy | PartitionTable::LegacyBoot => false,
            PartitionTable::LegacyGpt
            | PartitionTable::Efi
            | PartitionTable::EfiXbootldr
            | PartitionTable::Hybrid => true,
        }
    }

    /// The caller's word for it.
    pub fn name(self) -> &'static str {
        match self {
            PartitionTable::None => "none",
            PartitionTable::Legacy => "legacy",
            PartitionTable::LegacyBoot => "legacy+boot",
            PartitionTable::LegacyGpt => "legacy+gpt",
            PartitionTable::Efi => "efi",
            PartitionTable::EfiXbootldr => "efixbootldr",
            PartitionTable::Hybrid => "hybrid",
        }
    }
}

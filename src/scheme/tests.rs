use super::*;

#[test]
fn names_are_unique() {
    let mut names = PartitionTable::ALL.map(PartitionTable::name).to_vec();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), PartitionTable::ALL.len());
}

/// The rest of the program relies on these properties.
#[test]
fn schemes_are_consistent() {
    for table in PartitionTable::ALL {
        let scheme = table.scheme();
        let (root, others) = scheme.partitions.split_last().unwrap();
        assert_eq!(root.role, Role::Root, "{table:?}");
        assert_eq!(root.contents, Contents::Root);
        assert_eq!((root.guid, root.last), (PartitionGuid::Root, Last::DiskEnd));
        assert_eq!(
            scheme.kind == TableKind::None,
            others.is_empty() && root.entry == Entry::None
        );
        for (partition, guid) in others
            .iter()
            .zip([PartitionGuid::First, PartitionGuid::Second])
        {
            assert_eq!(partition.guid, guid, "{table:?}");
            assert_ne!(partition.last, Last::DiskEnd);
            assert_eq!(
                partition.role == Role::BiosBoot,
                partition.contents == Contents::BootCode
            );
            assert_ne!(partition.contents, Contents::Root);
        }
        assert!(others.len() <= 2, "{table:?}: only two GUIDs are available");
        for partition in scheme.partitions {
            let kind = match partition.entry {
                Entry::None => TableKind::None,
                Entry::Mbr { .. } => TableKind::Mbr,
                Entry::Gpt { .. } => TableKind::Gpt,
            };
            assert_eq!(kind, scheme.kind, "{table:?}");
        }
        // If a partition ends at bootSize, the root partition begins there.
        let ends = others
            .iter()
            .any(|partition| partition.last == Last::BootEnd);
        assert_eq!(ends, root.first == First::BootEnd);
        assert_eq!(ends, scheme.boot_begin().is_some());
        assert_eq!(scheme.boot_begin().unwrap_or(0) % MIB, 0);
    }
}

#[test]
fn names_are_listed_for_messages() {
    assert_eq!(
        PartitionTable::names(|scheme| scheme.kind == TableKind::Mbr),
        "\"legacy\" or \"legacy+boot\""
    );
    assert_eq!(
        PartitionTable::names(|scheme| scheme.bios && scheme.kind == TableKind::Gpt),
        "\"legacy+gpt\" or \"hybrid\""
    );
    assert_eq!(
        PartitionTable::names(|scheme| scheme.kind == TableKind::None),
        "\"none\""
    );
    assert_eq!(
        PartitionTable::names(|scheme| scheme.efi_variables),
        "\"legacy+gpt\", \"efi\", \"efixbootldr\" or \"hybrid\""
    );
    assert_eq!(PartitionTable::names(|_| false), "");
}

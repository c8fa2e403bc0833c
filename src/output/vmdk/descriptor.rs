//! The descriptor: a text in the file ("Virtual Disk Format 5.0", section "The Descriptor File").

use super::Size;
use crate::output::identifiers::derived;
use crate::spec::Identity;

/// Sectors per track.
const SECTORS_PER_TRACK: u64 = 63;

/// The types of files ("createType").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateType {
    /// For a virtual machine. As in `qemu-img`, it is an IDE disk.
    Sparse,
    /// For import into VMware, which takes a SCSI disk for the controllers that it has by default.
    Stream,
}

impl CreateType {
    fn name(self) -> &'static str {
        match self {
            CreateType::Sparse => "monolithicSparse",
            CreateType::Stream => "streamOptimized",
        }
    }

    fn adapter(self) -> &'static str {
        match self {
            CreateType::Sparse => "ide",
            CreateType::Stream => "lsilogic",
        }
    }

    /// The heads of a disk at that adapter.
    fn heads(self) -> u64 {
        match self {
            CreateType::Sparse => 16,
            CreateType::Stream => 255,
        }
    }
}

/// Content IDs from this one on are reserved: no parent (and, for some programs, a disk of zeros).
const RESERVED_CONTENT_IDS: u32 = 0xffff_fffe;

/// Returns the descriptor of a disk of `size` that consists of the file `name`.
pub fn descriptor(create_type: CreateType, size: Size, identity: &Identity, name: &str) -> String {
    format!(
        "# Disk DescriptorFile\n\
         version=1\n\
         CID={:08x}\n\
         parentCID=ffffffff\n\
         createType=\"{}\"\n\
         \n\
         # Extent description\n\
         RW {} SPARSE \"{name}\"\n\
         \n\
         # The Disk Data Base\n\
         #DDB\n\
         \n\
         ddb.virtualHWVersion = \"4\"\n\
         ddb.geometry.cylinders = \"{}\"\n\
         ddb.geometry.heads = \"{}\"\n\
         ddb.geometry.sectors = \"{SECTORS_PER_TRACK}\"\n\
         ddb.adapterType = \"{}\"\n\
         ddb.toolsVersion = \"2147483647\"\n",
        content_id(identity),
        create_type.name(),
        size.sectors,
        size.sectors / (create_type.heads() * SECTORS_PER_TRACK),
        create_type.heads(),
        create_type.adapter(),
    )
}

/// The content ID, which a differencing disk repeats to name its parent.
fn content_id(identity: &Identity) -> u32 {
    let (first, ..) = derived(identity, b"VMDK content").as_fields();
    first.min(RESERVED_CONTENT_IDS - 1)
}

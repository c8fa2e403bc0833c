//! The descriptor: a text in the file ("Virtual Disk Format 5.0", section "The Descriptor File").

use super::Size;
use crate::output::identifiers::derived;
use crate::spec::Identity;

/// Heads and sectors per track of an IDE disk, as in `qemu-img`.
const HEADS: u64 = 16;
const SECTORS_PER_TRACK: u64 = 63;

/// Content IDs from this one on are reserved: no parent (and, for some programs, a disk of zeros).
const RESERVED_CONTENT_IDS: u32 = 0xffff_fffe;

/// Returns the descriptor of a disk of `size` that consists of the file `name`.
pub fn descriptor(create_type: &str, size: Size, identity: &Identity, name: &str) -> String {
    format!(
        "# Disk DescriptorFile\n\
         version=1\n\
         CID={:08x}\n\
         parentCID=ffffffff\n\
         createType=\"{create_type}\"\n\
         \n\
         # Extent description\n\
         RW {} SPARSE \"{name}\"\n\
         \n\
         # The Disk Data Base\n\
         #DDB\n\
         \n\
         ddb.virtualHWVersion = \"4\"\n\
         ddb.geometry.cylinders = \"{}\"\n\
         ddb.geometry.heads = \"{HEADS}\"\n\
         ddb.geometry.sectors = \"{SECTORS_PER_TRACK}\"\n\
         ddb.adapterType = \"ide\"\n\
         ddb.toolsVersion = \"2147483647\"\n",
        content_id(identity),
        size.sectors,
        size.sectors / (HEADS * SECTORS_PER_TRACK),
    )
}

/// The content ID, which a differencing disk repeats to name its parent.
fn content_id(identity: &Identity) -> u32 {
    let (first, ..) = derived(identity, b"VMDK content").as_fields();
    first.min(RESERVED_CONTENT_IDS - 1)
}

//! Inodes.

use anyhow::{Context, Result, ensure};
use zerocopy::{FromZeros, IntoBytes};

use super::Ext;
use crate::fs::ext4::ondisk::{self, i_flags, i_mode};
use crate::volume::node::{Kind, Time};

/// The size of the fields before `i_extra_isize`, in bytes.
const OLD_SIZE: usize = 128;

/// Flags with a name (`EXT4_*_FL`), as `lsattr` calls them.
const FLAGS: [(u32, &str); 15] = [
    (0x1, "secure deletion"),
    (0x2, "undelete"),
    (0x4, "compress"),
    (0x8, "synchronous"),
    (0x10, "immutable"),
    (0x20, "append only"),
    (0x40, "no dump"),
    (0x80, "no atime"),
    (0x800, "encrypted"),
    (0x1000, "indexed directory"),
    (0x4000, "journaled data"),
    (0x8000, "no tail merging"),
    (0x1_0000, "synchronous directory"),
    (0x2_0000, "top of directory hierarchies"),
    (0x4000_0000, "ignores case"),
];

/// An inode.
pub struct Inode {
    /// Its fields. Those that it does not have are zeros.
    pub fields: ondisk::Inode,
    /// All of it.
    pub bytes: Vec<u8>,
}

impl Ext<'_> {
    /// The place of inode `number` in the file system, in bytes.
    ///
    /// # Errors
    /// If there is no such inode, or the descriptor of its group is damaged.
    pub fn inode_place(&self, number: u64) -> Result<u64> {
        let geometry = &self.geometry;
        ensure!(
            (1..=geometry.inodes).contains(&number),
            "there are {} inodes, but inode {number} is needed: the file system is damaged",
            geometry.inodes
        );
        let index = number.saturating_sub(1);
        let group = index / geometry.inodes_per_group;
        let cached = self.table.borrow().filter(|&(found, _)| found == group);
        let table = match cached {
            Some((_, table)) => table,
            None => {
                let table = self.group(group)?.inode_table;
                *self.table.borrow_mut() = Some((group, table));
                table
            }
        };
        let within = (index % geometry.inodes_per_group).saturating_mul(geometry.inode);
        Ok(table.saturating_mul(geometry.block).saturating_add(within))
    }

    /// Reads inode `number`.
    ///
    /// # Errors
    /// As for [`Ext::inode_place`].
    pub fn inode(&self, number: u64) -> Result<Inode> {
        let place = self.inode_place(number)?;
        let mut bytes = vec![0; usize::try_from(self.geometry.inode)?];
        let reading = || format!("reading inode {number}");
        self.region
            .read(place, &mut bytes, "an inode")
            .with_context(reading)?;
        Ok(Inode::parse(bytes))
    }
}

impl Inode {
    /// Parses the bytes of an inode.
    pub fn parse(bytes: Vec<u8>) -> Inode {
        let mut fields = ondisk::Inode::new_zeroed();
        let to = fields.as_mut_bytes();
        let extra = match bytes.get(OLD_SIZE..OLD_SIZE + 2) {
            Some(&[low, high]) => usize::from(u16::from_le_bytes([low, high])),
            _ => 0,
        };
        let count = to
            .len()
            .min(OLD_SIZE.saturating_add(extra))
            .min(bytes.len());
        to[..count].copy_from_slice(&bytes[..count]);
        Inode { fields, bytes }
    }

    /// Type and permissions.
    pub fn mode(&self) -> u16 {
        self.fields.i_mode.get()
    }

    /// The kind of file.
    pub fn kind(&self) -> Kind {
        match self.mode() & 0o170_000 {
            i_mode::FILE => Kind::File,
            i_mode::DIRECTORY => Kind::Directory,
            i_mode::SYMLINK => Kind::Symlink,
            i_mode::CHARACTER_DEVICE => Kind::CharacterDevice,
            i_mode::BLOCK_DEVICE => Kind::BlockDevice,
            i_mode::FIFO => Kind::Fifo,
            i_mode::SOCKET => Kind::Socket,
            _ => Kind::Unknown,
        }
    }

    /// User and group.
    pub fn owner(&self) -> (u32, u32) {
        let wide = |low: u16, high: u16| u32::from(high) << 16 | u32::from(low);
        let fields = &self.fields;
        (
            wide(fields.i_uid.get(), fields.l_i_uid_high.get()),
            wide(fields.i_gid.get(), fields.l_i_gid_high.get()),
        )
    }

    /// Length in bytes.
    pub fn size(&self) -> u64 {
        u64::from(self.fields.i_size_high.get()) << 32 | u64::from(self.fields.i_size_lo.get())
    }

    /// Number of hard links.
    pub fn links(&self) -> u32 {
        self.fields.i_links_count.get().into()
    }

    /// See [`i_flags`].
    pub fn flags(&self) -> u32 {
        self.fields.i_flags.get()
    }

    /// Whether `i_block` is an extent tree.
    pub fn has_extents(&self) -> bool {
        self.flags() & i_flags::EXTENTS != 0
    }

    /// The block of extended attributes, or 0.
    pub fn attribute_block(&self) -> u64 {
        let high = u64::from(self.fields.l_i_file_acl_high.get());
        high << 32 | u64::from(self.fields.i_file_acl_lo.get())
    }

    /// Whether it is in use: deleted inodes have no links.
    pub fn is_used(&self) -> bool {
        self.mode() != 0 && self.links() > 0
    }

    /// Its times. The time of creation exists only in large inodes.
    pub fn times(&self) -> Vec<(&'static str, Time)> {
        let fields = &self.fields;
        let has_extra = fields.i_extra_isize.get() > 0;
        let time = |low: u32, extra: u32| {
            // The low half is signed, and two bits of the other field extend it (kernel,
            // Documentation/filesystems/ext4/inodes.rst, "Inode Timestamps").
            let low = i64::from(i32::from_ne_bytes(low.to_ne_bytes()));
            let epoch = i64::from(extra & 3) << 32;
            Time {
                seconds: low.saturating_add(epoch),
                nanoseconds: extra >> 2,
            }
        };
        let mut times = vec![
            (
                "mtime",
                time(fields.i_mtime.get(), fields.i_mtime_extra.get()),
            ),
            (
                "ctime",
                time(fields.i_ctime.get(), fields.i_ctime_extra.get()),
            ),
            (
                "atime",
                time(fields.i_atime.get(), fields.i_atime_extra.get()),
            ),
        ];
        if has_extra {
            times.push((
                "crtime",
                time(fields.i_crtime.get(), fields.i_crtime_extra.get()),
            ));
        }
        times
    }

    /// The numbers of a device, of which there are two encodings (kernel, `fs/ext4/inode.c`).
    pub fn device(&self) -> Option<(u32, u32)> {
        if !matches!(self.kind(), Kind::CharacterDevice | Kind::BlockDevice) {
            return None;
        }
        let [old, new] = [0, 1].map(|place| self.fields.i_block[place].get());
        Some(match old {
            0 => ((new & 0xf_ff00) >> 8, new & 0xff | (new >> 12) & 0xf_ff00),
            old => ((old >> 8) & 0xff, old & 0xff),
        })
    }

    /// Flags, generation and project.
    pub fn others(&self) -> Vec<(&'static str, String)> {
        let flags = self.flags();
        let names = FLAGS.iter().filter(|(bit, _)| flags & bit != 0);
        let names: Vec<&str> = names.map(|(_, name)| *name).collect();
        vec![
            ("flags", names.join(", ")),
            ("generation", self.fields.i_generation.get().to_string()),
            ("project", self.fields.i_projid.get().to_string()),
        ]
    }
}

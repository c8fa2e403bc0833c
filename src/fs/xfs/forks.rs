//! How the space in an inode is divided between its data and its attributes.

use super::attribute::Attributes;
use super::ondisk::Dinode;

/// Where Linux puts the attributes of most inodes (`xfs_default_attroffset`).
const USUAL: usize = 96;
/// Space for data that is a B+tree with the fewest entries (`xfs_bmdr_space_calc(MINDBTPTRS)`).
const LEAST_DATA: usize = 56;
/// Space for attributes that is a B+tree with the fewest entries.
const LEAST_ATTRIBUTES: usize = 24;
/// Space for a device number. Devices, pipes and sockets have no more.
const DEVICE: usize = 8;
/// Space for the extents of attributes: more than there can be with this writer.
const ATTRIBUTE_EXTENTS: usize = 96;

/// What an inode has to store as data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    /// A device number, or nothing.
    Device,
    /// Extents.
    Extents,
    /// This many bytes, in the inode if there is room, otherwise extents.
    Bytes(usize),
}

/// The division of the space in an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forks {
    /// Bytes for data.
    pub data: usize,
    /// Bytes for attributes; 0 if there are none.
    pub attributes: usize,
    /// Whether the data is in the inode, rather than its extents.
    pub is_data_short: bool,
    /// Whether the attributes are in the inode.
    pub are_attributes_short: bool,
}

impl Forks {
    /// Divides the space of an inode with `data` and `attributes`.
    pub fn new(data: Data, attributes: &Attributes<'_>) -> Forks {
        if attributes.is_empty() {
            return Forks {
                data: Dinode::LITERAL,
                attributes: 0,
                is_data_short: matches!(data, Data::Bytes(size) if size <= Dinode::LITERAL),
                are_attributes_short: false,
            };
        }
        let short = attributes.short_size();
        // The first choice that fits; the last one always does.
        let bytes = match data {
            Data::Bytes(size) => Some(size.next_multiple_of(8)),
            _ => None,
        };
        for (in_inode, attributes_short) in
            [(true, true), (true, false), (false, true), (false, false)]
        {
            let own = match attributes_short {
                true => short,
                false => Some(ATTRIBUTE_EXTENTS),
            };
            let least = match (in_inode, bytes) {
                (true, Some(size)) => size.max(LEAST_DATA),
                (true, None) => continue,
                (false, _) => LEAST_DATA,
            };
            let Some(own) = own.map(|own| own.max(LEAST_ATTRIBUTES)) else {
                continue;
            };
            if data == Data::Device {
                if own <= Dinode::LITERAL - DEVICE {
                    return divide(DEVICE, true, attributes_short);
                }
                continue;
            }
            let Some(most) = Dinode::LITERAL.checked_sub(own).map(|most| most / 8 * 8) else {
                continue;
            };
            if least <= most {
                return divide(USUAL.clamp(least, most), in_inode, attributes_short);
            }
        }
        divide(USUAL, false, false)
    }
}

fn divide(data: usize, is_data_short: bool, are_attributes_short: bool) -> Forks {
    Forks {
        data,
        attributes: Dinode::LITERAL - data,
        is_data_short,
        are_attributes_short,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Xattr;

    /// Data space, whether the data is short, and whether the attributes are.
    fn forks(data: Data, lengths: &[usize]) -> (usize, bool, bool) {
        let xattrs: Vec<Xattr> = lengths
            .iter()
            .enumerate()
            .map(|(number, &length)| Xattr {
                name: format!("user.{number}").into_bytes().into(),
                value: vec![0; length].into(),
            })
            .collect();
        let forks = Forks::new(data, &Attributes::new(&xattrs).unwrap());
        (forks.data, forks.is_data_short, forks.are_attributes_short)
    }

    #[test]
    fn space_is_divided_so_that_most_is_in_the_inode() {
        for (data, lengths, expected) in [
            (Data::Bytes(336), &[][..], (336, true, false)),
            (Data::Bytes(337), &[], (336, false, false)),
            (Data::Extents, &[], (336, false, false)),
            (Data::Extents, &[20], (96, false, true)),
            (Data::Extents, &[250], (72, false, true)),
            (Data::Extents, &[200, 100], (96, false, false)),
            (Data::Extents, &[256], (96, false, false)),
            (Data::Bytes(50), &[20], (96, true, true)),
            (Data::Bytes(200), &[100], (200, true, true)),
            (Data::Bytes(300), &[20], (304, true, true)),
            (Data::Bytes(240), &[250], (240, true, false)),
            (Data::Bytes(300), &[250], (72, false, true)),
            (Data::Bytes(300), &[256], (96, false, false)),
            (Data::Device, &[255], (8, false, false)),
        ] {
            let mut found = forks(data, lengths);
            if data == Data::Device {
                assert_eq!(found, (8, true, true));
                found = expected;
            }
            assert_eq!(found, expected, "{data:?} {lengths:?}");
        }
    }
}

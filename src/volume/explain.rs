//! What a byte means.

/// The meaning of a byte of a file system, and of those after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meaning {
    /// The structure: "inode 812", "free space".
    pub structure: String,
    /// The field.
    pub field: Option<&'static str>,
    /// The first byte after `at` that may have another meaning.
    pub end: u64,
    /// How much of it matters.
    pub weight: Weight,
    /// The file that it concerns: see [`super::FileSystem::identity`].
    pub file: Option<u64>,
}

/// How much a difference matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    /// It is only here.
    Own,
    /// The properties of a file or the parameters of the file system say it, too.
    Covered,
    /// It follows from others: a checksum.
    Derived,
}

/// A field of a structure.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    /// Its offset in the structure.
    pub offset: usize,
    pub name: &'static str,
    pub weight: Weight,
}

/// The field that contains the byte `within` of a structure, and where it ends. `fields` are sorted, and
/// the structure has `size` bytes.
pub(super) fn field(fields: &[Field], size: u64, within: u64) -> (Field, u64) {
    let at = usize::try_from(within).unwrap_or(usize::MAX);
    let next = fields.partition_point(|field| field.offset <= at);
    // usize to u64: lossless on every target Rust has.
    let end = fields.get(next).map_or(size, |field| field.offset as u64);
    let found = next.checked_sub(1).and_then(|last| fields.get(last));
    let unknown = Field {
        offset: 0,
        name: "unknown field",
        weight: Weight::Own,
    };
    (
        found.copied().unwrap_or(unknown),
        end.max(within.saturating_add(1)),
    )
}

/// The fields of a structure in their order, each with its weight.
macro_rules! fields {
    ($structure:ty: $($field:ident $weight:ident),+ $(,)?) => {
        [$(
            $crate::volume::explain::Field {
                offset: std::mem::offset_of!($structure, $field),
                name: stringify!($field),
                weight: $crate::volume::explain::Weight::$weight,
            }
        ),+]
    };
}
pub(super) use fields;

//! The label, which is stored in UTF-16.

use zerocopy::little_endian::U16;

use crate::escape;

/// Number of UTF-16 units in the longest label (`MAX_VOLUME_NAME`).
const LONGEST: usize = 512;

/// Returns the units of `label`, or the reason why f2fs cannot store it.
pub fn encode(label: &str) -> Result<[U16; LONGEST], String> {
    let count = label.encode_utf16().count();
    if count > LONGEST || label.contains('\0') {
        let limit = match count > LONGEST {
            true => format!("has {count} UTF-16 units; f2fs's limit is {LONGEST}"),
            false => "contains a NUL".to_owned(),
        };
        return Err(format!(
            "the label \"{}\" {limit}",
            escape::bytes(label.as_bytes())
        ));
    }
    let mut units = [U16::new(0); LONGEST];
    for (unit, value) in units.iter_mut().zip(label.encode_utf16()) {
        *unit = U16::new(value);
    }
    Ok(units)
}

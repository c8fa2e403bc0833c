//! The description of a directory that `mkfs.xfs -p` takes (mkfs.xfs(8)).

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::place::sorted;

/// Writes a description of `directory` to `file`. Blanks in names are slashes.
pub fn write(directory: &Path, file: &Path) {
    let mut text = String::from("/dev/null\n0 0\nd--755 0 0\n");
    entries(directory, &mut text);
    text.push_str("$\n");
    fs::write(file, text).unwrap();
}

fn entries(directory: &Path, text: &mut String) {
    for path in sorted(directory) {
        let metadata = path.symlink_metadata().unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let name = name.replace(' ', "/");
        let mode = metadata.mode();
        let bit = |mask, letter| if mode & mask == 0 { '-' } else { letter };
        let (user, group) = (bit(0o4000, 'u'), bit(0o2000, 'g'));
        let kind = match metadata.file_type() {
            kind if kind.is_dir() => 'd',
            kind if kind.is_symlink() => 'l',
            _ => '-',
        };
        write!(text, "{name} {kind}{user}{group}{:03o} 0 0 ", mode & 0o777).unwrap();
        match kind {
            'd' => {
                text.push('\n');
                entries(&path, text);
                text.push_str("$\n");
            }
            'l' => writeln!(text, "{}", fs::read_link(&path).unwrap().display()).unwrap(),
            _ => writeln!(text, "{}", path.display()).unwrap(),
        }
    }
}

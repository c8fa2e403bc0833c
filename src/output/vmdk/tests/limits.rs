//! What does not fit in a VMDK.

use anyhow::Result;

use super::*;
use crate::codec::Codec;
use crate::fs::{DataExtent, DataSource, Plan, Usage};
use crate::image::{Content, Part};

const PATH: &str = "/nonexistent/nixos.vmdk";

/// The messages of both kinds of files, which nothing is written to.
fn refused(image: &Image) -> [String; 2] {
    let path = Path::new(PATH);
    let codec = Codec::Zlib { level: 1 };
    let sparse = write_sparse(image, &identity(), NAME, path, &|_| ());
    let stream = write_stream(image, &identity(), codec, NAME, path, &|_| ());
    [sparse, stream].map(|result| format!("{:#}", result.unwrap_err()))
}

#[test]
fn disks_that_are_too_long_are_refused() {
    let message = "writing /nonexistent/nixos.vmdk: the disk has 281474976645632 bytes \
                   (268435456 MiB), but a VMDK has at most 281474976645120 (268435455 MiB); set \
                   diskSize to at most 268435455, or use another format, such as \"qcow2\"";
    assert_eq!(refused(&image(LONGEST + 512, vec![])), [message; 2]);
    let error = refused(&image(LONGEST, vec![]));
    assert!(error[0].contains("creating /nonexistent"), "{error:?}");
}

#[test]
fn disks_that_are_not_whole_sectors_are_refused() {
    let message = "writing /nonexistent/nixos.vmdk: the disk has 1049087 bytes, which is not a \
                   multiple of 512, the length of a sector";
    assert_eq!(refused(&image((1 << 20) + 511, vec![])), [message; 2]);
    let message = "writing /nonexistent/nixos.vmdk: the disk is empty";
    assert_eq!(refused(&image(0, vec![])), [message; 2]);
}

/// A file system full of files.
struct Full([DataExtent; 1]);

impl Plan for Full {
    fn length(&self) -> u64 {
        self.0[0].length
    }

    fn usage(&self) -> Usage {
        unreachable!()
    }

    fn data(&self) -> &[DataExtent] {
        &self.0
    }

    fn source(&self, _: u32) -> Option<DataSource<'_>> {
        None
    }

    fn metadata(&self, _: &mut dyn FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
        Ok(())
    }
}

#[test]
fn files_that_are_too_large_are_refused() {
    let length = 2 << 40;
    let extent = DataExtent {
        file: 0,
        file_offset: 0,
        offset: 0,
        length,
    };
    let part = Part {
        name: "root file system".to_owned(),
        start: 0,
        length,
        content: Content::FileSystem(Box::new(Full([extent]))),
    };
    let [sparse, _] = refused(&Image {
        length,
        parts: vec![part],
    });
    // Before the grains, there are 269025280 bytes, as in the file of qemu-img.
    assert_eq!(
        sparse,
        "writing /nonexistent/nixos.vmdk: the image does not fit in a VMDK, which has at most \
         2199023255552 bytes (2 TiB); put less into it, or use another format, such as \"qcow2\" \
         (its files have 2199023255552 bytes, and there is space for 2198754230272)"
    );
}

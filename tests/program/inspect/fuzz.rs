//! Random changes of images of every kind: `inspect`, listings and `diff` never panic, and end soon.
//!
//! `make fuzz` makes 100,000 of them, and prints how long those of each image took. `INSPECT_IMAGES` is
//! their number; other numbers make other changes. An image that fails is printed as the changes that
//! make it from the base: places, offsets and bytes.

use std::cell::RefCell;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;

use make_disk_image::diff;
use make_disk_image::inspect::{self, Listing};
use nix::time::ClockId;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::images::{Gpt, chain, mbr, sum};
use super::script;
use crate::common::runner::runner;

/// The longest time for a case, of the processor: a busy machine may stop a test for seconds.
const LIMIT: Duration = Duration::from_secs(2);

/// The length of a place in an image that a change prefers: headers and tables.
const NEAR: u64 = 8192;

/// The most bytes of a file that are read. Its length may have been changed to terabytes of zeros.
const PRINTED: usize = 8 << 20;

/// An image that is changed, and changed back.
struct Base {
    name: &'static str,
    path: PathBuf,
    file: File,
    original: Vec<u8>,
    /// Where its headers and tables are.
    places: &'static [u64],
    /// The partition whose files are listed.
    partition: &'static str,
}

/// A change of an image.
#[derive(Debug, Clone)]
enum Change {
    /// A number of 1 to 8 bytes near a place.
    Near(usize, u64, u64, usize),
    /// A byte anywhere.
    Byte(u64, u8),
    /// The length, in thousandths of what it was.
    Length(u64),
}

fn change() -> impl Strategy<Value = Change> {
    let number = prop_oneof![
        0..70u64,
        Just(u64::MAX),
        Just(1 << 31),
        Just(u64::MAX / 512),
        Just(0x0001_0000_0100_0000),
        any::<u64>(),
    ];
    let length = prop::sample::select(vec![1usize, 2, 4, 8]);
    let offset = prop_oneof![4 => 0..600u64, 2 => 0..2048u64, 1 => 0..NEAR];
    prop_oneof![
        12 => (any::<usize>(), offset, number, length).prop_map(|(a, b, c, d)| Change::Near(a, b, c, d)),
        3 => (any::<u64>(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        1 => (0..1000u64).prop_map(Change::Length),
    ]
}

/// Makes images of every kind, all small.
fn bases(directory: &std::path::Path) -> Vec<Base> {
    script(
        r#"cd "$1"
        mkdir -p tree/directory
        for number in $(seq 30); do echo "$number" >"tree/directory/a file with a long name $number"; done
        seq 2000 >tree/file; ln -s file tree/link; truncate -s 100k tree/sparse; echo x >>tree/sparse
        setfattr -n user.name -v value tree/file
        mkfs.ext2 -q -b 1024 -N 64 -d tree ext2 256k
        mkfs.ext4 -q -b 1024 -N 64 -O ^metadata_csum,^has_journal,^resize_inode -d tree ext4 256k
        for width in 12 16 32; do
          mkfs.fat -F $width -s 1 -C fat$width $((width == 12 ? 100 : width == 16 ? 2200 : 34000)) >&2
          mcopy -Q -s -i fat$width tree/directory tree/file ::
        done
        # mtools wants at least 65,525 clusters, but 256 are faster to count.
        printf '\x30\x05\0\0' | dd of=fat32 bs=1 seek=32 conv=notrunc status=none
        truncate -s $((0x530 * 512)) fat32
        dd if=ext4 of=raw bs=512 seek=8 status=none
        printf 'label: dos\nstart=8, type=83\n' | sfdisk -q -f raw
        truncate -s 512k raw
        qemu-img convert -O qcow2 -o cluster_size=4k raw qcow2
        qemu-img convert -c -O qcow2 -o cluster_size=4k raw qcow2-zlib
        qemu-img convert -c -O qcow2 -o compression_type=zstd raw qcow2-zstd
        qemu-img convert -O vdi raw vdi
        qemu-img convert -O vpc -o force_size=on raw vhd
        qemu-img convert -O vmdk raw vmdk
        qemu-img convert -O vmdk -o subformat=streamOptimized raw vmdk-stream
        qemu-img convert -O vhdx -o block_size=1M raw vhdx"#,
        &[directory],
    );
    fs::write(directory.join("gpt"), Gpt::usual().disk()).unwrap();
    fs::write(directory.join("mbr"), mbr()).unwrap();
    fs::write(directory.join("logical"), chain(&[(1, 2), (5, 9)], None)).unwrap();
    let base = |(name, places, partition): (&'static str, &'static [u64], &'static str)| {
        let path = directory.join(name);
        let file = File::options().read(true).write(true).open(&path).unwrap();
        Base {
            name,
            original: fs::read(&path).unwrap(),
            path,
            file,
            places,
            partition,
        }
    };
    [
        ("gpt", &[0, 512, 1024, 31 << 10][..], "1"),
        ("mbr", &[0], "1"),
        ("logical", &[0, 1024, 7168], "5"),
        ("ext2", &[1024, 2048, 5120, 8192, 16384], "0"),
        ("ext4", &[1024, 2048, 5120, 8192, 16384], "0"),
        ("fat12", &[0, 512, 2048], "0"),
        ("fat16", &[0, 512, 10240], "0"),
        ("fat32", &[0, 512, 16384, 548_864, 549_376], "0"),
        ("qcow2", &[0, 4096, 8192, 12288], "1"),
        ("qcow2-zlib", &[0, 4096, 8192, 12288], "1"),
        ("qcow2-zstd", &[0, 0x3_0000, 0x4_0000, 0x5_0000], "1"),
        ("vdi", &[0, 256, 512], "1"),
        ("vhd", &[0, 512, 1536], "1"),
        ("vmdk", &[0, 512, 10_752], "1"),
        ("vmdk-stream", &[0, 512, 0x1_0000], "1"),
        (
            "vhdx",
            &[0x1_0000, 0x3_0000, 0x20_0000, 0x21_0000, 0x30_0000],
            "1",
        ),
    ]
    .map(base)
    .into()
}

/// How long the cases of a base took.
#[derive(Debug, Clone, Default)]
struct Times {
    cases: u32,
    sum: Duration,
    longest: Duration,
}

impl Times {
    fn add(&mut self, time: Duration) {
        self.cases += 1;
        self.sum += time;
        self.longest = self.longest.max(time);
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Times {
            cases,
            sum,
            longest,
        } = self;
        let mean = *sum / (*cases).max(1);
        write!(
            f,
            "{cases:>7} cases, mean {mean:.1?}, longest {longest:.1?}"
        )
    }
}

/// The time for which this thread has run.
fn cpu_time() -> Duration {
    let now = ClockId::CLOCK_THREAD_CPUTIME_ID.now().unwrap();
    now.into()
}

/// Takes the first bytes that are written to it. Then it is like a pipe without a reader.
struct Head(usize);

impl Write for Head {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let rest = self.0.checked_sub(bytes.len());
        self.0 = rest.ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Base {
    /// Applies the changes, and corrects the checksums of a GPT if `sums` is set, since nothing else is read
    /// if they are wrong. Returns which bytes have to be restored.
    fn apply(&self, changes: &[Change], sums: bool) -> Vec<Range<usize>> {
        let length = self.original.len();
        let mut changed = Vec::new();
        for change in changes {
            let (at, bytes) = match change {
                Change::Near(place, offset, value, length) => {
                    let place = self.places[place % self.places.len()];
                    (place + offset, value.to_le_bytes()[..*length].to_vec())
                }
                Change::Byte(at, byte) => (at % length as u64, vec![*byte]),
                Change::Length(_) => continue,
            };
            let range = at as usize..at as usize + bytes.len();
            if range.end <= length {
                self.file.write_all_at(&bytes, at).unwrap();
                changed.push(range);
            }
        }
        if sums && self.name == "gpt" {
            let mut disk = fs::read(&self.path).unwrap();
            sum(&mut disk);
            self.file.write_all_at(&disk, 0).unwrap();
            changed.push(0..length);
        }
        for change in changes {
            if let Change::Length(thousandths) = change {
                let shorter = length * *thousandths as usize / 1000;
                self.file.set_len(shorter as u64).unwrap();
                changed.push(shorter..length);
            }
        }
        changed
    }

    /// Undoes changes.
    fn restore(&self, changed: Vec<Range<usize>>) {
        for range in changed {
            let at = range.start as u64;
            let bytes = &self.original[range];
            self.file.write_all_at(bytes, at).unwrap();
        }
    }

    /// Reads everything. Returns the errors.
    fn read(&self, other: Option<&PathBuf>) -> Vec<String> {
        let mut errors = Vec::new();
        let mut note = |error: anyhow::Error| errors.push(format!("{error:#}"));
        match inspect::describe(&self.path, 80, false) {
            Ok(_) => {
                for recursive in [true, false] {
                    let listing = Listing {
                        recursive,
                        json: false,
                    };
                    let place = match recursive {
                        true => self.partition.to_owned(),
                        false => format!("{}:/file", self.partition),
                    };
                    let listed =
                        inspect::list(&self.path, place.as_ref(), listing, &mut Head(PRINTED));
                    let _ = listed.map_err(&mut note);
                }
                // A comparison takes longer than everything else.
                let compared = other.map(|other| diff::compare(&self.path, other, 20));
                let _ = compared.transpose().map_err(&mut note);
            }
            Err(error) => note(error),
        }
        errors
    }
}

#[test]
fn random_changes_to_an_image_never_panic() {
    let directory = tempfile::Builder::new().tempdir_in("/dev/shm").unwrap();
    let bases = bases(directory.path());
    let copies = directory.path().join("copies");
    fs::create_dir(&copies).unwrap();
    let copy = |base: &Base| {
        let copy = copies.join(base.name);
        fs::copy(&base.path, &copy).unwrap();
        copy
    };
    let copies: Vec<PathBuf> = bases.iter().map(copy).collect();
    for (base, copy) in bases.iter().zip(&copies) {
        let errors = base.read(Some(copy));
        let is_file_system = !["gpt", "mbr", "logical"].contains(&base.name);
        assert!(
            errors.is_empty() || !is_file_system,
            "{}: {errors:?}",
            base.name
        );
    }
    let changes = prop::collection::vec(change(), 1..4);
    let times = RefCell::new(vec![Times::default(); bases.len()]);
    let outcome = runner("INSPECT_IMAGES", 5000).run(
        &(0..bases.len(), changes, any::<bool>()),
        |(number, changes, sums)| {
            let compares = changes.len() == 1;
            let base = &bases[number];
            let changed = base.apply(&changes, sums);
            let begin = cpu_time();
            let errors = base.read(compares.then(|| &copies[number]));
            let elapsed = cpu_time() - begin;
            base.restore(changed);
            times.borrow_mut()[number].add(elapsed);
            for error in errors {
                if error.contains("failed to fill whole buffer") || error.len() > 1000 {
                    return Err(TestCaseError::fail(format!("{}: {error}", base.name)));
                }
            }
            prop_assert!(elapsed < LIMIT, "{}: {elapsed:?}", base.name);
            Ok(())
        },
    );
    for (base, times) in bases.iter().zip(times.into_inner()) {
        println!("{:<12} {times}", base.name);
    }
    outcome.unwrap();
}

//! Which ranges of a disk have data.

use std::os::unix::fs::FileExt;

use super::super::allocation::Run;
use super::*;

/// Every run of the disk: whether it is data, and its end.
fn runs(disk: &LazyImage) -> Vec<(bool, u64)> {
    let allocation = disk.allocation().unwrap();
    let (mut at, mut runs) = (0, Vec::new());
    while at < disk.length() {
        let run = allocation.run(at);
        assert!(run.end > at, "{run:?} at {at}");
        // The same run continues in the middle of it.
        assert_eq!(allocation.run(run.end - 1), run);
        runs.push((run.is_data, run.end));
        at = run.end;
    }
    let end = Run {
        is_data: false,
        end: at,
    };
    assert_eq!(allocation.run(at), end);
    runs
}

#[test]
fn what_is_copied_and_what_is_generated_is_data_in_whole_blocks() {
    let directory = tempfile::tempdir().unwrap();
    let contents: Vec<Vec<u8>> = [100, 4096, 5000].map(|n| noise(n, 1)).into();
    let (tree, ids) = tree(directory.path(), &contents);
    // Three small files next to each other: 1, 1 and 2 blocks.
    let (data, _) = placed(&contents, &ids, 8192);
    let metadata = vec![
        (0, vec![1; 4096]),
        (24576, vec![2; 1]),
        (1 << 20, vec![0; 4096]),
    ];
    let system = Content::FileSystem(Box::new(Chosen {
        tree,
        length: 2 << 20,
        data,
        metadata,
    }));
    let sparse = directory.path().join("sparse");
    let file = fs::File::create(&sparse).unwrap();
    file.set_len(1 << 20).unwrap();
    file.write_all_at(b"x", 500_000).unwrap();
    let start = 1 << 20;
    let length = (5 << 20) + 512;
    let image = image(
        length,
        vec![
            (0, 512, Content::Bytes(vec![7; 512])),
            (start, 3 << 20, system),
            (4 << 20, 1 << 20, finished(&sparse)),
            (length - 512, 512, Content::Bytes(vec![7; 512])),
        ],
    );
    let disk = LazyImage::new(image, &directory.path().join("made")).unwrap();
    let block = 500_000 / 4096 * 4096;
    let found = runs(&disk);
    let expected = [
        (true, 4096),
        (false, start),
        (true, start + 4096),
        (false, start + 8192),
        (true, start + 28672),
        (false, (4 << 20) + block),
        (true, (4 << 20) + block + 4096),
        (false, 5 << 20),
        (true, length),
    ];
    // A file system may store generated zeros.
    let zeros = |run: &(bool, u64)| run.1 == (2 << 20) || run.1 == (2 << 20) + 4096;
    let found: Vec<_> = found.into_iter().filter(|run| !zeros(run)).collect();
    assert_eq!(found, expected);
}

#[test]
fn an_empty_disk_is_one_hole_of_any_length() {
    let directory = tempfile::tempdir().unwrap();
    let disk = LazyImage::new(image(3 << 40, vec![]), &directory.path().join("made")).unwrap();
    assert_eq!(runs(&disk), [(false, 3 << 40)]);
    let disk = LazyImage::new(image(0, vec![]), &directory.path().join("none")).unwrap();
    assert_eq!(runs(&disk), []);
}

//! The size and shape of trees.

/// The contents of a tree.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Size classes of regular files: the number of files and their total size in bytes, starting with
    /// the empty files.
    pub sizes: Vec<(usize, usize)>,
    /// Number of empty files in one large directory.
    pub largest: usize,
    /// Number of store paths.
    pub packages: usize,
    /// Total number of directories.
    pub directories: usize,
    /// Number of links in the directory of links. The target of each needs a block in ext4.
    pub long_links: usize,
    /// Number of links within packages.
    pub short_links: usize,
}

impl Shape {
    /// Returns the shape of a small NixOS: that of 207 Debian packages laid out as store paths, and of a
    /// directory of links to all of them as made by `buildEnv`.
    pub fn small_nixos() -> Shape {
        let mib = [
            (6_555, 0),
            (32_352, 16),
            (30_072, 61),
            (19_853, 160),
            (10_579, 319),
            (3_556, 407),
            (806, 372),
            (220, 712),
            (29, 1025),
        ];
        Shape {
            sizes: mib.map(|(count, mib)| (count, mib << 20)).to_vec(),
            largest: 6_447,
            packages: 207,
            directories: 14_687,
            long_links: 30_318,
            short_links: 13_626,
        }
    }

    /// Returns a shape with `files` regular files of at most 4 KiB, with the size distribution of a small
    /// NixOS and the same number of links and directories per file.
    pub fn small_files(files: usize) -> Shape {
        let whole = Shape::small_nixos();
        let small = &whole.sizes[..3];
        let of_small = |part: usize| part * files / small.iter().map(|size| size.0).sum::<usize>();
        let all: usize = whole.sizes.iter().map(|size| size.0).sum();
        let of_all = |part: usize| part * files / all;
        let mut sizes: Vec<(usize, usize)> = small
            .iter()
            .map(|&(count, bytes)| (of_small(count), of_small(bytes)))
            .collect();
        sizes[2].0 += files - sizes.iter().map(|size| size.0).sum::<usize>();
        Shape {
            sizes,
            largest: 0,
            packages: of_all(whole.packages).max(1),
            directories: of_all(whole.directories).max(1),
            long_links: of_all(whole.long_links),
            short_links: of_all(whole.short_links),
        }
    }
}

//! `contents` compared with what nixpkgs' builder does with rsync, bash and chown.

mod entries;
mod targets;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::listing;
use entries::{Entry, chown, compare, grafted, shell, stage};
use make_disk_image::spec::{Graft, Target};
use make_disk_image::stage::graft;
use make_disk_image::tree::{Metadata, Timestamp, Tree};

/// The script that makes the sources of the tables, in an empty directory.
const SOURCES: &str = r#"
umask 022
mkdir -p dir/sub/deep empty
echo one > dir/one; echo two > dir/sub/two; echo deep > dir/sub/deep/.hidden
chmod 640 dir/one; chmod 4755 dir/sub/two; chmod 3771 dir/sub; chmod 711 dir
ln -s one dir/relative; ln -s /nix/store/gone dir/absolute; ln -s dir linked; ln -s dir/one filelink; ln -s nowhere dangling
ln dir/one dir/sub/hard; ln dir/one dir/zzz
mkfifo dir/pipe; mknod dir/null c 1 3; mknod dir/block b 259 70000
mv socket dir/socket
echo plain > plain.conf; echo other > other.conf; echo x > .dot.conf; mkdir sub.conf; echo y > sub.conf/y
mkdir 'with blank' 'with blank/a  b'; echo s > 'with blank/a  b/* ?'; echo n > "with blank/new
line"; echo q > "with blank/'\""; echo m > 'with blank/-n'
printf 'with blank/\xff\xfe\0with blank/\xe2\x80\xae\0with blank/%0255d\0' 7 | xargs -0 touch --
mkdir ext; echo a > ext/user; setfattr -n user.color -v red ext/user; setfattr -n trusted.t -v '' ext/user
echo c > ext/cap; setcap cap_net_raw,cap_chown+ep ext/cap; setfattr -n user.d -v 0x00ff0a ext
echo l > ext/acl; chmod 640 ext/acl; setfacl -m u:7:rwx,g:8:r ext/acl
setfacl -d -m u:9:rx ext
mkdir links; ln -s ../real links/inside; ln -s . links/self; mkdir real; echo r > real/r
mkdir setid; for mode in 6755 4755 2755 2745 1777; do echo > setid/$mode; chmod $mode setid/$mode; done; mkdir setid/2775; chmod 2775 setid/2775
mkdir one two; mkdir one/both two/both; echo 1 > one/both/1; echo 2222 > two/both/1; echo 2 > two/both/2; chmod 700 two/both
ln -s x one/kind; echo file > two/kind; mkdir two/becomes; touch two/becomes/in; echo f > one/becomes
mkdir one/emptied; ln -s y two/emptied
find . -depth -exec touch -h -d @1000000000.123456789 {} +
touch -d @-86400 dir/one
"#;

fn make_sources(directory: &Path) {
    // The name of the socket stays after it is closed.
    UnixListener::bind(directory.join("socket")).unwrap();
    shell(directory, SOURCES, &[]).unwrap();
}

#[test]
fn contents_are_what_rsync_makes() {
    listing::require_root();
    let cases: &[(&str, &[Entry])] = &[
        (
            "a directory, with its hard links and special files",
            &[("dir", "/srv/data", "", None)],
        ),
        (
            "a directory with a slash",
            &[("dir/", "srv/data/", "", None)],
        ),
        (
            "a file, a file in a new directory",
            &[
                ("plain.conf", "/plain", "", None),
                ("other.conf", "/etc/a/b/c", "", None),
            ],
        ),
        (
            "one after the other in one directory",
            &[
                ("plain.conf", "/etc/x/a", "", None),
                ("dir", "/etc/x/b", "", None),
            ],
        ),
        (
            "into a directory of an earlier one",
            &[
                ("dir", "/d", "", None),
                ("plain.conf", "/d/sub/plain", "", None),
            ],
        ),
        (
            "links: to a directory, to a file, to nothing",
            &[
                ("linked", "/a", "", None),
                ("filelink", "/b", "", None),
                ("dangling", "/c", "", None),
            ],
        ),
        ("a pattern", &[("*.conf", "/etc/conf", "", None)]),
        (
            "a pattern that matches hidden files",
            &[(".d*", "/etc", "", None)],
        ),
        ("a pattern into the root", &[("*/sub", "/", "", None)]),
        (
            "patterns that match links and directories",
            &[("*link*", "/x", "", None), ("lin*/s*", "/y", "", None)],
        ),
        (
            "a pattern that ends in a slash",
            &[("rea*/", "/x", "", None)],
        ),
        (
            "a pattern that all of a directory matches",
            &[("dir/[a-np-y]*", "/x", "", None)],
        ),
        (
            "a pattern into what is there",
            &[
                ("on*/*", "/x", "", None),
                ("two/b*", "/x", "", None),
                ("two/[ke]*", "/x", "", None),
            ],
        ),
        (
            "names that shells and terminals do not like",
            &[
                ("with blank", "/with blank/too", "", None),
                ("with blank/*", "/all of them", "", None),
            ],
        ),
        (
            "names with blanks in a pattern",
            &[("with blank/a*/\\**", "/x y", "", None)],
        ),
        (
            "attributes, ACLs and capabilities",
            &[("ext", "/ext", "", None), ("ext/user", "/user", "", None)],
        ),
        ("an octal mode", &[("dir", "/d", "700", None)]),
        (
            "modes for files and directories",
            &[
                ("dir", "/d", "D755,F644", None),
                ("*.conf", "/c", "D2750,F600", None),
            ],
        ),
        ("a symbolic mode", &[("dir", "/d", "u+rwX,go-w", None)]),
        (
            "a mode for a file with an ACL",
            &[
                ("ext/acl", "/acl", "604", None),
                ("ext", "/ext", "D700,Fg=r", None),
            ],
        ),
        ("a mode for a symlink", &[("filelink", "/b", "600", None)]),
        ("owners", &[("dir", "/d", "", Some((1000, 100)))]),
        (
            "owners of files with special modes",
            &[
                ("setid", "/d", "", Some((1000, 100))),
                ("setid", "/e", "F6755", Some((0, 0))),
            ],
        ),
        (
            "owners of files with capabilities",
            &[("ext", "/d", "", Some((0, 100)))],
        ),
        (
            "owners below what has an owner",
            &[
                ("dir", "/d", "", Some((1, 2))),
                ("plain.conf", "/d/sub/p", "", None),
                ("other.conf", "/d/sub/o", "", Some((3, 4))),
            ],
        ),
        (
            "the later owner wins",
            &[
                ("plain.conf", "/d/p", "", Some((3, 4))),
                ("*.conf", "/d", "", Some((4_294_967_294, 2))),
            ],
        ),
        (
            "the owner of a symlink",
            &[
                ("filelink", "/b", "", Some((5, 6))),
                ("plain.conf", "/c", "", None),
            ],
        ),
        (
            "through a symlink that stays inside",
            &[
                ("links", "/links", "", None),
                ("real", "/real", "", None),
                ("plain.conf", "/links/inside/p", "", Some((1, 1))),
                ("*.conf", "/links/self/inside", "", None),
            ],
        ),
    ];
    let sources = tempfile::tempdir().unwrap();
    make_sources(sources.path());
    for (name, entries) in cases {
        let staging = tempfile::tempdir().unwrap();
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        for entry in *entries {
            stage(sources.path(), staging.path(), entry).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
        for entry in *entries {
            chown(staging.path(), entry);
        }
        let theirs = listing::of_directory(staging.path(), now);
        let ours =
            make_disk_image::tree::listing::listing(&grafted(sources.path(), entries).unwrap());
        compare(name, &ours, &theirs);
    }
}

#[test]
fn entries_that_rsync_or_the_builder_rejects_are_rejected() {
    listing::require_root();
    let cases: &[(&[Entry], &str)] = &[
        (
            &[
                ("plain.conf", "/a", "", None),
                ("other.conf", "/a", "", None),
            ],
            "duplicate entry /a -> SOURCES/other.conf: an earlier entry already creates it",
        ),
        (
            &[("plain.conf", "/a/b", "", None), ("dir", "/a", "", None)],
            "duplicate entry /a -> SOURCES/dir: ",
        ),
        (
            &[("dir", "/", "", None)],
            "duplicate entry / -> SOURCES/dir: the root directory always exists; to copy the contents of a directory there, write SOURCES/dir/*",
        ),
        (
            &[("nope", "/a", "", None)],
            "reading the metadata of SOURCES/nope: No such file or directory (os error 2)",
        ),
        (
            &[("plain.conf/", "/a", "", None)],
            "reading the metadata of SOURCES/plain.conf/: Not a directory (os error 20)",
        ),
        (&[("n*pe", "/a", "", None)], "no path matches the pattern"),
        (
            &[("plain.conf", "/a", "", None), ("dir", "/a/b", "", None)],
            "the target /a passes through /a, which is not a directory",
        ),
        (
            &[("two/be*", "/x", "", None), ("one/be*", "/x", "", None)],
            "/x/becomes is a non-empty directory and cannot be replaced by a file",
        ),
    ];
    let sources = tempfile::tempdir().unwrap();
    make_sources(sources.path());
    for (entries, message) in cases {
        let staging = tempfile::tempdir().unwrap();
        let staged: Result<(), String> = entries
            .iter()
            .try_for_each(|entry| stage(sources.path(), staging.path(), entry));
        assert!(staged.is_err(), "rsync does it: {message}");
        let error = format!("{:#}", grafted(sources.path(), entries).unwrap_err());
        let (source, target, ..) = entries.last().unwrap();
        let path = sources.path().display().to_string();
        assert!(
            error.starts_with(&format!("contents: {path}/{source} -> {target}: ")),
            "{error}"
        );
        let message = message.replace("SOURCES", &path);
        assert!(error.contains(&message), "{error}\nhas no\n{message}");
    }
}

#[test]
fn symlinks_out_of_the_root_are_rejected_where_rsync_writes_to_the_host() {
    let sources = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), sources.path().join("absolute")).unwrap();
    std::os::unix::fs::symlink("../../tmp", sources.path().join("above")).unwrap();
    fs::write(sources.path().join("file"), "").unwrap();
    // Through a pattern: a source that is itself a symlink to a directory is copied as a directory.
    for (pattern, link, reason) in [
        (
            "absol*",
            "absolute",
            "which is absolute and leads out of the root",
        ),
        (
            "abov*",
            "above",
            "to ../../tmp, which leads out of the root",
        ),
    ] {
        for below in ["file", "sub/file"] {
            let target: &'static str = format!("/a/{link}/{below}").leak();
            let error = grafted(
                sources.path(),
                &[(pattern, "/a", "", None), ("file", target, "", None)],
            );
            let error = format!("{:#}", error.unwrap_err());
            let start = format!("passes through /a/{link}, a symbolic link to ");
            assert!(error.contains(&start), "{error}");
            assert!(error.contains(reason), "{error}");
        }
    }
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

/// rsync runs once for each match and cannot keep these links; we do.
#[test]
fn hard_links_between_matches_of_a_pattern_are_kept() {
    let sources = tempfile::tempdir().unwrap();
    shell(
        sources.path(),
        "mkdir a b; echo x > a/x; ln a/x b/y; find . -exec touch -d @5 {} +",
        &[],
    )
    .unwrap();
    let tree = grafted(sources.path(), &[("*", "/t", "F600", None)]).unwrap();
    let text = make_disk_image::tree::listing::listing(&tree);
    assert!(
        text.contains("file 0600 0:0 5.000000000 2 /t/a/x\n"),
        "{text}"
    );
    assert!(
        text.contains("file 0600 0:0 5.000000000 2 /t/b/y = /t/a/x\n"),
        "{text}"
    );
}

#[test]
fn holes_of_sources_survive() {
    let sources = tempfile::tempdir().unwrap();
    shell(
        sources.path(),
        "truncate -s 1M s; printf x | dd of=s bs=1 seek=300000 conv=notrunc status=none; sync s; touch -d @5 s",
        &[],
    )
    .unwrap();
    let tree = grafted(sources.path(), &[("s", "/s", "", None)]).unwrap();
    let text = make_disk_image::tree::listing::listing(&tree);
    assert!(text.contains("1048576 /s\n  data 299008+4096\n"), "{text}");
}

#[test]
fn inode_flags_of_sources_survive() {
    let sources = tempfile::tempdir().unwrap();
    shell(
        sources.path(),
        "mkdir d; echo x > d/f; touch -d @5 d/f d; chattr +d d d/f",
        &[],
    )
    .unwrap();
    let tree = grafted(sources.path(), &[("d", "/d", "", None)]).unwrap();
    let text = make_disk_image::tree::listing::listing(&tree);
    assert!(text.contains(" /d\n  nodump\n"), "{text}");
    assert!(text.ends_with(" /d/f\n  nodump\n"), "{text}");
}

/// The image does not depend on whether the builder's store was optimised, or on chattr.
#[test]
fn links_and_inode_flags_of_the_store_are_not_the_sources() {
    let store = tempfile::tempdir().unwrap();
    let list = |store: &Path| {
        let graft = Graft {
            source: store.join("0-x").into(),
            target: Target::parse("x", false).unwrap(),
            mode: None,
            owner: None,
        };
        let mut tree = Tree::new(Metadata::new(0o755));
        graft::contents(&mut tree, &[graft], store, Timestamp::STORE).unwrap();
        make_disk_image::tree::listing::listing(&tree)
    };
    let make = "mkdir 0-x .links; echo e > 0-x/a; echo e > 0-x/b; echo o > 0-x/c; ln 0-x/c 0-x/own";
    let touch = "find . -exec touch -d @1 {} +";
    shell(store.path(), &format!("{make}; {touch}"), &[]).unwrap();
    let before = list(store.path());
    assert!(before.contains("/x/own = /x/c\n"), "{before}");
    shell(
        store.path(),
        &format!("ln 0-x/a .links/h; ln -f .links/h 0-x/b; {touch}; chattr +d 0-x 0-x/a 0-x/b"),
        &[],
    )
    .unwrap();
    assert_eq!(list(store.path()), before);
}

#[test]
fn config_file_is_copied_as_cp_does() {
    let sources = tempfile::tempdir().unwrap();
    shell(
        sources.path(),
        "echo '{ }' > c; chmod 4664 c; ln -s c link; echo own > own; chmod 600 own; mkdir d",
        &[],
    )
    .unwrap();
    let path = |name: &str| {
        sources
            .path()
            .join(OsString::from_vec(name.as_bytes().to_vec()))
    };
    let list = |entries: &[Entry], file: Option<&str>| -> anyhow::Result<String> {
        let mut tree = grafted(sources.path(), entries)?;
        graft::configuration(&mut tree, file.map(path).as_deref(), Timestamp::STORE)?;
        Ok(make_disk_image::tree::listing::listing(&tree))
    };
    let directories = "directory 0755 0:0 1.000000000 /\n\
                       directory 0755 0:0 1.000000000 /etc\n\
                       directory 0755 0:0 1.000000000 /etc/nixos\n";
    assert_eq!(list(&[], None).unwrap(), directories);
    let new = "file 0644 0:0 1.000000000 4 /etc/nixos/configuration.nix\n";
    assert_eq!(
        list(&[], Some("link")).unwrap(),
        format!("{directories}{new}")
    );
    let taken: Entry = ("own", "/etc/nixos/configuration.nix", "", None);
    let over = "file 0600 0:0 1.000000000 4 /etc/nixos/configuration.nix\n";
    assert_eq!(
        list(&[taken], Some("c")).unwrap(),
        format!("{directories}{over}")
    );
    for (entries, file, message) in [
        (
            &[][..],
            "gone",
            "copying configFile SOURCES/gone: No such file or directory (os error 2)",
        ),
        (&[], "d", "configFile SOURCES/d is not a file"),
        (
            &[("c", "/etc/nixos", "", None)],
            "c",
            "creating /etc/nixos in the image: the target /etc/nixos passes through /etc/nixos, which is not a directory",
        ),
        (
            &[("d", "/etc/nixos/configuration.nix", "", None)],
            "c",
            "/etc/nixos/configuration.nix comes from `contents` and is not a file",
        ),
    ] {
        let error = format!("{:#}", list(entries, Some(file)).unwrap_err());
        let message = message.replace("SOURCES", &sources.path().display().to_string());
        assert!(error.contains(&message), "{error}");
    }
}

#[test]
fn names_are_escaped_in_messages() {
    let sources = tempfile::tempdir().unwrap();
    let name = OsStr::from_bytes(b"a\n\x1b[31m\xff");
    let graft = Graft {
        source: sources.path().join(name).into(),
        target: Target {
            names: vec![name.to_owned()],
            below: false,
        },
        mode: None,
        owner: None,
    };
    let mut tree = Tree::new(Metadata::new(0o755));
    let contents = [graft];
    let store = Path::new("/nix/store");
    let error = graft::contents(&mut tree, &contents, store, Timestamp::STORE).unwrap_err();
    let error = format!("{error:#}");
    assert!(
        error.contains("/a\\n\\u{1b}[31m\\xff -> /a\\n\\u{1b}[31m\\xff: "),
        "{error}"
    );
}

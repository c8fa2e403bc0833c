//! An image whose `contents` has everything a file system can hold, listed by a Linux guest and
//! compared with what rsync and chown make of the same sources.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::common::listing::{self, Listing};
use crate::common::mount::Mount;
use crate::common::nix::Build;
use crate::common::{command, oracles, roots, stdout};

/// The sources. The build user, who is not root, can read all of them.
const SOURCES: &str = r#"
umask 022
mkdir -p tree/links tree/deep tree/modes tree/attributes tree/sizes tree/wide owned/sub conf

cd tree/links
echo linked >a; ln a b; ln a ../hard; for i in {1..20}; do ln a "name$i"; done
mkfifo pipe; ln pipe pipe2; ln -s a symbolic; ln symbolic symbolic2
for length in 1 59 60 61 255 1023 4095; do
  ln -s "$(printf "%0${length}d" 7)" "to$length"
done
mknod null c 1 3; mknod disk b 259 70000

cd ../modes
for mode in 0444 0755 4755 2755 6755 1644 0777; do echo "$mode" >"$mode"; chmod "$mode" "$mode"; done
mkdir sticky set-group; chmod 1777 sticky; chmod 2775 set-group

cd ../deep
path=$(printf 'd/%.0s' {1..60}); mkdir -p "$path"; echo bottom >"$path/file"
touch 'with blank' 'a  b' $'new\nline' $'tab\t' '* ?' "'\"" -- -n $'\e[31m' '\' 'ünïcode-名前' \
  "$(printf '%0255d' 1)" $'not \xff UTF-8 \x80'
ln -s $'\xfe to\xff' $'link \xc3'

cd ../attributes
echo u >user; setfattr -n user.color -v red user; setfattr -n user.empty user
setfattr -n user.binary -v 0x00ff0a00 user
echo c >capable; chmod 755 capable; setcap cap_net_raw,cap_chown+ep capable
echo l >acl; chmod 644 acl; setfacl -m u:7:rwx,g:4294967290:r acl
mkdir directory; setfacl -m u:8:rx directory; setfacl -d -m u:9:rx directory
for i in 1 2 3; do echo "$i" >"same$i"; setfattr -n user.long -v "$(printf '%02000d' 5)" "same$i"; done
echo m >most; setfattr -n user.long -v "$(printf '%03000d' 6)" most

cd ../sizes
for size in 0 1 4095 4096 4097 3000000; do head -c "$size" /dev/urandom >"$size"; done
truncate -s 64M sparse
printf start | dd of=sparse conv=notrunc status=none
printf middle | dd of=sparse bs=1 seek=50000000 conv=notrunc status=none
truncate -s 5M hole
for i in {1..3000}; do : >"../wide/entry-with-a-longer-name-$i"; done

cd ../..
for mode in 0640 4755 2755; do echo "$mode" >"owned/$mode"; chmod "$mode" "owned/$mode"; done
chmod 644 owned/0640; echo s >owned/sub/file; ln -s file owned/sub/link
echo one >conf/one.conf; echo two >conf/two.conf; echo no >conf/three.txt
echo '{ }' >configuration.nix

find . -exec touch -h -d @1000000000.123456789 {} +
touch -d @-86400.5 tree/sizes/0
touch -h -d @4294967297.000000001 tree/sizes/1 tree/links/symbolic
touch -d 2400-01-01T00:00:00.999999999Z tree/modes/sticky
"#;

/// Leaves what ext2, ext3 and squashfs can store: times of whole seconds until 2038, and no ACLs.
const LIMITED: &str = r#"
setfacl -R -b -k .
find . -exec touch -h -d @1000000000 {} +
"#;

/// Leaves what XFS can store: shorter link targets.
const SHORTER: &str = "rm tree/links/to4095; touch -d @1000000000.123456789 tree/links";

/// What nixpkgs' builder does with the entries of [`CONTENTS`], as root, keeping what we keep. The
/// umask and cp's mode for new files are those of the build.
const STAGE: &str = r#"
umask 022
sources=$1 root=$2
copy() { rsync -aHAX --no-o --no-g "$@"; }
mkdir -p "$root/srv" "$root/etc/conf" "$root/etc/nixos"
copy "$sources/tree/" "$root/srv/tree"
copy --chmod=u+rwX,go-w,o-x "$sources/owned/" "$root/srv/owned"
for name in "$sources"/conf/*.conf; do copy --chmod=F600 "$name" "$root/etc/conf/"; done
copy "$sources/conf/three.txt" "$root/srv/a name"
cp "$sources/configuration.nix" "$root/etc/nixos/configuration.nix"
chown -R 4294967294:1000 "$root/srv/owned"
chown -R 7:8 "$root/srv/a name"
"#;

fn contents(sources: &Path) -> String {
    let sources = sources.display();
    format!(
        r#"contents = [
             {{ source = "{sources}/tree"; target = "/srv/tree"; }}
             {{ source = "{sources}/owned"; target = "/srv/owned"; mode = "u+rwX,go-w,o-x";
                user = "4294967294"; group = "1000"; }}
             {{ source = "{sources}/conf/*.conf"; target = "/etc/conf"; mode = "F600"; }}
             {{ source = "{sources}/conf/three.txt"; target = "/srv/a name"; user = 7; group = 8; }}
           ];
           configFile = "{sources}/configuration.nix";"#
    )
}

fn shell(script: &str, directory: &Path, arguments: &[&Path]) {
    stdout(
        command("bash")
            .args(["-euo", "pipefail", "-c", script, "-"])
            .args(arguments)
            .current_dir(directory),
    );
}

/// Everything that neither the store nor nixos-install made: the entries of `contents` and the
/// directories above them.
fn of_contents(listing: &Listing) -> Listing {
    let rest = ["nix", "root", "boot", "efi", "lost+found", "etc/NIXOS"].map(Path::new);
    listing
        .iter()
        .filter(|(path, _)| !rest.iter().any(|rest| path.starts_with(rest)))
        .map(|(path, entry)| (path.clone(), entry.clone()))
        .collect()
}

/// What staging has just made has the fixed time of the image.
fn with_fixed_times(listing: &mut Listing, start: i64) {
    for entry in listing.values_mut() {
        let seconds: i64 = entry.mtime.split('.').next().unwrap().parse().unwrap();
        // The times of the sources are far in the past.
        if (start..start + 3600).contains(&seconds) {
            entry.mtime = "1.0000000000".to_owned();
        }
    }
}

/// The sources of [`contents`], and what must be in an image of them.
struct Prepared {
    sources: PathBuf,
    expected: Listing,
    _scratch: tempfile::TempDir,
}

/// Runs `script` in the sources after [`SOURCES`].
fn prepare(script: &str) -> Prepared {
    let scratch = tempfile::Builder::new()
        .permissions(std::fs::Permissions::from_mode(0o755))
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .unwrap();
    let [sources, staging] = ["sources", "staging"].map(|name| scratch.path().join(name));
    std::fs::create_dir(&sources).unwrap();
    std::fs::create_dir(&staging).unwrap();
    shell(SOURCES, &sources, &[]);
    shell(script, &sources, &[]);
    let start = stdout(command("date").arg("+%s")).trim().parse().unwrap();
    shell(STAGE, scratch.path(), &[&sources, &staging]);
    let mut expected = listing::here(&staging);
    with_fixed_times(&mut expected, start);
    assert!(expected.len() > 3100, "{}", expected.len());
    Prepared {
        sources,
        expected,
        _scratch: scratch,
    }
}

/// Asserts that an image has the entries of `contents`, exactly.
fn assert_exact(found: &Listing, expected: &Listing) {
    let of_contents = of_contents(found);
    listing::assert_same(&of_contents, expected);
    assert_eq!(
        listing::hard_links(&of_contents),
        listing::hard_links(expected)
    );
}

#[test]
fn guest_sees_contents_as_rsync_and_chown_leave_them() {
    let prepared = prepare("");
    let (sources, expected) = (&prepared.sources, &prepared.expected);

    // No sandbox: the sources are outside the store, since Nix would strip their attributes.
    let built = Build::image(&format!(
        r#"partitionTableType = "efixbootldr"; installBootLoader = false; {}"#,
        contents(sources)
    ))
    .sandbox(false)
    .run();
    let image = built.out.join("nixos.img");
    oracles::check(&image, "raw", "efixbootldr");

    let found = listing::list(&image, "raw", "/dev/vda3", "ext4");
    assert_exact(&found, expected);
    let at = |name: &str| &expected[Path::new("srv/tree").join(name).as_path()];
    let attributes = ["capable", "acl", "user"].map(|name| at(&format!("attributes/{name}")));
    let names = [
        "security.capability",
        "system.posix_acl_access",
        "user.color",
    ];
    for (entry, name) in attributes.into_iter().zip(names) {
        assert!(entry.xattrs.contains_key(name), "{entry:?}");
    }
    assert_eq!(at("modes/6755").mode, 0o6755);
    assert_eq!(at("links/a").links, 23);
    assert_eq!(at("links/disk").device, "103:11170");

    // A new file system: every time of a file is its mtime.
    for (path, entry) in &found {
        let [access, data, change, birth] = &entry.times;
        assert_eq!(
            BTreeSet::from([access, data, change, birth]).len(),
            1,
            "{}: {:?}",
            path.display(),
            entry.times
        );
    }
    let blocks = |name: &str| found[Path::new("srv/tree/sizes").join(name).as_path()].blocks;
    assert_eq!([blocks("sparse"), blocks("hole")], [16, 0]);

    for partition in ["/dev/vda1", "/dev/vda2"] {
        let listing = listing::list(&image, "raw", partition, "vfat");
        let names: Vec<PathBuf> = listing.keys().cloned().collect();
        assert_eq!(names, [Path::new("")], "{partition}");
    }
}

/// The types of root file systems besides ext4, and `fsOptions`.
const TYPES: [(&str, &str); 9] = [
    ("btrfs", ""),
    (
        "btrfs",
        r#"compression = "zstd"; subvolumes = [ "nix" "srv/tree/deep" ];"#,
    ),
    ("erofs", ""),
    ("erofs", r#"compression = "zstd";"#),
    ("ext2", ""),
    ("ext3", ""),
    ("f2fs", ""),
    ("squashfs", r#"compression = "zstd"; compressionLevel = 1;"#),
    ("xfs", ""),
];

#[test]
fn every_type_of_root_file_system_has_contents_as_rsync_and_chown_leave_them() {
    let everything = prepare("");
    let limited = prepare(LIMITED);
    let shorter = prepare(SHORTER);
    for (kind, options) in TYPES {
        let prepared = match kind {
            "ext2" | "ext3" | "squashfs" => &limited,
            "xfs" => &shorter,
            _ => &everything,
        };
        let arguments = format!(
            r#"partitionTableType = "none"; installBootLoader = false; copyChannel = false;
               fsType = "{kind}"; fsOptions = {{ {options} }}; {}"#,
            contents(&prepared.sources)
        );
        let built = Build::image(&arguments).sandbox(false).run();
        let image = built.out.join("nixos.img");
        oracles::check(&image, "raw", "none");
        assert_eq!(roots::kind(&image, 0), kind);
        let mut found = match kind {
            // This machine's kernel may not have it.
            "f2fs" => listing::list(&image, "raw", "/dev/vda", "f2fs"),
            _ => {
                let mount = Mount::with(&["-t", kind, "-o", "loop,ro"], &image);
                let found = listing::here(mount.path());
                mount.unmount();
                found
            }
        };
        for entry in found.values_mut() {
            // Linux shows root how XFS stores ACLs.
            entry
                .xattrs
                .retain(|name, _| !name.starts_with("trusted.SGI_ACL_"));
        }
        assert_exact(&found, &prepared.expected);
        Build::image(&arguments).sandbox(false).again().run();
    }
}

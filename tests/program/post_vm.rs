//! What a caller's `postVM` relies on, modeled on the callers in nixpkgs.

use std::fs;
use std::sync::LazyLock;

use crate::common::program::{Attributes, Ended, Job, qemu_img};
use crate::common::{command, stdout};

/// A small image with a table. Most callers use the raw format.
static ATTRIBUTES: LazyLock<Attributes> = LazyLock::new(|| {
    Attributes::of(
        r#"onlyNixStore = true; config = { }; copyChannel = false; additionalSpace = "0M";
           partitionTableType = "efi"; bootSize = "16M";
           additionalPaths = [ fixture.pkgs.attr ];"#,
    )
});

fn job(script: &str) -> Job {
    let mut job = ATTRIBUTES.job();
    job.post_vm(script);
    job
}

fn finished(job: Job) -> Ended {
    let ended = job.run();
    assert!(ended.output.status.success(), "{}", ended.said());
    ended
}

fn names(ended: &Ended) -> Vec<String> {
    let names = fs::read_dir(&ended.out).unwrap();
    let mut names: Vec<_> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn products(ended: &Ended) -> String {
    fs::read_to_string(ended.out.join("nix-support/hydra-build-products")).unwrap()
}

#[test]
fn variables_functions_and_tools_are_available() {
    let ended = finished(job(r#"
        # The working directory is one to work in, and not the output.
        touch here
        [[ $PWD != "$out"* ]]
        {
          echo "out=$out"
          echo "diskImage=$diskImage"
          echo "sectorsToBytes=$(sectorsToBytes 2049)"
          echo "sectorsToKilobytes=$(sectorsToKilobytes 2049)"
          for tool in parted partx mkfs.ext4 truncate rsync sgdisk gzip tar nix-store systemctl; do
            type -P "$tool" >/dev/null || echo "no $tool"
          done
        } >"$out/facts"
        cat <<<"heredocs work, so TMPDIR does" >>"$out/facts"
        mkdir "$TMPDIR/below" "$HOME/.config"
    "#));
    assert_eq!(
        fs::read_to_string(ended.out.join("facts")).unwrap(),
        format!(
            "out={0}\ndiskImage={0}/nixos.img\nsectorsToBytes=1049088\nsectorsToKilobytes=1024\n\
             heredocs work, so TMPDIR does\n",
            ended.out.display()
        )
    );
}

#[test]
fn amazon_appends_a_product_and_writes_a_description() {
    let qemu_img = qemu_img();
    let ended = finished(job(&format!(
        r#"
        echo "file raw $diskImage" >> $out/nix-support/hydra-build-products
        bytes=$({qemu_img} info --output json "$diskImage" | sed -n 's/.*"virtual-size": \([0-9]*\).*/\1/p')
        echo "{{\"bytes\":$bytes}}" >$out/nix-support/image-info.json
        "#
    )));
    let image = ended.image("nixos.img");
    let path = image.display();
    assert_eq!(
        products(&ended),
        format!("file raw-image {path}\nfile raw {path}\n")
    );
    assert_eq!(
        fs::read_to_string(ended.out.join("nix-support/image-info.json")).unwrap(),
        format!("{{\"bytes\":{}}}\n", fs::metadata(&image).unwrap().len())
    );
}

#[test]
fn google_packs_the_image_into_a_sparse_tar() {
    let ended = finished(job(r#"
        PATH=$PATH:/nonexistent/bin
        pushd $out
        mv $diskImage disk.raw
        tar -Sc disk.raw | gzip -n > image.raw.tar.gz
        rm $out/disk.raw
        popd
    "#));
    assert_eq!(names(&ended), ["image.raw.tar.gz", "nix-support"]);
    let place = ended.build();
    stdout(
        command("tar")
            .arg("-xzf")
            .arg(ended.out.join("image.raw.tar.gz"))
            .arg("-C")
            .arg(&place),
    );
    crate::common::oracles::check(&place.join("disk.raw"), "raw", "efi");
}

#[test]
fn azure_converts_and_removes_the_image() {
    let qemu_img = qemu_img();
    let ended = finished(job(&format!(
        "{qemu_img} convert -f raw -o subformat=fixed,force_size -O vpc $diskImage $out/disk.vhd\n\
         rm $diskImage"
    )));
    assert_eq!(names(&ended), ["disk.vhd", "nix-support"]);
    crate::common::oracles::check(&ended.out.join("disk.vhd"), "vpc", "efi");
}

#[test]
fn virtualbox_makes_an_extra_disk() {
    let ended = finished(job(r#"
        export HOME=$PWD
        export PATH=/nonexistent/bin:$PATH
        data_disk_image="data.raw"
        truncate -s 16M $data_disk_image
        parted --script $data_disk_image -- mklabel msdos mkpart primary ext4 1MiB -1
        eval $(partx $data_disk_image -o START,SECTORS --nr 1 --pairs)
        mkfs.ext4 -F -L data $data_disk_image -E offset=$(sectorsToBytes $START) $(sectorsToKilobytes $SECTORS)K
        mv $data_disk_image $out/
        rm -v $diskImage
        mkdir -p $out/nix-support
        echo "file ova $out/x.ova" >> $out/nix-support/hydra-build-products
    "#));
    assert_eq!(names(&ended), ["data.raw", "nix-support"]);
    crate::common::oracles::check(&ended.out.join("data.raw"), "raw", "legacy");
    let expected = format!(
        "file raw-image {0}/nixos.img\nfile ova {0}/x.ova\n",
        ended.out.display()
    );
    assert_eq!(products(&ended), expected);
}

#[test]
fn proxmox_overwrites_the_products() {
    let ended = finished(job(r#"
        cp $diskImage vzdump.vma
        rm $diskImage
        gzip -n vzdump.vma
        mv vzdump.vma.gz $out/
        mkdir -p $out/nix-support
        echo "file vma $out/vzdump.vma.gz" > $out/nix-support/hydra-build-products
    "#));
    assert_eq!(names(&ended), ["nix-support", "vzdump.vma.gz"]);
    assert_eq!(
        products(&ended),
        format!("file vma {}/vzdump.vma.gz\n", ended.out.display())
    );
}

#[test]
fn the_caller_s_env_is_exported() {
    let mut job = job(r#"echo "$GREETING" >"$out/greeting""#);
    job.json["env"]["GREETING"] = "two  words".into();
    let ended = finished(job);
    assert_eq!(
        fs::read_to_string(ended.out.join("greeting")).unwrap(),
        "two  words\n"
    );
}

/// script, parts of the message
const FAILURES: [(&str, &[&str]); 5] = [
    (
        "echo on its way; echo not so >&2; exit 7",
        &["postVM failed", "exit status: 7", "  on its way\n  not so"],
    ),
    (
        "false; echo and on",
        &["postVM failed", "exit status: 1", "no output"],
    ),
    (
        "if then",
        &["postVM failed", "syntax error near unexpected token"],
    ),
    (
        "no-such-program $diskImage",
        &["exit status: 127", "no-such-program: command not found"],
    ),
    ("kill -9 $$", &["postVM failed", "signal: 9"]),
];

#[test]
fn a_failing_post_vm_fails_the_build_and_shows_its_output() {
    for (script, words) in FAILURES {
        let error = job(script).run().error();
        for word in words {
            assert!(error.contains(word), "{script}: no {word:?} in {error}");
        }
    }
}

#[test]
fn a_failing_post_vm_fails_a_build_in_nix() {
    let log = crate::common::nix::Build::image(
        r#"onlyNixStore = true; config = { }; installBootLoader = false; copyChannel = false;
           additionalPaths = [ fixture.pkgs.attr ];
           postVM = "echo this went wrong; exit 3";"#,
    )
    .fails();
    assert!(
        log.contains("postVM failed") && log.contains("  this went wrong"),
        "{log}"
    );
}

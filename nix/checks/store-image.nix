# An image of a closure is a clean file system that contains exactly that closure.
{
  pkgs,
  lib,
  makeDiskImage,
  ...
}:

let
  image = makeDiskImage {
    inherit pkgs lib;
    config = { };
    additionalPaths = [ pkgs.hello ];
    onlyNixStore = true;
    installBootLoader = false;
    partitionTableType = "none";
    additionalSpace = "0M";
    copyChannel = false;
  };
in

pkgs.runCommand "check-store-image"
  {
    nativeBuildInputs = [ pkgs.e2fsprogs ];
    disk = "${image}/${image.passthru.filePath}";
    closure = pkgs.closureInfo { rootPaths = [ pkgs.hello ]; };
  }
  ''
    e2fsck -fn $disk

    # debugfs prints "/<inode>/<mode>/<uid>/<gid>/<name>/<size>/".
    debugfs -R "ls -p /" $disk | cut -d/ -f6 | grep -vxE '|\.|\.\.|lost\+found' | sort > have
    xargs -n1 basename < $closure/store-paths | sort > want
    diff want have

    touch $out
  ''

# Other programs accept every partition table, and the file systems in it are clean.
{
  pkgs,
  lib,
  makeDiskImage,
  nixpkgs,
  ...
}:

let
  # "none" has no partitions to verify.
  tables = builtins.attrNames (
    lib.filterAttrs (_: table: table.kind != "none") (import ../partition-tables.nix)
  );

  system = nixpkgs.lib.nixosSystem {
    modules = [
      ({ modulesPath, ... }: { imports = [ (modulesPath + "/profiles/minimal.nix") ]; })
      {
        nixpkgs.hostPlatform = pkgs.stdenv.hostPlatform.system;
        boot.isContainer = true;
        system.stateVersion = lib.trivial.release;
      }
    ];
  };

  imageOf =
    partitionTableType:
    makeDiskImage {
      inherit pkgs lib partitionTableType;
      inherit (system) config;
      installBootLoader = false;
      copyChannel = false;
      additionalSpace = "64M";
    };

  verify =
    partitionTableType:
    let
      image = imageOf partitionTableType;
    in
    ''
      echo "${partitionTableType}"
      disk=${image}/${image.passthru.filePath}
      sfdisk --verify $disk
      if [ "$(sfdisk --json $disk | jq -r .partitiontable.label)" = gpt ]; then
        sgdisk --verify $disk | tee sgdisk.log
        grep -q "No problems found" sgdisk.log
      fi
      sfdisk --json $disk | jq -r '.partitiontable.partitions[] | "\(.start) \(.size)"' |
        while read -r start size; do
          dd if=$disk of=part bs=512 skip=$start count=$size conv=sparse status=none
          case $(blkid -p -s TYPE -o value part) in
            ext4) e2fsck -fn part ;;
            vfat) fsck.fat -n part ;;
          esac
          rm part
        done
    '';
in

pkgs.runCommand "check-layouts"
  {
    nativeBuildInputs = [
      pkgs.dosfstools
      pkgs.e2fsprogs
      pkgs.gptfdisk
      pkgs.jq
      pkgs.util-linux
    ];
  }
  ''
    ${lib.concatMapStrings verify tables}
    touch $out
  ''

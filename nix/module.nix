# A NixOS module: `system.build.image` made by make-disk-image.nix.
#
# For `image.modules`, so that `nixos-rebuild build-image --image-variant <name>` builds it:
#
#   image.modules.disk = {
#     imports = [ ./nix/module.nix ];
#     image.format = "raw";
#   };
{
  config,
  lib,
  pkgs,
  modulesPath,
  ...
}:

let
  cfg = config.image;

  tables = import ./partition-tables.nix;

  inherit (tables.${cfg.partitionTableType}) bootPartitions;

  hasTable = cfg.partitionTableType != "none";

  image = import ./make-disk-image.nix (
    {
      inherit lib pkgs config;
      inherit (cfg)
        baseName
        bootSize
        format
        partitionTableType
        ;
      inherit (config.virtualisation) diskSize;
    }
    // cfg.extraArguments
  );
in

{
  # Paths, not expressions, so that the module system sees one file however often it is imported.
  imports = [
    (modulesPath + "/virtualisation/disk-size-option.nix")
    (modulesPath + "/image/file-options.nix")
  ];

  options.image = {
    format = lib.mkOption {
      type = lib.types.str;
      default = "qcow2";
      example = "qcow2-compressed";
      description = "Format of the image: raw, qcow2, qcow2-compressed, vdi, vpc, or another of `qemu-img`.";
    };

    partitionTableType = lib.mkOption {
      type = lib.types.enum (builtins.attrNames tables);
      default = "efi";
      description = "How the disk is divided.";
    };

    bootSize = lib.mkOption {
      type = lib.types.str;
      default = "256M";
      example = "1G";
      description = "Where the boot partition ends, counted from the start of the disk.";
    };

    extraArguments = lib.mkOption {
      type = lib.types.attrsOf lib.types.raw;
      default = { };
      example = {
        additionalSpace = "2G";
        copyChannel = false;
        memSize = 4096;
      };
      description = "More arguments of make-disk-image.nix. They replace those that come from options.";
    };
  };

  config = {
    image.extension = lib.mkDefault (lib.last (lib.splitString "." image.filePath));

    system.build.image = image;

    # By label, as the image has them.
    fileSystems = {
      "/" = {
        device = lib.mkDefault "/dev/disk/by-label/nixos";
        fsType = lib.mkDefault "ext4";
        autoResize = lib.mkDefault true;
      };
    }
    // lib.mapAttrs (mountPoint: label: {
      device = lib.mkDefault "/dev/disk/by-label/${label}";
      fsType = lib.mkDefault "vfat";
    }) bootPartitions;

    boot.growPartition = lib.mkDefault hasTable;

    # The usual boot loader of such a disk. legacy+boot is made for Limine, which has to be enabled.
    boot.loader = {
      systemd-boot = {
        enable = lib.mkDefault (lib.elem "ESP" (lib.attrValues bootPartitions));
        xbootldrMountPoint = lib.mkIf (bootPartitions ? "/efi") (lib.mkDefault "/boot");
      };
      efi.efiSysMountPoint = lib.mkIf (bootPartitions ? "/efi") (lib.mkDefault "/efi");
      grub.devices = lib.mkIf (lib.elem cfg.partitionTableType [
        "legacy"
        "legacy+gpt"
      ]) (lib.mkDefault [ "/dev/vda" ]);
    };
  };
}

# A NixOS module that sets `system.build.image` to an image made by make-disk-image.nix.
#
# With `image.modules`, `nixos-rebuild build-image --image-variant <name>` builds it:
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

  table = tables.${cfg.partitionTableType};

  inherit (table) bootPartitions;

  fileSystems = import ./file-systems.nix;

  # squashfs has no label. The identifiers are those that make-disk-image.nix gives the disk.
  rootDevice =
    if cfg.fsType != "squashfs" then
      "/dev/disk/by-label/${cfg.extraArguments.label or "nixos"}"
    else if table.kind == "gpt" then
      "/dev/disk/by-partuuid/${
        lib.toLower (cfg.extraArguments.rootGPUID or "F222513B-DED1-49FA-B591-20CE86A2FE7F")
      }"
    else if table.kind == "mbr" then
      "/dev/disk/by-partuuid/97fd5997-0${if bootPartitions == { } then "1" else "2"}"
    else
      "/dev/vda";

  image = import ./make-disk-image.nix (
    {
      inherit lib pkgs config;
      inherit (cfg)
        baseName
        bootSize
        format
        fsOptions
        fsType
        partitionTableType
        ;
      inherit (config.virtualisation) diskSize;
    }
    // cfg.extraArguments
  );
in

{
  # Paths, not expressions, so that the module system recognizes modules that are imported more than once.
  imports = [
    (modulesPath + "/virtualisation/disk-size-option.nix")
    (modulesPath + "/image/file-options.nix")
  ];

  options.image = {
    format = lib.mkOption {
      type = lib.types.str;
      default = "qcow2";
      example = "qcow2-compressed";
      description = "Format of the image: raw, qcow2, qcow2-compressed, vdi, vpc, vpc-fixed, vmdk, vmdk-stream-optimized, vhdx, or another format that `qemu-img` supports.";
    };

    partitionTableType = lib.mkOption {
      type = lib.types.enum (builtins.attrNames tables);
      default = "efi";
      description = "Type of the partition table, and the partitions in it.";
    };

    bootSize = lib.mkOption {
      type = lib.types.str;
      default = "256M";
      example = "1G";
      description = "Where the boot partition ends, measured from the start of the disk.";
    };

    fsType = lib.mkOption {
      type = lib.types.enum (builtins.attrNames fileSystems);
      default = "ext4";
      description = "Type of the root file system. EROFS and squashfs are read-only.";
    };

    fsOptions = lib.mkOption {
      type = lib.types.attrsOf lib.types.raw;
      default = { };
      example = {
        compression = "zstd";
        subvolumes = [
          "nix"
          "home"
        ];
      };
      description = "Options of the root file system, which depend on its type; see make-disk-image.nix.";
    };

    extraArguments = lib.mkOption {
      type = lib.types.attrsOf lib.types.raw;
      default = { };
      example = {
        additionalSpace = "2G";
        copyChannel = false;
        memSize = 4096;
      };
      description = "Additional arguments of make-disk-image.nix. They take precedence over those set by options.";
    };
  };

  config = {
    image.extension = lib.mkDefault (lib.removePrefix "${image.image.baseName}." image.filePath);

    system.build.image = image;

    # The labels that the image uses.
    fileSystems = {
      "/" = {
        device = lib.mkDefault rootDevice;
        fsType = lib.mkDefault cfg.fsType;
        autoResize = lib.mkDefault fileSystems.${cfg.fsType}.grows;
      };
    }
    // lib.mapAttrs' (
      _:
      { label, mountPoint }:
      lib.nameValuePair mountPoint {
        device = lib.mkDefault "/dev/disk/by-label/${label}";
        fsType = lib.mkDefault "vfat";
      }
    ) bootPartitions;

    boot.initrd = {
      # The disks of most virtual machines. NixOS' default modules have those of real ones.
      availableKernelModules = lib.mkIf (config.boot.initrd.includeDefaultModules or true) [
        "virtio_blk"
        "virtio_pci"
        "virtio_scsi"
      ];

      # F2FS cannot be enlarged while it is mounted, and NixOS does not do it before. The partition grows later
      # in the boot, so the file system follows at the next one. This needs the initrd that is based on systemd.
      systemd = lib.mkIf (cfg.fsType == "f2fs") {
        extraBin."resize.f2fs" = "${pkgs.f2fs-tools}/bin/resize.f2fs";
        services.grow-root-f2fs = {
          description = "Grow the Root File System";
          wantedBy = [ "initrd-root-fs.target" ];
          after = [ "initrd-root-device.target" ];
          before = [
            "systemd-fsck-root.service"
            "sysroot.mount"
          ];
          unitConfig.DefaultDependencies = false;
          serviceConfig = {
            Type = "oneshot";
            # It does nothing if there is nothing to do.
            ExecStart = "/bin/resize.f2fs ${config.fileSystems."/".device}";
          };
        };
      };
    };

    boot.growPartition = lib.mkDefault (table.kind != "none");

    # The usual boot loader for each table. legacy+boot is meant for Limine, which has to be enabled
    # explicitly.
    boot.loader = {
      systemd-boot = {
        enable = lib.mkDefault (bootPartitions ? esp);
        xbootldrMountPoint = lib.mkIf (bootPartitions ? xbootldr) (
          lib.mkDefault bootPartitions.xbootldr.mountPoint
        );
      };
      efi.efiSysMountPoint = lib.mkIf (bootPartitions ? esp) (
        lib.mkDefault bootPartitions.esp.mountPoint
      );
      grub.devices = lib.mkIf (table.bios && bootPartitions == { }) (lib.mkDefault [ "/dev/vda" ]);
    };
  };
}

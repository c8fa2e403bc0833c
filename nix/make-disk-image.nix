/**
  Makes a disk image of a NixOS configuration, or of a closure of store paths.

  Takes the arguments of nixpkgs' `nixos/lib/make-disk-image.nix` and returns a derivation whose `$out`
  contains the image under the same name. The builder is the program of `package`; it needs neither a
  virtual machine nor the `kvm` feature to copy a closure. `docs/differences.md` lists the differences.

  An argument is evaluated only if it is used: `bootSize` may have any value if the partition table has
  no boot partition. `overrideAttrs` can change `name`, `env`, `postVM` and, if a guest runs, `memSize`.
  It refuses the other attributes of nixpkgs' derivation.

  # Example

  ```nix
  import ./nix/make-disk-image.nix {
    inherit pkgs lib config;
    format = "qcow2";
    partitionTableType = "efi";
  }
  ```
*/
{
  pkgs,
  lib,

  # The NixOS configuration to install: the `config` of an evaluated system. With onlyNixStore it may
  # be `{ }`; the image then contains the closure of `additionalPaths`.
  config,

  # Size of the disk in MiB, or "auto": the space that the contents need, a margin for the first boot,
  # and `additionalSpace`.
  diskSize ? "auto",

  # Space that diskSize = "auto" leaves free for ordinary users, in the notation of
  # `numfmt --from=iec`. Used only with diskSize = "auto". The partition of a read-only file system is that
  # much longer.
  additionalSpace ? if (import ./file-systems.nix).${fsType}.readOnly then "0M" else "512M",

  # Where the boot partition ends, in the same notation. Used only if the table has a boot partition.
  bootSize ? "256M",

  # Files to copy into the root file system: a list of { source, target, mode, user, group }.
  # A `source` that contains a `*` is a shell pattern, and `target` is the directory for its matches.
  # `mode` is in the syntax of rsync's --chmod. Set both `user` and `group`, or neither.
  contents ? [ ],

  # "none", "legacy", "legacy+boot", "legacy+gpt", "efi", "efixbootldr" or "hybrid".
  partitionTableType ? "legacy",

  # Whether to run `switch-to-configuration boot` in the image.
  installBootLoader ? true,

  # Whether to provide EFI variables during the installation and save them as $out/efi-vars.fd.
  touchEFIVars ? false,

  # The EFI firmware: a package with `firmware` and `variables`. Used only with touchEFIVars.
  OVMF ? pkgs.OVMF.fd,
  efiFirmware ? OVMF.firmware,
  efiVariables ? OVMF.variables,

  # Type and label of the root file system: "btrfs", "erofs", "ext2", "ext3", "ext4", "f2fs", "squashfs" or
  # "xfs". squashfs has no label. nixpkgs' function allows only "ext4" with a partition table.
  fsType ? "ext4",
  label ? if onlyNixStore then "nix-store" else "nixos",

  # Options of that file system; nixpkgs' function does not have this argument.
  #   btrfs: compression ("zlib" or "zstd"), compressionLevel, subvolumes (directories that become subvolumes,
  #          such as [ "nix" "home" ])
  #   erofs: compression ("lz4", "lz4hc", "deflate" or "zstd"), compressionLevel
  #   squashfs: compression ("zstd", the default, "gzip", "lz4", "lz4hc" or "xz"),
  #          compressionLevel,
  #          blockSize ("1M", or a smaller power of two down to "4K")
  fsOptions ? { },

  # The file to install as /etc/nixos/configuration.nix.
  configFile ? null,

  # Shell code to run when the image is complete; $diskImage is its path.
  postVM ? "",

  # Memory of the guest that installs the boot loader, in MiB. Used only if a guest runs.
  memSize ? 1024,

  # Time limit of that guest, in seconds. nixpkgs' function does not have this argument.
  guestTimeout ? 3600,

  # What that guest runs on: "kvm" (a virtual machine), "uml" (User-Mode Linux), "tcg" (an emulated machine),
  # or null: the first of these that works on the builder. nixpkgs' function does not have this argument.
  guestMachine ? null,

  # The kernel of User-Mode Linux: a package with bin/linux, or null to do without. Used only on
  # x86_64-linux, without touchEFIVars. nixpkgs' function does not have this argument.
  umlKernel ?
    let
      # The builder runs it.
      packages = pkgs.buildPackages or pkgs;
    in
    if packages.stdenv.hostPlatform.system == "x86_64-linux" then
      packages.callPackage ./uml-kernel.nix { }
    else
      null,

  # Whether to make an image that contains only the paths of the closure, at the root of the file system.
  onlyNixStore ? false,

  # Name of the derivation.
  name ? "nixos-disk-image",

  # "raw", "qcow2", "qcow2-compressed", "vdi", "vpc" (a dynamic VHD), "vpc-fixed" (a fixed VHD, which Azure
  # takes), "vmdk", "vmdk-stream-optimized", "vhdx", or another format of `qemu-img convert -O`. nixpkgs'
  # function does not have "vpc-fixed" and "vmdk-stream-optimized".
  format ? "raw",

  # How clusters are compressed: "zlib", which every program that reads qcow2 supports, or "zstd", which is
  # faster and needs QEMU 5.1 or later. Used only with format = "qcow2-compressed". nixpkgs' function does not
  # have this argument.
  compression ? "zlib",

  # "zstd", "xz" or "gzip" to compress the image as a whole, on all cores; its name then ends in .zst, .xz or
  # .gz. Only for format = "raw". "xz" takes about 60 MiB of memory for each core. nixpkgs' function does not
  # have this argument.
  compressImage ? null,

  # The level of that compression: 1 to 9 for zlib and gzip, 1 to 19 for zstd, 0 to 9 for xz, or null for a
  # good default: 3 for zstd, 6 for the others. Used only with compressImage and with format =
  # "qcow2-compressed" or "vmdk-stream-optimized". nixpkgs' function does not have this argument.
  compressionLevel ? null,

  # Name of the image file, without its extension.
  baseName ? "nixos",

  # Whether builds are reproducible to the byte. If false, identifiers are random and times are real.
  deterministic ? true,

  # GPT partition GUID of the root partition, and UUID of its file system. Used only with
  # deterministic = true, and rootGPUID only with a GPT. squashfs has no UUID.
  rootGPUID ? "F222513B-DED1-49FA-B591-20CE86A2FE7F",
  rootFSUID ? (if fsType == "squashfs" then null else rootGPUID),

  # Whether to install the nixpkgs sources as root's channel.
  copyChannel ? true,

  # More store paths to install.
  additionalPaths ? [ ],

  # The program that makes the image. nixpkgs' function does not have this argument.
  #
  # The default is always the program of this repository, not a package of the same name in `pkgs`:
  # this function and the program that reads its attributes have to be of the same version.
  package ? (pkgs.buildPackages or pkgs).callPackage ./package.nix { },
}:

let
  show = builtins.toJSON;

  oneOf =
    name: value: allowed:
    lib.assertMsg (builtins.elem value allowed)
      "make-disk-image[argument]: ${name} must be one of ${show allowed}, but is: ${show value}";

  fileSystems = import ./file-systems.nix;

  tables = import ./partition-tables.nix;

  table = tables.${partitionTableType};

  tablesWithEfiVariables = builtins.attrNames (
    lib.filterAttrs (_: table: table.efiVariables) tables
  );

  unevenOwner = lib.findFirst (
    entry: (entry.user or null == null) != (entry.group or null == null)
  ) null contents;

  # The formats that the program writes itself, and their extensions. qemu-img makes the others.
  extensions = {
    qcow2 = "qcow2";
    qcow2-compressed = "qcow2";
    raw = "img";
    vdi = "vdi";
    vhdx = "vhdx";
    vmdk = "vmdk";
    vmdk-stream-optimized = "vmdk";
    vpc = "vhd";
    vpc-fixed = "vhd";
  };

  isOurs = extensions ? ${format};

  compressors = {
    gzip = ".gz";
    xz = ".xz";
    zstd = ".zst";
  };

  compressesClusters = format == "qcow2-compressed";

  compresses = compressesClusters || format == "vmdk-stream-optimized" || compressImage != null;
in

assert oneOf "partitionTableType" partitionTableType (builtins.attrNames tables);

assert
  compressesClusters
  -> oneOf "compression" compression [
    "zlib"
    "zstd"
  ];

assert oneOf "compressImage" compressImage ([ null ] ++ builtins.attrNames compressors);

assert lib.assertMsg (compressImage != null -> format == "raw") ''
  make-disk-image[argument]: compressImage = ${show compressImage} with format = ${show format}.
  Only a raw image is compressed as a whole: set format = "raw" or compressImage = null. For a qcow2 image with compressed clusters, set format = "qcow2-compressed".'';

assert oneOf "fsType" fsType (builtins.attrNames fileSystems);

assert lib.assertMsg (fsType == "ext4" && deterministic -> rootFSUID != null) ''
  make-disk-image[argument]: rootFSUID is null, but deterministic = true needs a fixed UUID for an ext4 root.
  Leave rootFSUID out (the default is rootGPUID), set it to a UUID, or set deterministic = false.'';

assert lib.assertMsg (fsType == "squashfs" -> rootFSUID == null) ''
  make-disk-image[argument]: rootFSUID = ${show rootFSUID} with fsType = "squashfs", which stores no UUID.
  Leave rootFSUID out, and find the root file system by its partition (/dev/disk/by-partuuid).'';

assert lib.assertMsg (table.kind == "gpt" && deterministic -> rootGPUID != null) ''
  make-disk-image[argument]: rootGPUID is null, but deterministic = true needs a fixed GUID for the root partition of a GPT.
  Leave rootGPUID out, set it to a UUID, or set deterministic = false.'';

assert lib.assertMsg (touchEFIVars -> table.efiVariables) ''
  make-disk-image[argument]: touchEFIVars = true with partitionTableType = ${show partitionTableType}.
  EFI variables need one of ${lib.concatStringsSep ", " (map show tablesWithEfiVariables)}: set one of them, or touchEFIVars = false.'';

assert lib.assertMsg (onlyNixStore -> contents == [ ] && configFile == null && !installBootLoader) ''
  make-disk-image[argument]: onlyNixStore = true makes an image of store paths only, but ${
    lib.concatStringsSep ", " (
      lib.optional (contents != [ ]) "contents is not empty (${toString (lib.length contents)})"
      ++ lib.optional (configFile != null) "configFile is set"
      ++ lib.optional installBootLoader "installBootLoader is true (its default)"
    )
  }.
  Set contents = [ ], configFile = null and installBootLoader = false, or onlyNixStore = false.'';

assert lib.assertMsg (unevenOwner == null) ''
  make-disk-image[contents]: the entry of contents with target ${show (unevenOwner.target or null)} has ${
    if unevenOwner.user or null == null then "a group but no user" else "a user but no group"
  }.
  Set both user and group, or neither (the owner is then root).'';

let
  # The programs run on the machine that builds the image, not on the one that boots it.
  buildPackages = pkgs.buildPackages or pkgs;

  # The result of `lib.nixosSystem` or `eval-config.nix` is accepted as well as its `config`.
  nixos = if config ? config && !(config ? system) then config.config else config;

  ofNixos =
    attribute: value:
    value.system.build.${attribute} or (throw ''
      make-disk-image[config]: config has no system.build.${attribute}.
      Pass the config of a NixOS system ((lib.nixosSystem { ... }).config), or set onlyNixStore = true.'');

  installsBootLoader =
    installBootLoader
    && lib.assertMsg (nixos.system.switch.enable or true) ''
      make-disk-image[config]: installBootLoader = true (its default) runs switch-to-configuration, but config has none: system.switch.enable is false.
      Set system.switch.enable = true, or installBootLoader = false.'';

  # A configuration without installer tools has no nixos-install.
  nixosInstall =
    nixos.system.build.nixos-install or buildPackages.nixos-install or (throw ''
      make-disk-image[config]: config has no system.build.nixos-install, and pkgs has no nixos-install to use instead.
      With a nixpkgs this old, keep system.disableInstallerTools = false and nix.enable = true.
      If config is not the config of a NixOS system, pass one, or set onlyNixStore = true.'');

  # null only in an image of store paths without a system.
  toplevel =
    if onlyNixStore then nixos.system.build.toplevel or null else ofNixos "toplevel" nixos;

  # An image of a bare closure has no version for the channel.
  channel =
    if copyChannel && (onlyNixStore -> nixos ? system.nixos.version) then
      import ./channel.nix { inherit pkgs lib nixos; }
    else
      null;

  basePaths = lib.filter (path: path != null) [
    toplevel
    channel
  ];

  filePath =
    "${baseName}.${extensions.${format} or format}"
    + lib.optionalString (compressImage != null) compressors.${compressImage};

  bin = program: "${lib.getBin program}/bin";

  # The path as a string with its dependency context, or null.
  pathOrNull = path: if path == null then null else "${path}";

  textOrNull = value: if value == null then null else toString value;

  # Programs that have to run in the image run in a guest: the boot loader's installer, and the
  # activation that creates the users whose names are looked up.
  isNumber = id: id == "root" || builtins.match "[0-9]+" (toString id) != null;
  isNamed = entry: entry.user or null != null && !(isNumber entry.user && isNumber entry.group);
  needsGuest = !onlyNixStore && (installsBootLoader || lib.any isNamed contents);

  guest =
    let
      inherit (pkgs.stdenv) hostPlatform;
      architecture = hostPlatform.qemuArch;
      kernelTarget = pkgs.linux.target or hostPlatform.linux-kernel.target;
      loader = lib.optionalAttrs installBootLoader (nixos.boot.loader or { });
      umlPossible = hostPlatform.system == "x86_64-linux" && !touchEFIVars;
    in

    assert oneOf "guestMachine" guestMachine [
      null
      "kvm"
      "uml"
      "tcg"
    ];

    assert lib.assertMsg (guestMachine == "uml" -> !touchEFIVars) ''
      make-disk-image[argument]: guestMachine = "uml" with touchEFIVars = true.
      User-Mode Linux has no EFI firmware: set guestMachine = null, "kvm" or "tcg", or touchEFIVars = false.'';

    assert lib.assertMsg (guestMachine == "uml" -> umlPossible) ''
      make-disk-image[argument]: guestMachine = "uml" with a system for ${hostPlatform.system}.
      User-Mode Linux runs only x86_64-linux: set guestMachine = null, "kvm" or "tcg".'';

    assert lib.assertMsg (guestMachine == "uml" -> umlKernel != null) ''
      make-disk-image[argument]: guestMachine = "uml", but umlKernel is null.
      Set umlKernel to a package with bin/linux, or guestMachine = null, "kvm" or "tcg".'';

    {
      inherit architecture;
      kernel = "${pkgs.linux}/${kernelTarget}";
      modules = "${pkgs.makeModulesClosure {
        kernel = lib.getOutput "modules" pkgs.linux;
        firmware = pkgs.linux;
        rootModules = import ./guest-modules.nix;
        # In some kernels, some modules are built in, have another name or do not exist.
        allowMissing = true;
      }}";
      qemu = "${bin buildPackages.qemu_kvm}/qemu-system-${architecture}";
      firmware = if touchEFIVars then "${efiFirmware}" else null;
      systemManagementMode = touchEFIVars && OVMF.systemManagementModeRequired or false;
      grubDevices = if loader.grub.enable or false then loader.grub.devices or [ ] else [ ];
      limineDevice =
        if loader.limine.enable or false && loader.limine.biosSupport or false then
          loader.limine.biosDevice
        else
          null;
      timeout = guestTimeout;
      machine = guestMachine;
      uml =
        if umlPossible && (guestMachine == null || guestMachine == "uml") && umlKernel != null then
          "${bin umlKernel}/linux"
        else
          null;
    };

  # Where the ESP is mounted while the boot loader is installed.
  espMountPoint = table.bootPartitions.esp.mountPoint or null;

  # Where the boot loaders of the configuration expect the ESP, if that is another mount point.
  wrongMountPoint =
    let
      loader = nixos.boot.loader or { };
      common = loader.efi.efiSysMountPoint or espMountPoint;
      grub = map (boot: boot.efiSysMountPoint or null) (
        loader.grub.mirroredBoots or [ { efiSysMountPoint = common; } ]
      );
      mountPoints =
        lib.optionals (loader.grub.enable or false && loader.grub.efiSupport or false) grub
        ++ lib.optional (loader.systemd-boot.enable or false) common
        ++ lib.optional (loader.limine.enable or false && loader.limine.efiSupport or false) common;
    in
    lib.findFirst (path: path != null && lib.removeSuffix "/" path != espMountPoint) null mountPoints;

  # The device that a BIOS starts GRUB from, or null.
  biosGrubDevice =
    let
      grub = nixos.boot.loader.grub or { };
    in
    if grub.enable or false then
      lib.findFirst (lib.hasPrefix "/dev/") null (grub.devices or [ ])
    else
      null;

  mkDerivation =
    attributes:
    import ./overrides.nix { inherit lib; } (pkgs.stdenvNoCC.mkDerivation attributes);
in

assert lib.assertMsg
  (installBootLoader && espMountPoint != null && !onlyNixStore -> wrongMountPoint == null)
  ''
    make-disk-image[config]: the boot loader of config expects the ESP at ${show wrongMountPoint}, but with partitionTableType = ${show partitionTableType} it is mounted at ${show espMountPoint}.
    Set boot.loader.efi.efiSysMountPoint = ${show espMountPoint} in the configuration, and mount it there with fileSystems.'';

assert lib.assertMsg
  (
    needsGuest
    && installBootLoader
    && table.bootPartitions == { }
    && fileSystems.${fsType}.readOnly
    -> biosGrubDevice == null
  )
  ''
    make-disk-image[config]: GRUB on ${show biosGrubDevice} with fsType = ${show fsType} and partitionTableType = ${show partitionTableType}.
    GRUB has its files on the root file system there, and cannot be installed on a read-only one: set partitionTableType = "hybrid", or another fsType.'';

mkDerivation {
  inherit name;

  # The program reads its input from .attrs.json.
  __structuredAttrs = true;
  realBuilder = "${bin package}/make-disk-image";
  args = [ "build" ];

  exportReferencesGraph.closure = map (path: "${path}") (
    basePaths ++ lib.subtractLists basePaths additionalPaths
  );

  # The image contains the closure and does not refer to it.
  unsafeDiscardReferences.out = true;

  # Only a builder with this feature lets builds use /dev/kvm.
  requiredSystemFeatures = lib.optional (needsGuest && guestMachine == "kvm") "kvm";

  # At the top level, as in nixpkgs' derivation, so that they can be overridden. null is left out.
  inherit postVM;
  memSize = if needsGuest then memSize else null;

  env = { };

  # Attributes that the program does not use are null.
  image = {
    inherit
      baseName
      compressImage
      deterministic
      diskSize
      format
      fsOptions
      fsType
      installBootLoader
      label
      onlyNixStore
      partitionTableType
      touchEFIVars
      ;
    additionalSpace = if diskSize == "auto" then additionalSpace else null;
    bootSize = if table.hasBootSize then bootSize else null;
    compression = if compressesClusters then compression else null;
    compressionLevel = if compresses then compressionLevel else null;
    rootFSUID = if deterministic then rootFSUID else null;
    rootGPUID = if table.kind == "gpt" && deterministic then rootGPUID else null;
    channel = if onlyNixStore then null else pathOrNull channel;
    configFile = pathOrNull configFile;
    contents = map (entry: {
      source = "${entry.source}";
      target = toString entry.target;
      mode = textOrNull (entry.mode or null);
      user = textOrNull (entry.user or null);
      group = textOrNull (entry.group or null);
    }) contents;
    efiVariables = if touchEFIVars then "${efiVariables}" else null;
    storeDir = builtins.storeDir;
    toplevel = pathOrNull toplevel;
  };

  tools = {
    bash = "${bin buildPackages.bash}/bash";
    mkfsFat = "${bin buildPackages.dosfstools}/mkfs.fat";
    nixStore = "${bin buildPackages.nix}/nix-store";
    nixosInstall = if onlyNixStore then null else "${bin nixosInstall}/nixos-install";
    qemuImg = if isOurs then null else "${bin buildPackages.qemu-utils}/qemu-img";
    sqfstar = if fsType == "squashfs" then "${bin buildPackages.squashfsTools}/sqfstar" else null;
    # The PATH of nixpkgs' builder, without lkl.
    path = map bin (
      [
        buildPackages.rsync
        buildPackages.util-linux
        buildPackages.parted
        buildPackages.e2fsprogs
      ]
      ++ lib.optionals (!onlyNixStore) [
        nixosInstall
        # An older nixpkgs has it only in the configuration.
        (buildPackages.nixos-enter or (ofNixos "nixos-enter" nixos))
      ]
      ++ [
        buildPackages.nix
        buildPackages.systemdMinimal
      ]
      ++ lib.optional deterministic buildPackages.gptfdisk
      ++ pkgs.stdenvNoCC.initialPath
    );
  };

  guest = if needsGuest then guest else null;

  passthru = {
    inherit filePath;
    config = nixos;
  };

  meta.description = "Disk image ${filePath}";
}

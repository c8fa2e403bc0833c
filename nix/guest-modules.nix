# The kernel modules of the guest. Some are loaded when it starts (listed in src/guest/initrd.rs), the
# others when the kernel requests them: activation may mount any file system.
[
  # Hardware of the guest.
  "virtio_pci"
  "virtio_blk"
  "virtio_rng"
  "efivarfs"

  # File systems, and the modules that they request by name.
  "btrfs"
  "crc32_generic"
  "crc32c"
  "crc32c-intel"
  "erofs"
  "exfat"
  "ext4"
  "f2fs"
  "fuse"
  "isofs"
  "overlay"
  "squashfs"
  "udf"
  "vfat"
  "xfs"

  # Character sets of file names.
  "nls_ascii"
  "nls_cp437"
  "nls_cp850"
  "nls_iso8859-1"
  "nls_iso8859-15"
  "nls_utf8"

  # Devices backed by files or by other devices.
  "dm_crypt"
  "dm_mod"
  "dm_snapshot"
  "dm_verity"
  "loop"

  # Used by the programs of systemd and cryptsetup.
  "af_packet"
  "algif_hash"
  "algif_skcipher"
  "autofs4"
  "binfmt_misc"
  "configfs"
  "tun"
  "xts"
]

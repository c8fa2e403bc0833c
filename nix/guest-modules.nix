# The kernel modules of the guest. Some are loaded when it starts (src/guest/initrd.rs says which), the
# others when the kernel asks for them: activation may mount what it likes.
[
  # Its hardware.
  "virtio_pci"
  "virtio_blk"
  "virtio_rng"
  "efivarfs"

  # File systems, with what they ask for by name.
  "btrfs"
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

  # How they read names.
  "nls_ascii"
  "nls_cp437"
  "nls_cp850"
  "nls_iso8859-1"
  "nls_iso8859-15"
  "nls_utf8"

  # Devices made of files and of other devices.
  "dm_crypt"
  "dm_mod"
  "dm_snapshot"
  "dm_verity"
  "loop"

  # What systemd's and cryptsetup's programs open.
  "af_packet"
  "algif_hash"
  "algif_skcipher"
  "autofs4"
  "binfmt_misc"
  "configfs"
  "tun"
  "xts"
]

# The values of `fsType` and their properties.
#
#   readOnly  whether the file system can only be read
#   grows     whether NixOS supports autoResize for it
{
  btrfs = {
    readOnly = false;
    grows = true;
  };
  erofs = {
    readOnly = true;
    grows = false;
  };
  ext2 = {
    readOnly = false;
    grows = false;
  };
  ext3 = {
    readOnly = false;
    grows = true;
  };
  ext4 = {
    readOnly = false;
    grows = true;
  };
  f2fs = {
    readOnly = false;
    grows = false;
  };
  squashfs = {
    readOnly = true;
    grows = false;
  };
  xfs = {
    readOnly = false;
    grows = true;
  };
}

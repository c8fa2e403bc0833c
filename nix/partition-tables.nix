# The values of `partitionTableType` and their properties. src/scheme/table.rs has these and more; a
# test compares the two files.
#
#   kind            "none", "mbr" or "gpt"; partitions of a GPT have GUIDs
#   bios            whether a BIOS can boot the disk
#   efiVariables    whether touchEFIVars may be set
#   hasBootSize     whether bootSize has an effect
#   bootPartitions  the label and the mount point of each boot partition, by its role: esp, xbootldr,
#                   or boot for any other
{
  none = {
    kind = "none";
    bios = false;
    efiVariables = false;
    hasBootSize = false;
    bootPartitions = { };
  };
  legacy = {
    kind = "mbr";
    bios = true;
    efiVariables = false;
    hasBootSize = false;
    bootPartitions = { };
  };
  "legacy+boot" = {
    kind = "mbr";
    bios = true;
    efiVariables = false;
    hasBootSize = true;
    bootPartitions.boot = {
      label = "BOOT";
      mountPoint = "/boot";
    };
  };
  "legacy+gpt" = {
    kind = "gpt";
    bios = true;
    efiVariables = true;
    hasBootSize = false;
    bootPartitions = { };
  };
  efi = {
    kind = "gpt";
    bios = false;
    efiVariables = true;
    hasBootSize = true;
    bootPartitions.esp = {
      label = "ESP";
      mountPoint = "/boot";
    };
  };
  efixbootldr = {
    kind = "gpt";
    bios = false;
    efiVariables = true;
    hasBootSize = true;
    bootPartitions = {
      esp = {
        label = "ESP";
        mountPoint = "/efi";
      };
      xbootldr = {
        label = "BOOT";
        mountPoint = "/boot";
      };
    };
  };
  hybrid = {
    kind = "gpt";
    bios = true;
    efiVariables = true;
    hasBootSize = true;
    bootPartitions.esp = {
      label = "ESP";
      mountPoint = "/boot";
    };
  };
}

# What `partitionTableType` may be, and what goes with each:
#   isGpt           its partitions have GUIDs, and a disk of it can be booted by EFI firmware
#   bootPartitions  where boot partitions are mounted, and their labels
{
  none = {
    isGpt = false;
    bootPartitions = { };
  };
  legacy = {
    isGpt = false;
    bootPartitions = { };
  };
  "legacy+boot" = {
    isGpt = false;
    bootPartitions."/boot" = "BOOT";
  };
  "legacy+gpt" = {
    isGpt = true;
    bootPartitions = { };
  };
  efi = {
    isGpt = true;
    bootPartitions."/boot" = "ESP";
  };
  efixbootldr = {
    isGpt = true;
    bootPartitions = {
      "/efi" = "ESP";
      "/boot" = "BOOT";
    };
  };
  hybrid = {
    isGpt = true;
    bootPartitions."/boot" = "ESP";
  };
}

# The values of `partitionTableType` and their properties:
#   isGpt           partitions have GUIDs, and EFI firmware can boot the disk
#   bootPartitions  mount points of the boot partitions, with their labels
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

# What `partitionTableType` may be.
[
  "none"
  "legacy"
  "legacy+boot"
  "legacy+gpt"
  "efi"
  "efixbootldr"
  "hybrid"
]

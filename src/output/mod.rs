//! What is in `$out`: the image in its format, Hydra's products, and what `postVM` adds.

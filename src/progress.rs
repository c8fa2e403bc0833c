//! What a build says while it works: steps with their times, phases for Nix, a progress line.

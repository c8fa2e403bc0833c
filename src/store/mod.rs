//! The closure, and the small root that `nixos-install` leaves.

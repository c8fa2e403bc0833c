//! The steps of a build, in their order.

//! QEMU as the guest's machine: its command line, its disk over NBD, its monitor, and which way of
//! running instructions is tried first.

pub(super) mod accelerate;
mod arguments;
pub(super) mod attempt;
mod monitor;
mod nbd;
#[cfg(test)]
mod tests;

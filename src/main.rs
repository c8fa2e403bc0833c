//! The program: `/init` and modprobe in a guest, otherwise the command line.

use std::process::ExitCode;

use make_disk_image::command;
use make_disk_image::guest::init;

fn main() -> ExitCode {
    if init::is_init() {
        init::run();
    }
    if init::is_modprobe() {
        return init::modprobe();
    }
    command::main()
}

//! The properties of the machine that affect the figures.

use std::fmt;
use std::fs;
use std::path::Path;
use std::thread;

use serde::{Deserialize, Serialize};

/// A machine. Figures of different machines are not shown on one page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    processor: String,
    cores: usize,
    memory_gib: u64,
    kernel: String,
}

impl Machine {
    /// Returns the current machine.
    pub fn this() -> Machine {
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap();
        Machine {
            processor: field(&processors, "model name")
                .unwrap_or("unknown")
                .to_owned(),
            cores: thread::available_parallelism().unwrap().get(),
            memory_gib: (memory("MemTotal") + (1 << 29)) >> 30,
            kernel: nix::sys::utsname::uname()
                .unwrap()
                .release()
                .to_string_lossy()
                .into_owned(),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine {
            processor,
            cores,
            memory_gib,
            kernel,
        } = self;
        write!(
            f,
            "{cores} cores ({processor}), {memory_gib} GiB of memory, Linux {kernel}"
        )
    }
}

/// Returns a field of /proc/meminfo, in bytes.
pub fn memory(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap();
    let value = field(&text, name).unwrap();
    let kib: u64 = value.strip_suffix(" kB").unwrap().parse().unwrap();
    kib << 10
}

/// Returns the free space that a file system has for this process, in bytes.
pub fn free(path: &Path) -> u64 {
    let found = nix::sys::statvfs::statvfs(path).unwrap();
    found.blocks_available() * found.fragment_size()
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then_some(value.trim())
    })
}

//! The systems of the fixture whose images are built, and what is expected of their guest stage.

use std::path::PathBuf;

use crate::fixture::program::Attributes;
use crate::round::Round;
use crate::tree::Counts;

/// What the guest of [`processes`] runs as the boot loader's installer.
const PROCESSES: &str = "program=$(type -P true); for i in $(seq 1000); do \"$program\"; done";

/// A system, and the image that is built of it.
pub struct System {
    /// The value of `table` in `bench.json`.
    pub key: &'static str,
    /// The heading of its section.
    pub title: &'static str,
    /// The text of its section.
    pub text: String,
    /// The attributes of the image.
    pub guest: Attributes,
    /// The attributes of the same image without a boot loader, and so without a guest.
    pub without: Attributes,
    /// The name of the image file, its format and its partition table.
    pub image: (&'static str, &'static str, &'static str),
    /// A directory with more paths of its closure.
    pub store: Option<PathBuf>,
    /// What is expected.
    pub limits: Vec<Limit>,
}

/// An upper bound.
pub struct Limit {
    /// The name of the figure.
    pub name: &'static str,
    /// Returns the figure of a round.
    pub figure: fn(&Round) -> f64,
    /// The largest acceptable value.
    pub most: f64,
    /// The unit, with a leading space; empty for ratios.
    pub unit: &'static str,
}

impl System {
    fn new(key: &'static str, title: &'static str, arguments: &str) -> System {
        System {
            key,
            title,
            text: String::new(),
            guest: Attributes::with_guest(arguments),
            without: Attributes::of(arguments),
            image: ("nixos.img", "raw", "legacy"),
            store: None,
            limits: Vec::new(),
        }
    }
}

/// Returns a system with the tree at `store` in its closure: the part of this program.
pub fn large(counts: &Counts, store: PathBuf) -> System {
    let arguments = r#"loader = "none"; copyChannel = false;"#;
    System {
        text: format!(
            "In the guest stage, the image's own system runs in a guest ([guest.md](guest.md)): in \
             User-Mode Linux, or on a machine that QEMU emulates. The tables show seconds. Each build runs \
             once in each round, one after the other. Images are in memory, all of which is used once in \
             advance, as above. The times of the stage are from the program's log. CPU time is that of all \
             processes; that of the stage is the difference to the same build without a guest. Ratios are \
             medians of the ratios of all rounds.\n\n\
             This is an image of a small system with this tree in its closure: {counts}. It has little \
             activation and no boot loader, so most of the stage is the time of this program, apart from \
             the machine. The files of the closure are not copied for the guest."
        ),
        store: Some(store),
        limits: vec![
            seconds("time of this program, User-Mode Linux", 1.0, |round| {
                round.uml.times.ours()
            }),
            seconds("time of this program, emulated", 1.0, |round| {
                round.emulated.times.ours()
            }),
        ],
        ..System::new("stage", "The guest stage", arguments)
    }
}

/// Returns the system of `make image`.
pub fn example() -> System {
    let arguments = r#"loader = "systemd-boot"; partitionTableType = "efi"; format = "qcow2";"#;
    let [cpu, wall] = ratios();
    System {
        text: "The image of `make image`: systemd-boot, an ESP and a root, in qcow2.".to_owned(),
        image: ("nixos.qcow2", "qcow2", "efi"),
        limits: vec![
            cpu,
            wall,
            seconds("until init starts, User-Mode Linux", 0.2, |round| {
                round.uml.times.boot
            }),
            seconds("the whole build, User-Mode Linux", 2.5, |round| {
                round.uml.build.seconds
            }),
        ],
        ..System::new("stage-example", "The guest stage of the example", arguments)
    }
}

/// Returns a system whose installer starts many processes, which is slow on both machines.
pub fn processes() -> System {
    let arguments =
        format!(r#"loader = "none"; copyChannel = false; extraInstallCommands = ''{PROCESSES}'';"#);
    System {
        text: "The system of the first of these sections without the tree, but the installer of its boot \
               loader starts 1,000 processes, one after the other."
            .to_owned(),
        limits: ratios().into(),
        ..System::new(
            "stage-processes",
            "The guest stage with 1,000 processes",
            &arguments,
        )
    }
}

/// Returns the bounds of User-Mode Linux in comparison with emulation.
fn ratios() -> [Limit; 2] {
    let limit = |name, most, figure| Limit {
        name,
        figure,
        most,
        unit: "",
    };
    [
        limit("CPU time of User-Mode Linux / emulated", 0.2, |round| {
            round.uml.cpu / round.emulated.cpu
        }),
        limit("time of User-Mode Linux / emulated", 0.17, |round| {
            round.uml.times.whole() / round.emulated.times.whole()
        }),
    ]
}

fn seconds(name: &'static str, most: f64, figure: fn(&Round) -> f64) -> Limit {
    Limit {
        name,
        figure,
        most,
        unit: " s",
    }
}

//! The six logs of the main area. Each has segments of its own, which are filled in order.

use super::temperature::Temperature;

/// A log. Its number is the type of its segments in the SIT (`CURSEG_*` in `fs/f2fs/segment.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Log {
    /// Directories, and files with hot data.
    HotData,
    /// Other files and symbolic links.
    WarmData,
    /// Files with cold data.
    ColdData,
    /// Nodes of directories, except indirect ones.
    HotNode,
    /// Other nodes, except indirect ones.
    WarmNode,
    /// Indirect nodes.
    ColdNode,
}

impl Log {
    /// Number of logs.
    pub const COUNT: u32 = 6;

    /// All logs, in the order in which `mkfs.f2fs` places them.
    pub const ALL: [Log; 6] = [
        Log::HotNode,
        Log::WarmNode,
        Log::ColdNode,
        Log::HotData,
        Log::ColdData,
        Log::WarmData,
    ];

    /// The logs of data and those of nodes, as they are ordered in a checkpoint.
    pub const DATA: [Log; 3] = [Log::HotData, Log::WarmData, Log::ColdData];
    /// See [`Log::DATA`].
    pub const NODES: [Log; 3] = [Log::HotNode, Log::WarmNode, Log::ColdNode];

    /// The log for data of this temperature.
    pub fn of_data(temperature: Temperature) -> Log {
        match temperature {
            Temperature::Hot => Log::HotData,
            Temperature::Warm => Log::WarmData,
            Temperature::Cold => Log::ColdData,
        }
    }

    /// Whether it contains nodes.
    pub fn has_nodes(self) -> bool {
        Log::NODES.contains(&self)
    }

    /// The number, as an index.
    pub fn index(self) -> usize {
        self as usize
    }
}

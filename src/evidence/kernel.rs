//! What the kernel's log says of GPUs and of processes killed for want of memory.

use super::Span;

/// The kernel's log, as far as it concerns a server.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KernelLog {
    /// What it tells, in its order; bursts are one event.
    pub events: Vec<KernelEvent>,
}

/// One thing that the kernel said, once or in a burst.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelEvent {
    /// The interval that holds its first occurrence; `None` where the line has no date.
    pub when: Option<Span>,
    /// Lines of the burst.
    pub count: u32,
    /// What was said.
    pub what: KernelFact,
}

/// Things that the kernel says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelFact {
    /// An error of the GPU driver.
    Xid {
        /// Code in NVIDIA's catalogue.
        code: u32,
        /// PCI address, e.g. `0000:3b:00`.
        pci: String,
        /// The process that met it.
        pid: Option<u32>,
        /// Its name.
        process: Option<String>,
    },
    /// An error of a switch between GPUs.
    SwitchXid {
        /// Code.
        code: u32,
        /// PCI address.
        pci: String,
        /// Whether the line calls it fatal.
        fatal: bool,
    },
    /// The kernel killed a process for want of memory.
    OomKill {
        /// Process id.
        pid: u32,
        /// Its name, at most 15 characters.
        name: String,
        /// Its cgroup, where the line before tells.
        cgroup: Option<String>,
    },
    /// Another line of the GPU driver.
    Driver(String),
}

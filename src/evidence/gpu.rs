//! What the NVIDIA driver says of the GPUs at one moment. Each field stands for itself: what one
//! card or driver does not answer never costs the others.

mod faults;

use serde::{Deserialize, Serialize};

use super::Time;
pub use faults::{Between, Fault};

/// All GPUs of a host at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GpuSnapshot {
    /// When it was read, Unix seconds.
    pub at: Time,
    /// Version of the kernel driver, e.g. `535.183.01`.
    pub driver_version: Field<String>,
    /// Newest CUDA version that the driver serves, e.g. `12.2`.
    pub cuda_version: Field<String>,
    /// The GPUs, by the driver's index.
    pub gpus: Vec<Gpu>,
}

/// A value, or why the driver gave none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field<T> {
    /// What the driver answered.
    Value(T),
    /// Why it answered nothing.
    Missing(Reason),
}

/// Why the driver gave no value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// This card or its present mode has no such thing.
    NotSupported,
    /// This user, or this container, may not ask.
    NoPermission,
    /// The GPU fell off the bus.
    GpuLost,
    /// The GPU refuses work until it is reset.
    ResetRequired,
    /// The driver gave up waiting.
    Timeout,
    /// This driver is older than the question.
    FunctionMissing,
    /// It was not asked.
    #[default]
    NotRead,
    /// Anything else, in the driver's words.
    Other(String),
}

/// One GPU.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gpu {
    /// The driver's index.
    pub index: u32,
    /// Why the driver gives no access to it at all; then all else is not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<Reason>,
    /// Product name.
    pub name: Field<String>,
    /// Identity that stays over restarts.
    pub uuid: Field<String>,
    /// Serial number on the board.
    pub serial: Field<String>,
    /// PCI address, e.g. `00000000:1B:00.0`.
    pub pci: Field<String>,
    /// Share of time in which a kernel ran, percent. Near 100 while decoding, whatever the load.
    pub utilisation_percent: Field<u32>,
    /// Memory.
    pub memory: Field<GpuMemory>,
    /// Processes that compute on it.
    pub processes: Field<Vec<GpuProcess>>,
    /// Clocks.
    pub clocks: GpuClocks,
    /// Bits of what holds the clocks now (`nvmlClocksEventReasons`).
    pub clock_reasons: Field<u64>,
    /// How long the clocks were held so far.
    pub held: GpuHeld,
    /// Power.
    pub power: GpuPower,
    /// Temperatures and their limits.
    pub temperature: GpuTemperature,
    /// Errors of the memory and their repair.
    pub errors: GpuErrors,
    /// The link to the host.
    pub pcie: GpuPcie,
    /// Links to other GPUs; empty on a card without any.
    pub links: Vec<GpuLink>,
    /// What the driver advises: 0 nothing, 1 reset, 2 reboot, 3 drain peer-to-peer, 4 drain and
    /// reset (`nvmlDeviceGpuRecoveryAction_t`).
    pub recovery_action: Field<u64>,
    /// Whether it is split into instances.
    pub mig: Field<bool>,
    /// Whether the driver stays loaded without clients.
    pub persistence: Field<bool>,
}

/// Memory of a GPU, bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GpuMemory {
    /// Installed.
    pub total: u64,
    /// Taken, without what the driver reserves.
    pub used: u64,
    /// Free.
    pub free: u64,
}

/// A process that computes on a GPU.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GpuProcess {
    /// Process id as the driver has it.
    pub pid: u32,
    /// Memory that it holds, bytes.
    pub memory_bytes: Field<u64>,
    /// Its name, without arguments.
    pub name: Option<String>,
    /// Whether it belongs to a vLLM server, by its own name or by that of a parent.
    pub of_server: bool,
}

/// Clocks, MHz.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GpuClocks {
    /// Of the multiprocessors, now.
    pub sm_mhz: Field<u32>,
    /// What applications are set to get.
    pub sm_target_mhz: Field<u32>,
    /// The most there is.
    pub sm_max_mhz: Field<u32>,
    /// Of the memory, now.
    pub memory_mhz: Field<u32>,
    /// What applications are set to get.
    pub memory_target_mhz: Field<u32>,
    /// The most there is.
    pub memory_max_mhz: Field<u32>,
}

/// Time for which clocks were held, nanoseconds since the driver loaded.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GpuHeld {
    /// By the power limit.
    pub power_cap_ns: Field<u64>,
    /// By heat, as older drivers count it.
    pub thermal_ns: Field<u64>,
    /// By heat, in software.
    pub software_thermal_ns: Field<u64>,
    /// By heat, in hardware: the clocks are halved or worse.
    pub hardware_thermal_ns: Field<u64>,
    /// By the power supply's brake: the clocks are halved or worse.
    pub power_brake_ns: Field<u64>,
}

/// Power, watts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GpuPower {
    /// Drawn now.
    pub draw_watts: Field<f64>,
    /// The limit in force.
    pub limit_watts: Field<f64>,
    /// The limit the card comes with.
    pub default_limit_watts: Field<f64>,
}

/// Temperatures, degrees Celsius.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GpuTemperature {
    /// Of the chip.
    pub core: Field<u32>,
    /// Of the memory.
    pub memory: Field<u32>,
    /// From which the chip may fall below its base clock.
    pub core_max: Field<u32>,
    /// From which the memory is slowed down.
    pub memory_max: Field<u32>,
    /// From which hardware slows it down.
    pub slowdown: Field<u32>,
    /// From which it shuts down.
    pub shutdown: Field<u32>,
}

/// Errors of the memory and their repair.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GpuErrors {
    /// Whether errors are corrected.
    pub ecc: Field<bool>,
    /// Whether they will be after the next restart.
    pub ecc_pending: Field<bool>,
    /// Corrected since the driver loaded.
    pub corrected: Field<u64>,
    /// Not correctable since the driver loaded.
    pub uncorrected: Field<u64>,
    /// Corrected in the card's life.
    pub corrected_ever: Field<u64>,
    /// Not correctable in the card's life: history, not an alarm.
    pub uncorrected_ever: Field<u64>,
    /// Pages retired for single-bit errors (before Ampere).
    pub retired_single: Field<u64>,
    /// Pages retired for double-bit errors (before Ampere).
    pub retired_double: Field<u64>,
    /// Whether pages wait for a restart to be retired.
    pub retirement_pending: Field<bool>,
    /// Rows remapped for corrected errors (from Ampere on).
    pub remapped_corrected: Field<u64>,
    /// Rows remapped for uncorrectable errors (from Ampere on).
    pub remapped_uncorrected: Field<u64>,
    /// Whether rows wait for a reset to be remapped.
    pub remap_pending: Field<bool>,
    /// Whether a remap failed.
    pub remap_failed: Field<bool>,
}

/// The link to the host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GpuPcie {
    /// Generation now; an idle card may lower it.
    pub generation: Field<u32>,
    /// The most that card and slot allow.
    pub generation_max: Field<u32>,
    /// Lanes now.
    pub width: Field<u32>,
    /// The most that card and slot allow.
    pub width_max: Field<u32>,
    /// Packets sent again so far.
    pub replays: Field<u64>,
}

/// An NVLink.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GpuLink {
    /// Its number on this GPU.
    pub link: u32,
    /// Whether it is up.
    pub up: Field<bool>,
    /// Packets sent again so far.
    pub replays: Field<u64>,
    /// Times it was brought up again.
    pub recoveries: Field<u64>,
    /// Damaged packets so far.
    pub crc_errors: Field<u64>,
}

impl<T> Default for Field<T> {
    fn default() -> Self {
        Self::Missing(Reason::NotRead)
    }
}

impl<T> Field<T> {
    /// The value, where there is one.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Missing(_) => None,
        }
    }

    /// Why there is none.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Value(_) => None,
            Self::Missing(reason) => Some(reason),
        }
    }

    /// What becomes of the value; the reason stays.
    pub fn map<U>(self, with: impl FnOnce(T) -> U) -> Field<U> {
        match self {
            Self::Value(value) => Field::Value(with(value)),
            Self::Missing(reason) => Field::Missing(reason),
        }
    }

    /// The value of a number or a flag.
    pub fn get(&self) -> Option<T>
    where
        T: Copy,
    {
        self.value().copied()
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotSupported => "this card does not support it",
            Self::NoPermission => "the driver refuses it to this user",
            Self::GpuLost => "the GPU fell off the bus",
            Self::ResetRequired => "the GPU needs a reset before it answers",
            Self::Timeout => "the driver gave up waiting",
            Self::FunctionMissing => "this driver is older than the question",
            Self::NotRead => "it was not read",
            Self::Other(words) => words,
        })
    }
}

impl Gpu {
    /// What a person looks for it by: index, product and address.
    pub fn label(&self) -> String {
        let known: Vec<&str> = [&self.name, &self.pci]
            .into_iter()
            .filter_map(|it| Some(it.value()?.as_str()))
            .collect();
        match known.is_empty() {
            true => format!("GPU {}", self.index),
            false => format!("GPU {} ({})", self.index, known.join(", ")),
        }
    }

    /// The server's processes on it.
    pub fn server_processes(&self) -> impl Iterator<Item = &GpuProcess> {
        self.processes.value().into_iter().flatten().filter(|process| process.of_server)
    }
}

impl GpuSnapshot {
    /// The GPUs that the server computes on, where that is known; else all.
    pub fn of_server(&self) -> Vec<&Gpu> {
        let own: Vec<&Gpu> =
            self.gpus.iter().filter(|gpu| gpu.server_processes().next().is_some()).collect();
        if own.is_empty() { self.gpus.iter().collect() } else { own }
    }

    /// The same GPU in another snapshot: by identity, else by index.
    pub fn same(&self, gpu: &Gpu) -> Option<&Gpu> {
        let by_index = || self.gpus.iter().find(|other| other.index == gpu.index);
        let Some(uuid) = gpu.uuid.value() else { return by_index() };
        self.gpus
            .iter()
            .find(|other| other.uuid.value() == Some(uuid))
            .or_else(|| by_index().filter(|other| other.uuid.value().is_none()))
    }
}

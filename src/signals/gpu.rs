//! What the GPUs say of themselves, through their driver: faults, clocks, heat, links.

mod derive;

use crate::{evidence::gpu::Fault, unit::Unit};

use super::{Derive, Estimate, Signal};
use derive::{
    between, clock, clock_peers, count, driver_timeouts, fault_count, foreign_memory, having,
    link_faults, lost, memory_temperature, memory_used, pcie_faults, power, power_limit,
    repair_budget, slowdown, temperature, uncorrectable, utilisation,
};

/// Rows of this family.
pub(super) static SIGNALS: &[Signal] = &[
    Signal {
        name: "gpu_count",
        unit: Unit::Count,
        about: "GPUs that the server runs on.",
        doc: "Those on which the driver lists a process of the server; all of the host where it \
              lists none.",
        source: "nvml",
        families: &[],
        derive: Derive::Span(count),
    },
    Signal {
        name: "gpu_driver_timeouts_count",
        unit: Unit::Count,
        about: "Whether the GPU driver left a question unanswered.",
        doc: "1 where the process that asks the driver had to be given up after its deadline, 0 \
              where the driver answered. nvidia-smi hangs then too.",
        source: "nvml",
        families: &[],
        derive: Derive::Span(driver_timeouts),
    },
    Signal {
        name: "gpu_fault_count",
        unit: Unit::Count,
        about: "Faults that GPUs report of themselves.",
        doc: "Over all GPUs of the host: off the bus or no longer listed, in need of a reset or of \
              a restart of the host (the driver's recovery action), memory errors that cannot be \
              corrected since the driver loaded, failed row remaps. What a card does not support \
              is not counted.",
        source: "nvml",
        families: &[],
        derive: Derive::Span(fault_count),
    },
    Signal {
        name: "gpu_lost_count",
        unit: Unit::Count,
        about: "GPUs that fell off the bus.",
        doc: "The driver answers GPU_IS_LOST, or no longer lists a GPU that it listed before.",
        source: "nvml",
        families: &[],
        derive: Derive::Span(|frame| Ok(Estimate::exact(lost(frame)?, None))),
    },
    Signal {
        name: "gpu_resets_needed_count",
        unit: Unit::Count,
        about: "GPUs that work again only after a reset.",
        doc: "The driver answers RESET_REQUIRED, or its recovery action is 1 (reset) or 4 (drain \
              and reset).",
        source: "nvml",
        families: &[],
        derive: Derive::Span(|frame| having(frame, Fault::ResetRequired)),
    },
    Signal {
        name: "gpu_reboots_needed_count",
        unit: Unit::Count,
        about: "GPUs for which the driver asks for a restart of the host.",
        doc: "The driver's recovery action is 2.",
        source: "nvml",
        families: &[],
        derive: Derive::Span(|frame| having(frame, Fault::RebootRequired)),
    },
    Signal {
        name: "gpu_uncorrectable_errors_count",
        unit: Unit::Count,
        about: "Memory errors that could not be corrected, since the driver loaded.",
        doc: "The driver's volatile counters, over all GPUs. The counters of the card's life are \
              history and no alarm.",
        source: "nvml",
        families: &[],
        derive: Derive::Span(uncorrectable),
    },
    Signal {
        name: "gpu_remap_failures_count",
        unit: Unit::Count,
        about: "GPUs with bad memory rows that could not be remapped.",
        doc: "From Ampere on; the field value REMAPPED_FAILURE.",
        source: "nvml",
        families: &[],
        derive: Derive::Span(|frame| having(frame, Fault::RemapFailed)),
    },
    Signal {
        name: "gpu_repairs_pending_count",
        unit: Unit::Count,
        about: "GPUs whose bad memory waits for a reset to be taken out of use.",
        doc: "The field values REMAPPED_PENDING (from Ampere on) and RETIRED_PENDING (before). New \
              work avoids such memory meanwhile.",
        source: "nvml",
        families: &[],
        derive: Derive::Span(|frame| having(frame, Fault::RepairPending)),
    },
    Signal {
        name: "gpu_repair_budget_ratio",
        unit: Unit::Ratio,
        about: "Share of its spare memory that a GPU has used up for repairs.",
        doc: "Rows remapped for uncorrectable errors out of 512 (from Ampere on), or pages retired \
              out of 64 (before): limits of the hardware. Largest over the GPUs.",
        source: "nvml",
        families: &[],
        derive: Derive::Span(repair_budget),
    },
    Signal {
        name: "gpu_throttle_ratio",
        unit: Unit::Ratio,
        about: "Share of time in which heat or the power brake held the GPU's clocks down.",
        doc: "From the driver's counters, read at the start and at the end; the longest of \
              software slowdown, hardware slowdown and power brake, largest over the server's \
              GPUs. The power limit counts apart, because it binds on a healthy card under full \
              load.",
        source: "nvml",
        families: &[],
        derive: Derive::Span(|frame| {
            between(frame, "how long heat held its clocks", |pair| pair.throttled())
        }),
    },
    Signal {
        name: "gpu_power_cap_ratio",
        unit: Unit::Ratio,
        about: "Share of time in which the power limit held the GPU's clocks down.",
        doc: "From the driver's counter, read at the start and at the end, largest over the \
              server's GPUs. Usual at full load; a fault where the clocks fall far.",
        source: "nvml",
        families: &[],
        derive: Derive::Span(|frame| {
            between(frame, "how long its power limit held", |pair| pair.power_capped())
        }),
    },
    Signal {
        name: "gpu_clock_ratio",
        unit: Unit::Ratio,
        about: "Clock of the multiprocessors over the one set for applications.",
        doc: "Lowest over the server's GPUs that are in use and over the looks; the largest clock \
              stands in where none is set. A GPU without work lowers its clock by itself and is \
              left out.",
        source: "nvml",
        families: &[],
        derive: Derive::Span(clock),
    },
    Signal {
        name: "gpu_clock_peers_ratio",
        unit: Unit::Ratio,
        about: "Slowest clock over the fastest among the server's GPUs.",
        doc: "At the last look, over the GPUs in use. With tensor parallelism the slowest holds up \
              all.",
        source: "nvml",
        families: &[],
        derive: Derive::Span(clock_peers),
    },
    Signal {
        name: "gpu_slowdown_factor",
        unit: Unit::Factor,
        about: "How much longer a step can take at most because the clocks were held.",
        doc: "1 / (1 - held share + held share x clock ratio): if everything depended on the \
              clocks. Memory-bound decoding depends on them less, so this is an upper end, and the \
              lower one is 1.",
        source: "nvml",
        families: &[],
        derive: Derive::Span(slowdown),
    },
    Signal {
        name: "gpu_power_limit_ratio",
        unit: Unit::Ratio,
        about: "Power limit in force over the one the card comes with.",
        doc: "Lowest over the server's GPUs. Under 1 somebody lowered it.",
        source: "nvml",
        families: &[],
        derive: Derive::Span(power_limit),
    },
    Signal {
        name: "gpu_power_ratio",
        unit: Unit::Ratio,
        about: "Power drawn over the limit in force.",
        doc: "At the last look, largest over the server's GPUs.",
        source: "nvml",
        families: &[],
        derive: Derive::Span(power),
    },
    Signal {
        name: "gpu_temperature_ratio",
        unit: Unit::Ratio,
        about: "Temperature of the chip over the card's own limit, in degrees Celsius.",
        doc: "At the last look, largest over the server's GPUs. The limit is the one from which \
              the card falls below its base clock, else that of the slowdown.",
        source: "nvml",
        families: &[],
        derive: Derive::Span(temperature),
    },
    Signal {
        name: "gpu_memory_temperature_ratio",
        unit: Unit::Ratio,
        about: "Temperature of the GPU's memory over the card's own limit, in degrees Celsius.",
        doc: "At the last look, largest over the server's GPUs.",
        source: "nvml",
        families: &[],
        derive: Derive::Span(memory_temperature),
    },
    Signal {
        name: "gpu_utilisation_ratio",
        unit: Unit::Ratio,
        about: "Share of time in which a kernel ran on the GPU.",
        doc: "Mean over the server's GPUs at the last look. Decoding shows about 100 % at any \
              load, so it is no measure of load.",
        source: "nvml",
        families: &[],
        derive: Derive::Span(utilisation),
    },
    Signal {
        name: "gpu_memory_used_ratio",
        unit: Unit::Ratio,
        about: "Share of the GPU's memory that is taken.",
        doc: "Largest over the server's GPUs. vLLM takes its share in advance, so a full GPU alone \
              is normal.",
        source: "nvml",
        families: &[],
        derive: Derive::Span(memory_used),
    },
    Signal {
        name: "foreign_gpu_memory_ratio",
        unit: Unit::Ratio,
        about: "Share of a GPU's memory that processes other than the server hold.",
        doc: "From the driver's process list, largest over the GPUs of the server. A process is \
              the server's where it or a parent of it is vLLM by its command line or name.",
        source: "nvml",
        families: &[],
        derive: Derive::Span(foreign_memory),
    },
    Signal {
        name: "gpu_link_faults_count",
        unit: Unit::Count,
        about: "Links between GPUs that are down or report errors.",
        doc: "NVLinks that are down on a GPU whose peers have more of them up, and those that went \
              down, were brought up again, or sent or received damaged packets between two looks.",
        source: "nvml",
        families: &[],
        derive: Derive::Span(link_faults),
    },
    Signal {
        name: "gpu_pcie_faults_count",
        unit: Unit::Count,
        about: "GPUs whose link to the host is narrower or slower than it could be.",
        doc: "Fewer lanes than card and slot allow; a lower generation counts only on a GPU in \
              use, because an idle one lowers it to save power.",
        source: "nvml",
        families: &[],
        derive: Derive::Span(pcie_faults),
    },
    Signal {
        name: "gpu_pcie_replays_per_minute",
        unit: Unit::PerMinute,
        about: "Packets that the link to the host sent again.",
        doc: "Growth of the driver's replay counter between the first and the last look, largest \
              over the GPUs.",
        source: "nvml",
        families: &[],
        derive: Derive::Span(|frame| {
            between(frame, "how often its link repeats", |pair| pair.replays_per_minute())
        }),
    },
];

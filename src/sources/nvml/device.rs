//! The questions to one GPU. Each answers or fails for itself.

use std::path::Path;

use nvml_wrapper::{
    Device, Nvml,
    enum_wrappers::device::{
        Clock, ClockId, EccCounter, MemoryError, PerformancePolicy, TemperatureSensor,
        TemperatureThreshold,
    },
    enums::device::{SampleValue, UsedGpuMemory},
    error::NvmlError,
    struct_wrappers::device::ProcessInfo,
    structs::device::FieldId,
    sys_exports::field_id as id,
};

use super::{ask::field, owner};
use crate::evidence::gpu::{
    Field, Gpu, GpuClocks, GpuErrors, GpuHeld, GpuLink, GpuMemory, GpuPcie, GpuPower, GpuProcess,
    GpuTemperature, Reason,
};

/// NVML_NVLINK_MAX_LINKS of nvml.h.
const MAX_LINKS: u32 = 18;

/// Bytes of a process's name.
const NAME_BYTES: usize = 256;

/// Reads all of one GPU.
pub(super) fn read(nvml: &Nvml, device: &Device<'_>, index: u32) -> Gpu {
    Gpu {
        index,
        unreachable: None,
        name: field(device.name()),
        uuid: field(device.uuid()),
        serial: field(device.serial()),
        pci: field(device.pci_info().map(|pci| pci.bus_id)),
        utilisation_percent: field(device.utilization_rates().map(|rates| rates.gpu)),
        memory: field(device.memory_info().map(|memory| GpuMemory {
            total: memory.total,
            used: memory.used,
            free: memory.free,
        })),
        processes: field(processes(nvml, device)),
        clocks: clocks(device),
        clock_reasons: field(device.current_throttle_reasons().map(|reasons| reasons.bits())),
        held: held(device),
        power: power(device),
        temperature: temperature(device),
        errors: errors(device),
        pcie: pcie(device),
        links: links(device),
        recovery_action: number(device, id::NVML_FI_DEV_GET_GPU_RECOVERY_ACTION),
        mig: field(device.mig_mode().map(|mode| mode.current == 1)),
        persistence: field(device.is_in_persistent_mode()),
    }
}

fn processes(nvml: &Nvml, device: &Device<'_>) -> Result<Vec<GpuProcess>, NvmlError> {
    let listed = device.running_compute_processes()?;
    Ok(listed.into_iter().map(|process| identified(nvml, &process)).collect())
}

fn identified(nvml: &Nvml, process: &ProcessInfo) -> GpuProcess {
    let told = nvml.sys_process_name(process.pid, NAME_BYTES).ok();
    let (name, of_server) = owner::identify(Path::new("/proc"), process.pid, told.as_deref());
    let memory_bytes = match process.used_gpu_memory {
        UsedGpuMemory::Used(bytes) => Field::Value(bytes),
        UsedGpuMemory::Unavailable => Field::Missing(Reason::NotSupported),
    };
    GpuProcess { pid: process.pid, memory_bytes, name, of_server }
}

fn clocks(device: &Device<'_>) -> GpuClocks {
    GpuClocks {
        sm_mhz: field(device.clock_info(Clock::SM)),
        sm_target_mhz: field(device.clock(Clock::SM, ClockId::TargetAppClock)),
        sm_max_mhz: field(device.max_clock_info(Clock::SM)),
        memory_mhz: field(device.clock_info(Clock::Memory)),
        memory_target_mhz: field(device.clock(Clock::Memory, ClockId::TargetAppClock)),
        memory_max_mhz: field(device.max_clock_info(Clock::Memory)),
    }
}

fn held(device: &Device<'_>) -> GpuHeld {
    let policy = |policy| field(device.violation_status(policy).map(|held| held.violation_time));
    GpuHeld {
        power_cap_ns: policy(PerformancePolicy::Power),
        thermal_ns: policy(PerformancePolicy::Thermal),
        software_thermal_ns: number(device, id::NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN),
        hardware_thermal_ns: number(device, id::NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN),
        power_brake_ns: number(device, id::NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN),
    }
}

fn power(device: &Device<'_>) -> GpuPower {
    let watts = |milliwatts: Result<u32, NvmlError>| {
        field(milliwatts.map(|milliwatts| f64::from(milliwatts) / 1e3))
    };
    GpuPower {
        draw_watts: watts(device.power_usage()),
        limit_watts: watts(device.enforced_power_limit()),
        default_limit_watts: watts(device.power_management_limit_default()),
    }
}

fn temperature(device: &Device<'_>) -> GpuTemperature {
    let limit = |which| field(device.temperature_threshold(which));
    let memory = match number(device, id::NVML_FI_DEV_MEMORY_TEMP) {
        // Cards without a sensor there answer 0.
        Field::Value(0) => Field::Missing(Reason::NotSupported),
        degrees => degrees.map(|degrees| degrees as u32),
    };
    GpuTemperature {
        core: field(device.temperature(TemperatureSensor::Gpu)),
        memory,
        core_max: limit(TemperatureThreshold::GpuMax),
        memory_max: limit(TemperatureThreshold::MemoryMax),
        slowdown: limit(TemperatureThreshold::Slowdown),
        shutdown: limit(TemperatureThreshold::Shutdown),
    }
}

fn errors(device: &Device<'_>) -> GpuErrors {
    let count = |error, since| field(device.total_ecc_errors(error, since));
    let ecc = field(device.is_ecc_enabled()).map(|it| (it.currently_enabled, it.pending_enabled));
    GpuErrors {
        ecc: ecc.clone().map(|(now, _)| now),
        ecc_pending: ecc.map(|(_, pending)| pending),
        corrected: count(MemoryError::Corrected, EccCounter::Volatile),
        uncorrected: count(MemoryError::Uncorrected, EccCounter::Volatile),
        corrected_ever: count(MemoryError::Corrected, EccCounter::Aggregate),
        uncorrected_ever: count(MemoryError::Uncorrected, EccCounter::Aggregate),
        retired_single: number(device, id::NVML_FI_DEV_RETIRED_SBE),
        retired_double: number(device, id::NVML_FI_DEV_RETIRED_DBE),
        retirement_pending: flag(device, id::NVML_FI_DEV_RETIRED_PENDING),
        remapped_corrected: number(device, id::NVML_FI_DEV_REMAPPED_COR),
        remapped_uncorrected: number(device, id::NVML_FI_DEV_REMAPPED_UNC),
        remap_pending: flag(device, id::NVML_FI_DEV_REMAPPED_PENDING),
        remap_failed: flag(device, id::NVML_FI_DEV_REMAPPED_FAILURE),
    }
}

fn pcie(device: &Device<'_>) -> GpuPcie {
    GpuPcie {
        generation: field(device.current_pcie_link_gen()),
        generation_max: field(device.max_pcie_link_gen()),
        width: field(device.current_pcie_link_width()),
        width_max: field(device.max_pcie_link_width()),
        replays: field(device.pcie_replay_counter().map(u64::from)),
    }
}

/// The links that the card has; none where it knows of none.
fn links(device: &Device<'_>) -> Vec<GpuLink> {
    use nvml_wrapper::enum_wrappers::nv_link::ErrorCounter::{DlCrcFlit, DlRecovery, DlReplay};
    let mut links = Vec::new();
    for link in 0..MAX_LINKS {
        let wrapper = device.link_wrapper_for(link);
        let up = match wrapper.is_active() {
            Ok(up) => Field::Value(up),
            Err(_) => continue,
        };
        let count = |counter| field(wrapper.error_counter(counter));
        links.push(GpuLink {
            link,
            up,
            replays: count(DlReplay),
            recoveries: count(DlRecovery),
            crc_errors: count(DlCrcFlit),
        });
    }
    links
}

/// One field value that has no call of its own.
fn number(device: &Device<'_>, id: u32) -> Field<u64> {
    let sample = || -> Result<u64, NvmlError> {
        let samples = device.field_values_for(&[FieldId(id)])?;
        let sample = samples.into_iter().next().ok_or(NvmlError::NoData)??;
        match sample.value? {
            SampleValue::U32(value) => Ok(u64::from(value)),
            SampleValue::U64(value) => Ok(value),
            SampleValue::I64(value) => u64::try_from(value).map_err(|_| NvmlError::NoData),
            SampleValue::F64(_) => Err(NvmlError::NoData),
        }
    };
    field(sample())
}

fn flag(device: &Device<'_>, id: u32) -> Field<bool> {
    number(device, id).map(|value| value != 0)
}

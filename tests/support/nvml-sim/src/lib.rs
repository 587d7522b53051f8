//! A simulated `libnvidia-ml.so.1`: the C functions that the wrapper calls, answered from the
//! scenario file that `NVML_SIM_SCENARIO` names. Loaded by tests in place of the driver's library.
//!
//! A value in a scenario is a number or text, `{error: GPU_IS_LOST}`, or a counter that grows,
//! `{per_second: 4.1e8}`. A value that is not there answers NOT_SUPPORTED.
#![allow(non_snake_case, non_upper_case_globals)]

mod scenario;

use std::ffi::{c_char, c_int, c_uint, c_ulonglong};

use nvml_wrapper_sys::bindings::*;
use scenario::{Scenario, error_named, number, text};
use serde_json::Value;

type Outcome = Result<(), nvmlReturn_t>;

const OK: nvmlReturn_t = nvmlReturn_enum_NVML_SUCCESS;
const NOT_SUPPORTED: nvmlReturn_t = nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED;
const INVALID: nvmlReturn_t = nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT;
const NOT_FOUND: nvmlReturn_t = nvmlReturn_enum_NVML_ERROR_NOT_FOUND;
const TOO_SMALL: nvmlReturn_t = nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE;

/// Runs a call, unless the scenario makes it hang, or has an older driver without it.
fn answer(function: &str, call: impl FnOnce(&Scenario) -> Outcome) -> nvmlReturn_t {
    let scenario = Scenario::get();
    if scenario.hangs(function) {
        loop {
            std::thread::park();
        }
    }
    if scenario.lacks(function) {
        return nvmlReturn_enum_NVML_ERROR_FUNCTION_NOT_FOUND;
    }
    call(scenario).err().unwrap_or(OK)
}

fn gpu(scenario: &Scenario, device: nvmlDevice_t) -> Result<&Value, nvmlReturn_t> {
    let gpu = scenario.gpus.get((device as usize).wrapping_sub(1)).ok_or(INVALID)?;
    match gpu.get("all").and_then(error_named) {
        Some(error) => Err(error),
        None => Ok(gpu),
    }
}

unsafe fn write_text(text: &str, out: *mut c_char, length: c_uint) -> Outcome {
    if text.len() >= length as usize {
        return Err(TOO_SMALL);
    }
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr().cast(), out, text.len());
        *out.add(text.len()) = 0;
    }
    Ok(())
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlInit_v2() -> nvmlReturn_t {
    answer("nvmlInit_v2", |scenario| scenario.top("init").and_then(error_named).map_or(Ok(()), Err))
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlShutdown() -> nvmlReturn_t {
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetDriverVersion(
    out: *mut c_char,
    length: c_uint,
) -> nvmlReturn_t {
    answer("nvmlSystemGetDriverVersion", |scenario| {
        let version = text(scenario.top("driver"))?;
        unsafe { write_text(version, out, length) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetCudaDriverVersion_v2(out: *mut c_int) -> nvmlReturn_t {
    answer("nvmlSystemGetCudaDriverVersion_v2", |scenario| {
        unsafe { *out = number(scenario.top("cuda"))? as c_int };
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetProcessName(
    pid: c_uint,
    out: *mut c_char,
    length: c_uint,
) -> nvmlReturn_t {
    answer("nvmlSystemGetProcessName", |scenario| {
        let processes = scenario.gpus.iter().filter_map(|gpu| gpu.get("processes")?.as_array());
        let process = processes.flatten().find(|it| it["pid"] == pid).ok_or(NOT_FOUND)?;
        let name = text(process.get("name")).map_err(|_| NOT_FOUND)?;
        unsafe { write_text(name, out, length) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCount_v2(out: *mut c_uint) -> nvmlReturn_t {
    answer("nvmlDeviceGetCount_v2", |scenario| {
        unsafe { *out = scenario.gpus.len() as c_uint };
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByIndex_v2(
    index: c_uint,
    out: *mut nvmlDevice_t,
) -> nvmlReturn_t {
    answer("nvmlDeviceGetHandleByIndex_v2", |scenario| {
        let gpu = scenario.gpus.get(index as usize).ok_or(INVALID)?;
        if let Some(error) = gpu.get("handle").and_then(error_named) {
            return Err(error);
        }
        unsafe { *out = (index as usize + 1) as nvmlDevice_t };
        Ok(())
    })
}

/// Calls that write a text.
macro_rules! texts {
    ($($function:ident => $key:literal),+ $(,)?) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $function(
            device: nvmlDevice_t, out: *mut c_char, length: c_uint,
        ) -> nvmlReturn_t {
            answer(stringify!($function), |scenario| {
                unsafe { write_text(text(gpu(scenario, device)?.get($key))?, out, length) }
            })
        }
    )+};
}

texts! {
    nvmlDeviceGetName => "name",
    nvmlDeviceGetUUID => "uuid",
    nvmlDeviceGetSerial => "serial",
}

/// Calls that write one number.
macro_rules! numbers {
    ($($function:ident: $type:ty => $key:literal),+ $(,)?) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $function(device: nvmlDevice_t, out: *mut $type) -> nvmlReturn_t {
            answer(stringify!($function), |scenario| {
                unsafe { *out = number(gpu(scenario, device)?.get($key))? as $type };
                Ok(())
            })
        }
    )+};
}

numbers! {
    nvmlDeviceGetCurrentClocksThrottleReasons: c_ulonglong => "reasons",
    nvmlDeviceGetPowerUsage: c_uint => "power_mw",
    nvmlDeviceGetEnforcedPowerLimit: c_uint => "power_limit_mw",
    nvmlDeviceGetPowerManagementDefaultLimit: c_uint => "power_limit_default_mw",
    nvmlDeviceGetCurrPcieLinkGeneration: c_uint => "pcie_generation",
    nvmlDeviceGetMaxPcieLinkGeneration: c_uint => "pcie_generation_max",
    nvmlDeviceGetCurrPcieLinkWidth: c_uint => "pcie_width",
    nvmlDeviceGetMaxPcieLinkWidth: c_uint => "pcie_width_max",
    nvmlDeviceGetPcieReplayCounter: c_uint => "pcie_replays",
    nvmlDeviceGetPersistenceMode: nvmlEnableState_t => "persistence",
}

/// Calls that take one selector, and write one number named by a table.
macro_rules! selected {
    ($($function:ident($($arg:ident),+): $type:ty => $key:expr),+ $(,)?) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $function(
            device: nvmlDevice_t, $($arg: c_uint,)+ out: *mut $type,
        ) -> nvmlReturn_t {
            answer(stringify!($function), |scenario| {
                let key: Option<&str> = $key;
                let gpu = gpu(scenario, device)?;
                unsafe { *out = number(gpu.get(key.ok_or(NOT_SUPPORTED)?))? as $type };
                Ok(())
            })
        }
    )+};
}

selected! {
    nvmlDeviceGetClockInfo(which): c_uint => clock(which, ["sm_mhz", "memory_mhz"]),
    nvmlDeviceGetMaxClockInfo(which): c_uint => clock(which, ["sm_max_mhz", "memory_max_mhz"]),
    nvmlDeviceGetClock(which, id): c_uint => match id {
        nvmlClockId_enum_NVML_CLOCK_ID_APP_CLOCK_TARGET => {
            clock(which, ["sm_target_mhz", "memory_target_mhz"])
        }
        _ => None,
    },
    nvmlDeviceGetTemperature(sensor): c_uint => (sensor == 0).then_some("temperature"),
    nvmlDeviceGetTemperatureThreshold(which): c_uint => match which {
        nvmlTemperatureThresholds_enum_NVML_TEMPERATURE_THRESHOLD_SHUTDOWN => Some("shutdown"),
        nvmlTemperatureThresholds_enum_NVML_TEMPERATURE_THRESHOLD_SLOWDOWN => Some("slowdown"),
        nvmlTemperatureThresholds_enum_NVML_TEMPERATURE_THRESHOLD_MEM_MAX => Some("memory_max"),
        nvmlTemperatureThresholds_enum_NVML_TEMPERATURE_THRESHOLD_GPU_MAX => Some("gpu_max"),
        _ => None,
    },
    nvmlDeviceGetTotalEccErrors(kind, since): c_ulonglong => match (kind, since) {
        (0, 0) => Some("corrected"),
        (1, 0) => Some("uncorrected"),
        (0, 1) => Some("corrected_ever"),
        (1, 1) => Some("uncorrected_ever"),
        _ => None,
    },
}

fn clock(which: nvmlClockType_t, [sm, memory]: [&'static str; 2]) -> Option<&'static str> {
    match which {
        nvmlClockType_enum_NVML_CLOCK_SM => Some(sm),
        nvmlClockType_enum_NVML_CLOCK_MEM => Some(memory),
        _ => None,
    }
}

/// Calls that write two numbers.
macro_rules! pairs {
    ($($function:ident => $first:literal, $second:literal),+ $(,)?) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $function(
            device: nvmlDevice_t, first: *mut c_uint, second: *mut c_uint,
        ) -> nvmlReturn_t {
            answer(stringify!($function), |scenario| {
                let gpu = gpu(scenario, device)?;
                unsafe {
                    *first = number(gpu.get($first))? as c_uint;
                    *second = number(gpu.get($second))? as c_uint;
                }
                Ok(())
            })
        }
    )+};
}

pairs! {
    nvmlDeviceGetEccMode => "ecc", "ecc_pending",
    nvmlDeviceGetMigMode => "mig", "mig",
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetPciInfo_v3(
    device: nvmlDevice_t,
    out: *mut nvmlPciInfo_t,
) -> nvmlReturn_t {
    answer("nvmlDeviceGetPciInfo_v3", |scenario| {
        let address = text(gpu(scenario, device)?.get("pci"))?;
        let info = unsafe { &mut *out };
        unsafe { write_text(address, info.busId.as_mut_ptr(), 32) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetUtilizationRates(
    device: nvmlDevice_t,
    out: *mut nvmlUtilization_t,
) -> nvmlReturn_t {
    answer("nvmlDeviceGetUtilizationRates", |scenario| {
        let gpu = number(gpu(scenario, device)?.get("utilisation"))? as c_uint;
        unsafe { *out = nvmlUtilization_t { gpu, memory: gpu / 2 } };
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMemoryInfo_v2(
    device: nvmlDevice_t,
    out: *mut nvmlMemory_v2_t,
) -> nvmlReturn_t {
    answer("nvmlDeviceGetMemoryInfo_v2", |scenario| {
        let gpu = gpu(scenario, device)?;
        let expected = size_of::<nvmlMemory_v2_t>() as c_uint | 2 << 24;
        let info = unsafe { &mut *out };
        if info.version != expected {
            return Err(nvmlReturn_enum_NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
        }
        info.total = number(gpu.get("memory_total"))? as c_ulonglong;
        info.used = number(gpu.get("memory_used"))? as c_ulonglong;
        info.free = info.total - info.used;
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetComputeRunningProcesses_v3(
    device: nvmlDevice_t,
    count: *mut c_uint,
    out: *mut nvmlProcessInfo_t,
) -> nvmlReturn_t {
    answer("nvmlDeviceGetComputeRunningProcesses_v3", |scenario| {
        let listed = gpu(scenario, device)?.get("processes").ok_or(NOT_SUPPORTED)?;
        let listed = listed.as_array().ok_or_else(|| error_named(listed).unwrap_or(INVALID))?;
        let room = unsafe { *count } as usize;
        unsafe { *count = listed.len() as c_uint };
        if room < listed.len() {
            return Err(TOO_SMALL);
        }
        for (place, process) in listed.iter().enumerate() {
            let info = nvmlProcessInfo_t {
                pid: number(process.get("pid"))? as c_uint,
                usedGpuMemory: number(process.get("bytes"))? as c_ulonglong,
                gpuInstanceId: c_uint::MAX,
                computeInstanceId: c_uint::MAX,
            };
            unsafe { *out.add(place) = info };
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetViolationStatus(
    device: nvmlDevice_t,
    policy: nvmlPerfPolicyType_t,
    out: *mut nvmlViolationTime_t,
) -> nvmlReturn_t {
    answer("nvmlDeviceGetViolationStatus", |scenario| {
        let key = match policy {
            nvmlPerfPolicyType_enum_NVML_PERF_POLICY_POWER => "power_cap_ns",
            nvmlPerfPolicyType_enum_NVML_PERF_POLICY_THERMAL => "thermal_ns",
            _ => return Err(NOT_SUPPORTED),
        };
        let violationTime = number(gpu(scenario, device)?.get(key))? as c_ulonglong;
        let referenceTime = (scenario::seconds() * 1e6) as c_ulonglong;
        unsafe { *out = nvmlViolationTime_t { referenceTime, violationTime } };
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetFieldValues(
    device: nvmlDevice_t,
    count: c_int,
    values: *mut nvmlFieldValue_t,
) -> nvmlReturn_t {
    answer("nvmlDeviceGetFieldValues", |scenario| {
        let gpu = gpu(scenario, device)?;
        let wanted = unsafe { std::slice::from_raw_parts_mut(values, count as usize) };
        for value in wanted {
            let found = gpu.get("fields").and_then(|it| it.get(value.fieldId.to_string()));
            value.valueType = nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_LONG_LONG;
            match number(found) {
                Ok(found) => {
                    value.nvmlReturn = OK;
                    value.value.ullVal = found as c_ulonglong;
                }
                Err(error) => value.nvmlReturn = error,
            }
        }
        Ok(())
    })
}

fn link(gpu: &Value, link: c_uint) -> Result<&Value, nvmlReturn_t> {
    let links = gpu.get("links").ok_or(NOT_SUPPORTED)?;
    links.get(link as usize).ok_or(INVALID)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetNvLinkState(
    device: nvmlDevice_t,
    number_of_link: c_uint,
    out: *mut nvmlEnableState_t,
) -> nvmlReturn_t {
    answer("nvmlDeviceGetNvLinkState", |scenario| {
        let link = link(gpu(scenario, device)?, number_of_link)?;
        unsafe { *out = number(link.get("up"))? as nvmlEnableState_t };
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetNvLinkErrorCounter(
    device: nvmlDevice_t,
    number_of_link: c_uint,
    counter: nvmlNvLinkErrorCounter_t,
    out: *mut c_ulonglong,
) -> nvmlReturn_t {
    answer("nvmlDeviceGetNvLinkErrorCounter", |scenario| {
        let key = match counter {
            nvmlNvLinkErrorCounter_enum_NVML_NVLINK_ERROR_DL_REPLAY => "replays",
            nvmlNvLinkErrorCounter_enum_NVML_NVLINK_ERROR_DL_RECOVERY => "recoveries",
            nvmlNvLinkErrorCounter_enum_NVML_NVLINK_ERROR_DL_CRC_FLIT => "crc_errors",
            _ => return Err(NOT_SUPPORTED),
        };
        let link = link(gpu(scenario, device)?, number_of_link)?;
        unsafe { *out = link.get(key).map_or(Ok(0.0), |it| number(Some(it)))? as c_ulonglong };
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes and places as a C compiler gives them to the structs of nvml.h on 64-bit Linux.
    #[test]
    fn structs_lie_in_memory_as_the_header_has_them() {
        assert_eq!(size_of::<nvmlPciInfo_t>(), 68);
        assert_eq!(std::mem::offset_of!(nvmlPciInfo_t, busId), 36);
        assert_eq!(size_of::<nvmlMemory_v2_t>(), 40);
        assert_eq!(std::mem::offset_of!(nvmlMemory_v2_t, used), 32);
        assert_eq!(size_of::<nvmlProcessInfo_t>(), 24);
        assert_eq!(std::mem::offset_of!(nvmlProcessInfo_t, usedGpuMemory), 8);
        assert_eq!(size_of::<nvmlFieldValue_t>(), 40);
        assert_eq!(std::mem::offset_of!(nvmlFieldValue_t, value), 32);
        assert_eq!(size_of::<nvmlViolationTime_t>(), 16);
        assert_eq!(size_of::<nvmlUtilization_t>(), 8);
    }
}

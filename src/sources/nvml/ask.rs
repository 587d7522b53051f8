//! The questions to the driver as a whole.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use nvml_wrapper::{Nvml, cuda_driver_version_major, cuda_driver_version_minor, error::NvmlError};

use super::{Answer, device, failed};
use crate::evidence::SourceState;
use crate::evidence::gpu::{Field, Gpu, GpuSnapshot, Reason};

/// Where the driver puts its library, the usual place first; the second is that of WSL.
const LIBRARIES: [&str; 3] =
    ["libnvidia-ml.so.1", "/usr/lib/wsl/lib/libnvidia-ml.so.1", "libnvidia-ml.so"];

/// Loads the library and reads every GPU once.
pub(super) fn ask(library: Option<&Path>) -> Answer {
    match load(library).and_then(|nvml| snapshot(&nvml)) {
        Ok(snapshot) => Answer::Snapshot(snapshot),
        Err(error) => failed(state_of(&error, library), words(&error, library)),
    }
}

fn load(library: Option<&Path>) -> Result<Nvml, NvmlError> {
    let load = |path: &Path| Nvml::builder().lib_path(path.as_os_str()).init();
    if let Some(path) = library {
        return load(path);
    }
    let mut first = None;
    for path in LIBRARIES {
        match load(Path::new(path)) {
            Err(NvmlError::LibloadingError(error)) => {
                first.get_or_insert(NvmlError::LibloadingError(error));
            }
            loaded => return loaded,
        }
    }
    Err(first.unwrap_or(NvmlError::LibraryNotFound))
}

fn snapshot(nvml: &Nvml) -> Result<GpuSnapshot, NvmlError> {
    let cuda = nvml.sys_cuda_driver_version().map(|version| {
        format!("{}.{}", cuda_driver_version_major(version), cuda_driver_version_minor(version))
    });
    let count = nvml.device_count()?;
    Ok(GpuSnapshot {
        at: now(),
        driver_version: field(nvml.sys_driver_version()),
        cuda_version: field(cuda),
        gpus: (0..count).map(|index| gpu(nvml, index)).collect(),
    })
}

fn gpu(nvml: &Nvml, index: u32) -> Gpu {
    match nvml.device_by_index(index) {
        Ok(device) => device::read(nvml, &device, index),
        Err(error) => Gpu { index, unreachable: Some(reason(&error)), ..Gpu::default() },
    }
}

/// A value of the driver, or its reason.
pub(super) fn field<T>(result: Result<T, NvmlError>) -> Field<T> {
    match result {
        Ok(value) => Field::Value(value),
        Err(error) => Field::Missing(reason(&error)),
    }
}

fn reason(error: &NvmlError) -> Reason {
    match error {
        NvmlError::NotSupported => Reason::NotSupported,
        NvmlError::NoPermission => Reason::NoPermission,
        NvmlError::GpuLost => Reason::GpuLost,
        NvmlError::ResetRequired => Reason::ResetRequired,
        NvmlError::Timeout => Reason::Timeout,
        NvmlError::FunctionNotFound | NvmlError::FailedToLoadSymbol(_) => Reason::FunctionMissing,
        other => Reason::Other(other.to_string()),
    }
}

/// A host without a driver is no fault; a library that the user named must work.
fn state_of(error: &NvmlError, library: Option<&Path>) -> SourceState {
    match error {
        NvmlError::LibloadingError(_) if library.is_none() => SourceState::NotConfigured,
        NvmlError::LibraryNotFound | NvmlError::DriverNotLoaded => SourceState::NotConfigured,
        NvmlError::NoPermission => SourceState::Unauthorized,
        NvmlError::Timeout => SourceState::TimedOut,
        _ => SourceState::BadData,
    }
}

fn words(error: &NvmlError, library: Option<&Path>) -> String {
    match (error, library) {
        (NvmlError::LibloadingError(_), None) => {
            "no NVIDIA driver here: libnvidia-ml.so.1 cannot be loaded; in a container, start it \
             with --gpus"
                .into()
        }
        (NvmlError::LibloadingError(why), Some(path)) => {
            format!("{} cannot be loaded: {why}", path.display())
        }
        (NvmlError::FailedToLoadSymbol(_), Some(path)) => {
            format!("{} is not NVIDIA's management library", path.display())
        }
        (NvmlError::LibRmVersionMismatch, _) => {
            "the driver's library and its kernel module differ in version: the driver was updated \
             without a restart of the host"
                .into()
        }
        (error, _) => format!("the GPU driver answers: {error}"),
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

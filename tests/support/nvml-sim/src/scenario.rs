//! Reading the scenario file.

use std::path::Path;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use nvml_wrapper_sys::bindings::*;
use serde_json::{Map, Value};

/// Counters start here (November 2023): they fit into a double well.
const EPOCH: f64 = 1.7e9;

/// What the library answers.
pub struct Scenario {
    top: Value,
    pub gpus: Vec<Value>,
}

impl Scenario {
    /// The scenario of this process.
    pub fn get() -> &'static Self {
        static SCENARIO: OnceLock<Scenario> = OnceLock::new();
        SCENARIO.get_or_init(|| {
            let path = std::env::var_os("NVML_SIM_SCENARIO").expect("NVML_SIM_SCENARIO is set");
            let top = load(Path::new(&path));
            let gpus = gpus(&top);
            Self { top, gpus }
        })
    }

    pub fn top(&self, key: &str) -> Option<&Value> {
        self.top.get(key)
    }

    pub fn hangs(&self, function: &str) -> bool {
        self.top("hangs").is_some_and(|name| name == function)
    }

    pub fn lacks(&self, function: &str) -> bool {
        let names = self.top("lacks").and_then(Value::as_array);
        names.is_some_and(|names| names.iter().any(|name| name == function))
    }
}

/// The file over the one that it is `like`, which lies beside it.
fn load(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("the scenario can be read");
    let own: Value = serde_saphyr::from_str(&text).expect("the scenario is YAML");
    let Some(like) = own.get("like").and_then(Value::as_str) else { return own };
    let mut base = load(&path.with_file_name(like));
    merge(&mut base, own);
    base
}

fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over,
    }
}

/// `count` copies of `gpu`, each with an identity of its own, under what `only` says of single
/// ones.
fn gpus(top: &Value) -> Vec<Value> {
    let count = top.get("count").and_then(Value::as_u64).unwrap_or(1);
    let empty = Value::Object(Map::new());
    (0..count)
        .map(|index| {
            let mut gpu = top.get("gpu").unwrap_or(&empty).clone();
            let own = serde_json::json!({
                "uuid": format!("GPU-5e1f0000-0000-4000-8000-{index:012}"),
                "serial": format!("132042300{index:04}"),
                "pci": format!("00000000:{:02X}:00.0", 0x1b + index),
            });
            merge(&mut gpu, own);
            if let Some(only) = top.get("only").and_then(|only| only.get(index.to_string())) {
                merge(&mut gpu, only.clone());
            }
            gpu
        })
        .collect()
}

/// Seconds since the counters began.
pub fn seconds() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    now.as_secs_f64() - EPOCH
}

/// A number, a counter, or the error that stands in its place.
pub fn number(value: Option<&Value>) -> Result<f64, nvmlReturn_t> {
    let value = value.ok_or(nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED)?;
    if let Some(error) = error_named(value) {
        return Err(error);
    }
    if let Some(rate) = value.get("per_second").and_then(Value::as_f64) {
        return Ok((rate * seconds()).max(0.0));
    }
    let flag = value.as_bool().map(f64::from);
    value.as_f64().or(flag).ok_or(nvmlReturn_enum_NVML_ERROR_UNKNOWN)
}

/// A text, or the error that stands in its place.
pub fn text(value: Option<&Value>) -> Result<&str, nvmlReturn_t> {
    let value = value.ok_or(nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED)?;
    match error_named(value) {
        Some(error) => Err(error),
        None => value.as_str().ok_or(nvmlReturn_enum_NVML_ERROR_UNKNOWN),
    }
}

/// The code of `{error: NAME}`.
pub fn error_named(value: &Value) -> Option<nvmlReturn_t> {
    Some(match value.get("error")?.as_str()? {
        "NO_PERMISSION" => nvmlReturn_enum_NVML_ERROR_NO_PERMISSION,
        "DRIVER_NOT_LOADED" => nvmlReturn_enum_NVML_ERROR_DRIVER_NOT_LOADED,
        "TIMEOUT" => nvmlReturn_enum_NVML_ERROR_TIMEOUT,
        "GPU_IS_LOST" => nvmlReturn_enum_NVML_ERROR_GPU_IS_LOST,
        "RESET_REQUIRED" => nvmlReturn_enum_NVML_ERROR_RESET_REQUIRED,
        "NOT_SUPPORTED" => nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED,
        _ => nvmlReturn_enum_NVML_ERROR_UNKNOWN,
    })
}

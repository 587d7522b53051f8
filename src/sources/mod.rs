//! Everything that touches the outside: servers, files of others, the clock.

pub mod adapters;
pub mod exposition;
mod facts;
pub mod gateway;
pub mod host;
pub mod http;
pub mod kernel;
pub mod kube;
pub mod local;
pub mod log_patterns;
pub mod logs;
pub mod nvml;
mod read;
pub mod vllm;

pub use read::read;

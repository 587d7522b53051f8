//! Everything that touches the outside: servers, files of others, the clock.

pub mod adapters;
pub mod exposition;
mod facts;
pub mod http;
pub mod local;
mod logs;
pub mod nvml;
mod read;
pub mod vllm;

pub use read::read;

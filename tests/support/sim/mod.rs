//! A discrete-event model of a continuous-batching engine that writes what vLLM would show.
//!
//! It knows requests, blocks, steps and clients; it knows nothing of signals, checks or causes. A
//! fault changes the engine or the workload, never a metric. Equal seeds give equal bundles.

pub mod cases;
pub mod engine;
pub mod healthy;
pub mod incidents;
pub mod kinds;
pub mod kv;
pub mod log;
pub mod machine;
pub mod page;
pub mod plan;
pub mod real;
pub mod rng;
pub mod server;
pub mod stats;
pub mod workload;

#[allow(unused_imports, reason = "each user takes its own")]
pub use cases::{Case, Kind, case, main_cause};

//! Load tests: what is sent when, what came back, whether that is good enough, and why not.
//!
//! Nothing here does I/O or reads a clock: `sources::openai` sends, `commands` glues.

pub mod arrivals;
pub mod bottleneck;
pub mod build;
pub mod client;
pub mod gate;
pub mod limits;
pub mod markdown;
pub mod measure;
pub mod prompts;
pub mod result;
mod rng;
pub mod saturation;
pub mod scenario;
pub mod tables;
pub mod terminal;
pub mod trends;
pub mod verdict;
mod words;

/// Tells texts apart: the same text gives the same 16 hexadecimal digits everywhere (FNV-1a).
pub fn fingerprint(text: &str) -> String {
    let mixed = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{mixed:016x}")
}

//! Load tests: what is sent when, what came back, whether that is good enough, and why not.
//!
//! Nothing here does I/O or reads a clock: `sources::openai` sends, `commands` glues.

pub mod result;

//! The `diagnose` command.
//!
//! Invariants of the whole house: signals, walk, rank and renderers cannot fail and cannot block;
//! a number that cannot be had is `Missing(why)`, never 0 or NaN; every sentence of a report rests
//! on a value that it names; the same evidence always gives the same bytes.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A quarter of a sweep over a thousand servers went into the system's allocator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    ExitCode::from(diagnose::commands::main(std::env::args_os()).code())
}

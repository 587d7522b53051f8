//! The `diagnose` command.
//!
//! Invariants of the whole house: signals, walk, rank and renderers cannot fail and cannot block;
//! a number that cannot be had is `Missing(why)`, never 0 or NaN; every sentence of a report rests
//! on a value that it names; the same evidence always gives the same bytes.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(diagnose::commands::main(std::env::args_os()).code())
}

//! The `diagnose` command.

fn main() {}

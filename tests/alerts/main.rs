//! Alert rules that real programs load, fire and keep silent, and that say what the tool says.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../support/cli.rs"]
#[allow(dead_code)]
mod cli;
mod fires;
mod lint;
mod long;
mod promtool;
mod recordings;
mod server;
#[path = "../support/tools.rs"]
mod tools;

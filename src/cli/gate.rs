//! Flags of a run as a gate: when to judge, how often, and what to keep of it.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use super::parse_duration;

/// Flags about when a run judges and what it keeps.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Gate")]
pub struct GateArgs {
    /// After a deploy: wait until the server is ready and has answered enough requests (policy
    /// `wait_requests`), this long at most, then judge all of that time
    #[arg(
        long, value_name = "DURATION", value_parser = parse_duration,
        conflicts_with_all = ["replay", "at", "window", "watch"]
    )]
    pub wait: Option<Duration>,
    /// Judge again and again, this long apart, and print only what changed, until interrupted
    /// [default: once; 60s without DURATION]
    #[arg(
        long, value_name = "DURATION", num_args = 0..=1, default_missing_value = "60s",
        value_parser = parse_duration, conflicts_with_all = ["replay", "at", "bundle", "quiet", "save_baseline", "attach"]
    )]
    pub watch: Option<Duration>,
    /// Keep the evidence, the report and the runbooks that judged, sealed with hashes, as a new
    /// directory or a file ending in .tar.zst; with --targets, a new directory of such files
    #[arg(long, value_name = "PATH")]
    pub bundle: Option<PathBuf>,
    /// By which runbooks a sealed recording is judged [default: sealed]
    #[arg(long, value_name = "WHICH", requires = "replay")]
    pub with_runbooks: Option<WithRunbooks>,
}

/// By which runbooks a sealed recording is judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum WithRunbooks {
    /// Those sealed in it, which gives the report that was sealed.
    #[default]
    Sealed,
    /// Those installed now: would today's runbooks have caught it?
    Current,
}

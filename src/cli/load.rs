//! Flags of `load`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use super::{ConfigArgs, JudgeArgs, LiveArgs, OutputArgs, parse_duration};

/// Flags of `load`.
#[derive(Debug, Clone, Args)]
pub struct LoadArgs {
    /// The scenario: baseline, peak, sustained, long-conversations, adapter-switching,
    /// cache-validation, or one of your own
    #[arg(value_name = "SCENARIO")]
    pub scenario: String,
    /// What is sent.
    #[command(flatten)]
    pub traffic: TrafficArgs,
    /// The live server.
    #[command(flatten)]
    pub live: LiveArgs,
    /// Judgement.
    #[command(flatten)]
    pub judge: JudgeArgs,
    /// Output.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Settings.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Flags about what is sent.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Traffic")]
pub struct TrafficArgs {
    /// Send load to a server that is not on this machine: it is work for it, and may cost money
    #[arg(long)]
    pub yes: bool,
    /// Requests per second after the warm-up [default: the scenario's]
    #[arg(long, value_name = "N", value_parser = parse_rate, conflicts_with = "trace")]
    pub rate: Option<f64>,
    /// Time of sending, the warm-up included [default: the scenario's]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub duration: Option<Duration>,
    /// Time over which the rate rises, whose requests are not judged; 0s for none [default: the
    /// scenario's, at most a fifth of the duration]
    #[arg(long, value_name = "DURATION", value_parser = parse_warmup)]
    pub warmup: Option<Duration>,
    /// Most requests at once; others wait for a slot, which is told [default: the scenario's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub concurrency: Option<u32>,
    /// Most requests altogether
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub requests: Option<u64>,
    /// How requests follow each other [default: the scenario's]
    #[arg(long, value_name = "HOW", conflicts_with = "trace")]
    pub arrivals: Option<ArrivalsArg>,
    /// Send when these records of a gateway say, with the lengths and adapters that they name: JSON
    /// lines, whose fields diagnose.toml may name, or an access log
    #[arg(long, value_name = "FILE", conflicts_with = "prompts")]
    pub trace: Option<PathBuf>,
    /// Replay the trace so many times as fast
    #[arg(long, value_name = "X", requires = "trace", value_parser = parse_rate)]
    pub speed: Option<f64>,
    /// Send these prompts in turn: JSON lines with `prompt` or `messages`, and `max_tokens` and
    /// `model` where you like
    #[arg(long, value_name = "FILE")]
    pub prompts: Option<PathBuf>,
    /// Seed of everything that is drawn by chance [default: 1]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// The base model [default: the first of /v1/models]
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// Time after which a request counts as timed out [default: the scenario's, 2m]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub request_timeout: Option<Duration>,
    /// Go on to the end where the server is plainly over-saturated
    #[arg(long)]
    pub no_early_stop: bool,
}

/// How requests follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ArrivalsArg {
    /// At even distances
    Constant,
    /// By chance, as independent users come
    Poisson,
}

pub(super) fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| *rate > 0.0 && *rate <= 1e5);
    rate.ok_or_else(|| format!("`{text}` is not a number above 0, e.g. 10 or 0.5"))
}

/// A duration, or none.
fn parse_warmup(text: &str) -> Result<Duration, String> {
    match text {
        "0" | "0s" => Ok(Duration::ZERO),
        text => parse_duration(text),
    }
}

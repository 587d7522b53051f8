//! Flags of the commands that compare, and that look again after a fix.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};

use super::{
    At, ConfigArgs, Format, HistoryArgs, LibraryArgs, LiveArgs, OutputArgs, ReplayArgs,
    load::parse_rate,
    values::{parse_at, parse_duration, parse_name},
};

/// Flags of `compare`.
#[derive(Debug, Clone, Args)]
pub struct CompareArgs {
    /// What B is compared with: the JSON result of a load test, a recording, a kept baseline, or
    /// with --scenario the URL of a server
    #[arg(value_name = "A", requires = "b", required_unless_present_any = ["window_a"])]
    pub a: Option<PathBuf>,
    /// What is judged, likewise
    #[arg(value_name = "B")]
    pub b: Option<PathBuf>,
    /// Send the load of this scenario to both servers at once, the same requests at the same times
    #[arg(long, value_name = "SCENARIO", requires = "b", conflicts_with = "eager")]
    pub scenario: Option<String>,
    /// Send it to servers that are not on this machine: it is work for them, and may cost money
    #[arg(long, requires = "scenario")]
    pub yes: bool,
    /// Time of sending, the warm-up included [default: the scenario's]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, requires = "scenario")]
    pub duration: Option<Duration>,
    /// Requests per second to each [default: the scenario's]
    #[arg(long, value_name = "N", value_parser = parse_rate, requires = "scenario")]
    pub rate: Option<f64>,
    /// Seed of everything that is drawn by chance [default: 1]
    #[arg(long, value_name = "N", requires = "scenario")]
    pub seed: Option<u64>,
    /// The model or adapter asked of A [default: the first of /v1/models]
    #[arg(long, value_name = "NAME", requires = "scenario")]
    pub model_a: Option<String>,
    /// The model or adapter asked of B
    #[arg(long, value_name = "NAME", requires = "scenario")]
    pub model_b: Option<String>,
    /// B once more without CUDA graphs (--enforce-eager): tells whether the graphs are the reason
    #[arg(long, value_name = "C", requires = "a")]
    pub eager: Option<PathBuf>,
    /// Compare two times of one recording or history: the time of A, as FROM/TO, each RFC 3339 or
    /// e.g. -2h before the end
    #[arg(
        long, value_name = "FROM/TO", value_parser = parse_window, allow_hyphen_values = true,
        requires = "window_b", conflicts_with = "a"
    )]
    pub window_a: Option<(At, At)>,
    /// The time of B
    #[arg(
        long, value_name = "FROM/TO", value_parser = parse_window, allow_hyphen_values = true,
        requires = "window_a"
    )]
    pub window_b: Option<(At, At)>,
    /// The recording that holds both times
    #[arg(
        long, value_name = "PATH", requires = "window_a",
        conflicts_with_all = ["prometheus", "sagemaker", "cloudwatch", "mlflow", "history"]
    )]
    pub replay: Vec<PathBuf>,
    /// Sources that keep history, which hold both times.
    #[command(flatten)]
    pub history: HistoryArgs,
    /// Folder of your own runbooks and policy; later ones win
    #[arg(long, value_name = "DIR")]
    pub runbooks: Vec<PathBuf>,
    /// Format of the answer
    #[arg(long, value_name = "FORMAT", default_value = "terminal")]
    pub format: Format,
    /// Write the answer to this file, all of it or nothing [default: stdout]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Settings.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Reads `FROM/TO`.
fn parse_window(text: &str) -> Result<(At, At), String> {
    let (from, to) =
        text.split_once('/').ok_or_else(|| format!("`{text}` is not FROM/TO, e.g. -2h/-1h"))?;
    Ok((parse_at(from)?, parse_at(to)?))
}

/// Commands about baselines that are kept.
#[derive(Debug, Clone, Subcommand)]
pub enum BaselineCommand {
    /// Keep a recording, the result of a load test, or one of each
    Save(SaveArgs),
    /// List the baselines that are kept
    List,
    /// Say what a baseline holds, and where it lies
    Show {
        /// Its name.
        #[arg(value_parser = parse_name)]
        name: String,
    },
    /// Delete a baseline
    Remove {
        /// Its name.
        #[arg(value_parser = parse_name)]
        name: String,
    },
}

/// Flags of `baseline save`.
#[derive(Debug, Clone, Args)]
pub struct SaveArgs {
    /// The name to keep it under; one that is there is replaced
    #[arg(value_parser = parse_name)]
    pub name: String,
    /// A recording, the JSON result of a load test, or one of each
    #[arg(required = true, num_args = 1..=2)]
    pub paths: Vec<PathBuf>,
    /// Keep it although it is not healthy
    #[arg(long)]
    pub force: bool,
    /// Which runbooks judge it.
    #[command(flatten)]
    pub library: LibraryArgs,
}

/// Flags of `verify`.
#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// The report of the incident, as --format json wrote it
    pub report: PathBuf,
    /// When the fix was made: nothing before counts, as nothing does before the end of the report
    /// and the last restart
    #[arg(long, value_name = "TIME", value_parser = parse_at, allow_hyphen_values = true)]
    pub since: Option<At>,
    /// Watch the live server for so long, e.g. 30m after a rollback [default: 15s]
    #[arg(
        long = "for", value_name = "DURATION", value_parser = parse_duration,
        conflicts_with_all = ["replay", "window"]
    )]
    pub watch: Option<Duration>,
    /// Judge by this kept baseline [default: the healthy time of the report]
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    pub baseline: Option<String>,
    /// Recorded evidence.
    #[command(flatten)]
    pub replay: ReplayArgs,
    /// The live server.
    #[command(flatten)]
    pub live: LiveArgs,
    /// Sources that keep history.
    #[command(flatten)]
    pub history: HistoryArgs,
    /// Folder of your own runbooks and policy; later ones win
    #[arg(long, value_name = "DIR")]
    pub runbooks: Vec<PathBuf>,
    /// Output.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Settings.
    #[command(flatten)]
    pub config: ConfigArgs,
}

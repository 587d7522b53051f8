//! Flags of the commands that compare, and that look again after a fix.

use std::path::PathBuf;

use clap::Args;

use super::{At, ConfigArgs, Format, HistoryArgs, values::parse_at};

/// Flags of `compare`.
#[derive(Debug, Clone, Args)]
pub struct CompareArgs {
    /// What B is compared with: the JSON result of a load test, or a recording
    #[arg(value_name = "A", requires = "b", required_unless_present_any = ["window_a"])]
    pub a: Option<PathBuf>,
    /// What is judged, likewise
    #[arg(value_name = "B")]
    pub b: Option<PathBuf>,
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
    let (from, to) = text
        .split_once('/')
        .ok_or_else(|| format!("`{text}` is not FROM/TO, e.g. -2h/-1h"))?;
    Ok((parse_at(from)?, parse_at(to)?))
}

//! Flags of `slo`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{AnswerArgs, LibraryArgs, WatchArgs};

/// `slo`, alone or with a command.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct SloArgs {
    /// What else to do than to judge.
    #[command(subcommand)]
    pub command: Option<SloCommand>,
    /// How to judge.
    #[command(flatten)]
    pub watch: WatchArgs,
}

/// Commands about objectives.
#[derive(Debug, Clone, Subcommand)]
pub enum SloCommand {
    /// Propose thresholds from your own healthy load, as YAML for your policy
    Suggest(SuggestArgs),
}

/// Flags of `slo suggest`.
#[derive(Debug, Clone, Args)]
pub struct SuggestArgs {
    /// Healthy times: kept baselines, recordings, or JSON results of load tests
    #[arg(value_name = "NAME|PATH", required = true)]
    pub from: Vec<PathBuf>,
    /// The answer.
    #[command(flatten)]
    pub answer: AnswerArgs,
    /// Settings and runbooks.
    #[command(flatten)]
    pub library: LibraryArgs,
}

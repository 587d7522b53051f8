//! Flags that several commands share, other than those of a run.

use std::path::PathBuf;

use clap::Args;

use super::{
    BaselineOf, ConfigArgs, HistoryArgs, JudgeArgs, LiveArgs, OutputArgs, PlainFormat, ReplayArgs,
    RunArgs, values::parse_baseline,
};

/// The healthy time of a run.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Evidence")]
pub struct BaselineArgs {
    /// Length of the healthy time before, or the name of a kept baseline, to compare with [default:
    /// all that was recorded before the onset]
    #[arg(long, value_name = "DURATION|NAME", value_parser = parse_baseline)]
    pub baseline: Option<BaselineOf>,
}

/// Where a command looks that judges by rules of monitoring, or writes some.
#[derive(Debug, Clone, Default, Args)]
pub struct LookArgs {
    /// Recorded evidence.
    #[command(flatten)]
    pub replay: ReplayArgs,
    /// The live server.
    #[command(flatten)]
    pub live: LiveArgs,
    /// Sources that keep history.
    #[command(flatten)]
    pub history: HistoryArgs,
    /// Folder of your own runbooks, policy and monitoring; later ones win
    #[arg(long, value_name = "DIR")]
    pub runbooks: Vec<PathBuf>,
    /// No progress
    #[arg(long, short)]
    pub quiet: bool,
    /// Settings.
    #[command(flatten)]
    pub config: ConfigArgs,
}

impl LookArgs {
    /// The run that looks there, unless a flag is given that would do nothing.
    pub fn as_run(&self) -> anyhow::Result<RunArgs> {
        if self.live.probe.is_some() {
            anyhow::bail!(
                "--probe does nothing here: no rule of monitoring reads what it measures"
            );
        }
        if self.replay.window.is_some() && !self.replay.replay.is_empty() {
            anyhow::bail!(
                "--window does nothing here beside --replay: rules have their own windows"
            );
        }
        Ok(RunArgs {
            replay: self.replay.clone(),
            live: self.live.clone(),
            history: self.history.clone(),
            judge: JudgeArgs { runbooks: self.runbooks.clone(), ..JudgeArgs::default() },
            output: OutputArgs { quiet: self.quiet, ..OutputArgs::default() },
            config: self.config.clone(),
            ..RunArgs::default()
        })
    }
}

/// An answer that is no report.
#[derive(Debug, Clone, Default, Args)]
pub struct AnswerArgs {
    /// Format of the answer
    #[arg(long, value_name = "FORMAT", default_value = "terminal")]
    pub format: PlainFormat,
    /// Write the answer to this file, all of it or nothing [default: stdout]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

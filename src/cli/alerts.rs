//! Flags of the commands that write alert rules, or read those of the user.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::LookArgs;

/// The server that rules are for.
#[derive(Debug, Clone, Default, Args)]
pub struct RuleTargetArgs {
    /// Write for this release of vLLM, without a look at a server
    #[arg(
        long, value_name = "VERSION", help_heading = "Evidence",
        conflicts_with_all = ["replay", "url", "prometheus"]
    )]
    pub vllm_version: Option<String>,
    /// Where to look.
    #[command(flatten)]
    pub look: LookArgs,
}

impl RuleTargetArgs {
    /// Whether anything is named that can be looked at.
    pub fn names_evidence(&self) -> bool {
        let LookArgs { replay, live, history, .. } = &self.look;
        !replay.replay.is_empty()
            || live.url.is_some()
            || history.prometheus.is_some()
            || history.sagemaker.is_some()
            || history.cloudwatch
    }
}

/// Flags of `alerts render`.
#[derive(Debug, Clone, Args)]
pub struct RenderArgs {
    /// For which system
    #[arg(long, value_name = "SYSTEM")]
    pub to: RulesFor,
    /// ARN that each alarm of CloudWatch notifies (repeat for several)
    #[arg(long, value_name = "ARN")]
    pub alarm_action: Vec<String>,
    /// Write the rules to this file, all of it or nothing [default: stdout]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The server.
    #[command(flatten)]
    pub target: RuleTargetArgs,
}

/// Flags of `alerts lint`.
#[derive(Debug, Clone, Args)]
pub struct LintArgs {
    /// Rule files of Prometheus, dashboards of Grafana (JSON), alarms of CloudWatch (JSON)
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// The server.
    #[command(flatten)]
    pub target: RuleTargetArgs,
}

/// Systems that rules are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RulesFor {
    /// A file of rules for Prometheus
    Prometheus,
    /// Alarms for `aws cloudwatch put-metric-alarm --cli-input-json`, as a JSON list, and last those
    /// with an AlarmRule for `put-composite-alarm`
    Cloudwatch,
}

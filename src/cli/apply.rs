//! Flags of `alerts apply` and `dashboard apply`, which change an account of AWS.

use clap::{Args, ValueEnum};

use super::RuleTargetArgs;

/// Flags of both.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Changing")]
pub struct ApplyArgs {
    /// For which system
    #[arg(long, value_name = "SYSTEM")]
    pub to: ApplyTo,
    /// Show what would change, and change nothing: exit 1 where anything would, else 0
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,
    /// Do not ask before anything is changed, as a pipeline needs it
    #[arg(long)]
    pub yes: bool,
    /// Tell this setup from others in the same account, by the tag diagnose-scope: what is of another
    /// scope is never changed
    #[arg(long, value_name = "NAME", default_value = "default", value_parser = parse_scope)]
    pub scope: String,
}

/// Flags of `alerts apply`.
#[derive(Debug, Clone, Args)]
pub struct ApplyAlarmsArgs {
    /// How to change.
    #[command(flatten)]
    pub apply: ApplyArgs,
    /// Delete alarms of this scope that are not written any more, e.g. of an adapter that had no
    /// requests in --history
    #[arg(long, help_heading = "Changing")]
    pub prune: bool,
    /// ARN that each alarm notifies (repeat for several)
    #[arg(long, value_name = "ARN")]
    pub alarm_action: Vec<String>,
    /// The server.
    #[command(flatten)]
    pub target: RuleTargetArgs,
}

/// Flags of `dashboard apply`.
#[derive(Debug, Clone, Args)]
pub struct ApplyDashboardArgs {
    /// How to change.
    #[command(flatten)]
    pub apply: ApplyArgs,
    /// Name of the dashboard: letters, digits, - and _
    #[arg(long, value_name = "NAME", default_value = "vllm", value_parser = parse_name)]
    pub name: String,
    /// AWS account of the alarms whose states stand on top [default: none stand there]
    #[arg(long, value_name = "ACCOUNT")]
    pub account: Option<String>,
    /// The server.
    #[command(flatten)]
    pub target: RuleTargetArgs,
}

/// Systems that are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ApplyTo {
    /// CloudWatch of the account that the AWS settings on this machine lead to
    Cloudwatch,
}

/// Characters that AWS allows in the value of a tag, without spaces.
fn parse_scope(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_alphanumeric() || "_.:/=+-@".contains(c);
    match (1..=256).contains(&text.chars().count()) && text.chars().all(allowed) {
        true => Ok(text.to_owned()),
        false => Err("1 to 256 letters, digits and _.:/=+-@".into()),
    }
}

fn parse_name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match (1..=255).contains(&text.len()) && text.chars().all(allowed) {
        true => Ok(text.to_owned()),
        false => Err("1 to 255 letters, digits, - and _".into()),
    }
}

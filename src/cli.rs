//! The command line: every command and flag, exactly as typed. What they mean is in `config`.

mod alerts;
mod apply;
mod attach;
mod compare;
mod dashboards;
mod fleet;
mod gate;
mod load;
mod look;
mod slo;
mod values;

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

pub use alerts::{LintArgs, RenderArgs, RuleTargetArgs, RulesFor};
pub use apply::{ApplyAlarmsArgs, ApplyArgs, ApplyDashboardArgs, ApplyTo};
pub use attach::{Attach, AttachArgs};
pub use compare::{BaselineCommand, CompareArgs, SaveArgs, VerifyArgs};
pub use dashboards::{
    CollectorArgs, CollectorCommand, CollectorKind, DashboardArgs, DashboardBackend,
    DashboardCommand, EmfArgs,
};
pub use fleet::SweepArgs;
pub use gate::{GateArgs, WithRunbooks};
pub use load::{ArrivalsArg, LoadArgs, TrafficArgs};
pub use look::{AnswerArgs, BaselineArgs, LookArgs};
pub use slo::{SloArgs, SloCommand, SuggestArgs};
pub use values::{
    At, BaselineOf, FailOn, Format, PlainFormat, SchemaOf, Source, parse_duration, parse_name,
    parse_size,
};
use values::{parse_at, parse_chars, parse_share};

use crate::{exit, runbook::load as runbooks};

/// Incident diagnostics for self-hosted vLLM: evidence in, ranked causes out.
#[derive(Debug, Parser)]
#[command(
    name = "diagnose",
    version,
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = exit::help_table(),
)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// All commands but the runbooks, which are data.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Judge everything: all checks, ranked over all causes. The gate for deploys and cron
    Sweep(Box<SweepArgs>),
    /// Record the evidence into a bundle, to be judged elsewhere or later
    Collect(Box<CollectArgs>),
    /// Show where prompts part: the first byte that differs, the volatile field there, the KV
    /// blocks lost
    PrefixDiff(PrefixDiffArgs),
    /// Judge the service level objectives: budget left, burn rates, and which tiers fire; or have
    /// thresholds proposed
    Slo(Box<SloArgs>),
    /// Check the alert rules, see when they would have fired, write them for Prometheus or
    /// CloudWatch, put them there, or look for mistakes in your own
    #[command(subcommand)]
    Alerts(AlertsCommand),
    /// See whether a fix worked: fixed, not fixed, too early, or not to be told
    Verify(Box<VerifyArgs>),
    /// Keep evidence of healthy times, to compare with later
    #[command(subcommand)]
    Baseline(BaselineCommand),
    /// Compare two releases, servers or times: what differs, how surely, and whether it is fair
    Compare(Box<CompareArgs>),
    /// Write the dashboard for Grafana or CloudWatch, or put it there
    #[command(subcommand)]
    Dashboard(DashboardCommand),
    /// Collect what is watched: configurations of collectors, and the gateway's metrics
    #[command(subcommand)]
    Collector(CollectorCommand),
    /// Send the load of a scenario, gate on what came back, and say why it was not good enough
    Load(Box<LoadArgs>),
    /// Score the verdicts on labelled recordings, beside two naive judges
    Eval(EvalArgs),
    /// Explain any id, with an example: signal, check, cause, runbook, threshold, alert, exit code …
    Explain(ExplainArgs),
    /// List, show, lint or test runbooks
    #[command(subcommand)]
    Runbook(RunbookCommand),
    /// Look at the settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the completion script of a shell
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page (roff), or write one for every command
    Man {
        /// Write a page for each command into this folder, e.g. ~/.local/share/man/man1
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Print a JSON Schema: of the report, or of runbook and settings files for editors
    Schema {
        /// What to describe.
        of: SchemaOf,
    },
    /// Write or check the generated parts of the repository
    #[command(hide = true)]
    Generate(GenerateArgs),
    /// Ask the GPU driver once; the program calls itself so
    #[command(name = "__nvml", hide = true)]
    AskDriver {
        /// The library.
        #[arg(long, value_name = "FILE")]
        library: Option<PathBuf>,
    },
    /// A runbook of the user's own directory.
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

/// What was asked for.
#[derive(Debug)]
pub enum Invocation {
    /// `diagnose <runbook>`.
    Diagnose(String, Box<RunArgs>),
    /// Any other command.
    Command(Command),
}

/// The whole command line: the fixed commands and one per embedded runbook.
pub fn command() -> clap::Command {
    let runbooks =
        runbooks::embedded_titles().into_iter().map(|(id, title)| runbook_command(id, title));
    WITHOUT_PROBE
        .iter()
        .fold(Cli::command(), |all, path| hide_probe(all, path))
        .subcommands(runbooks)
}

/// Commands that refuse `--probe`, which would tell them nothing.
const WITHOUT_PROBE: [&[&str]; 10] = [
    &["load"],
    &["slo"],
    &["alerts", "check"],
    &["alerts", "backtest"],
    &["alerts", "render"],
    &["alerts", "lint"],
    &["alerts", "apply"],
    &["dashboard", "render"],
    &["dashboard", "apply"],
    &["collector", "render"],
];

fn hide_probe(command: clap::Command, path: &[&str]) -> clap::Command {
    match path {
        [] => command.mut_arg("probe", |probe| probe.hide(true)),
        [first, rest @ ..] => command.mut_subcommand(*first, |inner| hide_probe(inner, rest)),
    }
}

fn runbook_command(id: &str, title: &str) -> clap::Command {
    let about = format!("Diagnose: {title}");
    RunArgs::augment_args(clap::Command::new(id.to_owned())).about(about).display_order(0)
}

/// Reads the command line.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Invocation, clap::Error> {
    let matches = command().try_get_matches_from(args)?;
    if let Some((id, inner)) = matches.subcommand()
        && runbooks::embedded_titles().iter().any(|(known, _)| *known == id)
    {
        return Ok(Invocation::Diagnose(
            id.to_owned(),
            Box::new(RunArgs::from_arg_matches(inner)?),
        ));
    }
    match Cli::from_arg_matches(&matches)?.command {
        Command::Other(words) => parse_user_runbook(&words),
        command => Ok(Invocation::Command(command)),
    }
}

fn parse_user_runbook(words: &[OsString]) -> Result<Invocation, clap::Error> {
    let id = words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    let command = clap::Command::new(id.clone()).bin_name(format!("diagnose {id}"));
    let matches = RunArgs::augment_args(command).try_get_matches_from(words)?;
    Ok(Invocation::Diagnose(id, Box::new(RunArgs::from_arg_matches(&matches)?)))
}

/// Flags of every command that judges.
#[derive(Debug, Clone, Default, Args)]
pub struct RunArgs {
    /// Recorded evidence.
    #[command(flatten)]
    pub replay: ReplayArgs,
    /// What it is compared with.
    #[command(flatten)]
    pub healthy: BaselineArgs,
    /// The live server.
    #[command(flatten)]
    pub live: LiveArgs,
    /// Sources that keep history.
    #[command(flatten)]
    pub history: HistoryArgs,
    /// Judgement.
    #[command(flatten)]
    pub judge: JudgeArgs,
    /// When to judge, and what to keep.
    #[command(flatten)]
    pub gate: GateArgs,
    /// Output.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Tickets.
    #[command(flatten)]
    pub attach: AttachArgs,
    /// Settings.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Flags about recorded evidence and the time judged.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Evidence")]
pub struct ReplayArgs {
    /// Judge recorded evidence instead of a live server: a bundle directory, a .tar.zst, a folder
    /// that holds capture/, or saved /metrics pages (repeat the flag for several)
    #[arg(
        long, value_name = "PATH",
        conflicts_with_all = [
            "url", "probe", "timeout", "ca", "insecure", "adapter_dir", "redact_addresses",
            "host_root", "nvml_library", "prometheus", "sagemaker", "cloudwatch", "mlflow", "history"
        ]
    )]
    pub replay: Vec<PathBuf>,
    /// End of the time judged: RFC 3339, or e.g. -10m before the end of the recording or before now
    /// [default: its end, or now]
    #[arg(long, value_name = "TIME", value_parser = parse_at, allow_hyphen_values = true)]
    pub at: Option<At>,
    /// Time judged, e.g. 15s or 1h30m. Live without history: how long to sample [default: 15s live;
    /// since the onset in a recording or with history]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub window: Option<Duration>,
}

/// Flags about the live server.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Live server")]
pub struct LiveArgs {
    /// Base URL of the vLLM server [default: found on this host]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Deadline of each request to the server, and of the GPU driver [default: 5s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub timeout: Option<Duration>,
    /// Send N tiny streamed completions, 1 to 3, to measure what network and proxy cost [default:
    /// none; 3 without N]
    #[arg(
        long, value_name = "N", num_args = 0..=1, default_missing_value = "3",
        value_parser = clap::value_parser!(u8).range(1..=3)
    )]
    pub probe: Option<u8>,
    /// Bearer token of the server; other processes can read flags, so prefer the variable
    /// [env: DIAGNOSE_API_KEY, then VLLM_API_KEY]
    #[arg(long, value_name = "KEY")]
    pub api_key: Option<String>,
    /// Trust the certificates in this PEM file too
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Do not verify the server's certificate
    #[arg(long)]
    pub insecure: bool,
    /// Folder that holds LoRA adapters, one in each subfolder: their rank and size are recorded
    /// (repeat the flag for several)
    #[arg(long, value_name = "DIR")]
    pub adapter_dir: Vec<PathBuf>,
    /// The server's log, packed by gzip or not, as written, by a container runtime or as JSON; - is
    /// standard input. Only the time judged and an hour before are read (repeat for several)
    #[arg(long, value_name = "FILE")]
    pub log: Vec<PathBuf>,
    /// Read the server's log from journald, of this systemd unit
    #[arg(long, value_name = "UNIT")]
    pub journal_unit: Option<String>,
    /// What `kubectl get pods,events -o json` printed; - is standard input
    #[arg(long, value_name = "FILE")]
    pub kube: Option<PathBuf>,
    /// Replace IP addresses in the recording too; secrets, e-mail addresses, prompts and answers
    /// always are
    #[arg(long)]
    pub redact_addresses: bool,
    /// The kernel's log as `journalctl -k -o short-iso` or `dmesg` prints it [default: that of this
    /// machine, where the server runs on it]
    #[arg(long, value_name = "FILE")]
    pub kernel_log: Option<PathBuf>,
    /// Records of the gateway before the server: JSON lines, whose fields diagnose.toml may name, or
    /// an access log in combined format. Only the time judged and an hour before are read
    #[arg(long, value_name = "FILE")]
    pub gateway: Option<PathBuf>,
    /// Read /proc and /sys of the server's machine under this folder
    #[arg(long, value_name = "DIR", hide = true)]
    pub host_root: Option<PathBuf>,
    /// NVIDIA's management library, where it is not in the usual place [default:
    /// libnvidia-ml.so.1]
    #[arg(long, value_name = "FILE")]
    pub nvml_library: Option<PathBuf>,
    /// Largest body or file read, e.g. 64MiB [default: 64MiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub max_body: Option<u64>,
    /// Use only these sources (repeat, or separate by commas)
    #[arg(long, value_name = "SOURCE", value_delimiter = ',', conflicts_with = "skip")]
    pub only: Vec<Source>,
    /// Leave these sources out
    #[arg(long, value_name = "SOURCE", value_delimiter = ',')]
    pub skip: Vec<Source>,
}

/// Flags about sources that keep history. The rest of their settings stands in diagnose.toml.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "History")]
pub struct HistoryArgs {
    /// Prometheus, or another server with its HTTP API, such as Thanos, Mimir or VictoriaMetrics
    /// [bearer token: DIAGNOSE_PROMETHEUS_TOKEN]
    #[arg(long, value_name = "URL")]
    pub prometheus: Option<String>,
    /// Labels that the server's series have there, e.g. 'job="vllm",model_name="qwen"' [default: all
    /// series of vLLM]
    #[arg(long, value_name = "LABELS")]
    pub selector: Option<String>,
    /// SageMaker endpoint: its state, scaling, logs and metrics
    #[arg(long, value_name = "ENDPOINT")]
    pub sagemaker: Option<String>,
    /// AWS region [default: that of the AWS settings on this machine]
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// Read the gateway's metrics and alarms in CloudWatch [default: with --sagemaker]
    #[arg(long)]
    pub cloudwatch: bool,
    /// MLflow tracking server that holds the traces [env: DIAGNOSE_MLFLOW_TOKEN, then
    /// MLFLOW_TRACKING_TOKEN, _USERNAME and _PASSWORD]
    #[arg(long, value_name = "URL")]
    pub mlflow: Option<String>,
    /// Experiment of MLflow, by name or id (repeat for several) [default: all]
    #[arg(long, value_name = "EXPERIMENT")]
    pub experiment: Vec<String>,
    /// How far back these sources are asked [default: 1h]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub history: Option<Duration>,
}

/// Flags about judgement.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Judgement")]
pub struct JudgeArgs {
    /// Exit 1 on a finding of this severity or worse [default: critical; warning for sweep]
    #[arg(long, value_name = "SEVERITY")]
    pub fail_on: Option<FailOn>,
    /// Exit 3 where fewer of the checks asked could be answered, 0 to 1 [default: 0.5]
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    pub min_coverage: Option<f64>,
    /// Folder of your own runbooks, checks, causes and policy; later ones win
    #[arg(long, value_name = "DIR")]
    pub runbooks: Vec<PathBuf>,
    /// Keep the evidence as the baseline of this name, where the verdict is healthy
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    pub save_baseline: Option<String>,
    /// Keep it whatever the verdict
    #[arg(long, requires = "save_baseline")]
    pub force_baseline: bool,
}

/// Flags about the output.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Format of the report [default: terminal]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// Write the report to this file, all of it or nothing [default: stdout]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Show everything that was read and asked
    #[arg(long, short, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Show the verdict only, and no progress
    #[arg(long, short)]
    pub quiet: bool,
    /// No colour [default: colour on a terminal, unless NO_COLOR is set]
    #[arg(long)]
    pub no_color: bool,
}

/// Where settings come from.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Settings")]
pub struct ConfigArgs {
    /// Settings file [default: ./diagnose.toml, then ~/.config/diagnose/diagnose.toml]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Lay the table [profile.NAME] of the settings file over the rest of it [env:
    /// DIAGNOSE_PROFILE]
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
}

/// Flags of `collect`.
#[derive(Debug, Clone, Args)]
pub struct CollectArgs {
    /// How long to sample [default: 15s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub duration: Option<Duration>,
    /// Where to write the bundle: a new directory, or a file ending in .tar.zst
    #[arg(long, short, value_name = "PATH")]
    pub output: PathBuf,
    /// No progress
    #[arg(long, short)]
    pub quiet: bool,
    /// The live server.
    #[command(flatten)]
    pub live: LiveArgs,
    /// Sources that keep history.
    #[command(flatten)]
    pub history: HistoryArgs,
    /// Settings.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Flags of commands that watch objectives and alerts.
#[derive(Debug, Clone, Default, Args)]
pub struct WatchArgs {
    /// Ids of what is looked at [default: all]
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// Where to look.
    #[command(flatten)]
    pub look: LookArgs,
    /// The answer.
    #[command(flatten)]
    pub answer: AnswerArgs,
}

/// Commands about alerts.
#[derive(Debug, Clone, Subcommand)]
pub enum AlertsCommand {
    /// What each alert says now, or at --at: firing, pending, quiet or not decidable
    Check(Box<WatchArgs>),
    /// When each alert would have fired over all of the history
    Backtest(Box<WatchArgs>),
    /// Write all alerts, objectives and burn rates as rules, under the names the server exports
    Render(Box<RenderArgs>),
    /// Put the same alarms into CloudWatch: shows what would change, asks, and changes only what it
    /// made itself
    Apply(Box<ApplyAlarmsArgs>),
    /// Compare your own rules and dashboards with what the server exports; exit 1 on any mistake
    Lint(Box<LintArgs>),
    /// Run the runbook that a page asks for: the body of an Alertmanager's webhook, or an alarm of
    /// CloudWatch
    Handle(Box<HandleArgs>),
    /// Wait for an Alertmanager's webhooks and handle each; needs a token in DIAGNOSE_RECEIVE_TOKEN
    Receive(ReceiveArgs),
}

/// Flags of `alerts handle`.
#[derive(Debug, Clone, Args)]
pub struct HandleArgs {
    /// File with the page; - is standard input
    pub page: PathBuf,
    /// How to judge.
    #[command(flatten)]
    pub run: RunArgs,
}

/// Flags of `alerts receive`.
#[derive(Debug, Clone, Args)]
pub struct ReceiveArgs {
    /// Address to listen on; webhooks are posted to http://ADDRESS/alerts with the token as bearer
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9099")]
    pub listen: std::net::SocketAddr,
    /// Give each report to this shell command on its standard input [default: stdout]
    #[arg(long, value_name = "COMMAND")]
    pub on_report: Option<String>,
    /// Longest time for one report
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "5m")]
    pub deadline: Duration,
    /// Flags for `alerts handle`, after --
    #[arg(last = true, value_name = "FLAGS")]
    pub flags: Vec<OsString>,
}

/// Flags of `eval`.
#[derive(Debug, Clone, Args)]
pub struct EvalArgs {
    /// Folders with labelled recordings: a label.json beside a capture/ or a capture.tar.zst, at
    /// most two folders deep
    #[arg(value_name = "DIR", required = true)]
    pub folders: Vec<PathBuf>,
    /// The score.
    #[command(flatten)]
    pub answer: AnswerArgs,
    /// Which runbooks.
    #[command(flatten)]
    pub library: LibraryArgs,
}

/// Flags of `explain`.
#[derive(Debug, Clone, Args)]
pub struct ExplainArgs {
    /// Any id that a report, a rule or a runbook names; `xid 79`; an exit code; or a kind, such as
    /// `signals`, whose ids are listed [default: the kinds]
    #[arg(num_args = 1..=2)]
    pub id: Vec<String>,
    /// Where to look.
    #[command(flatten)]
    pub library: LibraryArgs,
}

/// Flags of `prefix-diff`.
#[derive(Debug, Clone, Args)]
pub struct PrefixDiffArgs {
    /// A prompt: plain text, a JSON body (tools, which templates put first, then messages), or
    /// JSON lines of bodies or of records around them; - is stdin. Alone: a file of many requests
    pub old: PathBuf,
    /// The prompt to compare it with
    pub new: Option<PathBuf>,
    /// Tokens of a KV block; the server's own is block_size of vllm:cache_config_info
    #[arg(
        long, value_name = "N", default_value_t = 16,
        value_parser = clap::value_parser!(u32).range(1..=1_048_576)
    )]
    pub block_size: u32,
    /// Characters of a token, roughly; tokens are an interval of a quarter to both sides
    #[arg(long, value_name = "X", default_value_t = 4.0, value_parser = parse_chars)]
    pub chars_per_token: f64,
    /// Format of the answer [default: terminal]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<PlainFormat>,
    /// Write the answer to this file, all of it or nothing [default: stdout]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Which runbooks.
#[derive(Debug, Clone, Default, Args)]
pub struct LibraryArgs {
    /// Folder of your own runbooks, checks, causes and policy; later ones win
    #[arg(long, value_name = "DIR")]
    pub runbooks: Vec<PathBuf>,
    /// Settings.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Commands about runbooks.
#[derive(Debug, Clone, Subcommand)]
pub enum RunbookCommand {
    /// List the runbooks
    List(LibraryArgs),
    /// Print a runbook's tree: questions, answers, and where each leads
    Show {
        /// The runbook.
        id: String,
        /// Where to look.
        #[command(flatten)]
        library: LibraryArgs,
    },
    /// Check runbooks, checks, causes and policy for mistakes; exit 1 where there are any
    Lint(LibraryArgs),
    /// Run the tests inside the runbooks; exit 1 where one fails
    Test {
        /// Only this runbook [default: all].
        id: Option<String>,
        /// Where to look.
        #[command(flatten)]
        library: LibraryArgs,
    },
}

/// Commands about settings.
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigCommand {
    /// Print the settings that are in force and where each comes from, and try every source: exit 3
    /// where one that is set does not answer
    Check(Box<CheckArgs>),
}

/// Flags of `config check`.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// Print the settings only, and ask nobody
    #[arg(long)]
    pub offline: bool,
    /// Flags of a run, as they would be in force.
    #[command(flatten)]
    pub run: RunArgs,
}

/// Flags of `generate`.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub struct GenerateArgs {
    /// Exit 1 where a generated part is stale
    #[arg(long)]
    pub check: bool,
    /// Write the generated parts
    #[arg(long)]
    pub write: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runbook::lint;

    fn parsed(line: &str) -> Result<Invocation, clap::Error> {
        parse(line.split(' ').map(OsString::from))
    }

    #[test]
    fn the_definition_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn no_runbook_may_have_the_name_of_a_command() {
        for subcommand in Cli::command().get_subcommands() {
            assert!(lint::RESERVED.contains(&subcommand.get_name()), "{}", subcommand.get_name());
        }
    }

    #[test]
    fn every_flag_says_what_it_does() {
        for subcommand in command().get_subcommands() {
            for arg in subcommand.get_arguments() {
                assert!(arg.get_help().is_some(), "{} {}", subcommand.get_name(), arg.get_id());
            }
        }
    }

    #[test]
    fn embedded_and_unknown_runbooks_take_the_same_flags() {
        for id in ["high-ttft", "my-own"] {
            let Ok(Invocation::Diagnose(name, args)) =
                parsed(&format!("diagnose {id} --replay x --window 1h30m"))
            else {
                panic!("{id} was not read as a runbook")
            };
            assert_eq!(name, id);
            assert_eq!(args.replay.window, Some(Duration::from_secs(5400)));
        }
    }

    #[test]
    fn flags_that_would_do_nothing_are_refused() {
        assert!(parsed("diagnose sweep --replay x --url http://y").is_err());
        assert!(parsed("diagnose sweep --only metrics --skip log").is_err());
    }
}

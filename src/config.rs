//! Settings: what flags, environment and diagnose.toml mean together. Flags win over the
//! environment, the environment over a profile, and a profile over the rest of the file. Nothing
//! else reads either.

mod history;
mod layers;
mod tickets;
mod waive;

use std::{
    collections::BTreeMap,
    fmt,
    io::IsTerminal,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::bail;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de::Error};

pub use history::{AwsSettings, HistorySettings, MlflowLogin, MlflowSettings, PrometheusSettings};
use layers::Given;
pub use layers::{Origin, Origins};
pub use tickets::TicketLogins;
pub use waive::Waiver;

use crate::{
    cli::{
        At, Attach, BaselineOf, ConfigArgs, FailOn, Format, HistoryArgs, LiveArgs, RunArgs, Source,
        WithRunbooks, parse_duration, parse_name, parse_size,
    },
    runbook::Severity,
};

/// What is in force.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Recordings to judge; empty for a live server.
    pub replay: Vec<PathBuf>,
    /// End of the time judged.
    pub at: Option<At>,
    /// Time judged, or sampled.
    pub window: Option<Duration>,
    /// What the time judged is compared with.
    pub baseline: Option<BaselineOf>,
    /// Name of a kept baseline, used where there is nothing else to compare with.
    pub fallback_baseline: Option<String>,
    /// Name to keep the evidence under, and whether that is wanted whatever the verdict.
    pub save_baseline: Option<(String, bool)>,
    /// Where baselines are kept.
    pub state_home: Option<PathBuf>,
    /// How to reach the server, and what to ask.
    pub live: LiveSettings,
    /// Sources that keep history.
    pub history: HistorySettings,
    /// Severity at which the gate closes; the command has its own default.
    pub fail_on: Option<Severity>,
    /// Least share of the checks asked that must be answered; else that of a sealed recording, or
    /// [`MIN_COVERAGE`].
    pub min_coverage: Option<f64>,
    /// The user's directories, in order of loading.
    pub runbook_dirs: Vec<PathBuf>,
    /// By which runbooks a sealed recording is judged.
    pub with_runbooks: WithRunbooks,
    /// Findings that somebody answers for until a day.
    pub waivers: Vec<Waiver>,
    /// How long to wait for a server that is being deployed.
    pub wait: Option<Duration>,
    /// How long until the next look; `None` for one look.
    pub watch: Option<Duration>,
    /// Where to keep the sealed bundle.
    pub bundle: Option<PathBuf>,
    /// Where the report goes besides.
    pub attach: Vec<Attach>,
    /// Whether to say only what would be sent there.
    pub attach_dry_run: bool,
    /// Who writes into tickets.
    pub tickets: TicketLogins,
    /// Format of the report.
    pub format: Format,
    /// File for the report.
    pub output: Option<PathBuf>,
    /// 0 for one screen, more for everything.
    pub verbose: u8,
    /// The verdict only.
    pub quiet: bool,
    /// Colour on stdout.
    pub color: bool,
    /// Columns of the screen.
    pub width: usize,
    /// The settings file that was read.
    pub file: Option<PathBuf>,
    /// The profile of it that is in force.
    pub profile: Option<String>,
    /// Who set what, flags left out.
    pub origins: Origins,
}

/// How to reach the server, and what to ask of it.
#[derive(Debug, Clone)]
pub struct LiveSettings {
    /// Base URL; `None` to look for one.
    pub url: Option<String>,
    /// Deadline of each request.
    pub timeout: Duration,
    /// Completions to send.
    pub probe: Option<u8>,
    /// Bearer token.
    pub api_key: Option<Secret>,
    /// Extra certificates.
    pub ca: Option<PathBuf>,
    /// Whether certificates go unverified.
    pub insecure: bool,
    /// Folders that hold adapters.
    pub adapter_dirs: Vec<PathBuf>,
    /// Files that hold the server's log; `-` is standard input.
    pub logs: Vec<PathBuf>,
    /// Unit of systemd whose journal is the server's log.
    pub journal_unit: Option<String>,
    /// File with what kubectl printed; `-` is standard input.
    pub kube: Option<PathBuf>,
    /// Whether IP addresses are hidden too.
    pub redact_addresses: bool,
    /// The kernel's log; `None` for that of this machine.
    pub kernel_log: Option<PathBuf>,
    /// File with the gateway's records.
    pub gateway: Option<PathBuf>,
    /// Names of their fields, by what they mean.
    pub gateway_fields: BTreeMap<String, String>,
    /// Root of the machine that the server runs on; `None` for this one.
    pub host_root: Option<PathBuf>,
    /// NVIDIA's management library.
    pub nvml_library: Option<PathBuf>,
    /// Largest body or file, bytes.
    pub max_body: u64,
    /// Sources to use.
    pub sources: Vec<Source>,
}

/// Share of the checks asked that must be answered, unless set otherwise.
pub const MIN_COVERAGE: f64 = 0.5;

/// A text that no log and no error shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// diagnose.toml. Every key has a flag of the same name, which wins over it.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FileConfig {
    /// Base URL of the server.
    pub url: Option<String>,
    /// Deadline of each request, e.g. `5s`.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "Option<String>")]
    pub timeout: Option<Duration>,
    /// How long to sample a live server, e.g. `15s`.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "Option<String>")]
    pub window: Option<Duration>,
    /// PEM file of extra certificates.
    pub ca: Option<PathBuf>,
    /// Do not verify certificates.
    pub insecure: bool,
    /// Folders that hold LoRA adapters, relative to the file.
    pub adapter_dir: Vec<PathBuf>,
    /// Files that hold the server's log, relative to the file.
    pub log: Vec<PathBuf>,
    /// Unit of systemd whose journal is the server's log.
    pub journal_unit: Option<String>,
    /// Hide IP addresses in recordings.
    pub redact_addresses: bool,
    /// File with the kernel's log.
    pub kernel_log: Option<PathBuf>,
    /// File with the gateway's records, relative to the file.
    pub gateway: Option<PathBuf>,
    /// Names of the fields in the gateway's JSON lines, where they are others.
    pub gateway_fields: BTreeMap<String, String>,
    /// NVIDIA's management library, where it is not in the usual place.
    pub nvml_library: Option<PathBuf>,
    /// Largest body or file read, e.g. `64MiB`.
    #[serde(deserialize_with = "size")]
    #[schemars(with = "Option<String>")]
    pub max_body: Option<u64>,
    /// Sources to leave out.
    pub skip: Vec<Source>,
    /// Severity at which the exit code is 1.
    pub fail_on: Option<FailOn>,
    /// Least share of checks answered, 0 to 1.
    #[serde(deserialize_with = "share")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_coverage: Option<f64>,
    /// Folders of own runbooks, relative to the file.
    pub runbooks: Vec<PathBuf>,
    /// Findings that do not close the gate until a day, because somebody answers for them.
    pub waive: Vec<Waiver>,
    /// Name of a kept baseline to compare with, where neither recording nor history holds a
    /// healthy time before.
    #[serde(deserialize_with = "name")]
    pub baseline: Option<String>,
    /// Format of the report.
    pub format: Option<Format>,
    /// How far back sources of history are asked, e.g. `1h`.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "Option<String>")]
    pub history: Option<Duration>,
    /// Prometheus.
    pub prometheus: PrometheusSettings,
    /// AWS.
    pub aws: AwsSettings,
    /// MLflow.
    pub mlflow: MlflowSettings,
    /// Named sets of these keys, laid over the rest by `--profile NAME` or `DIAGNOSE_PROFILE`.
    pub profile: BTreeMap<String, Self>,
}

/// The environment, read once.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `DIAGNOSE_API_KEY`, else `VLLM_API_KEY`.
    pub api_key: Option<Secret>,
    /// `DIAGNOSE_PROMETHEUS_TOKEN`.
    pub prometheus_token: Option<Secret>,
    /// `DIAGNOSE_MLFLOW_TOKEN`, else what MLflow's own programs read.
    pub mlflow: MlflowLogin,
    /// `DIAGNOSE_RECEIVE_TOKEN`: what an Alertmanager must send.
    pub receive_token: Option<Secret>,
    /// What trackers of tickets want.
    pub tickets: TicketLogins,
    /// `NO_COLOR` is set and not empty.
    pub no_color: bool,
    /// `XDG_CONFIG_HOME`, else `~/.config`.
    pub config_home: Option<PathBuf>,
    /// `XDG_STATE_HOME`, else `~/.local/state`.
    pub state_home: Option<PathBuf>,
    /// `COLUMNS`, else those of the terminal.
    pub columns: Option<usize>,
    /// Whether stdout is a terminal.
    pub terminal: bool,
    /// `DIAGNOSE_PROFILE`.
    pub profile: Option<String>,
    /// `DIAGNOSE_*`, as far as they are meant to be keys of the settings file.
    pub settings: BTreeMap<String, String>,
}

impl Environment {
    /// Reads it.
    #[expect(clippy::disallowed_methods, reason = "the only reader of the environment")]
    pub fn read() -> Self {
        let var = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let home = |folder: &str| var("HOME").map(|home| PathBuf::from(home).join(folder));
        Self {
            api_key: var("DIAGNOSE_API_KEY").or_else(|| var("VLLM_API_KEY")).map(Secret),
            prometheus_token: var("DIAGNOSE_PROMETHEUS_TOKEN").map(Secret),
            mlflow: MlflowLogin {
                token: var("DIAGNOSE_MLFLOW_TOKEN")
                    .or_else(|| var("MLFLOW_TRACKING_TOKEN"))
                    .map(Secret),
                user: var("MLFLOW_TRACKING_USERNAME"),
                password: var("MLFLOW_TRACKING_PASSWORD").map(Secret),
            },
            receive_token: var("DIAGNOSE_RECEIVE_TOKEN").map(Secret),
            tickets: TicketLogins::read(var),
            no_color: var("NO_COLOR").is_some(),
            config_home: var("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| home(".config")),
            state_home: var("XDG_STATE_HOME").map(PathBuf::from).or_else(|| home(".local/state")),
            columns: var("COLUMNS").and_then(|text| text.parse().ok()).or_else(terminal_columns),
            terminal: std::io::stdout().is_terminal(),
            profile: var(layers::PROFILE),
            settings: std::env::vars_os()
                .filter_map(|(name, text)| Some((name.into_string().ok()?, text)))
                .filter(|(name, text)| name.starts_with(layers::PREFIX) && !text.is_empty())
                .filter(|(name, _)| !layers::OTHERS.contains(&name.as_str()))
                .map(|(name, text)| (name, text.to_string_lossy().into_owned()))
                .collect(),
        }
    }

    /// Whether stdout takes colour.
    pub fn color(&self) -> bool {
        self.terminal && !self.no_color
    }

    fn own_dir(&self) -> Option<PathBuf> {
        self.config_home.as_ref().map(|home| home.join("diagnose"))
    }
}

fn terminal_columns() -> Option<usize> {
    terminal_size::terminal_size().map(|(width, _)| usize::from(width.0))
}

/// Settings of a command that judges.
pub fn settings(args: &RunArgs, env: &Environment) -> anyhow::Result<Settings> {
    let Given { path, profile, mut file, origins } = layers::read(&args.config, env)?;
    if !args.replay.replay.is_empty() {
        // What this host logs says nothing of a recording.
        (file.log, file.journal_unit) = (Vec::new(), None);
        file.gateway = None;
        forget_history(&mut file);
    }
    let live = live_settings(&args.live, path.as_deref(), &file, env)?;
    let runbook_dirs = runbook_dirs(&args.judge.runbooks, path.as_deref(), &file, env);
    let known = history::Given {
        path: path.as_deref(),
        file: &file,
        env,
        sources: &live.sources,
        runbook_dirs: &runbook_dirs,
    };
    let history = history::history(&args.history, args.replay.at, &known)?;
    if args.replay.replay.is_empty() && !history.is_asked() {
        needs_history(args)?;
    }
    let window = file.window;
    let output = &args.output;
    Ok(Settings {
        replay: args.replay.replay.clone(),
        at: args.replay.at,
        window: args.replay.window.or(if args.replay.replay.is_empty() { window } else { None }),
        baseline: args.healthy.baseline.clone(),
        fallback_baseline: file.baseline.clone(),
        save_baseline: args.judge.save_baseline.clone().map(|it| (it, args.judge.force_baseline)),
        state_home: env.state_home.clone(),
        live,
        history,
        fail_on: args.judge.fail_on.or(file.fail_on).map(Into::into),
        min_coverage: args.judge.min_coverage.or(file.min_coverage),
        with_runbooks: with_runbooks(args)?,
        waivers: file.waive.clone(),
        wait: args.gate.wait,
        watch: args.gate.watch,
        bundle: args.gate.bundle.clone(),
        runbook_dirs,
        attach: args.attach.attach.clone(),
        attach_dry_run: args.attach.attach_dry_run,
        tickets: env.tickets.clone(),
        format: output.format.or(file.format).unwrap_or(Format::Terminal),
        output: output.output.clone(),
        verbose: output.verbose,
        quiet: output.quiet,
        color: env.color() && !output.no_color && output.output.is_none(),
        width: env.columns.unwrap_or(80).clamp(40, 200),
        file: path,
        profile,
        origins,
    })
}

/// Runbooks of the command line and those of a sealed recording cannot both judge.
fn with_runbooks(args: &RunArgs) -> anyhow::Result<WithRunbooks> {
    let given = args.gate.with_runbooks;
    if given == Some(WithRunbooks::Sealed) && !args.judge.runbooks.is_empty() {
        bail!("--runbooks has no effect with --with-runbooks sealed: give one of them");
    }
    let own = !args.judge.runbooks.is_empty();
    Ok(given.unwrap_or(if own { WithRunbooks::Current } else { WithRunbooks::Sealed }))
}

/// A recording holds its own history.
fn forget_history(file: &mut FileConfig) {
    (file.prometheus, file.aws) = (PrometheusSettings::default(), AwsSettings::default());
    (file.mlflow, file.history) = (MlflowSettings::default(), None);
}

/// The past of a live server can be judged only where somebody kept it.
fn needs_history(args: &RunArgs) -> anyhow::Result<()> {
    let before = matches!(args.healthy.baseline, Some(BaselineOf::Before(_)));
    for (given, flag) in [(args.replay.at.is_some(), "--at"), (before, "--baseline")] {
        if given {
            bail!("{flag} needs a recording (--replay) or a source of history (--prometheus URL)");
        }
    }
    Ok(())
}

/// Settings of `collect`.
pub fn live(
    args: &LiveArgs,
    history: &HistoryArgs,
    config: &ConfigArgs,
    env: &Environment,
) -> anyhow::Result<(LiveSettings, HistorySettings, Option<Duration>)> {
    let Given { path, file, .. } = layers::read(config, env)?;
    let live = live_settings(args, path.as_deref(), &file, env)?;
    let known = history::Given {
        path: path.as_deref(),
        file: &file,
        env,
        sources: &live.sources,
        runbook_dirs: &runbook_dirs(&[], path.as_deref(), &file, env),
    };
    let history = history::history(history, None, &known)?;
    Ok((live, history, file.window))
}

/// Directories of the user's runbooks: `~/.config/diagnose`, the file's, the flags'.
pub fn directories(
    flags: &[PathBuf],
    config: &ConfigArgs,
    env: &Environment,
) -> anyhow::Result<Vec<PathBuf>> {
    let Given { path, file, .. } = layers::read(config, env)?;
    Ok(runbook_dirs(flags, path.as_deref(), &file, env))
}

/// What the settings file says of the gateway: AWS with the names of its metrics there, and the
/// names of the fields of its records.
pub fn gateway(
    config: &ConfigArgs,
    env: &Environment,
) -> anyhow::Result<(AwsSettings, BTreeMap<String, String>)> {
    let Given { file, .. } = layers::read(config, env)?;
    Ok((file.aws, file.gateway_fields))
}

fn runbook_dirs(
    flags: &[PathBuf],
    path: Option<&Path>,
    file: &FileConfig,
    env: &Environment,
) -> Vec<PathBuf> {
    let own = env.own_dir().filter(|dir| dir.is_dir());
    let listed = beside(path, &file.runbooks);
    own.into_iter().chain(listed).chain(flags.iter().cloned()).collect()
}

/// Folders named in the settings file, relative to it.
fn beside(file: Option<&Path>, dirs: &[PathBuf]) -> Vec<PathBuf> {
    let folder = file.and_then(Path::parent).unwrap_or(Path::new(""));
    dirs.iter().map(|dir| folder.join(dir)).collect()
}

fn live_settings(
    args: &LiveArgs,
    path: Option<&Path>,
    file: &FileConfig,
    env: &Environment,
) -> anyhow::Result<LiveSettings> {
    Ok(LiveSettings {
        url: args.url.clone().or_else(|| file.url.clone()),
        timeout: args.timeout.or(file.timeout).unwrap_or(Duration::from_secs(5)),
        probe: args.probe,
        api_key: args.api_key.clone().map(Secret).or_else(|| env.api_key.clone()),
        ca: args.ca.clone().or_else(|| file.ca.clone()),
        insecure: args.insecure || file.insecure,
        adapter_dirs: beside(path, &file.adapter_dir)
            .into_iter()
            .chain(args.adapter_dir.clone())
            .collect(),
        logs: logs(args, path, file)?,
        journal_unit: args.journal_unit.clone().or_else(|| file.journal_unit.clone()),
        kube: args.kube.clone(),
        redact_addresses: args.redact_addresses || file.redact_addresses,
        kernel_log: args.kernel_log.clone().or_else(|| file.kernel_log.clone()),
        gateway: args.gateway.clone().or_else(|| beside(path, file.gateway.as_slice()).pop()),
        gateway_fields: file.gateway_fields.clone(),
        host_root: args.host_root.clone(),
        nvml_library: args.nvml_library.clone().or_else(|| file.nvml_library.clone()),
        max_body: args.max_body.or(file.max_body).unwrap_or(64 << 20),
        sources: sources(args, file),
    })
}

/// The flags' logs, else those of the file. Standard input can be read once.
fn logs(args: &LiveArgs, path: Option<&Path>, file: &FileConfig) -> anyhow::Result<Vec<PathBuf>> {
    let logs = if args.log.is_empty() { beside(path, &file.log) } else { args.log.clone() };
    if logs.iter().chain(&args.kube).filter(|path| path.as_os_str() == "-").count() > 1 {
        bail!("standard input (-) can be read once only, for one --log or for --kube");
    }
    Ok(logs)
}

fn sources(args: &LiveArgs, file: &FileConfig) -> Vec<Source> {
    let all = <Source as clap::ValueEnum>::value_variants().iter().copied();
    if !args.only.is_empty() {
        return all.filter(|source| args.only.contains(source)).collect();
    }
    let skipped = |source: &Source| args.skip.contains(source) || file.skip.contains(source);
    all.filter(|source| !skipped(source)).collect()
}

/// Reads e.g. `15s`.
fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    parse_duration(&String::deserialize(from)?).map(Some).map_err(D::Error::custom)
}

/// Reads e.g. `64MiB`.
fn size<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    parse_size(&String::deserialize(from)?).map(Some).map_err(D::Error::custom)
}

/// Reads the name of a baseline.
fn name<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    parse_name(&String::deserialize(from)?).map(Some).map_err(D::Error::custom)
}

/// Reads a share from 0 to 1.
fn share<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    let share = f64::deserialize(from)?;
    match (0.0..=1.0).contains(&share) {
        true => Ok(Some(share)),
        false => Err(D::Error::custom(format!("it is {share}; it must lie between 0 and 1"))),
    }
}

fn default_file(env: &Environment) -> Option<PathBuf> {
    let own = env.own_dir().map(|dir| dir.join("diagnose.toml"));
    [Some(PathBuf::from("diagnose.toml")), own].into_iter().flatten().find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<FileConfig, toml::de::Error> {
        toml::from_str(text)
    }

    const EXAMPLE: &str = include_str!("../diagnose.example.toml");

    #[test]
    fn the_example_parses_and_documents_every_key() {
        parse(EXAMPLE).unwrap();
        let uncommented: String = EXAMPLE
            .lines()
            .map(|line| line.strip_prefix("#: ").unwrap_or(line))
            .collect::<Vec<_>>()
            .join("\n");
        let table: toml::Table = uncommented.parse().unwrap();
        parse(&uncommented).unwrap();
        let schema = schemars::schema_for!(FileConfig);
        for key in schema.get("properties").unwrap().as_object().unwrap().keys() {
            assert!(table.contains_key(key), "diagnose.example.toml lacks `{key}`");
        }
        for (line, before) in EXAMPLE.lines().skip(1).zip(EXAMPLE.lines()) {
            let is_key = line.trim_start_matches("#: ").contains(" = ");
            assert!(!is_key || before.starts_with("# "), "no comment above `{line}`");
        }
    }

    #[test]
    fn flags_win_over_the_environment_and_the_file() {
        let file = parse("url = 'http://file'\nskip = ['log']\nmax_body = '1MiB'").unwrap();
        let env = Environment { api_key: Some(Secret("env".into())), ..Environment::default() };
        let plain = live_settings(&LiveArgs::default(), None, &file, &env).unwrap();
        assert_eq!(plain.url.as_deref(), Some("http://file"));
        assert_eq!(plain.api_key, Some(Secret("env".into())));
        assert_eq!((plain.max_body, plain.sources.len()), (1 << 20, 12));
        let flags = LiveArgs {
            url: Some("http://flag".into()),
            api_key: Some("flag".into()),
            only: vec![Source::Log],
            ..LiveArgs::default()
        };
        let given = live_settings(&flags, None, &file, &env).unwrap();
        assert_eq!(given.url.as_deref(), Some("http://flag"));
        assert_eq!(given.api_key, Some(Secret("flag".into())));
        assert_eq!(given.sources, [Source::Log]);
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let error = parse("url = 'x'\ntimout = '5s'").unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("timout"), "{error}");
    }

    #[test]
    fn a_secret_never_shows() {
        assert_eq!(format!("{:?}", Secret("hunter2".into())), "(hidden)");
    }
}

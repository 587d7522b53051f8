//! One `match` over the commands, and the only place that writes to the outside.

pub mod alerts;
#[cfg(feature = "aws")]
pub mod apply;
#[cfg(not(feature = "aws"))]
#[path = "apply_without.rs"]
pub mod apply;
mod attach;
pub mod baseline;
pub mod collect;
pub mod collector;
pub mod compare;
mod condition;
pub mod coverage;
pub mod dashboard;
pub mod eval;
mod examples;
pub mod explain;
pub mod faults;
mod first;
mod fleet;
pub mod generate;
mod given;
pub mod handle;
mod history;
mod junit;
mod live;
pub mod load;
pub mod monitor;
mod page;
pub mod prefix_diff;
pub mod receive;
pub mod run;
pub mod runbook;
mod seal;
pub mod settings;
pub mod suggest;
mod target;
pub mod verify;
mod wait;
mod waive;
mod watch;
mod write;

use std::{ffi::OsString, fmt, path::Path};

use clap::error::ErrorKind;

use crate::{
    cli::{
        self, AlertsCommand, CollectorCommand, Command, ConfigCommand, DashboardCommand,
        Invocation, SloCommand,
    },
    config::{self, Environment},
    exit::Exit,
    hazard,
    runbook::Library,
    sources::nvml,
};

/// A failure in words: what was tried, what happened, and what to try next.
#[derive(Debug)]
pub struct Failure {
    /// What was tried, a fragment after "failed to".
    pub tried: String,
    /// What happened.
    pub happened: String,
    /// What to try next.
    pub next: String,
    /// The exit code it gives.
    pub exit: Exit,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let space = if self.happened.starts_with('\n') { "" } else { " " };
        write!(f, "failed to {}:{space}{}\n  try: {}", self.tried, self.happened, self.next)
    }
}

impl std::error::Error for Failure {}

/// Refuses a form that `what` does not have, before any work is done for it.
fn check_form(what: &str, format: cli::Format, none: &[cli::Format]) -> Result<(), Failure> {
    if !none.contains(&format) {
        return Ok(());
    }
    Err(Failure {
        tried: format!("write {what} as {}", format!("{format:?}").to_lowercase()),
        happened: "it has no such form".into(),
        next: "--format terminal, markdown or json".into(),
        exit: Exit::Failed,
    })
}

/// Forms that only the report of a runbook or a sweep has.
const OF_REPORTS: [cli::Format; 2] = [cli::Format::Html, cli::Format::Junit];

/// Runs the command line and tells how to exit.
pub fn main(args: impl IntoIterator<Item = OsString>) -> Exit {
    let args: Vec<OsString> = args.into_iter().collect();
    if args.len() <= 1 {
        return alone();
    }
    let invocation = match cli::parse(args) {
        Ok(invocation) => invocation,
        Err(error) => return usage(&error),
    };
    match dispatch(invocation) {
        Ok(exit) => exit,
        Err(error) => fail(&error),
    }
}

fn dispatch(invocation: Invocation) -> anyhow::Result<Exit> {
    let env = Environment::read();
    match invocation {
        Invocation::Diagnose(id, args) => run::run(&run::Scope::Runbook(id), &args, &env),
        Invocation::Command(command) => match command {
            Command::Sweep(args) => fleet::sweep(&args, &env),
            Command::Collect(args) => collect::run(&args, &env),
            Command::Verify(args) => verify::run(&args, &env),
            Command::Baseline(command) => baseline::run(command, &env),
            Command::Compare(args) => compare::run(&args, &env),
            Command::Slo(args) => match &args.command {
                Some(SloCommand::Suggest(args)) => suggest::run(args, &env),
                None => monitor::slo(&args.watch, &env),
            },
            Command::Alerts(AlertsCommand::Check(args)) => monitor::check(&args, &env),
            Command::Alerts(AlertsCommand::Backtest(args)) => monitor::backtest(&args, &env),
            Command::Alerts(AlertsCommand::Handle(args)) => handle::run(&args, &env),
            Command::Alerts(AlertsCommand::Receive(args)) => receive::run(&args, &env),
            Command::Dashboard(DashboardCommand::Render(args)) => dashboard::render(&args, &env),
            Command::Collector(CollectorCommand::Render(args)) => collector::render(&args, &env),
            Command::Collector(CollectorCommand::Emf(args)) => collector::emf(&args, &env),
            Command::Alerts(AlertsCommand::Render(args)) => alerts::render(&args, &env),
            Command::Alerts(AlertsCommand::Apply(args)) => apply::alarms(&args, &env),
            Command::Dashboard(DashboardCommand::Apply(args)) => apply::dashboard(&args, &env),
            Command::Alerts(AlertsCommand::Lint(args)) => alerts::lint(&args, &env),
            Command::Load(args) => load::run(&args, &env),
            Command::Eval(args) => eval::run(&args, &env),
            Command::Explain(args) => explain::run(&args, &env),
            Command::Runbook(command) => runbook::run(command, &env),
            Command::Config(ConfigCommand::Check(args)) => settings::check(&args, &env),
            Command::PrefixDiff(args) => prefix_diff::run(&args),
            Command::Completions { shell } => generate::completions(shell),
            Command::Man { dir } => generate::man(dir.as_deref()),
            Command::Schema { of } => generate::schema(of),
            Command::Generate(args) => generate::run(&args),
            Command::AskDriver { library } => ask_driver(library.as_deref()),
            Command::Other(_) => anyhow::bail!("a runbook was read as a command"),
        },
    }
}

/// One look at the GPUs, for the process that waits for it.
fn ask_driver(library: Option<&Path>) -> anyhow::Result<Exit> {
    write::print(&serde_json::to_string(&nvml::ask(library))?)?;
    Ok(Exit::Clean)
}

/// Nothing was asked. That is no verdict: a gate whose runbook is an empty variable must not pass,
/// so it ends as an incomplete command does.
fn alone() -> Exit {
    write::note(&first::screen(&Environment::read()));
    Exit::Failed
}

/// Help and version go to stdout and are no error; usage errors exit with 2.
fn usage(error: &clap::Error) -> Exit {
    let plain = error.render().to_string();
    if hazard::acts(&plain) {
        write::note(plain.trim_end());
    } else {
        // A reader that went away leaves nobody to tell.
        let _ = error.print();
    }
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Clean,
        _ => Exit::Failed,
    }
}

fn fail(error: &anyhow::Error) -> Exit {
    let text = chain(error);
    let prefix = if text.starts_with("error") { "" } else { "error: " };
    write::note(&format!("{prefix}{text}"));
    exit_of(error)
}

/// The error with its causes, each once: some errors name their cause themselves.
fn chain(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |text, cause| {
        match text.contains(&cause) {
            true => text,
            false if text.is_empty() => cause,
            false => format!("{text}: {cause}"),
        }
    })
}

fn exit_of(error: &anyhow::Error) -> Exit {
    error.downcast_ref::<Failure>().map_or(Exit::Failed, |failure| failure.exit)
}

/// The runbooks in force.
pub(crate) fn library(args: &cli::LibraryArgs, env: &Environment) -> anyhow::Result<Library> {
    Ok(Library::load(&config::directories(&args.runbooks, &args.config, env)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_the_error_names_itself_is_not_repeated() {
        let error = anyhow::anyhow!("no such file").context("cannot read x: no such file");
        assert_eq!(chain(&error.context("in y")), "in y: cannot read x: no such file");
    }

    #[test]
    fn a_failure_says_what_was_tried_what_happened_and_what_to_try() {
        let failure = Failure {
            tried: "read http://x/metrics".into(),
            happened: "connection refused".into(),
            next: "start the server".into(),
            exit: Exit::Inconclusive,
        };
        let text = failure.to_string();
        assert_eq!(
            text,
            "failed to read http://x/metrics: connection refused\n  try: start the server"
        );
        assert_eq!(exit_of(&failure.into()), Exit::Inconclusive);
    }
}

//! Commands that use an id, each ready to be run: `explain` ends with them, and each runbook's page
//! begins with them.

use super::condition;
use crate::{
    exit::Exit,
    runbook::{Check, Library, Needs, Runbook},
    signals::Signal,
};

/// The server of an example.
pub(super) const SERVER: &str = "http://127.0.0.1:8000";

/// A command with what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Example {
    /// What it does, a fragment.
    pub(super) says: String,
    /// The command, as it is typed.
    pub(super) command: String,
}

/// An example; the command is given without the program's name.
pub(super) fn example(says: impl Into<String>, command: impl AsRef<str>) -> Example {
    Example { says: says.into(), command: format!("diagnose {}", command.as_ref()) }
}

/// The two ways to run a runbook: on what is there, and on what was recorded.
pub(super) fn of_runbook(runbook: &Runbook) -> Vec<Example> {
    let live = match runbook.needs {
        Needs::Metrics => "on the server's host: finds the server, samples it, answers",
        Needs::Sagemaker => "asks AWS for the endpoint, its scaling, alarms and logs",
    };
    let id = &runbook.id.value;
    vec![
        example(live, live_run(runbook)),
        example(
            "the same on evidence that `diagnose collect` recorded",
            format!("{id} --replay incident.tar.zst"),
        ),
    ]
}

fn live_run(runbook: &Runbook) -> String {
    let id = &runbook.id.value;
    match runbook.needs {
        Needs::Metrics => id.clone(),
        Needs::Sagemaker => format!("{id} {ENDPOINT}"),
    }
}

const ENDPOINT: &str = "--sagemaker chat";

/// The run that can name a cause.
pub(super) fn of_cause(cause: &str, library: &Library) -> Vec<Example> {
    let leads = |runbook: &&Runbook| tree_causes(runbook).any(|named| named == cause);
    let ranks = |runbook: &&Runbook| runbook.causes.iter().any(|named| named.value == cause);
    let books = || library.runbooks.values();
    let run = books().find(leads).or_else(|| books().find(ranks)).map(live_run);
    vec![example(
        "weighs the evidence for and against it; -v shows all of it",
        format!("{} -v", run.as_deref().unwrap_or("sweep")),
    )]
}

/// Causes that the tree of a runbook leads to.
pub(super) fn tree_causes(runbook: &Runbook) -> impl Iterator<Item = &str> {
    let answers =
        runbook.steps.values().flat_map(|step| [&step.then, &step.otherwise, &step.unknown]);
    answers.filter_map(|next| next.cause.as_ref()).map(|cause| cause.value.as_str())
}

/// The run that asks a check.
pub(super) fn of_check(check: &str, library: &Library) -> Vec<Example> {
    vec![example("asks it and shows the answer", format!("{} -v", asking(&[check], library)))]
}

/// The runbook that asks one of these checks, with the flags it needs; else all checks.
fn asking(checks: &[&str], library: &Library) -> String {
    let asks_one = |book: &&Runbook| checks.iter().any(|check| asks(book, check));
    library.runbooks.values().find(asks_one).map_or("sweep".into(), live_run)
}

/// Whether a runbook asks a check by its own name.
pub(super) fn asks(runbook: &Runbook, check: &str) -> bool {
    let mut steps = runbook.steps.values().map(|step| &step.check);
    runbook.gate.iter().any(|gate| gate.value == check) || steps.any(|it| it.value == check)
}

/// The run that reads a signal.
pub(super) fn of_signal(signal: &Signal, library: &Library) -> Vec<Example> {
    let reads = |check: &&Check| condition::reads(check, signal.name);
    let checks = library.checks.values().filter(reads);
    let checks: Vec<&str> = checks.map(|check| check.id.value.as_str()).collect();
    let run = asking(&checks, library);
    let flag = source_flag(signal.source);
    let command = if run.contains(flag) { run } else { format!("{run} {flag}") };
    vec![example("reads it; -v shows all readings", format!("{command} -v"))]
}

/// The flag by which a run is given a source; nothing where it is found without.
fn source_flag(source: &str) -> &'static str {
    match source {
        "adapters" => "--adapter-dir /models/adapters",
        "autoscaling" | "sagemaker" => ENDPOINT,
        "cloudwatch" => "--cloudwatch",
        "gateway" => "--gateway gateway.jsonl",
        "kernel" => "--kernel-log kernel.log",
        "kube" => "--kube pods.json",
        "log" => "--log vllm.log",
        "mlflow" => "--mlflow http://mlflow:5000",
        _ => "",
    }
}

/// The run that takes another value for a threshold.
pub(super) fn of_policy(name: &str, value: f64) -> Vec<Example> {
    let says = format!(
        "with a value of your own, where mine/policy.yaml says `{name}: {{value: {value}}}`"
    );
    vec![example(says, "sweep --runbooks mine")]
}

/// The run that looks for Xid errors.
pub(super) fn of_xid() -> Vec<Example> {
    vec![example(
        "looks for it in what `journalctl -k -o short-iso` or `dmesg` printed",
        "sweep --kernel-log kernel.log",
    )]
}

/// The run that holds a server against the table of known versions.
pub(super) fn of_version(library: &Library) -> Vec<Example> {
    let checks = library.checks.values().filter(|check| check.versions);
    let checks: Vec<&str> = checks.map(|check| check.id.value.as_str()).collect();
    let run = asking(&checks, library);
    vec![example("says whether it shows on the version that runs", run)]
}

/// The run whose end an exit code tells.
pub(super) fn of_exit(exit: Exit) -> Vec<Example> {
    vec![match exit {
        Exit::Clean | Exit::Finding => {
            example("a gate for deploys; `echo $?` then prints the code", "sweep --fail-on warning")
        }
        Exit::Failed => {
            example("looks for mistakes in the settings, and asks nobody", "config check --offline")
        }
        Exit::Inconclusive => example(
            "wants more of the checks answered than the default",
            "sweep --min-coverage 0.8",
        ),
        Exit::Interrupted | Exit::Terminated => {
            example("keeps what was seen, where it is ended early", "sweep --window 10m")
        }
    }]
}

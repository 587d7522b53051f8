//! `diagnose dashboard render`.

use std::path::Path;

use serde_json::Value;

use super::{Failure, target, write};
use crate::{
    cli::{DashboardArgs, DashboardBackend, HistoryArgs, LookArgs, RuleTargetArgs},
    config::{self, AwsSettings, Environment},
    exit::Exit,
    monitor::{cloudwatch, cloudwatch_dashboard, grafana, load::Rules, names::CloudNames},
    runbook::Library,
};

/// Writes the dashboard.
pub fn render(args: &DashboardArgs, env: &Environment) -> anyhow::Result<Exit> {
    args.output.as_deref().map_or(Ok(()), write::check_destination)?;
    let dashboard = match args.to {
        DashboardBackend::Grafana => for_grafana(args, env)?,
        DashboardBackend::Cloudwatch => for_cloudwatch(args.account.as_ref(), &args.target, env)?,
    };
    put(args.output.as_deref(), &serde_json::to_string_pretty(&dashboard)?)?;
    Ok(Exit::Clean)
}

fn for_grafana(args: &DashboardArgs, env: &Environment) -> anyhow::Result<Value> {
    let named = [
        (args.account.is_some(), "--account"),
        (args.target.look.history.region.is_some(), "--region"),
    ];
    if let Some((_, flag)) = named.iter().find(|(given, _)| *given) {
        anyhow::bail!("{flag} needs --to cloudwatch");
    }
    let (rules, library) = watched(&args.target, env)?;
    let (target, _) = target::find(&args.target, env)?;
    let case = grafana::Case { rules: &rules, policy: &library.policy, target: &target };
    Ok(grafana::render(case))
}

/// The body that PutDashboard takes.
pub(super) fn for_cloudwatch(
    account: Option<&String>,
    args: &RuleTargetArgs,
    env: &Environment,
) -> anyhow::Result<Value> {
    let (rules, library) = watched(args, env)?;
    let (aws, _) = config::gateway(&args.look.config, env)?;
    let region = args.look.history.region.as_ref().or(aws.region.as_ref());
    let region = region.ok_or_else(no_region)?;
    let (target, evidence) = target::find(&asked(args), env)?;
    let names = names(&aws);
    let alarms = match account {
        None => Vec::new(),
        Some(account) => {
            let options =
                cloudwatch::Options { names: names.clone(), ..cloudwatch::Options::default() };
            let known = cloudwatch::render(&rules, &library.policy, evidence.as_ref(), &options);
            cloudwatch_dashboard::arns(&known, region, account)
        }
    };
    if account.is_some() && alarms.is_empty() {
        return Err(no_alarms().into());
    }
    Ok(cloudwatch_dashboard::render(cloudwatch_dashboard::Case {
        rules: &rules,
        policy: &library.policy,
        target: &target.dialect,
        names: &names,
        region,
        alarms: &alarms,
    }))
}

/// The region of the widgets asks nothing of AWS by itself.
pub(super) fn asked(args: &RuleTargetArgs) -> RuleTargetArgs {
    let history = &args.look.history;
    let region =
        history.region.clone().filter(|_| history.cloudwatch || history.sagemaker.is_some());
    let history = HistoryArgs { region, ..history.clone() };
    RuleTargetArgs { look: LookArgs { history, ..args.look.clone() }, ..args.clone() }
}

/// What is watched, and its thresholds.
pub(super) fn watched(
    args: &RuleTargetArgs,
    env: &Environment,
) -> anyhow::Result<(Rules, Library)> {
    let dirs = config::directories(&args.look.runbooks, &args.look.config, env)?;
    Ok((Rules::load(&dirs)?, Library::load(&dirs)?))
}

/// What the settings call the gateway's metrics.
pub(super) fn names(aws: &AwsSettings) -> CloudNames {
    let usual = CloudNames::default();
    CloudNames {
        namespace: aws.namespace.clone().unwrap_or(usual.namespace),
        metrics: aws.metrics.clone(),
        dimensions: aws.dimensions.clone(),
    }
}

/// Writes a result to its file, or to stdout.
pub(super) fn put(output: Option<&Path>, text: &str) -> anyhow::Result<()> {
    match output {
        Some(path) => write::file(path, text),
        None => write::print(text),
    }
}

fn no_region() -> Failure {
    Failure {
        tried: "write a dashboard for CloudWatch".into(),
        happened: "each of its widgets needs the region of its metrics".into(),
        next: "--region REGION, or `region` in the settings file's [aws]".into(),
        exit: Exit::Failed,
    }
}

/// The names of alarms hold the dimensions that they watch.
fn no_alarms() -> Failure {
    Failure {
        tried: "put the alarms of --account on the dashboard".into(),
        happened: "their names hold dimensions, of which none was seen".into(),
        next: "--cloudwatch, or --replay of a recording that has CloudWatch".into(),
        exit: Exit::Inconclusive,
    }
}

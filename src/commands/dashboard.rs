//! `diagnose dashboard render`.

use std::path::Path;

use super::{Failure, target, write};
use crate::{
    cli::{DashboardArgs, DashboardBackend, TargetArgs},
    config::{self, AwsSettings, Environment},
    exit::Exit,
    monitor::{cloudwatch_dashboard, grafana, load::Rules, names::CloudNames},
    runbook::Library,
};

/// Writes the dashboard.
pub fn render(args: &DashboardArgs, env: &Environment) -> anyhow::Result<Exit> {
    let (rules, library) = watched(&args.target, env)?;
    let (aws, _) = config::gateway(&args.target.config, env)?;
    let policy = &library.policy;
    let dashboard = match args.to {
        DashboardBackend::Grafana => {
            only_for_cloudwatch(args)?;
            let target = target::find(&args.target, env)?;
            grafana::render(grafana::Case { rules: &rules, policy, target: &target.names })
        }
        DashboardBackend::Cloudwatch => {
            let region = args.region.as_deref().or(aws.region.as_deref()).ok_or_else(no_region)?;
            let target = target::find(&args.target, env)?;
            cloudwatch_dashboard::render(cloudwatch_dashboard::Case {
                rules: &rules,
                policy,
                target: &target.names,
                names: &names(&aws),
                region,
                account: args.account.as_deref(),
            })
        }
    };
    put(args.output.as_deref(), &serde_json::to_string_pretty(&dashboard)?)?;
    Ok(Exit::Clean)
}

/// What is watched, and its thresholds.
pub(super) fn watched(args: &TargetArgs, env: &Environment) -> anyhow::Result<(Rules, Library)> {
    let dirs = config::directories(&args.runbooks, &args.config, env)?;
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
        Some(path) => {
            write::check_destination(path)?;
            write::file(path, text)
        }
        None => write::print(text),
    }
}

/// A flag that would do nothing is refused.
fn only_for_cloudwatch(args: &DashboardArgs) -> Result<(), Failure> {
    let flags = [(args.region.is_some(), "--region"), (args.account.is_some(), "--account")];
    match flags.iter().find(|(given, _)| *given) {
        None => Ok(()),
        Some((_, flag)) => Err(Failure {
            tried: format!("use {flag}"),
            happened: "a dashboard of Grafana has no use for it".into(),
            next: "--to cloudwatch".into(),
            exit: Exit::Failed,
        }),
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

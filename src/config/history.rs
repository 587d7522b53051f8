//! Sources that keep history: what flags and the settings file say of them together.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::bail;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Environment, FileConfig, Secret, beside};
use crate::cli::{At, HistoryArgs, Source};

/// How far back sources are asked, unless set otherwise.
const BACK: Duration = Duration::from_secs(3600);

/// What is asked of sources that keep history.
#[derive(Debug, Clone)]
pub struct HistorySettings {
    /// End of the time judged; `None` for now.
    pub at: Option<At>,
    /// How far back from there.
    pub back: Duration,
    /// Prometheus, where one is given.
    pub prometheus: Option<PrometheusSettings>,
    /// Bearer token for it.
    pub prometheus_token: Option<Secret>,
    /// AWS, where anything of it is asked for.
    pub aws: Option<AwsSettings>,
    /// MLflow, where one is given.
    pub mlflow: Option<MlflowSettings>,
    /// The user's directories, whose objectives settle what CloudWatch counts.
    pub runbook_dirs: Vec<PathBuf>,
}

/// `[prometheus]`: a server with the HTTP API of Prometheus.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PrometheusSettings {
    /// Base URL, with the path before `/api/v1`, if there is one.
    pub url: Option<String>,
    /// Labels that the server's series have, e.g. `job="vllm"`.
    pub selector: Option<String>,
    /// Further headers of each request, e.g. `X-Scope-OrgID`.
    pub headers: BTreeMap<String, String>,
    /// PEM file with the client's certificate and its key.
    pub client_cert: Option<PathBuf>,
    /// Region of Amazon Managed Prometheus: requests are signed for it.
    pub sigv4_region: Option<String>,
}

/// `[aws]`: CloudWatch, SageMaker, Auto Scaling and CloudWatch Logs.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AwsSettings {
    /// The endpoint of SageMaker.
    pub sagemaker: Option<String>,
    /// Region; without it, that of the AWS settings on this machine.
    pub region: Option<String>,
    /// Whether the gateway's metrics in CloudWatch are read.
    pub cloudwatch: bool,
    /// Profile of the AWS settings on this machine.
    pub profile: Option<String>,
    /// Where all services are asked instead of AWS, e.g. a test server.
    pub endpoint_url: Option<String>,
    /// Namespace of the gateway's metrics.
    pub namespace: Option<String>,
    /// Names of the gateway's metrics, where they are others than the usual: usual name to own name.
    pub metrics: BTreeMap<String, String>,
    /// Names of their dimensions, where they are others than the usual.
    pub dimensions: BTreeMap<String, String>,
    /// EC2 Auto Scaling group whose warm pool holds ready instances.
    pub warm_pool_group: Option<String>,
}

/// `[mlflow]`: the tracking server that holds the traces.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MlflowSettings {
    /// Base URL.
    pub url: Option<String>,
    /// Experiments, by name or id; empty for all.
    pub experiments: Vec<String>,
    /// What the environment says of it.
    #[serde(skip)]
    pub login: MlflowLogin,
}

/// Who asks MLflow: a token, else user and password.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MlflowLogin {
    /// Bearer token.
    pub token: Option<Secret>,
    /// User.
    pub user: Option<String>,
    /// Their password.
    pub password: Option<Secret>,
}

impl HistorySettings {
    /// Whether any source of history is asked.
    pub fn is_asked(&self) -> bool {
        self.prometheus.is_some() || self.aws.is_some() || self.mlflow.is_some()
    }
}

/// What settles the sources beside the flags.
pub(super) struct Given<'a> {
    /// The settings file.
    pub(super) path: Option<&'a Path>,
    /// What stands in it.
    pub(super) file: &'a FileConfig,
    /// The environment.
    pub(super) env: &'a Environment,
    /// The sources in use.
    pub(super) sources: &'a [Source],
    /// The user's directories.
    pub(super) runbook_dirs: &'a [PathBuf],
}

/// Flags win over the file.
pub(super) fn history(
    args: &HistoryArgs,
    at: Option<At>,
    given: &Given<'_>,
) -> anyhow::Result<HistorySettings> {
    let &Given { path, file, env, sources, runbook_dirs } = given;
    let settings = HistorySettings {
        at,
        back: args.history.or(file.history).unwrap_or(BACK),
        prometheus: prometheus(args, path, file).filter(|_| sources.contains(&Source::Prometheus)),
        prometheus_token: env.prometheus_token.clone(),
        aws: aws(args, file),
        mlflow: mlflow(args, file, env).filter(|_| sources.contains(&Source::Mlflow)),
        runbook_dirs: runbook_dirs.to_vec(),
    };
    without_effect(args, &settings)?;
    Ok(settings)
}

fn prometheus(
    args: &HistoryArgs,
    path: Option<&Path>,
    file: &FileConfig,
) -> Option<PrometheusSettings> {
    let mut settings = file.prometheus.clone();
    settings.client_cert = beside(path, settings.client_cert.as_slice()).pop();
    settings.url = args.prometheus.clone().or(settings.url);
    settings.selector = args.selector.clone().or(settings.selector);
    settings.url.is_some().then_some(settings)
}

fn aws(args: &HistoryArgs, file: &FileConfig) -> Option<AwsSettings> {
    let mut settings = file.aws.clone();
    settings.sagemaker = args.sagemaker.clone().or(settings.sagemaker);
    settings.region = args.region.clone().or(settings.region);
    settings.cloudwatch |= args.cloudwatch || settings.sagemaker.is_some();
    settings.cloudwatch.then_some(settings)
}

fn mlflow(args: &HistoryArgs, file: &FileConfig, env: &Environment) -> Option<MlflowSettings> {
    let mut settings = file.mlflow.clone();
    settings.login = env.mlflow.clone();
    settings.url = args.mlflow.clone().or(settings.url);
    if !args.experiment.is_empty() {
        settings.experiments = args.experiment.clone();
    }
    settings.url.is_some().then_some(settings)
}

/// A flag that would do nothing is refused.
fn without_effect(args: &HistoryArgs, settings: &HistorySettings) -> anyhow::Result<()> {
    let needs = [
        (args.selector.is_some(), settings.prometheus.is_some(), "--selector", "--prometheus URL"),
        (args.region.is_some(), settings.aws.is_some(), "--region", "--sagemaker or --cloudwatch"),
        (!args.experiment.is_empty(), settings.mlflow.is_some(), "--experiment", "--mlflow URL"),
        (args.history.is_some(), settings.is_asked(), "--history", "a source to ask: --prometheus"),
    ];
    match needs.iter().find(|(given, met, ..)| *given && !met) {
        Some((.., flag, needed)) => bail!("{flag} needs {needed}"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &HistoryArgs, toml: &str) -> anyhow::Result<HistorySettings> {
        let all: Vec<Source> = clap::ValueEnum::value_variants().to_vec();
        let file = toml::from_str(toml).unwrap();
        let env = Environment::default();
        let given = Given { path: None, file: &file, env: &env, sources: &all, runbook_dirs: &[] };
        history(args, None, &given)
    }

    #[test]
    fn flags_win_and_the_rest_of_a_table_stays() {
        let toml = "[prometheus]\nurl = 'http://file'\nheaders = { X-Scope-OrgID = 'a' }";
        let args = HistoryArgs { prometheus: Some("http://flag".into()), ..HistoryArgs::default() };
        let prometheus = read(&args, toml).unwrap().prometheus.unwrap();
        assert_eq!(prometheus.url.as_deref(), Some("http://flag"));
        assert_eq!(prometheus.headers["X-Scope-OrgID"], "a");
    }

    #[test]
    fn a_flag_without_its_source_is_refused() {
        let selector = HistoryArgs { selector: Some("a=\"b\"".into()), ..HistoryArgs::default() };
        let error = read(&selector, "").unwrap_err().to_string();
        assert!(error.contains("--selector needs --prometheus"), "{error}");
        let endpoint = HistoryArgs { sagemaker: Some("chat".into()), ..HistoryArgs::default() };
        assert!(read(&endpoint, "").unwrap().aws.unwrap().cloudwatch);
        assert!(!read(&HistoryArgs::default(), "").unwrap().is_asked());
    }
}

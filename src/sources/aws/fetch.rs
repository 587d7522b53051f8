//! All services side by side.

use aws_config::SdkConfig;
use serde_json::{Value, json};

use super::{
    FOLDER, Options, Service, alarms,
    asking::Asking,
    bounded::bounded,
    client,
    failure::{About, Failure},
    logs, metrics, sagemaker, scaling,
};
use crate::{
    evidence::{SourceStatus, Time},
    sources::Fetched,
};

/// Asks what is set. What came until the deadline is kept.
pub async fn fetch(options: Options) -> Fetched {
    let start = tokio::time::Instant::now();
    let config = match tokio::time::timeout(options.deadline, client::config(&options)).await {
        Ok(Ok(config)) => config,
        Ok(Err(failure)) => return failed(&options, &failure),
        Err(_) => return failed(&options, &Failure::late(options.deadline)),
    };
    let left = Options { deadline: options.deadline.saturating_sub(start.elapsed()), ..options };
    all(&left, &config).await
}

fn failed(options: &Options, failure: &Failure) -> Fetched {
    let status = |service: &Service| SourceStatus {
        id: service.id().into(),
        status: failure.state,
        detail: failure.text.clone(),
        took_ms: None,
    };
    Fetched { statuses: options.services.iter().map(status).collect(), ..Fetched::default() }
}

/// What one service gave: its answers and its status.
type Gave = Option<(Vec<Value>, SourceStatus)>;

async fn all(options: &Options, config: &SdkConfig) -> Fetched {
    let mut log = Vec::new();
    let (endpoint, scaling, cloudwatch, containers) = tokio::join!(
        endpoint(options, config),
        scaling_of(options, config),
        cloudwatch(options, config),
        containers(options, config, &mut log),
    );
    let (mut answers, mut statuses) = (Vec::new(), Vec::new());
    for (more, status) in [endpoint, scaling, cloudwatch, containers].into_iter().flatten() {
        // The log is kept as a log.
        answers.extend(more.into_iter().filter(|_| status.id != Service::Log.id()));
        statuses.push(status);
    }
    let body = serde_json::to_vec(&json!({ "answers": answers })).unwrap_or_default();
    Fetched {
        record: (!answers.is_empty()).then_some((FOLDER, body)),
        log: logs::text(log),
        statuses,
    }
}

async fn endpoint(options: &Options, config: &SdkConfig) -> Gave {
    let name = options.endpoint.as_deref()?;
    let asking = asking(options, config, Service::Sagemaker, format!("endpoint `{name}`"))?;
    let client = bounded!(aws_sdk_sagemaker, config, options);
    let work = async |asking: &Asking| sagemaker::ask(asking, &client, name).await;
    Some(asking.until(options.deadline, work).await)
}

async fn scaling_of(options: &Options, config: &SdkConfig) -> Gave {
    let thing = options.warm_pool_group.as_deref().map(|name| format!("group `{name}`"));
    let thing = thing.unwrap_or_else(|| "such thing".into());
    let asking = asking(options, config, Service::Autoscaling, thing)?;
    let work = async |asking: &Asking| {
        tokio::join!(
            scaling::endpoint(asking, config, options),
            scaling::warm_pool(asking, config, options)
        );
    };
    Some(asking.until(options.deadline, work).await)
}

async fn cloudwatch(options: &Options, config: &SdkConfig) -> Gave {
    let asking = asking(options, config, Service::Cloudwatch, "such metric".into())?;
    let client = bounded!(aws_sdk_cloudwatch, config, options);
    let work = async |asking: &Asking| {
        tokio::join!(metrics::ask(asking, &client, options), alarms::ask(asking, &client, options));
    };
    Some(asking.until(options.deadline, work).await)
}

async fn containers(options: &Options, config: &SdkConfig, log: &mut Vec<(i64, String)>) -> Gave {
    let group = logs::group(options.endpoint.as_deref()?);
    let asking = asking(options, config, Service::Log, format!("log group `{group}`"))?;
    let client = bounded!(aws_sdk_cloudwatchlogs, config, options);
    let work = async |asking: &Asking| {
        logs::ask(asking, &client, &group, options.reach, log).await;
    };
    Some(asking.until(options.deadline, work).await)
}

/// The start of asking a service, where it is to be asked.
fn asking(
    options: &Options,
    config: &SdkConfig,
    service: Service,
    thing: String,
) -> Option<Asking> {
    let region = config.region().map(ToString::to_string).unwrap_or_default();
    let about = About { region, thing, timeout: options.timeout };
    options.services.contains(&service).then(|| Asking::new(service, about))
}

/// Unix milliseconds.
pub(super) fn millis(at: Time) -> i64 {
    (at * 1e3) as i64
}

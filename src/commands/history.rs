//! Asking the sources that keep history, side by side.

use std::{
    collections::BTreeMap,
    future::Future,
    path::PathBuf,
    pin::Pin,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::future::join_all;

use super::{
    live::{Gathered, stop_signal},
    write,
};
use crate::{
    cli::{At, Source},
    config::{AwsSettings, HistorySettings, LiveSettings, MlflowSettings, Secret},
    evidence::{
        Span, Time,
        bundle::{self, Bundle, Redact},
    },
    exit::Exit,
    monitor::{load::Rules, objective},
    signals::families,
    sources::{Fetched, aws, http, mlflow, prometheus},
};

/// A source has so many deadlines of one request for all of its requests.
const ROUNDS: u32 = 4;

/// One source at work.
type Asked<'a> = Pin<Box<dyn Future<Output = Fetched> + 'a>>;

/// Seconds since the Unix epoch.
#[expect(clippy::disallowed_methods, reason = "history is asked for up to now")]
pub(super) fn now() -> Time {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// End of the time judged.
pub(super) fn end(at: Option<At>, now: Time) -> Time {
    match at {
        Some(At::Time(time)) => time.min(now),
        Some(At::BeforeEnd(seconds)) => now - seconds,
        None => now,
    }
}

/// The time that sources are asked for.
pub(super) fn reach(settings: &HistorySettings, end: Time) -> Span {
    Span { from: end - settings.back.as_secs_f64(), to: end }
}

/// Asks every source that is set, until all have answered, their deadline has passed or the user
/// stops it, which tells how to exit. What came until a deadline is kept by each source.
pub(super) async fn ask(
    settings: &HistorySettings,
    live: &LiveSettings,
    reach: Span,
) -> (Vec<Fetched>, Option<Exit>) {
    let asked = sources(settings, live, reach, live.timeout * ROUNDS);
    tokio::select! {
        biased;
        exit = stop_signal() => (Vec::new(), Some(exit)),
        fetched = join_all(asked) => (fetched, None),
    }
}

fn sources<'a>(
    settings: &'a HistorySettings,
    live: &'a LiveSettings,
    reach: Span,
    deadline: Duration,
) -> Vec<Asked<'a>> {
    let mut asked: Vec<Asked<'a>> = Vec::new();
    if let Some(options) = prometheus(settings, live) {
        asked.push(Box::pin(prometheus::fetch(options, reach, deadline)));
    }
    let cloud = |it| cloud(it, &settings.runbook_dirs, live, reach, deadline);
    if let Some(options) = settings.aws.as_ref().and_then(cloud) {
        asked.push(Box::pin(aws::fetch(options)));
    }
    asked.extend(settings.mlflow.as_ref().map(|it| traces(it, live, reach, deadline)));
    asked
}

/// What AWS is asked; `None` for nothing. A log from nearer the server is better than that of the
/// cloud.
fn cloud(
    settings: &AwsSettings,
    runbook_dirs: &[PathBuf],
    live: &LiveSettings,
    reach: Span,
    deadline: Duration,
) -> Option<aws::Options> {
    let endpoint = settings.sagemaker.is_some();
    let nearer = !live.logs.is_empty() || live.journal_unit.is_some();
    let pool = settings.warm_pool_group.is_some();
    let services = [
        (aws::Service::Sagemaker, Source::Sagemaker, endpoint),
        (aws::Service::Autoscaling, Source::Autoscaling, endpoint || pool),
        (aws::Service::Cloudwatch, Source::Cloudwatch, settings.cloudwatch),
        (aws::Service::Log, Source::Log, endpoint && !nearer),
    ];
    let wanted =
        services.into_iter().filter(|(_, source, set)| *set && live.sources.contains(source));
    let services: Vec<_> = wanted.map(|(service, ..)| service).collect();
    (!services.is_empty()).then(|| aws::Options {
        endpoint: settings.sagemaker.clone(),
        region: settings.region.clone(),
        profile: settings.profile.clone(),
        endpoint_url: settings.endpoint_url.clone(),
        services,
        gateway: aws::Gateway {
            namespace: settings.namespace.clone(),
            metrics: settings.metrics.clone(),
            dimensions: settings.dimensions.clone(),
            ranks: ranks(runbook_dirs),
        },
        warm_pool_group: settings.warm_pool_group.clone(),
        reach,
        now: now(),
        max_body: usize::try_from(live.max_body).unwrap_or(usize::MAX),
        timeout: live.timeout,
        deadline,
    })
}

/// The percentile ranks that objectives count by. Rules that cannot be read are told of elsewhere, and
/// ask for none.
fn ranks(runbook_dirs: &[PathBuf]) -> BTreeMap<String, Vec<String>> {
    let Ok(rules) = Rules::load(runbook_dirs) else { return BTreeMap::new() };
    let mut ranks: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for slo in &rules.slos {
        let Some(latency) = &slo.latency else { continue };
        let query = objective::measure(slo, &rules).and_then(|it| it.cloudwatch.as_ref());
        let Some(query) = query else { continue };
        let all = ranks.entry(query.metric.clone()).or_default();
        let rank = query.rank(latency.good_under);
        if !all.contains(&rank) {
            all.push(rank);
        }
    }
    ranks
}

/// How Prometheus is asked, and for which metrics.
pub(super) fn prometheus(
    settings: &HistorySettings,
    live: &LiveSettings,
) -> Option<prometheus::Options> {
    let own = settings.prometheus.as_ref()?;
    let token = settings.prometheus_token.as_ref().map(Secret::reveal);
    Some(prometheus::Options {
        url: own.url.clone()?,
        selector: own.selector.clone().unwrap_or_default(),
        metrics: metrics(),
        http: http::Options {
            timeout: live.timeout,
            max_body: live.max_body as usize,
            api_key: token.map(Into::into),
            extra_ca: live.ca.iter().cloned().collect(),
            insecure: live.insecure,
            headers: own.headers.clone().into_iter().collect(),
            client_cert: own.client_cert.clone(),
            sigv4_region: own.sigv4_region.clone(),
        },
    })
}

/// Every metric that a signal may read, under each name it has had.
fn metrics() -> Vec<prometheus::Metric> {
    let kind = |kind| match kind {
        families::Kind::Gauge | families::Kind::Info => prometheus::Kind::Gauge,
        families::Kind::Counter => prometheus::Kind::Counter,
        families::Kind::Histogram | families::Kind::Summary => prometheus::Kind::Histogram,
    };
    let of = |family: &'static families::Family| {
        family
            .names
            .iter()
            .map(move |it| prometheus::Metric { name: it.name, kind: kind(family.kind) })
    };
    families::all().iter().flat_map(of).collect()
}

fn traces<'a>(
    settings: &'a MlflowSettings,
    live: &'a LiveSettings,
    reach: Span,
    deadline: Duration,
) -> Asked<'a> {
    let login = &settings.login;
    let basic = login.user.clone().zip(login.password.as_ref().map(|it| it.reveal().to_owned()));
    Box::pin(mlflow::fetch(mlflow::Options {
        url: settings.url.clone().unwrap_or_default(),
        experiments: settings.experiments.clone(),
        basic,
        http: http::Options {
            timeout: live.timeout,
            max_body: live.max_body as usize,
            api_key: login.token.as_ref().map(|it| it.reveal().to_owned()),
            extra_ca: live.ca.iter().cloned().collect(),
            insecure: live.insecure,
            ..http::Options::default()
        },
        reach,
        deadline,
    }))
}

/// Gathers from history alone, without a look at a live server.
pub(super) fn recall(settings: &HistorySettings, live: &LiveSettings) -> anyhow::Result<Gathered> {
    let reach = reach(settings, end(settings.at, now()));
    let mut bundle = Bundle::default();
    bundle.meta.format_version = bundle::FORMAT_VERSION;
    bundle.meta.target = Some(target(settings));
    bundle.meta.tool_version = Some(env!("CARGO_PKG_VERSION").into());
    (bundle.meta.started, bundle.meta.ended) = (Some(reach.from), Some(reach.to));
    let (fetched, cut_short) = http::block_on(ask(settings, live, reach))?;
    keep(&mut bundle, fetched, reach);
    if cut_short.is_some() {
        write::note("interrupted: nothing of the history was read");
    }
    super::given::add(&mut bundle, live)?;
    bundle.redact(Redact { addresses: live.redact_addresses });
    Ok(Gathered { bundle, cut_short })
}

/// Puts what was answered into the bundle.
pub(super) fn keep(bundle: &mut Bundle, fetched: Vec<Fetched>, reach: Span) {
    let at = (reach.to * 1e3) as u64;
    fetched.into_iter().for_each(|fetched| fetched.keep(bundle, at));
}

/// What is looked at, in words, where no server is.
fn target(settings: &HistorySettings) -> String {
    let prometheus = settings.prometheus.as_ref().map(|it| {
        let url = it.url.as_deref().map(bundle::url_without_credentials).unwrap_or_default();
        let labels = it.selector.as_deref().unwrap_or("vLLM");
        format!("{labels} in {url}")
    });
    let endpoint = settings.aws.as_ref().and_then(|it| it.sagemaker.clone());
    let mlflow = settings.mlflow.as_ref().and_then(|it| it.url.as_deref());
    endpoint
        .map(|name| format!("SageMaker endpoint {name}"))
        .or(prometheus)
        .or(mlflow.map(bundle::url_without_credentials))
        .unwrap_or_else(|| "CloudWatch".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objectives_ask_for_the_share_of_what_is_good_in_the_units_of_the_metric() {
        let ranks = ranks(&[]);
        assert_eq!(ranks["TTFTMs"], ["PR(:200)"]);
        assert_eq!(ranks["TotalMs"], ["PR(:2000)"]);
        assert_eq!(ranks["QueueWaitMs"], ["PR(:100)"]);
    }

    #[test]
    fn the_end_is_now_or_what_was_asked_for_and_never_in_the_future() {
        assert_eq!(end(None, 100.0), 100.0);
        assert_eq!(end(Some(At::BeforeEnd(60.0)), 100.0), 40.0);
        assert_eq!(end(Some(At::Time(70.0)), 100.0), 70.0);
        assert_eq!(end(Some(At::Time(200.0)), 100.0), 100.0);
    }
}

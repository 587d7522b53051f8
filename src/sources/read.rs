//! From raw bodies to evidence. Live runs and replays pass through here alike.

use std::collections::BTreeMap;

use crate::evidence::{
    Event, EventKind, Evidence, ProbeRound, Series, SeriesSet, SourceState, SourceStatus, Span,
    Time, bundle::Bundle, series::REPLICA,
};
use crate::unit::counted;

use super::{
    adapters, cloud,
    exposition::{self, PageError, Summary},
    facts, gateway, host, kernel, kube, logs, mlflow, nvml, prometheus,
};

/// Reads a bundle's raw bodies into evidence. Whatever cannot be read becomes a source status.
pub fn read(bundle: &Bundle) -> Evidence {
    let mut evidence = Evidence::default();
    let past = prometheus::read(bundle, &mut evidence.series);
    let pages = read_pages(bundle, &mut evidence.series);
    evidence.probes = read_probes(bundle);
    evidence.adapters = bundle.adapters.values().next_back().cloned().unwrap_or_default();
    evidence.span = span(bundle, &evidence);
    read_host(bundle, &mut evidence);
    facts::describe(&mut evidence, &bundle.meta);
    read_log(bundle, &mut evidence);
    read_kube(bundle, &mut evidence);
    read_kernel_log(bundle, &mut evidence);
    read_gateway(bundle, &mut evidence);
    read_cloud(bundle, &mut evidence);
    read_traces(bundle, &mut evidence);
    let (gpus, driver) = nvml::read(bundle);
    evidence.gpus = gpus;
    evidence.events = events(&evidence, past.events);
    for status in recorded_statuses(bundle) {
        note(&mut evidence.sources, Some(status));
    }
    note(&mut evidence.sources, past.status);
    let pages = pages.or_else(|| instead_of_pages(&evidence));
    note(&mut evidence.sources, pages);
    note(&mut evidence.sources, adapters::status(bundle));
    note(&mut evidence.sources, driver);
    let probes = probe_status(&evidence);
    note(&mut evidence.sources, probes);
    evidence.sources.sort_by(|a, b| a.id.cmp(&b.id));
    evidence
}

fn seconds(ms: u64) -> Time {
    ms as f64 / 1e3
}

/// Reads every page and says how it went as a whole.
fn read_pages(bundle: &Bundle, series: &mut SeriesSet) -> Option<SourceStatus> {
    if bundle.scrapes.is_empty() {
        return None;
    }
    let outcomes: Vec<(u64, Result<Summary, PageError>)> = bundle
        .scrapes
        .iter()
        .map(|(&ms, body)| (ms, exposition::record_page(series, seconds(ms), body)))
        .collect();
    let good = outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).count();
    let bad = outcomes.iter().find_map(|(_, outcome)| outcome.as_ref().err());
    let torn = outcomes.iter().find_map(|(_, outcome)| {
        let summary = outcome.as_ref().ok()?;
        summary.first_bad.as_ref().map(|line| (line, summary.truncated))
    });
    let ends_inside = |it: &(u64, Result<Summary, PageError>)| {
        it.1.as_ref().is_ok_and(|summary| summary.unterminated)
    };
    let (status, detail) = match (good, bad, torn) {
        (0, Some(error), _) => (SourceState::BadData, error.to_string()),
        (_, Some(error), _) => {
            let of = outcomes.len();
            (
                SourceState::Partial,
                format!("{good} of {of} pages read; the first that failed: {error}"),
            )
        }
        (_, None, Some((line, cut))) => {
            let what = if cut { "a page is cut short" } else { "a line cannot be read" };
            let detail = format!("{what}: line {} `{}` ({})", line.line, line.excerpt, line.why);
            (SourceState::Partial, detail)
        }
        _ if outcomes.iter().any(ends_inside) => {
            let detail = "a page ends inside its last line, which is left out: it was cut short";
            (SourceState::Partial, detail.into())
        }
        _ => (SourceState::Ok, format!("{} of /metrics", counted(good, "page"))),
    };
    Some(SourceStatus { id: "metrics".into(), status, detail, took_ms: None })
}

/// Pages that Prometheus read stand for those that nobody asked the server for.
fn instead_of_pages(evidence: &Evidence) -> Option<SourceStatus> {
    let past = evidence.source(prometheus::ID)?;
    let none = evidence.source("metrics").is_some() || past.status == SourceState::NotConfigured;
    let pages = counted(evidence.series.pages().len(), "page");
    let detail = match past.status.answered() {
        true => format!("{pages} of /metrics, as Prometheus has them"),
        false => format!("Prometheus, where they were looked for: {}", past.detail),
    };
    let (id, status) = ("metrics".into(), past.status);
    (!none).then_some(SourceStatus { id, status, detail, took_ms: None })
}

fn read_probes(bundle: &Bundle) -> Vec<ProbeRound> {
    let round = |(&ms, paths): (&u64, &BTreeMap<_, _>)| ProbeRound {
        at: seconds(ms),
        paths: paths.clone(),
    };
    bundle.probes.iter().map(round).collect()
}

fn span(bundle: &Bundle, evidence: &Evidence) -> Span {
    let pages = evidence.series.pages().iter().copied();
    let times: Vec<Time> = pages.chain(evidence.probes.iter().map(|round| round.at)).collect();
    let from = times.iter().copied().reduce(f64::min).or(bundle.meta.started);
    let to = times.iter().copied().chain(bundle.meta.ended).reduce(f64::max);
    Span { from: from.unwrap_or_default(), to: to.unwrap_or_default() }
}

fn read_log(bundle: &Bundle, evidence: &mut Evidence) {
    let Some(log) = &bundle.log else { return };
    let logs::Read { log: mut known, access } = logs::read(log, evidence.span.to);
    let recorded = bundle.meta.sources.iter().chain(&bundle.notes);
    let cut = recorded.filter(|it| it.id == "log").any(|it| it.status == SourceState::Partial);
    known.cut_at = logs::first_moment(log, evidence.span.to).filter(|_| cut);
    let detail = format!(
        "{} in the access lines, {} and {}",
        counted(access.len(), "POST request"),
        counted(known.stats.len(), "stats line"),
        counted(known.matches.len(), "known line"),
    );
    (evidence.log, evidence.access) = (known, access);
    let status = SourceState::Ok;
    note(
        &mut evidence.sources,
        Some(SourceStatus { id: "log".into(), status, detail, took_ms: None }),
    );
}

fn read_kube(bundle: &Bundle, evidence: &mut Evidence) {
    let Some(read) = kube::read(bundle) else { return };
    let (status, detail) = match read {
        Ok(cluster) => {
            let troubles = counted(cluster.troubles.len(), "trouble");
            let detail = format!("{} and {troubles}", counted(cluster.pods, "pod"));
            evidence.kube = Some(cluster);
            (SourceState::Ok, detail)
        }
        Err(why) => (SourceState::BadData, why),
    };
    let status = SourceStatus { id: "kube".into(), status, detail, took_ms: None };
    note(&mut evidence.sources, Some(status));
}

fn read_host(bundle: &Bundle, evidence: &mut Evidence) {
    let (rounds, status) = host::of_bundle(bundle);
    evidence.host = rounds;
    note(&mut evidence.sources, status);
}

fn read_kernel_log(bundle: &Bundle, evidence: &mut Evidence) {
    let Some((log, status)) = kernel::of_bundle(bundle, evidence.span.to) else { return };
    evidence.kernel = Some(log);
    note(&mut evidence.sources, Some(status));
}

fn read_gateway(bundle: &Bundle, evidence: &mut Evidence) {
    let Some((log, status)) = gateway::of_bundle(bundle) else { return };
    evidence.gateway = Some(log);
    note(&mut evidence.sources, Some(status));
}

fn read_cloud(bundle: &Bundle, evidence: &mut Evidence) {
    let Some((cloud, statuses)) = cloud::of_bundle(bundle) else { return };
    evidence.cloud = Some(cloud);
    statuses.into_iter().for_each(|status| note(&mut evidence.sources, Some(status)));
}

fn read_traces(bundle: &Bundle, evidence: &mut Evidence) {
    let Some((log, status)) = mlflow::of_bundle(bundle) else { return };
    evidence.traces = Some(log);
    note(&mut evidence.sources, Some(status));
}

/// What the recording run and the loader noted, worst word per source.
fn recorded_statuses(bundle: &Bundle) -> Vec<SourceStatus> {
    let mut kept: Vec<SourceStatus> = Vec::new();
    for status in bundle.meta.sources.iter().chain(&bundle.notes) {
        note(&mut kept, Some(status.clone()));
    }
    kept
}

/// Adds a status; a source that is there already keeps its worse word and its duration.
fn note(statuses: &mut Vec<SourceStatus>, new: Option<SourceStatus>) {
    let Some(new) = new else { return };
    let Some(old) = statuses.iter_mut().find(|status| status.id == new.id) else {
        statuses.push(new);
        return;
    };
    let took = old.took_ms.or(new.took_ms);
    if old.status == SourceState::Ok || (old.status.answered() && !new.status.answered()) {
        *old = new;
    }
    old.took_ms = took;
}

fn probe_status(evidence: &Evidence) -> Option<SourceStatus> {
    let rounds = evidence.probes.len();
    if rounds == 0 {
        return None;
    }
    let detail = counted(rounds, "probe round");
    Some(SourceStatus { id: "probes".into(), status: SourceState::Ok, detail, took_ms: None })
}

fn events(evidence: &Evidence, past: Vec<Event>) -> Vec<Event> {
    let mut events = restarts(&evidence.series);
    events.extend(past);
    events.extend(config_changes(&evidence.series));
    events.extend(version_changes(&evidence.probes));
    events.extend(outages(&evidence.probes));
    events.extend(adapters::changes(&evidence.probes));
    events.extend(logs::events(&evidence.log));
    events.extend(evidence.kube.iter().flat_map(kube::events));
    if let Some(log) = &evidence.kernel {
        events.extend(kernel::events(log, evidence.span));
    }
    let told = gateway::events(evidence.gateway.as_ref(), evidence.traces.as_ref());
    // The server's own word on its version counts where it was asked before and after.
    let seen = events.iter().any(|event| event.kind == EventKind::VersionChanged);
    let news = |event: &Event| !seen || event.kind != EventKind::VersionChanged;
    events.extend(told.into_iter().filter(news));
    events.extend(evidence.cloud.iter().flat_map(|it| cloud::events(it, evidence.span)));
    events.extend(nvml::events(&evidence.gpus));
    events.sort_by(|a, b| a.at.total_cmp(&b.at).then_with(|| a.text.cmp(&b.text)));
    events
}

/// Whether two values that follow each other show a restart.
type ShowsRestart = fn(f64, f64) -> bool;

/// A restart shows as a new process start time or, where that is not exported, as a counter that
/// falls.
fn restarts(series: &SeriesSet) -> Vec<Event> {
    let started: Vec<&Series> = series.process_starts().collect();
    let tokens = series.named("vllm:prompt_tokens_total");
    let (watched, is_restart): (Vec<&Series>, ShowsRestart) = if started.is_empty() {
        (tokens.collect(), |before, after| after < before)
    } else {
        (started, |before, after| after > before + 1.0)
    };
    let of = |series: &Series| series.label(REPLICA).map(|it| format!(" of {REPLICA}=\"{it}\""));
    let each = watched.into_iter().flat_map(|series| {
        let text = format!("the server process{} restarted", of(series).unwrap_or_default());
        let pairs = series.points.windows(2);
        pairs.filter(move |pair| is_restart(pair[0].value, pair[1].value)).map(move |pair| Event {
            at: pair[1].at,
            not_before: pair[0].at,
            kind: EventKind::Restart,
            text: text.clone(),
            source: "metrics",
        })
    });
    let mut events: Vec<Event> = each.collect();
    events.dedup_by(|a, b| a.text == b.text && a.at == b.at);
    events
}

/// Labels of cache_config_info that differ from one page to a later one.
fn config_changes(series: &SeriesSet) -> Vec<Event> {
    let mut engines: BTreeMap<_, Vec<&Series>> = BTreeMap::new();
    for info in series.named("vllm:cache_config_info").filter(|info| !info.points.is_empty()) {
        engines.entry(info.engine()).or_default().push(info);
    }
    let each = engines.into_values().flat_map(|mut seen| {
        seen.sort_by(|a, b| a.points[0].at.total_cmp(&b.points[0].at));
        seen.windows(2).flat_map(|pair| config_change(pair[0], pair[1])).collect::<Vec<_>>()
    });
    each.collect()
}

fn config_change(before: &Series, after: &Series) -> Vec<Event> {
    if after.points[0].at <= before.points[0].at {
        return Vec::new();
    }
    let last = before.points.last().map_or(after.points[0].at, |point| point.at);
    let change = |(name, value): &(String, String)| {
        let old = before.label(name).unwrap_or("absent");
        (old != value).then(|| Event {
            at: after.points[0].at,
            not_before: last.min(after.points[0].at),
            kind: EventKind::ConfigChanged,
            text: format!("{name} changed from {old} to {value}"),
            source: "metrics",
        })
    };
    after.labels.iter().filter_map(change).collect()
}

fn version_changes(probes: &[ProbeRound]) -> Vec<Event> {
    let versions: Vec<(Time, &str)> = probes
        .iter()
        .filter_map(|round| Some((round.at, round.paths.get("/version")?.body.as_deref()?)))
        .collect();
    versions
        .windows(2)
        .filter(|pair| pair[0].1 != pair[1].1)
        .map(|pair| Event {
            at: pair[1].0,
            not_before: pair[0].0,
            kind: EventKind::VersionChanged,
            text: format!("/version changed from {} to {}", pair[0].1, pair[1].1),
            source: "probes",
        })
        .collect()
}

/// Moments at which /health or /metrics began to fail, or answered again.
fn outages(probes: &[ProbeRound]) -> Vec<Event> {
    let mut events = Vec::new();
    for path in ["/health", "/metrics"] {
        let states: Vec<(Time, bool, String)> = probes
            .iter()
            .filter_map(|round| {
                let probe = round.paths.get(path)?;
                let word = probe.error.clone().unwrap_or_else(|| {
                    probe.status.map_or("nothing".into(), |status| format!("status {status}"))
                });
                Some((round.at, probe.status == Some(200), word))
            })
            .collect();
        for pair in states.windows(2).filter(|pair| pair[0].1 != pair[1].1) {
            let (at, well, word) = &pair[1];
            let (kind, text) = if *well {
                (EventKind::ProbeRecovered, format!("{path} answered again"))
            } else {
                (EventKind::ProbeFailed, format!("{path} began to fail ({word})"))
            };
            events.push(Event { at: *at, not_before: pair[0].0, kind, text, source: "probes" });
        }
    }
    events
}

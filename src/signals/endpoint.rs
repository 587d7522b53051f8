//! The HTTP boundary and the process: refusals, aborts, outages, restarts.

use crate::{
    evidence::{AccessLine, EventKind, Probe, ProbeRound, Series, Span},
    stats,
    unit::Unit,
};

use super::{
    Derive, Estimate, Frame, Missing, MissingKind, Signal, Value, cloud::metrics, gateway,
    standstill,
};

/// Rows of this family.
pub(super) static SIGNALS: &[Signal] = &[
    Signal {
        name: "refused_4xx_ratio",
        unit: Unit::Ratio,
        about: "Share of finished POST requests answered 4xx.",
        doc: "From http_requests_total, which counts responses by status class when they end \
              (0.8.5 on). Refused requests never reach the engine's own counters. Where the pages \
              do not tell, Invocation4XXErrors over Invocations of AWS/SageMaker.",
        source: "metrics",
        families: &["http_requests"],
        derive: Derive::Span(|frame| status_share(frame, "4xx")),
    },
    Signal {
        name: "failed_5xx_ratio",
        unit: Unit::Ratio,
        about: "Share of finished POST requests answered 5xx.",
        doc: "From http_requests_total, by status class; where the pages do not tell, \
              Invocation5XXErrors over Invocations of AWS/SageMaker.",
        source: "metrics",
        families: &["http_requests"],
        derive: Derive::Span(|frame| status_share(frame, "5xx")),
    },
    Signal {
        name: "malformed_status_ratio",
        unit: Unit::Ratio,
        about: "Share of logged POST requests answered 400, 404, 413 or 422.",
        doc: "From gateway records where they were read, which also see what never reaches the \
              server; else from the access lines of the server's log. The metrics lack the codes.",
        source: "log",
        families: &[],
        derive: Derive::Span(|frame| code_share(frame, &[400, 404, 413, 422])),
    },
    Signal {
        name: "rejected_status_ratio",
        unit: Unit::Ratio,
        about: "Share of logged POST requests answered 401, 403 or 429.",
        doc: "Credentials or quotas. From gateway records where they were read, else from the \
              access lines of the server's log.",
        source: "log",
        families: &[],
        derive: Derive::Span(|frame| code_share(frame, &[401, 403, 429])),
    },
    Signal {
        name: "timed_out_status_ratio",
        unit: Unit::Ratio,
        about: "Share of logged POST requests answered 408, 499 or 504.",
        doc: "From gateway records where they were read, else from the access lines of the \
              server's log.",
        source: "log",
        families: &[],
        derive: Derive::Span(|frame| code_share(frame, &[408, 499, 504])),
    },
    Signal {
        name: "unavailable_status_ratio",
        unit: Unit::Ratio,
        about: "Share of logged POST requests answered 500, 502 or 503.",
        doc: "From gateway records where they were read, else from the access lines of the \
              server's log.",
        source: "log",
        families: &[],
        derive: Derive::Span(|frame| code_share(frame, &[500, 502, 503])),
    },
    Signal {
        name: "abort_ratio",
        unit: Unit::Ratio,
        about: "Share of requests accepted with 2xx that the engine never finished.",
        doc: "Engine V1 counts no aborts, so they are inferred: 2xx responses that ended less \
              requests finished, over 2xx responses. Requests with n > 1 finish several times, \
              which hides aborts.",
        source: "metrics",
        families: &["http_requests", "request_success"],
        derive: Derive::Span(abort_share),
    },
    Signal {
        name: "probe_failure_ratio",
        unit: Unit::Ratio,
        about: "Share of probe rounds in which the server did not answer.",
        doc: "From /health, or from /metrics where /health tells nothing: a status of 500 or more, \
              or no answer where one came before. Refused credentials, a wrong path, a redirect \
              or a bad name are no outage. A 200 says little: a wedged engine answers too.",
        source: "probes",
        families: &[],
        derive: Derive::Span(probe_failures),
    },
    Signal {
        name: "probe_failing_at_end",
        unit: Unit::Flag,
        about: "Whether the server did not answer in the last two probe rounds.",
        doc: "With one round in all, in that one. What counts stands at probe_failure_ratio.",
        source: "probes",
        families: &[],
        derive: Derive::Span(failing_at_end),
    },
    Signal {
        name: "scrape_age_intervals",
        unit: Unit::Count,
        about: "Age of the last page at the end of the evidence, in scrape intervals.",
        doc: "Above 3 the pages stopped before the evidence did: the readings are old.",
        source: "metrics",
        families: &[],
        derive: Derive::Span(staleness),
    },
    Signal {
        name: "metrics_scrape_seconds",
        unit: Unit::Seconds,
        about: "Median time that /metrics itself takes to answer.",
        doc: "The API server's own work, without the GPU: when it slows down with everything \
              else, the host's CPU is short.",
        source: "probes",
        families: &[],
        derive: Derive::Span(scrape_time),
    },
    Signal {
        name: "client_gap_seconds",
        unit: Unit::Seconds,
        about: "Client time to first token minus the server's own mean.",
        doc: "What network, proxy and tokenizer cost: the median time until the first token of \
              the completions that --probe sends, less ttft_mean_seconds over the same window, \
              which those completions are part of. Other requests with long prompts make it too \
              small.",
        source: "probes",
        families: &["ttft"],
        derive: Derive::Span(client_gap),
    },
    Signal {
        name: "frozen_tokens_seconds",
        unit: Unit::Seconds,
        about: "How long, up to the last page, work was in flight and no token moved.",
        doc: "Neither a token nor an engine step between two pages, and requests that run or wait \
              at both, or end with 2xx without having had a token: gauges stand still on a stuck \
              engine, and may read 0 there. 0 when tokens move, and when as many requests were \
              cancelled as the gauges still show, which is an idle engine. Without \
              http_requests_total the two cannot be told apart, and the gauges are believed.",
        source: "metrics",
        families: &["running", "waiting", "generation_tokens", "iteration_tokens", "http_requests"],
        derive: Derive::Span(standstill::frozen),
    },
    Signal {
        name: "restarts_count",
        unit: Unit::Count,
        about: "Restarts of the server process before or at the onset.",
        doc: "A new process start time, or counters that fall, up to 5 minutes before the onset; \
              without an onset, in the window. A restart after the onset is no cause of it and does \
              not count.",
        source: "metrics",
        families: &["process_start_time"],
        derive: Derive::Triggers(EventKind::Restart, restarts),
    },
    Signal {
        name: "uptime_seconds",
        unit: Unit::Seconds,
        about: "Age of the server process at the last page.",
        doc: "From process_start_time_seconds, which multi-process servers do not export.",
        source: "metrics",
        families: &["process_start_time"],
        derive: Derive::Span(uptime),
    },
    Signal {
        name: "config_changes_count",
        unit: Unit::Count,
        about: "Settings of the engine that changed before or at the onset.",
        doc: "Labels of cache_config_info that differ from one page to a later one, and arguments \
              that differ between two starts in the server's log, counted as restarts_count is.",
        source: "metrics",
        families: &["cache_config_info"],
        derive: Derive::Triggers(EventKind::ConfigChanged, config_changes),
    },
];

/// Ends of POST paths that no engine step answers: tokenising, rendering and administration.
pub const NO_INFERENCE: [&str; 13] = [
    "/tokenize",
    "/detokenize",
    "/render",
    "/derender",
    "/load_lora_adapter",
    "/unload_lora_adapter",
    "/reset_prefix_cache",
    "/reset_mm_cache",
    "/start_profile",
    "/stop_profile",
    "/sleep",
    "/wake_up",
    "/collective_rpc",
];

fn asks_inference(path: &str) -> bool {
    !NO_INFERENCE.iter().any(|end| path.ends_with(end))
}

/// Whether a series of http_requests_total counts inference requests.
pub fn is_inference(series: &Series) -> bool {
    series.label("method").is_none_or(|method| method == "POST")
        && series.label("handler").is_none_or(asks_inference)
}

fn responses(frame: &Frame<'_>, class: &str) -> Result<f64, Missing> {
    let name = frame.name("http_requests")?;
    let any = frame.view.increase_where(name, is_inference);
    any.ok_or_else(|| Missing::no_samples("POST request counted at the HTTP boundary"))?;
    let of_class = |series: &Series| is_inference(series) && series.label("status") == Some(class);
    Ok(frame.view.increase_where(name, of_class).unwrap_or(0.0))
}

fn of_class(frame: &Frame<'_>, class: &str) -> Result<(f64, f64), Missing> {
    let hits = match responses(frame, class) {
        Err(why) => return invocations(frame, class).map_err(|_| why),
        Ok(hits) => hits,
    };
    let mut total = 0.0;
    for class in ["2xx", "3xx", "4xx", "5xx"] {
        total += responses(frame, class)?;
    }
    Ok((hits, total))
}

/// The same as the endpoint of SageMaker counts it.
fn invocations(frame: &Frame<'_>, class: &str) -> Result<(f64, f64), Missing> {
    let errors = if class == "4xx" { "Invocation4XXErrors" } else { "Invocation5XXErrors" };
    metrics::part(frame, errors, "Invocations")
}

fn status_share(frame: &Frame<'_>, class: &str) -> Value {
    let (hits, total) = of_class(frame, class)?;
    Estimate::share(hits, total).ok_or_else(|| Missing::no_samples("finished HTTP request"))
}

/// Responses of class 5xx, and all.
pub(super) fn server_errors(frame: &Frame<'_>) -> Result<(f64, f64), Missing> {
    of_class(frame, "5xx")
}

/// Responses of class 4xx, and all.
pub(super) fn refusals(frame: &Frame<'_>) -> Result<(f64, f64), Missing> {
    of_class(frame, "4xx")
}

/// Requests for inference that were accepted with 2xx and whose response ended.
pub(super) fn accepted(frame: &Frame<'_>) -> Result<f64, Missing> {
    responses(frame, "2xx")
}

/// Requests accepted with 2xx that did not finish, and all that were accepted.
pub(super) fn aborts(frame: &Frame<'_>) -> Result<(f64, f64), Missing> {
    let accepted = accepted(frame)?;
    let finished = frame.increase("request_success")?;
    Ok(((accepted - finished).max(0.0), accepted))
}

fn abort_share(frame: &Frame<'_>) -> Value {
    let (aborted, accepted) = aborts(frame)?;
    Estimate::share(aborted, accepted)
        .ok_or_else(|| Missing::no_samples("request accepted with 2xx"))
}

fn code_share(frame: &Frame<'_>, codes: &[u16]) -> Value {
    if gateway::is_read(frame) {
        return gateway::codes(frame, codes);
    }
    if frame.evidence.source("log").is_none_or(|log| !log.status.answered()) {
        let why = "the server's log was not read: pass it with the bundle";
        return Err(Missing::new(MissingKind::NotConfigured, why));
    }
    if frame.view.is_lifetime() {
        let why = "the log is read for the window only";
        return Err(Missing::new(MissingKind::NoBaseline, why));
    }
    let span = frame.view.span();
    let inside = |line: &&AccessLine| {
        line.at.is_some_and(|at| span.contains(at))
            && line.path.starts_with('/')
            && asks_inference(&line.path)
    };
    let lines: Vec<&AccessLine> = frame.evidence.access.iter().filter(inside).collect();
    let hits = lines.iter().filter(|line| codes.contains(&line.status)).count();
    Estimate::share(hits as f64, lines.len() as f64)
        .ok_or_else(|| Missing::no_samples("access line with a time"))
}

/// The probe rounds of a span that asked for one of `paths`.
fn rounds<'a>(
    frame: &Frame<'a>,
    span: Span,
    paths: &[&str],
) -> Result<Vec<&'a ProbeRound>, Missing> {
    let all = &frame.evidence.probes;
    if all.is_empty() {
        let why = "no probe of the server was recorded";
        return Err(Missing::new(MissingKind::NotConfigured, why));
    }
    let asked = |round: &&ProbeRound| paths.iter().any(|path| round.paths.contains_key(*path));
    let rounds: Vec<_> = all.iter().filter(|round| span.contains(round.at)).filter(asked).collect();
    if rounds.is_empty() { Err(Missing::no_samples("probe round")) } else { Ok(rounds) }
}

/// Errors that tell of the address, the way there or the page, and not of the server's life.
const NO_OUTAGE: [&str; 8] =
    ["dns", "unreachable", "tls", "redirect", "too large", "truncated", "not http", "not metrics"];

/// Whether a probe shows that the server is down, or that it is up; `None` where it tells neither.
fn is_down(probe: &Probe) -> Option<bool> {
    match (probe.status, probe.error.as_deref()) {
        (Some(500..), _) => Some(true),
        (Some(200), _) => Some(false),
        (Some(_), _) => None,
        (None, Some(error)) if NO_OUTAGE.contains(&error) => None,
        (None, error) => error.map(|_| true),
    }
}

/// Whether anything ever answered. If not, the address may be wrong and says nothing of a server.
fn ever_answered(frame: &Frame<'_>) -> Result<(), Missing> {
    let rounds = &frame.evidence.probes;
    let any = rounds.iter().flat_map(|round| round.paths.values()).any(|p| p.status.is_some());
    if any || !frame.evidence.series.pages().is_empty() {
        return Ok(());
    }
    let source = frame.evidence.source("metrics").or_else(|| frame.evidence.source("probes"));
    let why = source.map_or("nothing ever answered there", |source| source.detail.as_str());
    Err(Missing::new(MissingKind::SourceFailed, why))
}

/// One entry a round that tells: whether the server was down. /health knows, and /metrics stands
/// in for it.
fn failures(frame: &Frame<'_>, span: Span) -> Result<Vec<bool>, Missing> {
    let paths = ["/health", "/metrics"];
    let rounds = rounds(frame, span, &paths)?;
    ever_answered(frame)?;
    let down = |round: &ProbeRound| paths.iter().find_map(|path| is_down(round.paths.get(*path)?));
    let known: Vec<bool> = rounds.into_iter().filter_map(down).collect();
    let silent = || Missing::no_samples("probe that tells whether the server lives");
    if known.is_empty() { Err(silent()) } else { Ok(known) }
}

fn probe_failures(frame: &Frame<'_>) -> Value {
    let rounds = failures(frame, frame.view.span())?;
    let bad = rounds.iter().filter(|&&failed| failed).count();
    Ok(Estimate::exact(bad as f64 / rounds.len() as f64, None))
}

fn failing_at_end(frame: &Frame<'_>) -> Value {
    // A window that begins with the first failure holds it alone, and one failure proves little.
    let until_end = Span { from: frame.evidence.span.from, ..frame.view.span() };
    let rounds = failures(frame, until_end)?;
    let last = &rounds[rounds.len().saturating_sub(2)..];
    Ok(Estimate::exact(f64::from(u8::from(last.iter().all(|&failed| failed))), None))
}

fn staleness(frame: &Frame<'_>) -> Value {
    let pages = frame.evidence.series.pages();
    let Some(last) = pages.last() else {
        return Err(Missing::no_samples("page"));
    };
    let gaps: Vec<f64> = pages.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let interval = stats::median(&gaps).filter(|gap| *gap > 0.0);
    let interval = interval.ok_or_else(|| Missing::no_samples("two pages"))?;
    Ok(Estimate::exact(((frame.evidence.span.to - last) / interval).max(0.0), None))
}

fn scrape_time(frame: &Frame<'_>) -> Value {
    let rounds = rounds(frame, frame.view.span(), &["/metrics"])?;
    let times: Vec<f64> =
        rounds.iter().filter_map(|round| round.paths.get("/metrics")?.ms).collect();
    let median = stats::median(&times).ok_or_else(|| Missing::no_samples("timed scrape"))? / 1e3;
    let distances: Vec<f64> = times.iter().map(|ms| (ms / 1e3 - median).abs()).collect();
    // 1.4826 makes the median absolute deviation a standard deviation for normal errors, and 1.253
    // that of a mean the one of a median.
    let deviation = 1.4826 * stats::median(&distances).unwrap_or(0.0);
    let n = times.len() as f64;
    Ok(Estimate { n: None, ..Estimate::with_error(median, 1.253 * deviation / n.sqrt(), n) })
}

fn client_gap(frame: &Frame<'_>) -> Value {
    let sent = |round: &ProbeRound| round.paths.contains_key("completion");
    if !frame.evidence.probes.iter().any(sent) {
        let why = "no completion was sent: sample the live server with --probe";
        return Err(Missing::new(MissingKind::NotConfigured, why));
    }
    let rounds = rounds(frame, frame.view.span(), &["completion"])?;
    let probes = rounds.iter().filter_map(|round| round.paths.get("completion"));
    let answered = |probe: &&Probe| probe.status == Some(200) && probe.error.is_none();
    let times: Vec<f64> = probes.filter(answered).filter_map(|probe| probe.ms).collect();
    let failed = || Missing::new(MissingKind::SourceFailed, "no completion came to a first token");
    let client = stats::median(&times).ok_or_else(failed)? / 1e3;
    let fastest = times.iter().copied().fold(f64::INFINITY, f64::min) / 1e3;
    let slowest = times.iter().copied().fold(0.0, f64::max) / 1e3;
    let server = frame.mean("ttft")?;
    Ok(Estimate {
        point: client - server.point,
        lo: fastest - server.point,
        hi: slowest - server.point,
        n: None,
        bucket: false,
    })
}

fn restarts(frame: &Frame<'_>) -> Result<(), Missing> {
    if frame.view.is_lifetime() {
        let why = "a process's lifetime holds no restart";
        return Err(Missing::new(MissingKind::NoBaseline, why));
    }
    Ok(())
}

fn config_changes(frame: &Frame<'_>) -> Result<(), Missing> {
    let log = frame.evidence.source("log").is_some_and(|log| log.status.answered());
    if !log {
        frame.name("cache_config_info")?;
    }
    Ok(())
}

fn uptime(frame: &Frame<'_>) -> Value {
    frame.name("process_start_time")?;
    let own = frame.view.set().process_start();
    let last = own.and_then(|series| series.within(frame.view.span()).last());
    let last = last.ok_or_else(|| Missing::no_samples("process start time"))?;
    Ok(Estimate::exact((last.at - last.value).max(0.0), None))
}

//! From what came back to the public result.

use super::{
    bottleneck, client, gate,
    limits::Limits,
    measure::{self, Latencies, rounded},
    result::{
        Bottleneck, ClientCheck, Counts, CutShort, FirstToken, GateAnswer, GateRow, LoadResult,
        MOST_RECORDS, Trend, Used, Verdict, Why,
    },
    scenario::Rule,
    verdict,
};
use crate::{
    evidence::exchange::{Exchange, Outcome},
    report::{CauseFound, Report, Status, Tool, json},
    stats::spread::Spread,
};

/// All that a test gave.
#[derive(Debug, Default)]
pub struct Raw {
    /// Every request, in the order of sending.
    pub records: Vec<Exchange>,
    /// Gaps between chunks of the requests judged.
    pub gaps: Spread,
    /// Lateness of the client's timer.
    pub lag: Spread,
    /// Share of a core that the client used.
    pub cpu_share: Option<f64>,
    /// Requests due within the time that the test lasted.
    pub due: u64,
    /// Seconds from the start to the end of the last answer.
    pub seconds: f64,
    /// Words of the first error of each class.
    pub examples: Vec<(Outcome, String)>,
    /// Why it ended before its time.
    pub cut_short: Option<CutShort>,
}

/// What is known of the server, and when.
#[derive(Debug)]
pub struct About {
    /// The server's URL, without credentials.
    pub target: String,
    /// Start, RFC 3339.
    pub started: String,
    /// End, RFC 3339.
    pub ended: String,
    /// What was asked.
    pub used: Used,
    /// The report over the test, or why there is none.
    pub report: Result<Report, String>,
    /// What grew.
    pub trends: Vec<Trend>,
}

/// The result.
pub fn result(mut raw: Raw, about: About, rules: &[Rule], limits: &Limits) -> LoadResult {
    let judged = judged(&mut raw, &about, rules, limits);
    let told = told(about.report, &raw.records, limits);
    let kinds: Vec<String> = about.used.mix.iter().map(|kind| kind.id.clone()).collect();
    let example =
        |outcome| raw.examples.iter().find(|(it, _)| *it == outcome).map(|(_, text)| text.clone());
    finished(LoadResult {
        schema_version: 1,
        command: "load".into(),
        tool: Tool { name: "diagnose".into(), version: env!("CARGO_PKG_VERSION").into() },
        target: about.target,
        server_version: told.report.as_ref().and_then(|it| it.target.version.clone()),
        started: about.started,
        ended: about.ended,
        seconds: rounded(raw.seconds),
        verdict: judged.verdict,
        statement: String::new(),
        cut_short: raw.cut_short,
        client: judged.client,
        errors: measure::errors(&raw.records, example),
        latency: judged.latencies.rows(),
        throughput: measure::throughput(&raw.records, rules, about.used.warmup, raw.seconds),
        gate: judged.gate,
        slices: measure::slices(&raw.records, &kinds, &about.used.models),
        trends: about.trends,
        first_token: told.first_token,
        why: told.why,
        bottlenecks: told.bottlenecks,
        without_evidence: told.without_evidence,
        report: told.report,
        records_cut: raw.records.len().saturating_sub(MOST_RECORDS) as u64,
        records: raw.records,
        counts: judged.counts,
        scenario: about.used,
    })
}

/// What the client saw, and the gate on it.
struct Judged {
    client: ClientCheck,
    counts: Counts,
    latencies: Latencies,
    gate: Vec<GateRow>,
    verdict: Verdict,
}

fn judged(raw: &mut Raw, about: &About, rules: &[Rule], limits: &Limits) -> Judged {
    let client = client::check(&limits.client, &raw.lag, raw.cpu_share, &raw.records);
    let counts = measure::counts(&raw.records, raw.due);
    let records = raw.records.iter().filter(|it| measure::is_judged(it));
    let gaps = std::mem::take(&mut raw.gaps);
    let latencies = Latencies { gaps, ..Latencies::over(records) };
    let seen = gate::Seen {
        latencies: &latencies,
        counts: &counts,
        report: about.report.as_ref().ok(),
        trends: Some(&about.trends),
    };
    let gate = gate::judge(rules, &seen);
    let verdict = verdict::of(&gate, client.valid, raw.cut_short.as_ref());
    Judged { client, counts, latencies, gate, verdict }
}

/// What the report over the test says.
#[derive(Default)]
struct Told {
    report: Option<Report>,
    without_evidence: Option<String>,
    why: Vec<Why>,
    bottlenecks: Vec<Bottleneck>,
    first_token: Option<FirstToken>,
}

fn told(report: Result<Report, String>, records: &[Exchange], limits: &Limits) -> Told {
    match report {
        Err(why) => Told { without_evidence: Some(why), ..Told::default() },
        Ok(report) => Told {
            without_evidence: None,
            why: why(&report),
            bottlenecks: bottleneck::reached(&limits.bottlenecks, &report),
            first_token: first_token(records, &report),
            // JSON knows no infinity.
            report: Some(json::finite(&report)),
        },
    }
}

/// As precise and as long as it may be, and in words.
fn finished(mut result: LoadResult) -> LoadResult {
    result.records.truncate(MOST_RECORDS);
    result.records.iter_mut().for_each(round);
    result.statement = verdict::statement(&result);
    result
}

/// Supported causes with what decides them, roots first, as the report has them.
fn why(report: &Report) -> Vec<Why> {
    let supported = report.causes.iter().filter(|cause| cause.status == Status::Supported);
    supported.map(of_cause).collect()
}

fn of_cause(cause: &CauseFound) -> Why {
    let because: Vec<&str> = cause.in_favour.iter().take(2).map(|it| it.because.as_str()).collect();
    Why {
        cause: cause.id.clone(),
        title: cause.title.clone(),
        probability: cause.probability,
        because: because.join("; "),
        fix: cause.fixes.first().map(|fix| fix.text.clone()),
    }
}

/// Mean time to first token at both ends, over all requests of the test.
fn first_token(records: &[Exchange], report: &Report) -> Option<FirstToken> {
    let there = report.decomposition.iter().find(|part| part.part == "time to first token")?;
    let here: Spread = records.iter().filter_map(|it| it.ttft).collect();
    let (client, server) = (here.mean()?, there.ms / 1e3);
    Some(FirstToken {
        client: rounded(client),
        server: rounded(server),
        between: rounded(client - server),
        client_n: here.count(),
        server_n: there.n,
    })
}

fn round(it: &mut Exchange) {
    it.intended = rounded(it.intended);
    let spans = [&mut it.sent, &mut it.slot_wait, &mut it.ttft, &mut it.last_token, &mut it.total];
    spans.into_iter().for_each(|span| *span = span.map(rounded));
}

/// Whether all rows that matter are answered.
pub(super) fn unanswered(result: &LoadResult) -> usize {
    let open = |row: &&GateRow| row.needed && row.answer == GateAnswer::NotDecidable;
    result.gate.iter().filter(open).count()
}

impl Verdict {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::TooFew => "too few",
            Self::Invalid => "invalid",
        }
    }
}

//! One side of a comparison, from evidence or from a load test.

use std::collections::BTreeMap;

use crate::{
    evidence::{Evidence, Span, Time, exchange::Exchange},
    load::result::LoadResult,
    signals::{Value, pieces},
    stats::bootstrap,
};

use super::About;

/// What was seen of one measure.
#[derive(Debug, Clone, PartialEq)]
pub enum Sample {
    /// `(top, bottom)` of a ratio of sums, a block of neighbours each.
    Ratio(Vec<(f64, f64)>),
    /// Events that do not depend on each other, and how many there could have been.
    Share(f64, f64),
    /// A quantile of values, a block of neighbours each.
    Quantile(f64, Vec<Vec<f64>>),
}

/// A sample, or why there is none.
pub type Sampled = Result<Sample, String>;

/// One side.
#[derive(Debug, Clone, Default)]
pub struct Side {
    /// For the report.
    pub about: About,
    /// By signal.
    pub samples: BTreeMap<&'static str, Sample>,
    /// Why a signal has no sample.
    pub missing: BTreeMap<&'static str, String>,
    /// Quantiles that are buckets.
    pub shown: BTreeMap<&'static str, Value>,
    /// Variance of the arrivals over their mean, over the scrape intervals.
    pub bursts: Option<f64>,
    /// Models and adapters asked for.
    pub models: Vec<String>,
    /// Settings of the server.
    pub settings: BTreeMap<String, String>,
    /// Fingerprint of the load that was sent.
    pub fingerprint: Option<String>,
    /// Why the numbers of this side are not the server's.
    pub invalid: Option<String>,
}

impl Default for About {
    fn default() -> Self {
        let (name, kind) = (String::new(), "bundle".into());
        Self { name, kind, version: None, from: None, seconds: 0.0, requests: None }
    }
}

/// Signals compared that are ratios of sums.
const RATIOS: [&str; 9] = [
    "ttft_mean_seconds",
    "itl_mean_seconds",
    "decode_mean_seconds",
    "queue_mean_seconds",
    "prefix_cache_hit_ratio",
    "generation_tokens_per_second",
    "arrivals_requests_per_second",
    "prompt_mean_tokens",
    "output_mean_tokens",
];

/// Quantiles of histograms that are shown.
const SHOWN: [&str; 3] = ["ttft_p95_seconds", "itl_p99_seconds", "e2e_p99_seconds"];

/// Facts that are no setting, or differ from process to process.
const NO_SETTINGS: [&str; 4] = ["version", "host", "port", "api_key"];

/// Blocks that intervals are put into, at least where there are so many.
const BLOCKS: usize = 10;

impl Side {
    /// The evidence of one span.
    pub fn of_evidence(name: String, evidence: &Evidence, span: Span) -> Self {
        let about = About {
            name,
            kind: "bundle".into(),
            version: evidence.target.version.clone(),
            from: Some(stamp(span.from)),
            seconds: span.seconds(),
            requests: pieces::over(evidence, span, "finished_requests").ok().map(|it| it.point),
        };
        let mut side = Self { about, models: evidence.target.models.clone(), ..Self::default() };
        for signal in RATIOS {
            let found = pieces::pieces(evidence, span, signal).map_err(|missing| missing.why);
            side.put(signal, found.map(|pairs| Sample::Ratio(summed(&pairs))));
        }
        let errors = pieces::pieces(evidence, span, "failed_5xx_ratio").map_err(|it| it.why);
        side.put("failed_5xx_ratio", errors.map(|pairs| share(&pairs)));
        side.shown = SHOWN.map(|it| (it, pieces::over(evidence, span, it))).into();
        let arrivals = pieces::pieces(evidence, span, "arrivals_requests_per_second");
        side.bursts = arrivals.ok().and_then(|pairs| dispersion(&pairs));
        let own = |name: &&String| !NO_SETTINGS.contains(&name.as_str());
        let facts = evidence.facts.iter().filter(|(name, _)| own(name));
        side.settings = facts.map(|(name, fact)| (name.clone(), fact.value.clone())).collect();
        side
    }

    /// The requests of a load test, its warm-up left out.
    pub fn of_load(name: String, result: &LoadResult) -> Self {
        let about = About {
            name,
            kind: "load".into(),
            version: result.server_version.clone(),
            from: Some(result.started.clone()),
            seconds: result.throughput.seconds,
            requests: Some(result.counts.judged as f64),
        };
        let mut records: Vec<&Exchange> =
            result.records.iter().filter(|record| !record.warmup).collect();
        records.sort_by(|a, b| a.intended.total_cmp(&b.intended));
        let mut side = Self {
            about,
            models: result.scenario.models.clone(),
            fingerprint: Some(result.scenario.fingerprint.clone()),
            ..Self::default()
        };
        side.invalid = (!result.client.valid).then(|| "the client did not keep up".into());
        side.put_requests(&records);
        side.put("generation_tokens_per_second", throughput(&records));
        let rate = (result.throughput.due_per_second, 1.0);
        let rate = Sample::Ratio(vec![rate; bootstrap::LEAST_BLOCKS]);
        side.put("arrivals_requests_per_second", Ok(rate));
        side
    }

    fn put_requests(&mut self, records: &[&Exchange]) {
        let answered = |value: f64| (value, 1.0);
        let tokens = |count: Option<u64>| Some(answered(count? as f64));
        let after_first = |it: &Exchange| {
            let more = it.output_tokens?.checked_sub(1).filter(|&count| count > 0)?;
            Some(((it.last_token? - it.ttft?).max(0.0), more as f64))
        };
        let decode = |it: &Exchange| Some(answered((it.last_token? - it.ttft?).max(0.0)));
        let cached = |it: &Exchange| Some((it.cached_tokens? as f64, it.prompt_tokens? as f64));
        self.put("ttft_mean_seconds", per(records, |it| Some(answered(it.ttft_intended()?))));
        self.put("itl_mean_seconds", per(records, after_first));
        self.put("decode_mean_seconds", per(records, decode));
        self.put("prefix_cache_hit_ratio", per(records, cached));
        self.put("prompt_mean_tokens", per(records, |it| tokens(it.prompt_tokens)));
        self.put("output_mean_tokens", per(records, |it| tokens(it.output_tokens)));
        self.put("ttft_p95_seconds", quantile(records, 0.95, Exchange::ttft_intended));
        self.put("e2e_p95_seconds", quantile(records, 0.95, Exchange::total_intended));
        let ended: Vec<_> = records.iter().filter(|it| it.outcome != Default::default()).collect();
        let failed = ended.iter().filter(|it| it.outcome.failed()).count();
        let failures = Sample::Share(failed as f64, ended.len() as f64);
        self.put("failed_5xx_ratio", Ok(failures));
        let why = "a client does not see the server's queue";
        self.put("queue_mean_seconds", Err(why.into()));
    }

    fn put(&mut self, signal: &'static str, sampled: Sampled) {
        match sampled {
            Ok(sample) => drop(self.samples.insert(signal, sample)),
            Err(why) => drop(self.missing.insert(signal, why)),
        }
    }
}

fn stamp(at: Time) -> String {
    let time = jiff::Timestamp::from_millisecond((at * 1e3).round() as i64).unwrap_or_default();
    format!("{time:.0}")
}

/// Pairs summed over blocks of neighbours.
fn summed(pairs: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let length = bootstrap::block_length(pairs.len(), BLOCKS);
    let blocks = bootstrap::blocks(pairs, length);
    blocks.into_iter().map(sum).collect()
}

fn sum(pairs: &[(f64, f64)]) -> (f64, f64) {
    pairs.iter().fold((0.0, 0.0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1))
}

fn share(pairs: &[(f64, f64)]) -> Sample {
    let (hits, n) = sum(pairs);
    Sample::Share(hits, n)
}

/// Variance over mean of the arrivals in an interval: 1 where each comes by itself.
fn dispersion(pairs: &[(f64, f64)]) -> Option<f64> {
    let n = pairs.len() as f64;
    let (arrivals, seconds) = sum(pairs);
    if pairs.len() < BLOCKS || arrivals <= 0.0 || seconds <= 0.0 {
        return None;
    }
    let expected = |pair: &(f64, f64)| arrivals * pair.1 / seconds;
    let squares = pairs.iter().map(|pair| (pair.0 - expected(pair)).powi(2) / expected(pair));
    Some(squares.sum::<f64>() / (n - 1.0))
}

/// Requests in one block: about as many as there are blocks.
fn block_of(n: usize) -> usize {
    (n as f64).sqrt().round() as usize
}

/// Values of the requests that tell one, in blocks of all requests: where two tests ran side by
/// side, block by block of the same time.
fn told<T>(records: &[&Exchange], value: impl Fn(&Exchange) -> Option<T>) -> Vec<Vec<T>> {
    let blocks = bootstrap::blocks(records, block_of(records.len()));
    blocks.iter().map(|block| block.iter().filter_map(|it| value(it)).collect()).collect()
}

fn per(records: &[&Exchange], value: impl Fn(&Exchange) -> Option<(f64, f64)>) -> Sampled {
    let told = told(records, value);
    match told.iter().all(Vec::is_empty) {
        true => Err("no request tells it".into()),
        false => Ok(Sample::Ratio(told.iter().map(|block| sum(block)).collect())),
    }
}

fn quantile(records: &[&Exchange], q: f64, value: fn(&Exchange) -> Option<f64>) -> Sampled {
    let told = told(records, value);
    match told.iter().all(Vec::is_empty) {
        true => Err("no request tells it".into()),
        false => Ok(Sample::Quantile(q, told)),
    }
}

/// Tokens of the answers that ended in each of equal parts of the time.
fn throughput(records: &[&Exchange]) -> Sampled {
    let end = |it: &Exchange| Some(it.sent? + it.total?);
    let first = records.iter().map(|it| it.intended).fold(f64::INFINITY, f64::min);
    let last = records.iter().filter_map(|it| end(it)).fold(0.0, f64::max);
    if last <= first {
        return Err("no request ended".into());
    }
    let count = block_of(records.len()).max(1);
    let seconds = (last - first) / count as f64;
    let mut parts = vec![(0.0, seconds); count];
    for record in records {
        let (Some(at), Some(tokens)) = (end(record), record.output_tokens) else { continue };
        let index = (((at - first) / seconds) as usize).min(count - 1);
        parts[index].0 += tokens as f64;
    }
    Ok(Sample::Ratio(parts))
}

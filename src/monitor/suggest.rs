//! Thresholds from a load that was healthy, and not from others' numbers.

use serde::Serialize;

use crate::{
    evidence::{Evidence, Span, exchange::Exchange},
    load::result::LoadResult,
    report::{
        json::escape_hazards,
        text::{clean, wrap},
    },
    runbook::Library,
    signals::{families::buckets, families::version::Version, pieces},
    unit::{Unit, significant},
};

/// Standard errors on each side of a quantile's rank: about 95 % of cases.
const Z: f64 = 1.96;

/// Requests under which a share with nothing in it bounds nothing.
const LEAST_TRIALS: f64 = 1000.0;

/// A threshold that is proposed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Suggestion {
    /// The entry of policy.
    pub policy: &'static str,
    /// What is in force.
    pub in_force: Option<f64>,
    /// What is proposed; null where too little was seen.
    pub value: Option<f64>,
    /// What was seen in healthy times, as an interval at 95 %.
    pub seen: Option<(f64, f64)>,
    /// Unit of all numbers.
    pub unit: Unit,
    /// Factor that is kept free.
    pub margin: f64,
    /// Requests, or pages, behind it.
    pub n: f64,
    /// Where the numbers come from, or why there is no proposal.
    pub because: String,
}

/// A healthy time.
#[derive(Debug)]
pub enum Healthy {
    /// A recording, by name.
    Recorded(String, Box<Evidence>),
    /// A load test, by name.
    Tested(String, Box<LoadResult>),
}

/// How an entry of policy is measured.
enum Measured {
    /// A quantile of a histogram family.
    Quantile(&'static str, f64),
    /// A signal, whose interval tells.
    Signal(&'static str),
    /// A share of requests.
    Share(&'static str),
}

/// An entry of policy that a healthy load can tell.
struct Entry {
    policy: &'static str,
    unit: Unit,
    measured: Measured,
    /// Whether the threshold lies above what is healthy.
    above: bool,
}

const fn above(policy: &'static str, unit: Unit, measured: Measured) -> Entry {
    Entry { policy, unit, measured, above: true }
}

static ENTRIES: [Entry; 9] = [
    above("ttft_p95_seconds", Unit::Seconds, Measured::Quantile("ttft", 0.95)),
    above("serving_ttft_p95_seconds", Unit::Seconds, Measured::Quantile("ttft", 0.95)),
    above("serving_queue_p95_seconds", Unit::Seconds, Measured::Quantile("queue_time", 0.95)),
    above("queue_seconds", Unit::Seconds, Measured::Signal("queue_mean_seconds")),
    above("preemptions_per_minute", Unit::PerMinute, Measured::Signal("preemptions_per_minute")),
    above("refused_ratio", Unit::Ratio, Measured::Share("refused_4xx_ratio")),
    above("failed_ratio", Unit::Ratio, Measured::Share("failed_5xx_ratio")),
    above("abort_ratio", Unit::Ratio, Measured::Share("abort_ratio")),
    Entry {
        policy: "prefix_cache_hit_ratio",
        unit: Unit::Ratio,
        measured: Measured::Signal("prefix_cache_hit_ratio"),
        above: false,
    },
];

/// Proposes a threshold for each entry. Of several healthy times the widest counts.
pub fn suggest(healthy: &[Healthy], library: &Library) -> Vec<Suggestion> {
    let margin = library.policy.get("suggest_margin_factor").map_or(f64::NAN, |it| it.value);
    ENTRIES.iter().map(|entry| suggestion(entry, healthy, margin, library)).collect()
}

/// An interval with the observations behind it, and the bounds that buckets can tell.
struct Seen {
    lo: f64,
    hi: f64,
    n: f64,
    bounds: Option<&'static [f64]>,
}

fn suggestion(entry: &Entry, healthy: &[Healthy], margin: f64, library: &Library) -> Suggestion {
    let told: Vec<(&str, Result<Seen, String>)> =
        healthy.iter().map(|it| (name(it), seen(entry, it))).collect();
    let seen = || told.iter().filter_map(|(_, seen)| seen.as_ref().ok());
    let ends = seen().map(|it| (it.lo, it.hi)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    let bounds = seen().filter_map(|it| it.bounds).next_back();
    // Where nobody waited, a factor of the wait says nothing.
    let least = library.policy.get("suggest_least_queue_seconds").map_or(f64::NAN, |it| it.value);
    let told_apart = |ends: &(f64, f64)| entry.policy != "queue_seconds" || ends.1 >= least;
    let value = ends.filter(told_apart).map(|ends| threshold(entry, ends, margin, bounds));
    let names = |ok: bool| {
        let names = told.iter().filter(move |(_, seen)| seen.is_ok() == ok).map(|(name, _)| *name);
        names.collect::<Vec<_>>().join(", ")
    };
    let why = told.iter().find_map(|(_, seen)| seen.as_ref().err());
    let value = value.filter(|value| value.is_finite() && *value > 0.0);
    Suggestion {
        policy: entry.policy,
        in_force: library.policy.get(entry.policy).map(|it| it.value),
        value,
        seen: ends,
        unit: entry.unit,
        margin,
        n: seen().map(|it| it.n).sum(),
        because: match (value, why) {
            (Some(_), _) => names(true),
            (None, Some(why)) => why.clone(),
            (None, None) => {
                "it is next to nothing in healthy times, and so is a factor of it".into()
            }
        },
    }
}

/// The threshold beyond what was seen. On buckets it is a bound, as nothing else can be decided.
fn threshold(entry: &Entry, (lo, hi): (f64, f64), margin: f64, bounds: Option<&[f64]>) -> f64 {
    if !entry.above {
        return two_digits(lo / margin, false);
    }
    let beyond = hi * margin;
    let bound = bounds.and_then(|bounds| bounds.iter().copied().find(|bound| *bound >= beyond));
    bound.unwrap_or_else(|| two_digits(beyond, true))
}

/// Two significant digits, away from what is healthy.
fn two_digits(value: f64, up: bool) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return value;
    }
    let step = 10f64.powi(value.log10().floor() as i32 - 1);
    let steps = value / step;
    let whole = if up { (steps - 1e-9).ceil() } else { (steps + 1e-9).floor() };
    // Through text, as 0.1 · 3 is no 0.3.
    format!("{:.12}", whole * step).parse().unwrap_or(value)
}

fn name(healthy: &Healthy) -> &str {
    match healthy {
        Healthy::Recorded(name, _) | Healthy::Tested(name, _) => name,
    }
}

fn seen(entry: &Entry, healthy: &Healthy) -> Result<Seen, String> {
    match (healthy, &entry.measured) {
        (Healthy::Recorded(_, evidence), measured) => recorded(evidence, measured),
        (Healthy::Tested(_, result), Measured::Quantile("ttft", q)) => tested(result, *q),
        (Healthy::Tested(_, result), Measured::Share("failed_5xx_ratio")) => {
            let counts = &result.counts;
            let (failed, judged) = (counts.failed as f64, counts.judged as f64);
            let (lo, hi) =
                crate::stats::wilson(failed, judged, Z).ok_or("no request was judged")?;
            bounded(Seen { lo, hi, n: judged, bounds: None }, failed)
        }
        (Healthy::Tested(..), _) => Err("a load test alone does not tell it".into()),
    }
}

fn recorded(evidence: &Evidence, measured: &Measured) -> Result<Seen, String> {
    let span: Span = evidence.span;
    match measured {
        Measured::Quantile(family, q) => {
            let histogram = pieces::histogram(evidence, span, family).map_err(|it| it.why)?;
            let (low, high) = ranks(*q, histogram.count)?;
            let ends = histogram.quantile(low).zip(histogram.quantile(high));
            let ((lo, _), (_, hi)) = ends.ok_or("nothing was observed")?;
            let version = evidence.target.version.as_deref().and_then(Version::parse);
            let bounds = version.and_then(|version| buckets::bounds(family, version));
            Ok(Seen { lo, hi, n: histogram.count, bounds })
        }
        Measured::Signal(signal) | Measured::Share(signal) => {
            let it = pieces::over(evidence, span, signal).map_err(|it| it.why)?;
            let seen = Seen { lo: it.lo, hi: it.hi, n: it.n.unwrap_or(0.0), bounds: None };
            match measured {
                Measured::Share(_) => bounded(seen, it.point),
                _ if it.point <= 0.0 => Err("it is zero in healthy times".into()),
                _ => Ok(seen),
            }
        }
    }
}

/// Nothing among few says little.
fn bounded(seen: Seen, hits: f64) -> Result<Seen, String> {
    if hits > 0.0 || seen.n >= LEAST_TRIALS {
        return Ok(seen);
    }
    let n = Unit::Requests.show(seen.n);
    Err(format!("none of {n}, which are too few to bound a share ({LEAST_TRIALS} are needed)"))
}

/// The quantiles between which quantile `q` of the truth lies, by the number of observations.
fn ranks(q: f64, n: f64) -> Result<(f64, f64), String> {
    let reach = Z * (q * (1.0 - q) / n.max(1.0)).sqrt();
    if q + reach >= 1.0 {
        let needed = (Z * Z * q / (1.0 - q)).ceil();
        return Err(format!("{} are too few; over {needed} are needed", Unit::Requests.show(n)));
    }
    Ok((q - reach, q + reach))
}

fn tested(result: &LoadResult, q: f64) -> Result<Seen, String> {
    let judged = result.records.iter().filter(|record| !record.warmup);
    let mut values: Vec<f64> = judged.filter_map(Exchange::ttft_intended).collect();
    values.sort_by(f64::total_cmp);
    let n = values.len() as f64;
    let (low, high) = ranks(q, n)?;
    let at = |q: f64| values[((q * n).ceil() as usize).clamp(1, values.len()) - 1];
    Ok(Seen { lo: at(low), hi: at(high), n, bounds: None })
}

/// The proposals as JSON.
pub fn json(suggestions: &[Suggestion]) -> String {
    escape_hazards(&serde_json::to_string_pretty(suggestions).unwrap_or_default()) + "\n"
}

/// The proposals for people: what to paste, then what could not be proposed.
pub fn terminal(suggestions: &[Suggestion], columns: usize) -> String {
    let proposed = suggestions.iter().filter(|it| it.value.is_some());
    let entries: String = proposed.map(yaml).collect();
    let missing = suggestions.iter().filter(|it| it.value.is_none());
    let missing: String = missing
        .flat_map(|it| wrap(&format!("# {}: {}", it.policy, clean(&it.because)), columns))
        .map(|line| if line.starts_with('#') { line + "\n" } else { format!("#   {line}\n") })
        .collect();
    let head = match entries.is_empty() {
        true => "# too little was seen to propose a threshold\n",
        false => "# policy.yaml in the folder of your runbooks (--runbooks DIR)\n",
    };
    format!("{head}{entries}{missing}")
}

fn yaml(it: &Suggestion) -> String {
    let value = it.value.unwrap_or_default();
    let (lo, hi) = it.seen.unwrap_or_default();
    let now =
        it.in_force.map_or(String::new(), |now| format!("; {} was in force", it.unit.show(now)));
    let about = format!(
        "{} in healthy times ({} behind it, from {}), {}× kept free{now}.",
        it.unit.show_interval(lo, hi),
        significant(it.n),
        it.because,
        significant(it.margin),
    );
    // A JSON string is a YAML string too, whatever a name holds.
    let about = serde_json::to_string(&clean(&about)).unwrap_or_default();
    format!("{}:\n  value: {value:?}\n  about: {about}\n", it.policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_lie_beyond_what_is_healthy_and_on_a_bound_where_there_are_buckets() {
        let entry = &ENTRIES[0];
        assert_eq!(threshold(entry, (0.1, 0.25), 1.5, Some(&[0.25, 0.5, 0.75])), 0.5);
        assert_eq!(threshold(entry, (0.1, 0.231), 1.5, None), 0.35);
        let hits = ENTRIES.last().unwrap();
        assert_eq!(threshold(hits, (0.8, 0.9), 1.5, None), 0.53);
    }

    #[test]
    fn a_quantile_needs_requests_beyond_it() {
        assert!(ranks(0.95, 50.0).is_err());
        let (low, high) = ranks(0.95, 1000.0).unwrap();
        assert!((low - 0.9365).abs() < 1e-3 && (high - 0.9635).abs() < 1e-3);
    }
}

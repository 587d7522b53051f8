//! What differs, how surely, and whether the two sides had the same work.

use std::collections::BTreeMap;

use crate::{
    report::{Tool, text::sentence},
    runbook::{Library, PolicyEntry},
    stats::{
        bootstrap::{Difference, difference, paired, ratio_of_sums},
        student::normal_quantile,
        wilson,
    },
    unit::Unit,
};

use super::{
    Answer, Change, Comparison, Effect, Fairness, LoadRow, Sample, Scale, ShownRow, Side, Verdict,
    upgrade,
};

/// All measures together miss the truth in this share of comparisons at most.
const OUTSIDE: f64 = 0.05;

/// Quantile of the normal distribution behind "shown in 4 of 5 comparisons".
const POWER: f64 = 0.8;

type Policy = BTreeMap<String, PolicyEntry>;

/// A measure that is judged.
struct Measure {
    signal: &'static str,
    title: &'static str,
    unit: Unit,
    less_is_better: bool,
    scale: Scale,
    /// Entry of policy that says what is tolerated.
    tolerated: &'static str,
}

const fn latency(signal: &'static str, title: &'static str) -> Measure {
    Measure {
        signal,
        title,
        unit: Unit::Seconds,
        less_is_better: true,
        scale: Scale::Factor,
        tolerated: "compare_latency_factor",
    }
}

const QUEUE: &str = "queue_mean_seconds";
const THROUGHPUT: &str = "generation_tokens_per_second";

static MEASURES: [Measure; 9] = [
    latency("ttft_mean_seconds", "time to first token"),
    latency("ttft_p95_seconds", "  its 95th percentile"),
    latency("itl_mean_seconds", "between tokens"),
    latency("decode_mean_seconds", "generation"),
    latency("e2e_p95_seconds", "whole answer, p95"),
    Measure {
        scale: Scale::Difference,
        tolerated: "compare_queue_seconds",
        ..latency(QUEUE, "wait in the queue")
    },
    Measure {
        signal: "prefix_cache_hit_ratio",
        title: "prefix-cache hits",
        unit: Unit::Ratio,
        less_is_better: false,
        scale: Scale::Difference,
        tolerated: "compare_hit_ratio",
    },
    Measure {
        signal: THROUGHPUT,
        title: "throughput",
        unit: Unit::TokensPerSecond,
        less_is_better: false,
        scale: Scale::Factor,
        tolerated: "compare_latency_factor",
    },
    Measure {
        signal: "failed_5xx_ratio",
        title: "failed requests",
        unit: Unit::Ratio,
        less_is_better: true,
        scale: Scale::Difference,
        tolerated: "compare_failed_ratio",
    },
];

/// Compares B with A, and B's eager run with both. `interleaved` says that both answered the same
/// requests at the same times.
pub fn compare(
    a: &Side,
    b: &Side,
    eager: Option<&Side>,
    interleaved: bool,
    library: &Library,
) -> Comparison {
    let policy = &library.policy;
    let load = load_rows(a, b, policy);
    let fairness = match interleaved {
        true => Fairness::Identical,
        false => fairness(a, b, &load),
    };
    let judged = MEASURES.iter().filter(|it| both(a, b, it.signal).is_ok()).count();
    let outside = OUTSIDE / judged.max(1) as f64;
    let effects: Vec<Effect> = MEASURES
        .iter()
        .filter(|it| a.samples.contains_key(it.signal) || b.samples.contains_key(it.signal))
        .map(|measure| effect(measure, a, b, &Asked { policy, outside, interleaved, fairness }))
        .collect();
    let (verdict, statement) = verdict(&effects, fairness, &load, [a, b]);
    let asked = upgrade::Asked { a, b, eager, effects: &effects, fairness, outside, interleaved };
    Comparison {
        schema_version: 1,
        command: "compare".into(),
        tool: Tool { name: "diagnose".into(), version: env!("CARGO_PKG_VERSION").into() },
        a: a.about.clone(),
        b: b.about.clone(),
        eager: eager.map(|side| side.about.clone()),
        verdict,
        statement: sentence(&statement),
        fairness,
        load,
        judged: judged as u32,
        shown: shown(a, b),
        differences: differences(a, b),
        upgrade: upgrade::walk(&asked, library),
        notes: notes(a, b, &effects, judged),
        effects,
    }
}

/// What all measures are judged by.
struct Asked<'a> {
    policy: &'a Policy,
    outside: f64,
    interleaved: bool,
    fairness: Fairness,
}

/// A threshold that is not there decides nothing.
fn entry(policy: &Policy, name: &str) -> f64 {
    policy.get(name).map_or(f64::NAN, |entry| entry.value)
}

fn both<'a>(a: &'a Side, b: &'a Side, signal: &str) -> Result<(&'a Sample, &'a Sample), String> {
    let of = |side: &'a Side, name: &str| {
        let why = || side.missing.get(signal).cloned().unwrap_or_else(|| "not measured".into());
        side.samples.get(signal).ok_or_else(|| format!("{name}: {}", why()))
    };
    Ok((of(a, "A")?, of(b, "B")?))
}

fn effect(measure: &Measure, a: &Side, b: &Side, asked: &Asked<'_>) -> Effect {
    let value = |side: &Side| side.samples.get(measure.signal).and_then(value);
    let mut effect = Effect {
        signal: measure.signal.into(),
        title: measure.title.into(),
        unit: measure.unit,
        a: value(a),
        b: value(b),
        change: None,
        answer: Answer::CannotTell,
        because: String::new(),
    };
    let change = both(a, b, measure.signal).and_then(|(a, b)| {
        let (scale, interleaved) = (measure.scale, asked.interleaved);
        let moved = Moved::between(a, b, scale, interleaved)
            .ok_or_else(|| "too few requests or scrapes for an interval".to_owned())?;
        Ok((moved.change(scale, asked.outside), moved))
    });
    match change {
        Err(why) => effect.because = why,
        Ok((change, _)) => {
            let tolerated = tolerated(measure, effect.a, asked.policy);
            let change = Change { tolerated, ..change };
            let follows_load = measure.signal == THROUGHPUT
                && !matches!(asked.fairness, Fairness::Identical | Fairness::Alike);
            effect.answer = if follows_load { Answer::NotJudged } else { answer(measure, &change) };
            effect.because = words(measure, &change, effect.answer);
            effect.change = Some(change);
        }
    }
    effect
}

/// The loss that is tolerated: a share of A for factors, in the unit for differences.
fn tolerated(measure: &Measure, a: Option<f64>, policy: &Policy) -> f64 {
    let limit = entry(policy, measure.tolerated);
    let share = entry(policy, "compare_latency_factor") - 1.0;
    match measure.scale {
        Scale::Factor => limit - 1.0,
        Scale::Difference if measure.signal == QUEUE => limit.max(share * a.unwrap_or(0.0)),
        Scale::Difference => limit,
    }
}

fn value(sample: &Sample) -> Option<f64> {
    match sample {
        Sample::Ratio(blocks) => ratio_of_sums(&mut blocks.iter()),
        Sample::Share(hits, n) => (*n > 0.0).then(|| hits / n),
        Sample::Quantile(q, blocks) => quantile(*q, &mut blocks.iter()),
    }
}

fn quantile(q: f64, blocks: &mut dyn Iterator<Item = &Vec<f64>>) -> Option<f64> {
    let mut values: Vec<f64> = blocks.flatten().copied().collect();
    if values.is_empty() {
        return None;
    }
    let rank = ((q * values.len() as f64).ceil() as usize).clamp(1, values.len()) - 1;
    Some(*values.select_nth_unstable_by(rank, f64::total_cmp).1)
}

/// A difference of two samples, on the logarithms for factors.
pub(super) enum Moved {
    /// By drawing blocks anew.
    Drawn(Difference),
    /// Of two shares: `(hits, n)` each.
    Shares([(f64, f64); 2]),
}

impl Moved {
    pub(super) fn between(a: &Sample, b: &Sample, scale: Scale, interleaved: bool) -> Option<Self> {
        let on = |value: f64| match scale {
            Scale::Factor => (value > 0.0).then(|| value.ln()),
            Scale::Difference => Some(value),
        };
        let drawn = match (a, b) {
            (Sample::Ratio(a), Sample::Ratio(b)) => {
                let of = |pairs: &mut dyn Iterator<Item = &(f64, f64)>| on(ratio_of_sums(pairs)?);
                if interleaved { paired(a, b, &of) } else { difference(a, b, &of) }
            }
            (Sample::Quantile(q, a), Sample::Quantile(_, b)) => {
                let of = |blocks: &mut dyn Iterator<Item = &Vec<f64>>| on(quantile(*q, blocks)?);
                if interleaved { paired(a, b, &of) } else { difference(a, b, &of) }
            }
            (Sample::Share(a, n), Sample::Share(b, m)) if *n > 0.0 && *m > 0.0 => {
                return Some(Self::Shares([(*a, *n), (*b, *m)]));
            }
            _ => None,
        };
        drawn.map(Self::Drawn)
    }

    /// Point and interval that misses the truth with probability `outside`.
    fn interval(&self, outside: f64) -> (f64, f64, f64) {
        match self {
            Self::Drawn(difference) => {
                let (lo, hi) = difference.interval(outside);
                (difference.point, lo, hi)
            }
            Self::Shares(shares) => newcombe(*shares, -normal_quantile(outside / 2.0)),
        }
    }

    pub(super) fn change(&self, scale: Scale, outside: f64) -> Change {
        let back = |value: f64| if scale == Scale::Factor { value.exp() } else { value };
        let (point, lo, hi) = self.interval(OUTSIDE);
        let (_, sure_lo, sure_hi) = self.interval(outside);
        let reach = (sure_hi - sure_lo) / 2.0;
        let shown = reach * (1.0 + normal_quantile(POWER) / -normal_quantile(outside / 2.0));
        Change {
            scale,
            point: back(point),
            lo: back(lo),
            hi: back(hi),
            sure_lo: back(sure_lo),
            sure_hi: back(sure_hi),
            detectable: if scale == Scale::Factor { shown.exp_m1() } else { shown },
            tolerated: f64::NAN,
        }
    }
}

/// Difference of two shares with its interval (Newcombe 1998, method 10).
fn newcombe([a, b]: [(f64, f64); 2], z: f64) -> (f64, f64, f64) {
    let of = |(hits, n): (f64, f64)| {
        let (lo, hi) = wilson(hits, n, z).unwrap_or((0.0, 1.0));
        (hits / n, lo, hi)
    };
    let ((p, p_lo, p_hi), (q, q_lo, q_hi)) = (of(a), of(b));
    let reach = |x: f64, y: f64| (x * x + y * y).sqrt();
    let point = q - p;
    (point, point - reach(q - q_lo, p_hi - p), point + reach(q_hi - q, p - p_lo))
}

/// The loss at the point and at both ends of the sure interval, on the scale of `tolerated`.
fn loss(measure: &Measure, change: &Change) -> (f64, f64, f64) {
    let turn = |value: f64| match (change.scale, measure.less_is_better) {
        (Scale::Factor, true) => value - 1.0,
        (Scale::Factor, false) => 1.0 / value - 1.0,
        (Scale::Difference, true) => value,
        (Scale::Difference, false) => -value,
    };
    let (a, b) = (turn(change.sure_lo), turn(change.sure_hi));
    (turn(change.point), a.min(b), a.max(b))
}

fn answer(measure: &Measure, change: &Change) -> Answer {
    let (point, least, most) = loss(measure, change);
    if least > 0.0 && point >= change.tolerated {
        return Answer::Worse;
    }
    if most < 0.0 {
        return Answer::Better;
    }
    if most < change.tolerated { Answer::NotWorse } else { Answer::CannotTell }
}

fn words(measure: &Measure, change: &Change, answer: Answer) -> String {
    let (_, least, most) = loss(measure, change);
    let size = |value: f64| size(measure, value);
    let differs = least > 0.0 || most < 0.0;
    match answer {
        Answer::Worse => "worse".into(),
        Answer::Better => "better".into(),
        Answer::NotJudged => "follows the load".into(),
        _ if differs => "a little worse".into(),
        _ => format!("no difference shown (would have detected ≥ {})", size(change.detectable)),
    }
}

/// A loss for people.
fn size(measure: &Measure, value: f64) -> String {
    match (measure.scale, measure.unit) {
        (Scale::Factor, _) => Unit::Ratio.show((value * 100.0).ceil() / 100.0),
        (_, Unit::Ratio) => Unit::Ratio.show((value * 1000.0).ceil() / 1000.0),
        (_, unit) => unit.show(value),
    }
}

/// The work of both sides.
fn load_rows(a: &Side, b: &Side, policy: &Policy) -> Vec<LoadRow> {
    let factor = entry(policy, "compare_load_factor");
    let row = |id: &str, title: &str, unit: Unit, of: &dyn Fn(&Side) -> Option<f64>, most: f64| {
        let (a, b) = (of(a), of(b));
        let alike = a.zip(b).map(|(a, b)| a == b || (a / b).max(b / a) <= most);
        LoadRow { id: id.into(), title: title.into(), unit, a, b, alike }
    };
    let mean = |signal: &'static str| move |side: &Side| side.samples.get(signal).and_then(value);
    let bursts = entry(policy, "compare_burst_factor");
    let mut rows = vec![
        row(
            "rate",
            "requests",
            Unit::RequestsPerSecond,
            &mean("arrivals_requests_per_second"),
            factor,
        ),
        row("prompts", "prompts", Unit::Tokens, &mean("prompt_mean_tokens"), factor),
        row("answers", "answers", Unit::Tokens, &mean("output_mean_tokens"), factor),
    ];
    if a.bursts.is_some() && b.bursts.is_some() {
        // Below 1, arrivals are steadier than chance, and no burst is there to differ.
        let own = |side: &Side| side.bursts.map(|it| it.max(1.0));
        rows.push(row("bursts", "bursts (variance/mean)", Unit::Count, &own, bursts));
    }
    rows
}

fn fairness(a: &Side, b: &Side, load: &[LoadRow]) -> Fairness {
    if a.fingerprint.is_some() && a.fingerprint == b.fingerprint {
        return Fairness::Identical;
    }
    if load.iter().any(|row| row.alike.is_none()) {
        return Fairness::Unknown;
    }
    let unlike = || load.iter().filter(|row| row.alike == Some(false));
    let harder = unlike().filter(|row| row.b > row.a).count();
    match (harder, unlike().count()) {
        (_, 0) => Fairness::Alike,
        (harder, all) if harder == all => Fairness::HarderForB,
        (0, _) => Fairness::EasierForB,
        _ => Fairness::Other,
    }
}

/// A loss under less work stays a loss, and none under more work stays none; anything else that
/// comes with other work may come from it.
fn verdict(
    effects: &[Effect],
    fairness: Fairness,
    load: &[LoadRow],
    sides: [&Side; 2],
) -> (Verdict, String) {
    let named = |wanted: Answer| {
        let found = effects.iter().filter(move |it| it.answer == wanted);
        let names: Vec<_> = found.map(|it| it.title.trim()).collect();
        names.join(", ")
    };
    for (side, name) in sides.into_iter().zip(["A", "B"]) {
        if let Some(why) = &side.invalid {
            return (
                Verdict::CannotTell,
                format!("the numbers of {name} are not to be used: {why}"),
            );
        }
    }
    let worse = named(Answer::Worse);
    let unsure = named(Answer::CannotTell);
    let bare = match () {
        () if !worse.is_empty() => Verdict::Worse,
        () if !unsure.is_empty() || effects.is_empty() => Verdict::CannotTell,
        () => Verdict::NotWorse,
    };
    let stands = match fairness {
        Fairness::Identical | Fairness::Alike => true,
        Fairness::EasierForB => bare == Verdict::Worse,
        Fairness::HarderForB => bare == Verdict::NotWorse,
        Fairness::Other | Fairness::Unknown => false,
    };
    if !stands {
        return (Verdict::NotComparable, unlike(fairness, load, &worse));
    }
    let handicap = match fairness {
        Fairness::EasierForB => ", though it had less to do",
        Fairness::HarderForB => ", though it had more to do",
        _ => "",
    };
    let statement = match bare {
        Verdict::Worse => format!("B is worse than A{handicap}: {worse}"),
        Verdict::CannotTell if effects.is_empty() => "nothing of both sides can be compared".into(),
        Verdict::CannotTell if !shows_any(effects) => {
            format!("no difference is shown, and too little was seen to exclude one: {unsure}")
        }
        Verdict::CannotTell => format!("too little was seen to say whether B is worse: {unsure}"),
        _ => format!("B is not worse than A{handicap}"),
    };
    (bare, statement)
}

/// Whether any measure surely differs.
fn shows_any(effects: &[Effect]) -> bool {
    let same = |change: Change| {
        let none = if change.scale == Scale::Factor { 1.0 } else { 0.0 };
        (change.sure_lo..=change.sure_hi).contains(&none)
    };
    effects.iter().filter_map(|effect| effect.change).any(|change| !same(change))
}

fn unlike(fairness: Fairness, load: &[LoadRow], worse: &str) -> String {
    if fairness == Fairness::Unknown {
        let gone = load.iter().filter(|row| row.alike.is_none()).map(|row| row.title.as_str());
        let gone = gone.collect::<Vec<_>>().join(", ");
        return format!("whether both had the same work is not known: {gone}");
    }
    let differ = |row: &&LoadRow| row.alike == Some(false);
    let told = load.iter().filter(differ).filter_map(|row| {
        let (a, b) = row.a.zip(row.b)?;
        Some(format!("{} of B are {} those of A", row.title, Unit::Factor.show(b / a)))
    });
    let told = told.collect::<Vec<_>>().join("; ");
    let seen = if worse.is_empty() { "" } else { ", which alone may make it slower" };
    format!("B had other work{seen}: {told}")
}

fn shown(a: &Side, b: &Side) -> Vec<ShownRow> {
    let text = |value: &crate::signals::Value| match value {
        Ok(estimate) => Unit::Seconds.show_interval(estimate.lo, estimate.hi),
        Err(missing) => missing.why.clone(),
    };
    let rows = a.shown.iter().filter(|(_, value)| value.is_ok());
    let row = |(signal, of_a): (&&str, &crate::signals::Value)| {
        let of_b = b.shown.get(*signal)?;
        Some(ShownRow { signal: (*signal).into(), a: text(of_a), b: text(of_b) })
    };
    rows.filter_map(row).collect()
}

/// Release, models and settings that differ.
fn differences(a: &Side, b: &Side) -> Vec<String> {
    let mut told = Vec::new();
    let unknown = || "unknown".to_owned();
    let mut tell = |what: &str, a: &str, b: &str| told.push(format!("{what}: {a} → {b}"));
    let versions = [a, b].map(|side| side.about.version.clone().unwrap_or_else(unknown));
    if versions[0] != versions[1] {
        tell("vLLM", &versions[0], &versions[1]);
    }
    if a.models != b.models {
        tell("models", &a.models.join(", "), &b.models.join(", "));
    }
    for (name, value) in &b.settings {
        if let Some(before) = a.settings.get(name).filter(|before| *before != value) {
            tell(name, before, value);
        }
    }
    told
}

fn notes(a: &Side, b: &Side, effects: &[Effect], judged: usize) -> Vec<String> {
    let mut notes = Vec::new();
    if judged > 1 {
        let share = 100.0 * (1.0 - OUTSIDE / judged as f64);
        notes.push(format!(
            "{judged} measures are judged at once, so each by its {share:.1} % interval: all \
             together are wrong in 5 % of comparisons at most. Intervals shown are at 95 %."
        ));
    }
    let unknown = effects.iter().filter(|effect| effect.change.is_none());
    notes.extend(unknown.map(|it| format!("{} is not compared: {}.", it.title.trim(), it.because)));
    if a.about.kind != b.about.kind {
        notes.push(
            "A client's time to first token holds the network too, a server's does not: compare \
             like with like."
                .into(),
        );
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_differ_by_newcombes_interval() {
        // Newcombe (1998), table II (a): 56/70 and 48/80, method 10.
        let (point, lo, hi) = newcombe([(48.0, 80.0), (56.0, 70.0)], 1.96);
        assert!((point - 0.2).abs() < 1e-9);
        assert!((lo - 0.0524).abs() < 1e-3 && (hi - 0.3339).abs() < 1e-3, "{lo} {hi}");
    }

    #[test]
    fn less_is_worse_where_more_is_better() {
        let change = Change {
            scale: Scale::Factor,
            point: 0.5,
            lo: 0.4,
            hi: 0.6,
            sure_lo: 0.4,
            sure_hi: 0.6,
            detectable: 0.1,
            tolerated: 0.1,
        };
        let throughput = MEASURES.iter().find(|it| it.signal == THROUGHPUT).unwrap();
        assert_eq!(answer(throughput, &change), Answer::Worse);
        assert_eq!(answer(&MEASURES[0], &change), Answer::Better);
    }

    #[test]
    fn a_wide_interval_is_no_not_worse() {
        let change = Change {
            scale: Scale::Factor,
            point: 1.0,
            lo: 0.8,
            hi: 1.25,
            sure_lo: 0.7,
            sure_hi: 1.4,
            detectable: 0.5,
            tolerated: 0.1,
        };
        assert_eq!(answer(&MEASURES[0], &change), Answer::CannotTell);
    }
}

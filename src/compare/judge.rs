//! What differs, how surely, and whether the two sides had the same work.

use std::collections::BTreeMap;

use crate::{
    report::{Tool, text::sentence},
    runbook::{Library, PolicyEntry},
    unit::Unit,
};

use super::{
    Answer, Change, Comparison, Effect, Fairness, LoadRow, Sample, Scale, ShownRow, Side, Verdict,
    fairness::{entry, fairness, load_rows, unlike},
    moved::{Moved, OUTSIDE, value},
    upgrade,
};

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

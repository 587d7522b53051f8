//! The verdict over all rows, in one word and in one sentence.

use super::{
    build::unanswered,
    measure::rounded,
    result::{Bottleneck, CutBy, CutShort, GateAnswer, GateRow, LoadResult, Verdict, Why},
};
use crate::{
    report::text::clean,
    unit::{Unit, counted},
};

/// The verdict: invalid, failed, too few, warning, passed; the first that holds.
pub fn of(gate: &[GateRow], client_valid: bool, cut_short: Option<&CutShort>) -> Verdict {
    let any = |answer: GateAnswer| gate.iter().any(|row| row.answer == answer);
    let open = gate.iter().any(|row| row.needed && row.answer == GateAnswer::NotDecidable);
    let by = cut_short.map(|it| it.by);
    match () {
        () if !client_valid => Verdict::Invalid,
        () if by == Some(CutBy::Saturation) || any(GateAnswer::Fail) => Verdict::Failed,
        () if open || by == Some(CutBy::NoServer) => Verdict::TooFew,
        () if any(GateAnswer::Warning) => Verdict::Warning,
        () => Verdict::Passed,
    }
}

/// The verdict in one sentence, with its reason and the likeliest cause.
pub fn statement(result: &LoadResult) -> String {
    let reason = match result.verdict {
        Verdict::Invalid => too_slow_a_client(result),
        Verdict::Failed => missed(result),
        Verdict::TooFew => undecided(result),
        Verdict::Warning => between(result),
        Verdict::Passed => {
            let judged = counted(result.counts.judged as usize, "request");
            format!("every objective is met over {judged}")
        }
    };
    let cause = match result.verdict {
        Verdict::Failed | Verdict::Warning => cause(&result.why, &result.bottlenecks),
        _ => String::new(),
    };
    let partial = match &result.cut_short {
        Some(cut) if cut.by == CutBy::Signal => "partial, ",
        _ => "",
    };
    format!("{partial}{}: {reason}{cause}", result.verdict.word())
}

/// The limit that was reached, and the likeliest cause.
fn cause(why: &[Why], bottlenecks: &[Bottleneck]) -> String {
    let limit = bottlenecks.first().map(|it| clean(&it.text));
    let title = why.first().map(|why| clean(&why.title));
    match (title, limit) {
        (Some(title), Some(limit)) => format!("; cause: {title} ({limit})"),
        (Some(title), None) => format!("; cause: {title}"),
        (None, Some(limit)) => format!("; limit reached: {limit}"),
        (None, None) => String::new(),
    }
}

fn too_slow_a_client(result: &LoadResult) -> String {
    let broken = result.client.rows.iter().filter(|row| !row.ok).map(|row| {
        let value = row.value.map_or("unknown".into(), |value| row.unit.show(value));
        format!("{} {value}, over {}", lower(&row.title), row.unit.show(row.limit))
    });
    let broken: Vec<String> = broken.collect();
    format!(
        "the client was the bottleneck, so no number here is the server's: {}",
        broken.join("; ")
    )
}

fn missed(result: &LoadResult) -> String {
    let mut reasons: Vec<String> = Vec::new();
    if let Some(cut) = result.cut_short.as_ref().filter(|cut| cut.by == CutBy::Saturation) {
        let at = Unit::Seconds.show(cut.at);
        reasons.push(format!("the server is over-saturated; ended early after {at}"));
    }
    reasons
        .extend(rows(result, GateAnswer::Fail).map(|row| format!("{}, {}", told(row), limit(row))));
    reasons.join("; ")
}

fn between(result: &LoadResult) -> String {
    let rows = rows(result, GateAnswer::Warning);
    rows.map(|row| format!("{}, between pass and fail", told(row))).collect::<Vec<_>>().join("; ")
}

fn undecided(result: &LoadResult) -> String {
    if let Some(cut) = result.cut_short.as_ref().filter(|cut| cut.by == CutBy::NoServer) {
        return cut.why.clone();
    }
    let open = rows(result, GateAnswer::NotDecidable).filter(|row| row.needed);
    let first = open.map(|row| {
        format!("{}: {}", lower(&row.title), row.why.as_deref().map(clean).unwrap_or_default())
    });
    let more = match unanswered(result) {
        0 | 1 => String::new(),
        n => format!(" (and {} more)", n - 1),
    };
    format!("it cannot be said of every objective; {}{more}", first.take(1).collect::<String>())
}

fn rows(result: &LoadResult, answer: GateAnswer) -> impl Iterator<Item = &GateRow> {
    result.gate.iter().filter(move |row| row.answer == answer)
}

/// A row's title with its value.
pub(super) fn told(row: &GateRow) -> String {
    let value = row.value.map_or("unknown".into(), |value| row.unit.show(value));
    format!("{} {value}", row.title)
}

fn limit(row: &GateRow) -> String {
    let word = if row.more_is_better { "under" } else { "over" };
    format!("{word} {}", row.unit.show(rounded(row.fail)))
}

/// A title inside a sentence.
fn lower(title: &str) -> String {
    let mut chars = title.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => title.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(answer: GateAnswer, needed: bool) -> GateRow {
        GateRow {
            id: "x".into(),
            title: "X".into(),
            unit: Unit::Seconds,
            value: None,
            interval: None,
            n: 0,
            pass: 1.0,
            fail: 2.0,
            more_is_better: false,
            needed,
            answer,
            why: None,
        }
    }

    #[test]
    fn a_limit_alone_is_no_cause() {
        let limit = Bottleneck {
            id: "queue".into(),
            signal: "queue_share_ratio".into(),
            value: 0.5,
            text: "half went by in the queue".into(),
        };
        let why = Why {
            cause: "x".into(),
            title: "X is broken".into(),
            probability: 0.9,
            because: String::new(),
            fix: None,
        };
        let limits = [limit];
        assert_eq!(cause(&[], &limits), "; limit reached: half went by in the queue");
        let both = "; cause: X is broken (half went by in the queue)";
        assert_eq!(cause(&[why], &limits), both);
        assert_eq!(cause(&[], &[]), "");
    }

    #[test]
    fn the_strongest_reason_wins() {
        use GateAnswer::{Fail, NotDecidable, Pass, Warning};
        let judged = |answers: &[GateAnswer]| {
            let rows: Vec<GateRow> = answers.iter().map(|answer| row(*answer, true)).collect();
            of(&rows, true, None)
        };
        assert_eq!(judged(&[Pass, Pass]), Verdict::Passed);
        assert_eq!(judged(&[Pass, Warning]), Verdict::Warning);
        assert_eq!(judged(&[Warning, NotDecidable]), Verdict::TooFew);
        assert_eq!(judged(&[NotDecidable, Fail]), Verdict::Failed);
        assert_eq!(of(&[row(Fail, true)], false, None), Verdict::Invalid);
        assert_eq!(of(&[row(NotDecidable, false)], true, None), Verdict::Passed);
        let cut = |by| CutShort { by, at: 1.0, why: String::new() };
        assert_eq!(of(&[row(Pass, true)], true, Some(&cut(CutBy::Saturation))), Verdict::Failed);
        assert_eq!(of(&[row(Pass, true)], true, Some(&cut(CutBy::Signal))), Verdict::Passed);
    }
}

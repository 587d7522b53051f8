//! Values of a report in words: the same for every page that people read.

use jiff::Timestamp;

use super::{
    AnswerWord, CauseFound, ClockSkew, Impact, KeptBaseline, Number, ReplicaCount, Replicas,
    Report, Status, SymptomFound, SymptomReading, TimelineEntry, Verdict, Waiver, WaiverState,
    text::{clean, sentence, shorten_end, shorten_middle, width},
};
use crate::{
    evidence::SourceState,
    runbook::{Help, Risk, Severity, rank::NOT_EXAMINABLE_CAP},
    unit::{Unit, significant},
};

/// The verdict as one word.
pub fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Healthy => "HEALTHY",
        Verdict::Degraded => "DEGRADED",
        Verdict::Critical => "CRITICAL",
        Verdict::Inconclusive => "INCONCLUSIVE",
    }
}

/// A severity as one word.
pub fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

/// What became of a cause.
pub fn status(status: Status) -> &'static str {
    match status {
        Status::Supported => "supported",
        Status::NotExaminable => "not examinable",
        Status::Refuted => "refuted",
    }
}

/// An answer as one word.
pub fn answer(answer: AnswerWord) -> &'static str {
    match answer {
        AnswerWord::Yes => "yes",
        AnswerWord::No => "no",
        AnswerWord::Unknown => "unknown",
    }
}

/// How a source answered.
pub fn source_state(state: SourceState) -> &'static str {
    match state {
        SourceState::Ok => "ok",
        SourceState::Partial => "in part",
        SourceState::Unreachable => "unreachable",
        SourceState::Unauthorized => "unauthorized",
        SourceState::TimedOut => "timed out",
        SourceState::Unsupported => "unsupported",
        SourceState::BadData => "bad data",
        SourceState::NotConfigured => "not configured",
    }
}

/// What a fix may cost.
pub fn risk(risk: Risk) -> &'static str {
    match risk {
        Risk::Safe => "safe, nothing is interrupted",
        Risk::Restart => "the server restarts",
        Risk::Capacity => "less is served meanwhile, or more is paid",
        Risk::Data => "state may be lost",
    }
}

/// Whether more replicas would help: the number first, then what it rests on.
pub fn replicas(replicas: &Replicas) -> String {
    let why = sentence(&clean(&replicas.why));
    let arithmetic = sentence(&clean(replicas.arithmetic.as_deref().unwrap_or_default()));
    let count = replicas.how_many.map(replica_count);
    let enough = replicas.how_many.is_some_and(|count| count.hi == 0);
    match (replicas.helps, count) {
        (Help::No, _) => format!("More would not help: {why}"),
        (_, Some(_)) if enough => format!("At this rate no more are needed: {arithmetic}"),
        (Help::Yes, Some(count)) => format!("{count} more would help: {arithmetic}"),
        (Help::Yes, None) => format!("More would help: {why} How many is not known: {arithmetic}"),
        (Help::Partly, Some(count)) => {
            format!("{count} more would help in part: {why} {arithmetic}")
        }
        (Help::Partly, None) => format!("More would help in part: {why}"),
    }
}

/// The same up to its first semicolon, for a page without room.
pub fn replicas_in_short(replicas: &Replicas) -> String {
    let told = self::replicas(replicas);
    told.split_once("; ").map_or(told.clone(), |(first, _)| sentence(first))
}

fn replica_count(count: ReplicaCount) -> String {
    if count.lo == count.hi {
        count.lo.to_string()
    } else {
        format!("{} to {}", count.lo, count.hi)
    }
}

/// A number or an interval in its unit.
pub fn number(value: Number, unit: Unit) -> String {
    match value {
        Number::Point(point) => unit.show(point),
        Number::Interval { lo, hi } => unit.show_interval(lo, hi.unwrap_or(f64::INFINITY)),
    }
}

/// A change for a table cell: its middle where it has one.
pub fn change_in_short(value: Number) -> String {
    let text = change(value);
    text.split_once(" (").map_or(text.clone(), |(middle, _)| middle.into())
}

/// A factor from which on only its least end is worth a word.
const HUGE: f64 = 1e6;

/// A change as a factor. An interval narrow enough to have a middle shows it: `4.2× (3.6 to 5.0)`.
pub fn change(value: Number) -> String {
    match value {
        Number::Point(point) if point >= HUGE => format!("over {}×", factor(HUGE)),
        Number::Interval { lo, hi: Some(hi) } if hi >= HUGE => {
            change(Number::Interval { lo: lo.min(HUGE), hi: None })
        }
        Number::Point(point) if tiny(point) => "under 0.01×".into(),
        Number::Interval { hi: Some(hi), .. } if tiny(hi) => "under 0.01×".into(),
        Number::Point(point) => format!("{}×", factor(point)),
        Number::Interval { lo, hi: None } if lo <= 0.0 => "unknown".into(),
        Number::Interval { lo, hi: None } => format!("over {}×", factor(lo)),
        Number::Interval { lo, hi: Some(hi) } if lo <= 0.0 => format!("up to {}×", factor(hi)),
        Number::Interval { lo, hi: Some(hi) } if factor(lo) == factor(hi) => {
            format!("{}×", factor(lo))
        }
        Number::Interval { lo, hi: Some(hi) } if hi <= lo * 2.0 => {
            format!("{}× ({} to {})", factor((lo * hi).sqrt()), factor(lo), factor(hi))
        }
        Number::Interval { lo, hi: Some(hi) } => format!("{} to {}×", factor(lo), factor(hi)),
    }
}

fn factor(value: f64) -> String {
    match value {
        v if !v.is_finite() => "unknown".into(),
        v if v >= 10.0 => significant(v.round()),
        v if v >= 1.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

fn tiny(factor: f64) -> bool {
    factor > 0.0 && factor < 0.01
}

/// A probability as whole per cent; never a certainty that nobody has.
pub fn percent(probability: f64) -> String {
    match probability * 100.0 {
        p if !p.is_finite() => "unknown".into(),
        p if p > 99.0 => "over 99 %".into(),
        p if p < 1.0 => "under 1 %".into(),
        p => format!("{p:.0} %"),
    }
}

/// How likely a cause is; `None` where nothing was seen of it that a number could rest on.
pub fn likely(cause: &CauseFound) -> Option<String> {
    let unseen = cause.status == Status::NotExaminable && cause.probability < 0.01;
    (!unseen).then(|| percent(cause.probability))
}

/// The check that separates a cause from its nearest rival, with its answer. What the answer means
/// is left out where the evidence beside it says so already.
pub fn decided(cause: &CauseFound) -> Option<String> {
    let check = sentence(&clean(cause.decided_by.as_deref()?));
    let said = cause.in_favour.iter().take(3).chain(&cause.against);
    let told = said.map(|fact| format!(" - {}", sentence(&clean(&fact.text))));
    let short = told.filter_map(|text| check.strip_suffix(&text).map(sentence)).next();
    Some(short.unwrap_or(check))
}

/// The verdict in one sentence where no cause stands behind it; `None` where one does.
pub fn without_cause(report: &Report) -> Option<String> {
    match (report.verdict, top_cause(report)) {
        (Verdict::Healthy, _) => {
            Some("In what was looked at, nothing holds that speaks of an incident.".into())
        }
        (Verdict::Inconclusive, _) => {
            Some("Too little could be looked at to say whether anything is wrong.".into())
        }
        (_, Some(_)) => None,
        (_, None) => Some(format!("Not in the catalogue. {}", unexplained(report))),
    }
}

/// What is said where no cause is supported: whether all were excluded, or some stayed open.
pub fn unexplained(report: &Report) -> String {
    let open = report.causes.iter().filter(|cause| cause.status == Status::NotExaminable).count();
    let open = match open {
        0 => String::new(),
        1 => " One cause could not be examined.".into(),
        n => format!(" {n} causes could not be examined."),
    };
    format!(
        "A symptom holds, and no cause of the catalogue is shown to explain it.{open} This is what \
         was seen; it is not a diagnosis."
    )
}

/// A gap in one sentence: what, then why.
pub fn gap(gap: &super::Gap) -> String {
    let (what, why) = (clean(&gap.what), sentence(&clean(&gap.why)));
    let joint = if what.ends_with('?') { " unknown -" } else { ":" };
    format!("{what}{joint} {why}")
}

/// A time for people: without its date where that is the date of the report.
pub fn clock(report: &Report, at: &str) -> String {
    let Ok(time) = at.parse::<Timestamp>() else {
        return clean(at);
    };
    let today = report.window.to.as_ref().and_then(|to| to.parse::<Timestamp>().ok());
    let day = |time: Timestamp| time.strftime("%Y-%m-%d").to_string();
    if today.is_some_and(|today| day(today) == day(time)) {
        return time.strftime("%H:%M:%S UTC").to_string();
    }
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A time with its date.
pub fn date_and_time(at: &str) -> String {
    at.parse::<Timestamp>()
        .map_or_else(|_| clean(at), |time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// How long before the onset an event came, or how else it stands to it.
pub fn lead(entry: &TimelineEntry) -> String {
    let before = |lead| format!("{} before", number(lead, Unit::Seconds));
    match entry.relation.as_str() {
        "before" => entry.lead_seconds.map_or_else(|| "before".into(), before),
        "at" => "at the onset".into(),
        "after" if entry.struck => "after the onset: no cause".into(),
        other => clean(other),
    }
}

/// The change nearest before the onset, or the nearest other event where nothing was changed.
pub fn prior(report: &Report) -> Option<&TimelineEntry> {
    let prior = |entry: &&TimelineEntry| {
        entry.kind != "onset" && matches!(entry.relation.as_str(), "at" | "before")
    };
    let events = || report.timeline.iter().filter(prior);
    events().rfind(|entry| entry.change).or_else(|| events().next_back())
}

/// A clock that is known to be wrong, e.g. `gateway clock 12 s ahead`.
pub fn clock_skew(skew: &ClockSkew) -> Option<String> {
    let (lo, hi) = match skew.ahead_seconds {
        Number::Point(point) => (point, point),
        Number::Interval { lo, hi } => (lo, hi?),
    };
    let (least, most) = (lo.abs().min(hi.abs()), lo.abs().max(hi.abs()));
    let way = if lo > 0.0 { "ahead" } else { "behind" };
    let by = clean(&skew.by);
    let seconds = Unit::Seconds.show_interval(least, most);
    skew.sure.then(|| format!("{} clock {seconds} {way}, by {by}", clean(&skew.clock)))
}

/// Whether any request is known to have, or may have, missed the objective.
pub fn hurts(impact: &Impact) -> bool {
    match impact.requests_over_objective {
        Number::Point(point) => point > 0.0,
        Number::Interval { lo, hi } => lo > 0.0 || hi.is_none_or(|hi| hi > 0.0),
    }
}

/// Whom it hurt, one sentence.
pub fn impact(report: &Report, impact: &Impact) -> String {
    let share = share_of_requests(impact.requests_over_objective, impact.requests);
    format!(
        "{} over the {} TTFT objective since {}.",
        capital(&share),
        Unit::Seconds.show(impact.objective_seconds),
        clock(report, &impact.since),
    )
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// `412 to 520 of 1,240 requests`: a part cannot be larger than its whole.
pub fn share_of_requests(part: Number, whole: f64) -> String {
    let part = match part {
        Number::Interval { lo, hi }
            if lo > 0.0 && lo < whole && hi.is_none_or(|hi| hi >= whole) =>
        {
            format!("at least {}", Unit::Count.show(lo))
        }
        Number::Interval { lo, hi } => {
            let hi = hi.unwrap_or(whole).min(whole).max(lo);
            Unit::Count.show_interval(lo, hi)
        }
        Number::Point(point) => Unit::Count.show(point),
    };
    let noun = if whole == 1.0 { "request" } else { "requests" };
    format!("{part} of {} {noun}", Unit::Count.show(whole))
}

/// What was diagnosed, in `room` columns: a long model name loses its middle.
pub fn model_and_version(report: &Report, room: usize) -> String {
    let target = &report.target;
    let version = target.version.as_ref().map_or_else(
        || ", version unknown".to_string(),
        |version| format!(", vLLM {}", shorten_end(&clean(version), 24)),
    );
    let engine = target
        .engine
        .as_ref()
        .map_or_else(String::new, |engine| format!(" ({})", shorten_end(&clean(engine), 8)));
    let more = match target.models.len() {
        0 | 1 => String::new(),
        n => format!(" and {} more", n - 1),
    };
    let rest = format!("{more}{version}{engine}");
    let room = room.saturating_sub(width(&rest)).max(12);
    let model = target.models.first().map_or_else(
        || "no model name known".to_string(),
        |model| shorten_middle(&clean(model), room),
    );
    format!("{model}{rest}")
}

/// A fact with the values it rests on, in brackets.
pub fn fact(text: &str, because: &str) -> String {
    let (text, because) = (clean(text), clean(because));
    if because.is_empty() {
        return sentence(&text);
    }
    format!("{} ({}).", text.trim_end_matches('.'), because.trim_end_matches('.'))
}

/// A step of the walk: `Is …? yes (ttft_p95_seconds 34 s, threshold 500 ms)`.
pub fn step(step: &super::PathStep) -> String {
    let because = clean(&step.because);
    let because = because.trim_end_matches('.');
    let answered = format!("{} {}", clean(&step.question), answer(step.answer));
    if because.is_empty() { answered } else { format!("{answered} ({because})") }
}

/// The causes that a report supports.
pub fn supported(report: &Report) -> impl Iterator<Item = &CauseFound> {
    report.causes.iter().filter(|cause| cause.status == Status::Supported)
}

/// The cause to name first: supported, and worse than `info` where there is one.
pub fn top_cause(report: &Report) -> Option<&CauseFound> {
    let worse = supported(report).find(|cause| cause.severity > Severity::Info);
    worse.or_else(|| supported(report).next())
}

/// What became of each waiver whose finding is there, one sentence each.
pub fn waivers(report: &Report) -> Vec<String> {
    let told = |waiver: &Waiver| {
        let Waiver { finding, owner, reason, expires, .. } = waiver;
        let [finding, owner, reason] = [finding, owner, reason].map(|text| clean(text));
        match waiver.state {
            WaiverState::InForce => Some(format!(
                "{finding} does not close the gate until {expires}: {owner} answers for it \
                 ({reason})."
            )),
            WaiverState::Expired => Some(format!(
                "{finding} counts again: the waiver of {owner} ended on {expires} ({reason})."
            )),
            WaiverState::Unused => None,
        }
    };
    report.waivers.iter().filter_map(told).collect()
}

/// Supported causes that follow from `root`.
pub fn consequences<'a>(
    report: &'a Report,
    root: &'a CauseFound,
) -> impl Iterator<Item = &'a CauseFound> {
    supported(report)
        .filter(|cause| cause.id != root.id && cause.consequence_of.as_deref() == Some(&root.id))
}

/// Another supported cause that does not follow from a third.
pub fn second_root<'a>(report: &'a Report, top: &CauseFound) -> Option<&'a CauseFound> {
    supported(report)
        .filter(|cause| cause.id != top.id && cause.consequence_of.is_none())
        .max_by(|a, b| a.probability.total_cmp(&b.probability))
}

/// The most likely cause that could be neither supported nor refuted, where only the answer that is
/// missing keeps it from being supported. Less than that is a guess, and not worth a line.
pub fn rival(report: &Report) -> Option<&CauseFound> {
    report
        .causes
        .iter()
        .filter(|cause| {
            cause.status == Status::NotExaminable && cause.probability >= NOT_EXAMINABLE_CAP
        })
        .max_by(|a, b| a.probability.total_cmp(&b.probability))
}

/// Symptoms, the worst first.
pub fn symptoms(report: &Report) -> Vec<&SymptomFound> {
    let mut symptoms: Vec<&SymptomFound> = report.symptoms.iter().collect();
    symptoms.sort_by_key(|symptom| std::cmp::Reverse(symptom.severity));
    symptoms
}

/// What a symptom means, where it may mean several things: its statement and each reading that
/// holds.
pub fn meaning(symptom: &SymptomFound) -> Option<String> {
    if symptom.readings.is_empty() {
        return None;
    }
    let holds = symptom.readings.iter().filter(|reading| holds(reading));
    let told: Vec<String> = holds.map(|reading| fact(&reading.text, &reading.because)).collect();
    let none =
        || format!("None of the {} things that this may mean is seen.", symptom.readings.len());
    let told = if told.is_empty() { none() } else { told.join(" ") };
    Some(format!("{} {told}", sentence(&clean(&symptom.statement))))
}

/// One reading of a symptom behind its answer: what it means is said only where it holds.
pub fn reading(reading: &SymptomReading) -> String {
    if reading.answer != AnswerWord::Yes {
        return fact(&reading.id, &reading.because);
    }
    let causes = match reading.causes.is_empty() {
        true => String::new(),
        false => format!(" Behind it may be {}.", clean(&reading.causes.join(", "))),
    };
    fact(&format!("{}: {}", reading.id, reading.text), &reading.because) + &causes
}

/// Whether a symptom is known to mean this.
pub fn holds(reading: &SymptomReading) -> bool {
    reading.answer == AnswerWord::Yes
}

/// Everything that could not be looked at: what the first cause lacks comes first.
pub fn gaps(report: &Report) -> Vec<&super::Gap> {
    let of_top = top_cause(report).map_or(&[][..], |cause| &cause.missing);
    let mut gaps: Vec<&super::Gap> = Vec::new();
    for gap in of_top.iter().chain(&report.coverage.missing) {
        if !gaps.iter().any(|known| known.what == gap.what) {
            gaps.push(gap);
        }
    }
    gaps
}

/// Where a kept baseline comes from, and what was different then.
pub fn kept(baseline: &KeptBaseline) -> String {
    let age = Unit::Seconds.show(baseline.age_seconds.abs());
    let when = if baseline.age_seconds < 0.0 { "after" } else { "before" };
    let mut text = format!(
        "`{}`, kept {}, {age} {when} the time judged.",
        clean(&baseline.name),
        clean(&baseline.saved)
    );
    if !baseline.differs.is_empty() {
        text += &format!(" Other then: {}.", clean(&baseline.differs.join("; ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_shows_its_middle_only_where_it_has_one() {
        let interval = |lo, hi| Number::Interval { lo, hi };
        assert_eq!(change(interval(3.6, Some(5.0))), "4.2× (3.6 to 5.0)");
        assert_eq!(change(interval(1.2, Some(5.0))), "1.2 to 5.0×");
        assert_eq!(change(interval(3.6, None)), "over 3.6×");
        assert_eq!(change(interval(0.0, Some(0.2))), "up to 0.20×");
        assert_eq!(change(Number::Point(12.3)), "12×");
        assert_eq!(change(interval(0.0, None)), "unknown");
        assert_eq!(change(interval(0.0, Some(6e70))), "unknown");
        assert_eq!(change(interval(4e6, Some(9e9))), "over 1,000,000×");
        assert_eq!(change_in_short(interval(3.6, Some(5.0))), "4.2×");
    }

    #[test]
    fn a_part_is_never_larger_than_its_whole() {
        let part = Number::Interval { lo: 412.0, hi: None };
        assert_eq!(share_of_requests(part, 1240.0), "at least 412 of 1,240 requests");
        assert_eq!(share_of_requests(Number::Point(0.0), 1.0), "0 of 1 request");
    }

    #[test]
    fn the_answer_on_replicas_begins_with_what_to_do() {
        let told = |helps, how_many: Option<(u64, u64)>, arithmetic: &str| {
            self::replicas(&Replicas {
                helps,
                how_many: how_many.map(|(lo, hi)| ReplicaCount { lo, hi }),
                arithmetic: Some(arithmetic.into()),
                why: "each takes its share; so it is".into(),
            })
        };
        let sums = "3 come, one does 2; that takes 2";
        assert_eq!(
            told(Help::Yes, Some((1, 1)), sums),
            "1 more would help: 3 come, one does 2; that takes 2."
        );
        assert_eq!(
            told(Help::Yes, Some((0, 0)), sums),
            "At this rate no more are needed: 3 come, one does 2; that takes 2."
        );
        assert_eq!(
            told(Help::Yes, None, "no two pages"),
            "More would help: each takes its share; so it is. How many is not known: no two pages."
        );
        assert!(
            told(Help::Partly, Some((1, 2)), sums).starts_with("1 to 2 more would help in part")
        );
        assert_eq!(
            told(Help::No, None, ""),
            "More would not help: each takes its share; so it is."
        );
    }

    #[test]
    fn a_gap_reads_as_one_sentence() {
        let told = |what: &str| {
            gap(&super::super::Gap { what: what.into(), why: "it was not read".into() })
        };
        assert_eq!(told("the log"), "the log: it was not read.");
        assert_eq!(told("Does it fail?"), "Does it fail? unknown - it was not read.");
    }

    #[test]
    fn nothing_is_certain() {
        assert_eq!(percent(0.999), "over 99 %");
        assert_eq!(percent(0.82), "82 %");
        assert_eq!(percent(0.001), "under 1 %");
    }
}

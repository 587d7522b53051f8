//! What `upgrade-regression` says of two releases, and of an eager run of the new one.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    report::{AnswerWord, Status},
    runbook::{
        Library,
        expr::{Names, Truth},
        rank::{self, Gate, Outcome, Ranked},
        walk::{self, End, Seen},
    },
    signals::{Estimate, Missing, MissingKind, Value, families::Version, release::Releases},
};

use super::{Effect, Fairness, Scale, Side, Upgrade, UpgradeCause, UpgradeStep, moved::Moved};

/// The runbook asked.
const RUNBOOK: &str = "upgrade-regression";

/// Measures that tell how slow a release is: the first token, and each further one.
const BY: [&str; 2] = ["ttft_mean_seconds", "itl_mean_seconds"];

/// What the runbook is asked about.
pub(super) struct Asked<'a> {
    pub(super) a: &'a Side,
    pub(super) b: &'a Side,
    pub(super) eager: Option<&'a Side>,
    pub(super) effects: &'a [Effect],
    pub(super) fairness: Fairness,
    pub(super) outside: f64,
    pub(super) interleaved: bool,
}

/// Walks the runbook where two releases, or an eager run, are compared.
pub(super) fn walk(asked: &Asked<'_>, library: &Library) -> Option<Upgrade> {
    let new_release = asked.a.about.version != asked.b.about.version;
    if !new_release && asked.eager.is_none() {
        return None;
    }
    let runbook = library.runbooks.get(RUNBOOK)?;
    let facts = Facts { given: given(asked), library };
    let version = |side: &Side| Version::parse(side.about.version.as_deref()?);
    let releases = Releases { now: version(asked.b), before: version(asked.a) };
    let why = Missing::new(MissingKind::NotConfigured, "a comparison reads no kernel log");
    let answers = walk::answer_all(library, &facts, &Seen { releases, xids: Err(why) });
    let yes = |check: &str| answers.get(check).is_some_and(|answer| answer.is_yes());
    let open = runbook.gate.iter().any(|check| yes(&check.value));
    let gate = if open { Gate::Open } else { Gate::Shut };
    let scope: BTreeSet<&str> = runbook.causes.iter().map(|cause| cause.value.as_str()).collect();
    let ranked = rank::rank(library, &answers, gate, &scope);
    let walked = walk::walk(runbook, &answers);
    let step = |check: &str, truth: &Truth| UpgradeStep {
        check: check.into(),
        question: library.checks.get(check).map(|it| it.question.clone()).unwrap_or_default(),
        answer: match truth {
            Truth::Yes => AnswerWord::Yes,
            Truth::No => AnswerWord::No,
            Truth::Unknown(_) => AnswerWord::Unknown,
        },
    };
    let causes: Vec<UpgradeCause> =
        ranked.iter().filter(|it| scope.contains(it.cause.id.value.as_str())).map(cause).collect();
    let end = walked.last().and_then(|walked| walked.end);
    Some(Upgrade {
        by: slowest(asked).map(|effect| effect.signal.clone()),
        path: walked.iter().map(|it| step(it.check, &it.answer.truth)).collect(),
        statement: statement(&causes, end),
        causes,
    })
}

fn statement(causes: &[UpgradeCause], end: Option<End<'_>>) -> String {
    if let Some(cause) = causes.iter().find(|cause| cause.status == Status::Supported) {
        return format!("{} ({}, {:.2})", cause.title, cause.id, cause.probability);
    }
    match end {
        Some(End::Done(text)) => text.into(),
        _ => "No cause of the runbook is supported by these numbers.".into(),
    }
}

fn cause(ranked: &Ranked<'_>) -> UpgradeCause {
    UpgradeCause {
        id: ranked.cause.id.value.clone(),
        title: ranked.cause.title.clone(),
        status: match ranked.outcome {
            Outcome::Supported => Status::Supported,
            Outcome::NotExaminable => Status::NotExaminable,
            Outcome::Refuted => Status::Refuted,
        },
        probability: (ranked.probability * 1e3).round() / 1e3,
        fixes: ranked.cause.fixes.iter().map(|fix| fix.text.clone()).collect(),
    }
}

/// The measure that lost most, surely.
fn slowest<'a>(asked: &Asked<'a>) -> Option<&'a Effect> {
    let known = asked.effects.iter().filter(|effect| BY.contains(&effect.signal.as_str()));
    let least = |effect: &Effect| effect.change.map(|change| change.sure_lo);
    known
        .filter(|it| it.change.is_some())
        .max_by(|x, y| least(x).unwrap_or(f64::MIN).total_cmp(&least(y).unwrap_or(f64::MIN)))
}

/// The readings of the runbook that a comparison gives.
fn given(asked: &Asked<'_>) -> BTreeMap<&'static str, Value> {
    let (a, b) = (asked.a, asked.b);
    let fair =
        matches!(asked.fairness, Fairness::Identical | Fairness::Alike | Fairness::EasierForB);
    let why = || Missing::new(MissingKind::Undecided, "both releases did not have the same work");
    let slowdown = || {
        let change = slowest(asked).and_then(|effect| effect.change);
        let change = change.filter(|_| fair).ok_or_else(why)?;
        Ok(Estimate { point: change.point, ..interval(change.sure_lo, change.sure_hi) })
    };
    let eager = || {
        let (by, side) = slowest(asked).zip(asked.eager).ok_or_else(why)?;
        let (before, now) =
            (a.samples.get(by.signal.as_str()), side.samples.get(by.signal.as_str()));
        let (before, now) = before.zip(now).ok_or_else(why)?;
        let moved =
            Moved::between(before, now, Scale::Factor, asked.interleaved).ok_or_else(why)?;
        let change = moved.change(Scale::Factor, asked.outside);
        Ok(Estimate { point: change.point, ..interval(change.lo, change.hi) })
    };
    let count = |changed: bool| Ok(Estimate::exact(f64::from(u8::from(changed)), None));
    let flags = |side: &Side| !side.settings.is_empty();
    let changed =
        b.settings.iter().any(|(name, value)| a.settings.get(name).is_some_and(|it| it != value));
    let unread = Missing::new(MissingKind::NoSamples, "the settings of both sides are not known");
    let release = match (&a.about.version, &b.about.version) {
        (Some(before), Some(now)) => count(before != now),
        _ => Err(Missing::new(MissingKind::NoSamples, "the release of a side is not known")),
    };
    let own = |signal: &str| {
        let effect = asked.effects.iter().find(|effect| effect.signal == signal);
        let change = effect.and_then(|effect| effect.change).ok_or_else(why)?;
        Ok(Estimate { point: change.point, ..interval(change.sure_lo, change.sure_hi) })
    };
    BTreeMap::from([
        ("same_traffic_slowdown_factor", slowdown()),
        ("eager_slowdown_factor", eager()),
        ("release_changes_count", release),
        ("config_changes_count", if flags(a) && flags(b) { count(changed) } else { Err(unread) }),
        ("ttft_mean_seconds_change", own("ttft_mean_seconds")),
        ("itl_mean_seconds_change", own("itl_mean_seconds")),
    ])
}

fn interval(lo: f64, hi: f64) -> Estimate {
    Estimate { point: f64::midpoint(lo, hi), lo, hi, n: None, bucket: false }
}

/// The numbers of a comparison, and the library's thresholds; all else is missing.
struct Facts<'a> {
    given: BTreeMap<&'static str, Value>,
    library: &'a Library,
}

impl Names for Facts<'_> {
    fn value(&self, name: &str) -> Value {
        if let Some(entry) = name.strip_prefix("policy_") {
            let entry = self.library.policy.get(entry);
            return entry
                .map(|entry| Estimate::exact(entry.value, None))
                .ok_or_else(|| Missing::no_samples(name));
        }
        let missing = || Missing::new(MissingKind::NotConfigured, "a comparison does not tell it");
        self.given.get(name).cloned().unwrap_or_else(|| Err(missing()))
    }

    fn long_run(&self, _name: &str) -> bool {
        false
    }
}

//! What is known of a version, matched with what the other checks see.

use std::collections::BTreeMap;

use super::{
    ChangeKind, Group, KnownChange, Library, Strikes,
    expr::{Answer, Truth},
    rank::{Answers, NO_ANSWER},
};
use crate::signals::{Missing, MissingKind, families::Version, release::Releases};

/// Whether a row of the version table shows: it concerns the version that runs, all its checks say
/// yes, and it came with the upgrade or may strike at any time. Unknown without a version, or where
/// a row that could show cannot be looked at.
pub fn answer(library: &Library, answers: &Answers, releases: Releases) -> Answer {
    let Some(now) = releases.now else {
        let truth = unknown("version", "the version of the server is not known");
        return Answer { truth, ..NO_ANSWER.clone() };
    };
    let looked_at = library.versions.values().filter(|row| !row.checks.is_empty());
    let concerned = looked_at.filter(|row| row.concerns(now));
    let told: Vec<(&KnownChange, Truth)> =
        concerned.map(|row| (row, shows(row, answers, releases.before))).collect();
    let shown: Vec<&KnownChange> =
        told.iter().filter(|(_, truth)| *truth == Truth::Yes).map(|(row, _)| *row).collect();
    if !shown.is_empty() {
        let weaker = shown.iter().all(|row| row.strikes == Strikes::AtAnyTime);
        return Answer { truth: Truth::Yes, weaker, rows: newest_first(shown) };
    }
    let truth = told.into_iter().map(|(_, truth)| truth).fold(Truth::No, either);
    Answer { truth, ..NO_ANSWER.clone() }
}

/// The rows behind an answer.
pub fn rows<'a>(library: &'a Library, answer: &'a Answer) -> impl Iterator<Item = &'a KnownChange> {
    answer.rows.iter().filter_map(|id| library.versions.get(id))
}

/// The signal group of an answer that rests on nothing but the symptom of a fault that strikes at
/// any time: it tells no more than that symptom, and is explained with it.
pub fn group(library: &Library, answer: &Answer) -> Option<Group> {
    if !rows(library, answer).all(|row| row.strikes == Strikes::AtAnyTime) {
        return None;
    }
    let symptom = rows(library, answer).next()?.checks.last()?;
    library.checks.get(&symptom.value).map(|check| check.group)
}

fn shows(row: &KnownChange, answers: &Answers, before: Option<Version>) -> Truth {
    let came_with_it = match (row.strikes, before) {
        (Strikes::AtAnyTime, _) => Truth::Yes,
        (Strikes::SinceUpgrade, Some(before)) if row.concerns(before) => Truth::No,
        (Strikes::SinceUpgrade, Some(_)) => Truth::Yes,
        (Strikes::SinceUpgrade, None) => {
            unknown("version_before", "the version that ran before is not known")
        }
    };
    let symptoms = row.checks.iter().map(|check| answers.get(&check.value).unwrap_or(&NO_ANSWER));
    symptoms.map(|answer| answer.truth.clone()).fold(came_with_it, both)
}

fn both(one: Truth, other: Truth) -> Truth {
    match (one, other) {
        (Truth::No, _) | (_, Truth::No) => Truth::No,
        (Truth::Yes, truth) | (truth, Truth::Yes) => truth,
        (Truth::Unknown(why), Truth::Unknown(more)) => Truth::Unknown(joined(why, more)),
    }
}

fn either(one: Truth, other: Truth) -> Truth {
    match (one, other) {
        (Truth::Yes, _) | (_, Truth::Yes) => Truth::Yes,
        (Truth::No, truth) | (truth, Truth::No) => truth,
        (Truth::Unknown(why), Truth::Unknown(more)) => Truth::Unknown(joined(why, more)),
    }
}

type Why = BTreeMap<String, Missing>;

fn joined(mut why: Why, more: Why) -> Why {
    why.extend(more);
    why
}

fn unknown(what: &str, why: &str) -> Truth {
    Truth::Unknown(BTreeMap::from([(what.into(), Missing::new(MissingKind::Absent, why))]))
}

fn newest_first(mut rows: Vec<&KnownChange>) -> Vec<String> {
    rows.sort_by_key(|row| std::cmp::Reverse(Version::parse(&row.from.value)));
    rows.into_iter().map(|row| row.id.value.clone()).collect()
}

impl KnownChange {
    /// Whether a version lies in the range.
    pub fn concerns(&self, version: Version) -> bool {
        let bound = |text: &str| Version::parse(text);
        bound(&self.from.value).is_some_and(|from| version >= from)
            && self
                .until
                .as_ref()
                .is_none_or(|until| bound(&until.value).is_some_and(|until| version < until))
    }

    /// The row as evidence: how it is known, since when, what is seen, and where it stands written.
    pub fn quoted(&self) -> String {
        let kind = match self.kind {
            ChangeKind::BehaviourChange => "behaviour change",
            ChangeKind::UserReport => "user report",
            ChangeKind::BehaviourChangeAndUserReport => "behaviour change and user report",
        };
        let until = self.until.as_ref();
        let until = until.map(|until| format!(" until {}", until.value)).unwrap_or_default();
        let symptom = self.symptom.trim_end_matches('.');
        format!("{kind} from {}{until}: {symptom}, see {}", self.from.value, self.source)
    }

    /// Fills `{fault}`, `{see}`, `{remedy}` and `{source}` in the text of a fix; `None` where the
    /// text quotes none of them.
    pub fn fill(&self, text: &str) -> Option<String> {
        let values = [&self.symptom, &self.see, &self.remedy, &self.source];
        let put = |text: String, (name, value): (&&str, &String)| text.replace(*name, value);
        quotes(text).then(|| QUOTES.iter().zip(values).fold(text.to_owned(), put))
    }
}

const QUOTES: [&str; 4] = ["{fault}", "{see}", "{remedy}", "{source}"];

/// Whether the text of a fix quotes rows of the version table.
pub fn quotes(text: &str) -> bool {
    QUOTES.iter().any(|name| text.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(yes: &[&str], now: &str, before: &str) -> Answer {
        let library = Library::embedded().unwrap();
        let answer = |id: &String| {
            let truth = if yes.contains(&id.as_str()) { Truth::Yes } else { Truth::No };
            (id.clone(), Answer { truth, ..NO_ANSWER.clone() })
        };
        let releases = Releases { now: Version::parse(now), before: Version::parse(before) };
        super::answer(&library, &library.checks.keys().map(answer).collect(), releases)
    }

    #[test]
    fn a_fault_that_strikes_at_any_time_needs_no_upgrade_and_weighs_less() {
        let frozen = asked(&["tokens-frozen"], "0.27.1", "0.27.1");
        assert_eq!(frozen.rows[..2], ["idle-stall-0-27-0", "flashinfer-sampler-0-21-0"]);
        assert!(frozen.is_yes() && frozen.weaker);
        assert_eq!(group(&Library::embedded().unwrap(), &frozen), Some(Group::Outage));
        assert!(asked(&["tokens-frozen"], "0.13.0", "0.13.0").is_no());
    }

    #[test]
    fn what_shows_since_an_upgrade_needs_one() {
        let slow = ["itl-above-baseline"];
        assert_eq!(asked(&slow, "0.12.0", "0.11.0").rows, ["decode-slower-0-12-0"]);
        assert!(asked(&slow, "0.12.0", "0.12.0").is_no());
        assert!(asked(&[], "0.12.0", "0.11.0").is_no());
        for (now, before) in [("", "0.11.0"), ("0.12.0", "")] {
            assert!(matches!(asked(&slow, now, before).truth, Truth::Unknown(_)), "{now}");
        }
    }
}

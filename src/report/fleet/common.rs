//! The search for what replicas with a trouble have in common and the others have not.
//!
//! Each value of each label and attribute is a group of replicas. Fisher's exact test says how
//! likely as many of the troubled ones would fall into the group by chance, and Holm's correction
//! takes back what testing many groups gives away.

use std::collections::{BTreeMap, BTreeSet};

use super::{Common, CommonAnswer, Reach, Replica, Separator};
use crate::{
    report::text::{clean, shorten_end},
    stats::exact::{Grouped, LogFactorials, holm},
    unit::counted,
};

/// The trouble of everything that is not well, of whatever kind.
const NOT_WELL: &str = "not well";

/// Searches at a significance of `alpha` over all tests together.
pub fn search(replicas: &[Replica], alpha: f64) -> Common {
    let unwell: Vec<&Replica> = replicas.iter().filter(|it| it.is_unwell()).collect();
    let well: Vec<&Replica> = replicas.iter().filter(|it| it.is_well()).collect();
    let plain = |answer, statement: String| Common {
        answer,
        statement,
        separators: Vec::new(),
        tests: 0,
        reach: None,
    };
    match (unwell.len(), well.len()) {
        (0, _) => plain(CommonAnswer::NoneUnwell, "No replica shows a trouble.".into()),
        (n, 0) => {
            let them = if n == 1 { "the one that is" } else { "those that are" };
            let statement =
                format!("No replica is known to be well, so nothing can separate {them} not.");
            plain(CommonAnswer::AllUnwell, statement)
        }
        (1, _) => plain(CommonAnswer::OneReplica, alone(unwell[0], &well)),
        _ => compared(&unwell, &well, alpha),
    }
}

fn compared(unwell: &[&Replica], well: &[&Replica], alpha: f64) -> Common {
    let groups: Vec<(&str, Group)> = questions(unwell)
        .into_iter()
        .flat_map(|(trouble, troubled)| {
            groups(&troubled, well).into_iter().map(move |group| (trouble, group))
        })
        .collect();
    let logs = LogFactorials::up_to(unwell.len() + well.len());
    let p: Vec<f64> =
        groups.iter().map(|(_, group)| logs.as_many_by_chance(group.counts)).collect();
    let mut separators: Vec<Separator> = groups
        .into_iter()
        .zip(p.iter().zip(holm(&p)))
        .filter(|(_, (_, corrected))| *corrected <= alpha)
        .map(|((trouble, group), (p, corrected))| group.separator(trouble, *p, corrected))
        .collect();
    separators.sort_by(|a, b| a.p.total_cmp(&b.p));
    let reach = reach(&logs, unwell.len(), well.len(), alpha / p.len().max(1) as f64);
    let (answer, statement) = match separators.first() {
        Some(first) => (CommonAnswer::Separated, separated(first)),
        None => (CommonAnswer::NotSeparated, not_separated(p.len(), reach)),
    };
    let tests = p.len() as u32;
    Common { answer, statement, separators, tests, reach: (tests > 0).then_some(reach) }
}

/// Everything not well together, then each kind of trouble that at least two share.
fn questions<'a>(unwell: &[&'a Replica]) -> Vec<(&'a str, Vec<&'a Replica>)> {
    let mut kinds: BTreeMap<&str, Vec<&Replica>> = BTreeMap::new();
    for replica in unwell {
        kinds.entry(replica.trouble().unwrap_or(NOT_WELL)).or_default().push(replica);
    }
    if kinds.len() == 1 {
        return kinds.into_iter().collect();
    }
    let shared = kinds.into_iter().filter(|(_, members)| members.len() > 1);
    std::iter::once((NOT_WELL, unwell.to_vec())).chain(shared).collect()
}

/// Replicas with one value of something.
struct Group {
    attribute: String,
    value: String,
    same: Vec<String>,
    counts: Grouped,
}

impl Group {
    fn separator(self, trouble: &str, p: f64, p_corrected: f64) -> Separator {
        let Grouped { marked_inside, inside, marked, all } = self.counts;
        Separator {
            trouble: trouble.into(),
            attribute: self.attribute,
            value: self.value,
            same_replicas: self.same,
            troubled_with: marked_inside as u32,
            with: inside as u32,
            troubled_without: (marked - marked_inside) as u32,
            without: (all - inside) as u32,
            p,
            p_corrected,
        }
    }
}

/// Every value that at least two replicas have, one of them troubled, and another has not. Values
/// of the very same replicas are one group, and one test. Who is not known to have any value of
/// something stays out of its tests.
fn groups(troubled: &[&Replica], well: &[&Replica]) -> Vec<Group> {
    let everyone = || troubled.iter().chain(well);
    let mut values: BTreeMap<&str, BTreeMap<&str, BTreeSet<usize>>> = BTreeMap::new();
    for (index, replica) in everyone().enumerate() {
        for (name, value) in known(replica) {
            values.entry(name).or_default().entry(value).or_default().insert(index);
        }
    }
    let mut groups: Vec<Group> = Vec::new();
    let mut seen: BTreeMap<(usize, BTreeSet<usize>), usize> = BTreeMap::new();
    let is_troubled = |index: &&usize| **index < troubled.len();
    // What people roll out by is named first where the same replicas share much.
    let is_label = |name: &str| everyone().any(|replica| replica.labels.contains_key(name));
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by_key(|(name, _)| (*name != "version", !is_label(name)));
    for (name, by_value) in values {
        let of = || by_value.values().flatten();
        let (all, marked) = (of().count(), of().filter(is_troubled).count());
        for (value, members) in by_value {
            let marked_inside = members.iter().filter(is_troubled).count();
            let inside = members.len();
            if inside < 2 || inside == all || marked_inside == 0 {
                continue;
            }
            if let Some(&first) = seen.get(&(all, members.clone())) {
                groups[first].same.push(format!("{name}={value}"));
                continue;
            }
            seen.insert((all, members), groups.len());
            groups.push(Group {
                attribute: name.into(),
                value: value.into(),
                same: Vec::new(),
                counts: Grouped { marked_inside, inside, marked, all },
            });
        }
    }
    groups
}

/// Labels of the list, then what the replica tells of itself; a label wins.
fn known(replica: &Replica) -> impl Iterator<Item = (&str, &str)> {
    let own = replica.attributes.iter().filter(|(name, _)| !replica.labels.contains_key(*name));
    replica.labels.iter().chain(own).map(|(name, value)| (name.as_str(), value.as_str()))
}

/// How many of the well ones may share a value with all that are not well for it to show.
fn reach(logs: &LogFactorials, unwell: usize, well: usize, alpha: f64) -> Reach {
    let shows = |with: &usize| {
        let inside = unwell + with;
        let counts = Grouped { marked_inside: unwell, inside, marked: unwell, all: unwell + well };
        logs.as_many_by_chance(counts) <= alpha
    };
    let most_well = (0..=well).take_while(shows).last().map(|it| it as u32);
    Reach { unwell: unwell as u32, well: well as u32, most_well }
}

/// Longest value that a sentence shows, in columns.
const SHOWN: usize = 40;

fn separated(first: &Separator) -> String {
    let value = format!("{}={}", clean(&first.attribute), clean(&first.value));
    let what = match first.trouble.as_str() {
        NOT_WELL => "not well".to_owned(),
        trouble => format!("with {}", clean(trouble)),
    };
    let same = match first.same_replicas.len() {
        0 => String::new(),
        1 => format!(
            " The same replicas have {}.",
            shorten_end(&clean(&first.same_replicas[0]), SHOWN)
        ),
        n => format!(
            " The same replicas have {} and {}.",
            shorten_end(&clean(&first.same_replicas[0]), SHOWN),
            counted(n - 1, "other value"),
        ),
    };
    format!(
        "{}: {} of {} {what}, elsewhere {} of {} (p {}).{same}",
        shorten_end(&value, SHOWN),
        first.troubled_with,
        first.with,
        first.troubled_without,
        first.without,
        shown(first.p_corrected),
    )
}

/// A probability with one digit that counts.
fn shown(p: f64) -> String {
    match p {
        p if p < 0.0001 => "under 0.0001".into(),
        p if p < 0.001 => format!("{p:.4}"),
        p if p < 0.01 => format!("{p:.3}"),
        p => format!("{p:.2}"),
    }
}

fn not_separated(tests: usize, reach: Reach) -> String {
    let Reach { unwell, well, most_well } = reach;
    if tests == 0 {
        return format!(
            "Nothing known differs between the {unwell} not well and the {well} well ones: give \
             labels such as zone, node or driver with the targets."
        );
    }
    let seen = match most_well {
        Some(0) => format!("only one that all {unwell} have and no well one would have shown"),
        Some(most) => format!(
            "one that all {unwell} have and at most {most} of {well} well ones would have shown"
        ),
        None => format!("with {unwell} of {} not well, none could have shown", unwell + well),
    };
    format!("No attribute separates them: of {} tested, {seen}.", counted(tests, "value"))
}

/// One replica alone gives no test; what it alone has is a lead, and no proof.
fn alone(replica: &Replica, well: &[&Replica]) -> String {
    let elsewhere: BTreeSet<(&str, &str)> = well.iter().flat_map(|other| known(other)).collect();
    let names: BTreeSet<&str> = elsewhere.iter().map(|(name, _)| *name).collect();
    let shared = |name: &str| {
        let values = elsewhere.iter().filter(|(other, _)| *other == name).count();
        names.contains(name) && values < well.len()
    };
    let own: Vec<String> = known(replica)
        .filter(|it| shared(it.0) && !elsewhere.contains(it))
        .map(|(name, value)| shorten_end(&clean(&format!("{name}={value}")), SHOWN))
        .take(3)
        .collect();
    let lead = match own.is_empty() {
        true => String::new(),
        false => format!(" It alone has {}, which proves nothing yet.", own.join(", ")),
    };
    let name = shorten_end(&clean(&replica.name), 60);
    let others = match well.len() {
        1 => "the other is well".to_owned(),
        n => format!("{n} others are well"),
    };
    format!("This one alone: {name}; {others}.{lead}")
}

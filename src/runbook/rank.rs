//! Ranking causes: gate, scores in nats, greedy explanation, probabilities.
//!
//! Within a cause, only the strongest check of a signal group counts, because checks of one group
//! tell the same thing. The best cause takes away the groups it explains; what is left is scored
//! again. A cause and what it leads to are no rivals, nor are causes that rest on other groups.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Cause, Group, Item, Library, Rank, Severity, Weight,
    expr::{Answer, Truth},
    versions,
};

/// Answers by check.
pub type Answers = BTreeMap<String, Answer>;

/// The answer of a check that is not there.
pub(super) static NO_ANSWER: Answer =
    Answer { truth: Truth::Unknown(BTreeMap::new()), weaker: false, rows: Vec::new() };

/// A cause's score stays within this many nats of zero.
const CAP: f64 = 4.0;
/// Score of "nothing is wrong" once a symptom holds.
const NONE_SCORE: f64 = 0.0;
/// Probability from which a cause counts as supported.
const SUPPORTED: f64 = 0.5;
/// Causes of one family and severity whose scores differ by less than this many nats are not told apart.
const KIN: f64 = 1.0;
/// A cause that lacks a needed answer stays below this.
pub const NOT_EXAMINABLE_CAP: f64 = 0.49;

/// What became of a cause.
#[derive(Debug, Clone)]
pub struct Ranked<'a> {
    /// The cause.
    pub cause: &'a Cause,
    /// The outcome.
    pub outcome: Outcome,
    /// Probability, `0..1`.
    pub probability: f64,
    /// Causes of the same family that the evidence cannot tell from this one.
    pub kin: Vec<&'a str>,
    /// The supported cause that this one comes with, by `leads_to`.
    pub consequence_of: Option<&'a str>,
    /// The cause that explains all that spoke for this one.
    pub explained_by: Option<&'a str>,
}

/// Outcomes, in the order of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// p ≥ 0.5 and a decisive check says yes.
    Supported,
    /// A needed check is Unknown.
    NotExaminable,
    /// The evidence speaks against it, or nothing speaks for it.
    Refuted,
}

/// The standing of a cause before its rivals are looked at.
#[derive(Clone, Copy, PartialEq)]
enum Standing {
    Open,
    NotExaminable,
    Refuted,
}

impl Weight {
    /// Size in nats.
    pub fn nats(self) -> f64 {
        match self {
            Self::None => 0.0,
            Self::Hint => 0.5,
            Self::Weak => 1.0,
            Self::Strong => 2.0,
            Self::Decisive => 3.0,
        }
    }

    /// One word weaker.
    fn weaker(self) -> Self {
        match self {
            Self::None | Self::Hint => Self::None,
            Self::Weak => Self::Hint,
            Self::Strong => Self::Weak,
            Self::Decisive => Self::Strong,
        }
    }
}

impl Cause {
    /// Checks that speak for the cause when they say yes.
    pub fn favourable(&self) -> impl Iterator<Item = &Item> {
        self.requires.iter().chain(&self.decisive).chain(&self.supports)
    }
}

/// Whether a symptom holds, without which no cause is supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// A symptom holds.
    Open,
    /// What holds is expected for a while: it may be explained, and nothing is wrong.
    Expected,
    /// No symptom holds.
    Shut,
    /// None is seen to hold, but some could not be looked at.
    Unknown,
}

impl Gate {
    /// Whether a cause may be supported.
    fn admits(self, cause: &Cause) -> bool {
        match self {
            Self::Open => true,
            Self::Expected => cause.severity == Severity::Info,
            Self::Shut | Self::Unknown => false,
        }
    }
}

/// Ranks the causes of `scope` (all when empty).
pub fn rank<'a>(
    library: &'a Library,
    answers: &Answers,
    gate: Gate,
    scope: &BTreeSet<&str>,
) -> Vec<Ranked<'a>> {
    let field = Field::new(library, answers, scope);
    let mut found: Vec<Ranked<'a>> = Vec::new();
    let mut struck = BTreeSet::new();
    while let Some((cause, probability)) = field.best(gate, &found, &struck) {
        let kin = field.kin(cause, &struck);
        struck.extend(cause.explains.iter().copied());
        found.push(Ranked {
            cause,
            outcome: Outcome::Supported,
            probability,
            kin,
            consequence_of: None,
            explained_by: None,
        });
    }
    let mut ranked = field.with_consequences(found);
    let rest = field.rest(&ranked, &struck, gate);
    ranked.extend(rest);
    ranked
}

struct Field<'a, 'b> {
    causes: Vec<(&'a Cause, Standing)>,
    library: &'a Library,
    answers: &'b Answers,
}

impl<'a, 'b> Field<'a, 'b> {
    fn new(library: &'a Library, answers: &'b Answers, scope: &BTreeSet<&str>) -> Self {
        let wanted = |cause: &&Cause| scope.is_empty() || scope.contains(cause.id.value.as_str());
        let causes = library.causes.values().filter(wanted);
        let causes = causes.map(|cause| (cause, standing(cause, answers))).collect();
        Self { causes, library, answers }
    }

    fn answer(&self, check: &str) -> &Answer {
        self.answers.get(check).unwrap_or(&NO_ANSWER)
    }

    fn group(&self, check: &str) -> Option<Group> {
        let own = self.library.checks.get(check)?.group;
        Some(versions::group(self.library, self.answer(check)).unwrap_or(own))
    }

    /// The weight of the evidence, as far as it counts.
    fn score(&self, cause: &Cause, struck: &BTreeSet<Group>) -> f64 {
        self.evidence(cause, struck).clamp(-CAP, CAP)
    }

    /// Strongest yes per group, less the strongest objection per group.
    fn evidence(&self, cause: &Cause, struck: &BTreeSet<Group>) -> f64 {
        let yes = |item: &Item| self.answer(&item.check.value).is_yes();
        let pro = cause.favourable().filter(|item| yes(item));
        let con = cause.against.iter().filter(|item| yes(item));
        let no = cause.favourable().filter(|item| self.answer(&item.check.value).is_no());
        let against = con.map(|item| (item, item.weight)).chain(no.map(|item| (item, item.no)));
        self.strongest(pro.map(|item| (item, item.weight)), struck)
            - self.strongest(against, &BTreeSet::new())
    }

    fn strongest<'i>(
        &self,
        items: impl Iterator<Item = (&'i Item, Weight)>,
        struck: &BTreeSet<Group>,
    ) -> f64 {
        let mut groups: BTreeMap<Group, f64> = BTreeMap::new();
        for (item, weight) in items {
            let Some(group) = self.group(&item.check.value).filter(|g| !struck.contains(g)) else {
                continue;
            };
            let weaker = self.answer(&item.check.value).weaker;
            let nats = if weaker { weight.weaker() } else { weight }.nats();
            let slot = groups.entry(group).or_insert(0.0);
            *slot = slot.max(nats);
        }
        groups.values().sum()
    }

    /// Probability against "none", "outside the catalogue" and every rival that rests on the same
    /// signal groups; causes that rest on other groups may be true beside it. It is that of the
    /// family where the evidence cannot tell its members apart.
    fn probability(&self, cause: &Cause, struck: &BTreeSet<Group>) -> f64 {
        let fitted = &self.library.track_record;
        let weigh = |score: f64| (score / fitted.temperature).exp();
        let (kin, rivals): (Vec<_>, Vec<_>) =
            self.rivals(cause, struck).partition(|(_, is_kin, _)| *is_kin);
        let sum =
            |of: Vec<(&Cause, bool, f64)>| of.iter().map(|(.., score)| weigh(*score)).sum::<f64>();
        let own = weigh(self.score(cause, struck)) + sum(kin);
        let field = weigh(NONE_SCORE) + weigh(fitted.outside_score) + sum(rivals);
        (own / (own + field)).min(self.track_record_cap(cause))
    }

    /// Open causes that rest on the same signal groups: whether they are kin, and their scores.
    fn rivals(
        &self,
        cause: &Cause,
        struck: &BTreeSet<Group>,
    ) -> impl Iterator<Item = (&'a Cause, bool, f64)> {
        let (own, claimed) = (self.score(cause, struck), self.claimed(cause, struck));
        let rivals = self.causes.iter().filter(move |(other, standing)| {
            *standing == Standing::Open
                && contests(cause, other)
                && !self.claimed(other, struck).is_disjoint(&claimed)
        });
        let scored = rivals.map(|(other, _)| (*other, self.score(other, struck)));
        scored.filter(|(_, score)| *score > 0.0).map(move |(other, score)| {
            let alike = other.family == cause.family && other.severity == cause.severity;
            let is_kin = alike && (own - score).abs() < KIN;
            (other, is_kin, score)
        })
    }

    /// Causes of the same family that are as likely.
    fn kin(&self, cause: &Cause, struck: &BTreeSet<Group>) -> Vec<&'a str> {
        let kin = self.rivals(cause, struck).filter(|(_, is_kin, _)| *is_kin);
        kin.map(|(other, ..)| other.id.value.as_str()).collect()
    }

    /// The groups in which something speaks for a cause.
    fn claimed(&self, cause: &Cause, struck: &BTreeSet<Group>) -> BTreeSet<Group> {
        let yes = cause.favourable().filter(|item| self.answer(&item.check.value).is_yes());
        let groups = yes.filter_map(|item| self.group(&item.check.value));
        groups.filter(|group| !struck.contains(group)).collect()
    }

    /// With `n` labelled cases behind it, no probability goes above (n + 1) / (n + 2)
    /// (Laplace's rule of succession).
    fn track_record_cap(&self, cause: &Cause) -> f64 {
        let n =
            self.library.track_record.causes.get(&cause.id.value).map_or(0, |record| record.of());
        (f64::from(n) + 1.0) / (f64::from(n) + 2.0)
    }

    fn leads(&self, from: &Cause, to: &Cause) -> bool {
        let mut seen = BTreeSet::new();
        let mut open = vec![from];
        while let Some(cause) = open.pop() {
            for next in &cause.leads_to {
                if next.value == to.id.value {
                    return true;
                }
                if seen.insert(next.value.as_str()) {
                    open.extend(self.library.causes.get(&next.value));
                }
            }
        }
        false
    }

    /// The next cause to name: the worst, then the one with most evidence; but a mechanism before the
    /// driver behind it and before the mechanism it leads to, and an effect after all else. What is down outranks what is refused
    /// meanwhile, however sure the latter is.
    fn best(
        &self,
        gate: Gate,
        found: &[Ranked<'a>],
        struck: &BTreeSet<Group>,
    ) -> Option<(&'a Cause, f64)> {
        let named = |cause: &Cause| found.iter().any(|ranked| std::ptr::eq(ranked.cause, cause));
        let mut open: Vec<(&Cause, f64, f64)> = self
            .causes
            .iter()
            .filter(|(cause, standing)| *standing == Standing::Open && !named(cause))
            .filter(|(cause, _)| gate.admits(cause))
            .filter(|(cause, _)| self.decided_outside(cause, struck))
            .map(|(cause, _)| {
                (*cause, self.probability(cause, struck), self.evidence(cause, struck))
            })
            .filter(|(_, probability, _)| *probability >= SUPPORTED)
            .collect();
        open.sort_by(|a, b| {
            let effect = |cause: &Cause| cause.rank == Rank::Effect;
            let order = effect(a.0).cmp(&effect(b.0)).then(b.0.severity.cmp(&a.0.severity));
            order.then(b.2.total_cmp(&a.2)).then(b.1.total_cmp(&a.1))
        });
        let first = open.first()?;
        let better = open.iter().find(|(cause, ..)| match (first.0.rank, cause.rank) {
            (Rank::Driver, Rank::Mechanism) => self.leads(first.0, cause),
            (Rank::Mechanism, Rank::Mechanism) => leads_directly(cause, first.0),
            _ => false,
        });
        let (cause, probability, _) = better.unwrap_or(first);
        Some((cause, *probability))
    }

    /// Whether a decisive check says yes in a group that nothing explains yet.
    fn decided_outside(&self, cause: &Cause, struck: &BTreeSet<Group>) -> bool {
        cause.decisive.iter().any(|item| {
            let group = self.group(&item.check.value);
            self.answer(&item.check.value).is_yes() && group.is_some_and(|g| !struck.contains(&g))
        })
    }

    /// Causes whose evidence the found ones explain, and that are linked to one of them, stand
    /// under it with its probability.
    fn with_consequences(&self, found: Vec<Ranked<'a>>) -> Vec<Ranked<'a>> {
        let named: BTreeSet<&str> = found.iter().map(|r| r.cause.id.value.as_str()).collect();
        let mut all = Vec::new();
        for root in found {
            let consequences: Vec<Ranked<'a>> = self
                .causes
                .iter()
                .filter(|(cause, standing)| {
                    *standing == Standing::Open
                        && !named.contains(cause.id.value.as_str())
                        && self.leads(root.cause, cause)
                        && self.probability(cause, &BTreeSet::new()) >= SUPPORTED
                })
                .map(|(cause, _)| Ranked {
                    cause,
                    kin: Vec::new(),
                    consequence_of: Some(root.cause.id.value.as_str()),
                    ..root.clone()
                })
                .collect();
            all.push(root);
            for consequence in consequences {
                if !all.iter().any(|r: &Ranked<'_>| std::ptr::eq(r.cause, consequence.cause)) {
                    all.push(consequence);
                }
            }
        }
        all
    }

    /// Everything that is not supported: not examinable first, then refuted.
    fn rest(
        &self,
        supported: &[Ranked<'a>],
        struck: &BTreeSet<Group>,
        gate: Gate,
    ) -> Vec<Ranked<'a>> {
        let best = supported.first().map(|ranked| ranked.cause.id.value.as_str());
        let mut rest: Vec<Ranked<'a>> = self
            .causes
            .iter()
            .filter(|(cause, _)| !supported.iter().any(|r| std::ptr::eq(r.cause, *cause)))
            .map(|(cause, standing)| {
                let score = self.score(cause, struck);
                let likely = if score > 0.0 { self.probability(cause, struck) } else { 0.0 };
                let (outcome, probability) = match standing {
                    Standing::NotExaminable if gate == Gate::Shut => (Outcome::NotExaminable, 0.0),
                    Standing::NotExaminable => (Outcome::NotExaminable, likely),
                    Standing::Open if gate == Gate::Open => (Outcome::Refuted, likely),
                    Standing::Open if gate == Gate::Unknown => (Outcome::NotExaminable, likely),
                    Standing::Open | Standing::Refuted => (Outcome::Refuted, 0.0),
                };
                let open = gate == Gate::Open && *standing == Standing::Open;
                let explained = open && score <= 0.0;
                Ranked {
                    cause,
                    outcome,
                    probability: probability.min(NOT_EXAMINABLE_CAP),
                    kin: Vec::new(),
                    consequence_of: None,
                    explained_by: best.filter(|_| explained),
                }
            })
            .collect();
        rest.sort_by(|a, b| {
            let order = a.outcome.cmp(&b.outcome).then(b.probability.total_cmp(&a.probability));
            order.then_with(|| a.cause.id.value.cmp(&b.cause.id.value))
        });
        rest
    }
}

/// Whether only one of two causes can be true, as far as the catalogue says: an effect comes with
/// its cause, and a cause with what it leads to.
fn contests(a: &Cause, b: &Cause) -> bool {
    let linked = leads_directly(a, b) || leads_directly(b, a);
    !std::ptr::eq(a, b) && !linked && [a, b].iter().all(|cause| cause.rank != Rank::Effect)
}

fn leads_directly(from: &Cause, to: &Cause) -> bool {
    from.leads_to.iter().any(|next| next.value == to.id.value)
}

/// A required No refutes; a required Unknown, or decisive checks of which none says yes and some
/// are Unknown, leave the cause not examinable.
fn standing(cause: &Cause, answers: &Answers) -> Standing {
    let answer = |item: &Item| answers.get(&item.check.value).unwrap_or(&NO_ANSWER);
    let unknown = |item: &Item| matches!(answer(item).truth, Truth::Unknown(_));
    if cause.requires.iter().any(|item| answer(item).is_no()) {
        return Standing::Refuted;
    }
    let decided = cause.decisive.iter().any(|item| answer(item).is_yes());
    if cause.requires.iter().any(unknown) || (!decided && cause.decisive.iter().any(unknown)) {
        return Standing::NotExaminable;
    }
    if decided { Standing::Open } else { Standing::Refuted }
}

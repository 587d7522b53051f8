//! From the report on one server to its row among many.

use std::{cmp::Reverse, collections::BTreeMap};

use super::{CauseInShort, Counts, Replica, SymptomInShort};
use crate::report::{CauseFound, Report, Status, Verdict, words};

/// The row of a replica, without what a list says of it and what the gate says.
pub fn replica(report: &Report, attributes: BTreeMap<String, String>) -> Replica {
    let metrics = report.sources.iter().find(|source| source.id == "metrics");
    let answered = metrics.is_some_and(|source| source.status.answered());
    let not_examinable = report.causes.iter().filter(|it| it.status == Status::NotExaminable);
    Replica {
        name: report.target.name.clone(),
        labels: BTreeMap::new(),
        attributes,
        answered,
        // What did not answer is never fine, whatever else could be looked at.
        verdict: match report.verdict {
            Verdict::Healthy if !answered => Verdict::Inconclusive,
            verdict => verdict,
        },
        answered_checks: report.coverage.answered,
        asked_checks: report.coverage.asked,
        causes: causes(report),
        symptoms: words::symptoms(report)
            .into_iter()
            .map(|it| SymptomInShort {
                signal: it.signal.clone(),
                severity: it.severity,
                statement: it.statement.clone(),
            })
            .collect(),
        not_examinable: not_examinable.map(|cause| cause.id.clone()).collect(),
        happened: metrics.filter(|_| !answered).map(|source| source.detail.clone()),
        waivers: report.waivers.clone(),
        exit_code: 0,
    }
}

/// Supported causes, the one to name first before all others.
fn causes(report: &Report) -> Vec<CauseInShort> {
    let first = words::top_cause(report);
    let rest = words::supported(report)
        .filter(|cause| first.is_none_or(|first| !std::ptr::eq(first, *cause)));
    let short = |cause: &CauseFound| CauseInShort {
        id: cause.id.clone(),
        title: cause.title.clone(),
        probability: match cause.probability.is_nan() {
            true => 0.0,
            false => cause.probability.clamp(0.0, 1.0),
        },
        severity: cause.severity,
    };
    first.into_iter().chain(rest).map(short).collect()
}

/// The worst first: by verdict, then by how likely the first cause is, then by name.
pub fn sorted(mut replicas: Vec<Replica>) -> Vec<Replica> {
    replicas.sort_by(|a, b| {
        let likely = |it: &Replica| it.causes.first().map_or(0.0, |cause| cause.probability);
        let rank = |it: &Replica| Reverse(rank(it));
        rank(a)
            .cmp(&rank(b))
            .then_with(|| likely(b).total_cmp(&likely(a)))
            .then_with(|| a.name.cmp(&b.name))
    });
    replicas
}

fn rank(replica: &Replica) -> u8 {
    match replica.verdict {
        Verdict::Critical => 4,
        Verdict::Degraded => 3,
        Verdict::Inconclusive if !replica.answered => 2,
        Verdict::Inconclusive => 1,
        Verdict::Healthy => 0,
    }
}

impl Counts {
    /// Counts them.
    pub fn of(replicas: &[Replica]) -> Self {
        let count = |is: &dyn Fn(&Replica) -> bool| {
            replicas.iter().filter(|replica| is(replica)).count() as u32
        };
        Self {
            replicas: replicas.len() as u32,
            critical: count(&|it| it.verdict == Verdict::Critical),
            degraded: count(&|it| it.verdict == Verdict::Degraded),
            inconclusive: count(&|it| it.verdict == Verdict::Inconclusive),
            healthy: count(&|it| it.verdict == Verdict::Healthy),
            silent: count(&|it| !it.answered),
        }
    }

    /// The verdict over all of them.
    pub fn verdict(self) -> Verdict {
        match self {
            Self { critical: 1.., .. } => Verdict::Critical,
            Self { degraded: 1.., .. } => Verdict::Degraded,
            Self { inconclusive: 1.., .. } | Self { replicas: 0, .. } => Verdict::Inconclusive,
            _ => Verdict::Healthy,
        }
    }
}

//! What Kubernetes says of the server's pods.

use crate::{
    evidence::kube::{Cluster, PodTroubleKind as Kind},
    unit::Unit,
};

use super::{Derive, Estimate, Frame, Missing, MissingKind, Signal, Value};

/// How far before the window a trouble still counts, seconds: Kubernetes keeps events for an hour.
const RECENT: f64 = 3600.0;

/// Rows of this family.
pub(super) static SIGNALS: &[Signal] = &[
    Signal {
        name: "pods_oom_killed_count",
        unit: Unit::Count,
        about: "Pods with a container that was ended for using more memory than it may.",
        doc: "From the listing that --kube gives: OOMKilled in a container's present or last \
              state, within an hour before the window or in it. This is the host's memory, not \
              the GPU's.",
        source: "kube",
        families: &[],
        derive: Derive::Span(|frame| pods(frame, &[Kind::OomKilled])),
    },
    Signal {
        name: "pods_unschedulable_count",
        unit: Unit::Count,
        about: "Pods that no node can take.",
        doc: "From the listing that --kube gives: Unschedulable, or a FailedScheduling event of a \
              pod, within an hour before the window or in it.",
        source: "kube",
        families: &[],
        derive: Derive::Span(|frame| pods(frame, &[Kind::Unschedulable])),
    },
    Signal {
        name: "pods_not_starting_count",
        unit: Unit::Count,
        about: "Pods whose image cannot be pulled or whose container cannot be started.",
        doc: "From the listing that --kube gives: ErrImagePull, ImagePullBackOff, \
              CreateContainerConfigError, FailedMount and their like, within an hour before the \
              window or in it.",
        source: "kube",
        families: &[],
        derive: Derive::Span(|frame| pods(frame, &[Kind::ImagePull, Kind::CannotStart])),
    },
    Signal {
        name: "pods_crashed_count",
        unit: Unit::Count,
        about: "Pods with a container that ended with an error.",
        doc: "From the listing that --kube gives: the present or last state of a container, with \
              an exit code other than 0, within an hour before the window or in it.",
        source: "kube",
        families: &[],
        derive: Derive::Span(|frame| pods(frame, &[Kind::OomKilled, Kind::Crashed])),
    },
    Signal {
        name: "pods_failing_probes_count",
        unit: Unit::Count,
        about: "Pods whose liveness, readiness or start-up probe fails.",
        doc: "From the Unhealthy events in the listing that --kube gives, within an hour before \
              the window or in it.",
        source: "kube",
        families: &[],
        derive: Derive::Span(|frame| pods(frame, &[Kind::ProbeFailed])),
    },
];

fn cluster<'a>(frame: &Frame<'a>) -> Result<&'a Cluster, Missing> {
    if let Some(cluster) = &frame.evidence.kube {
        return Ok(cluster);
    }
    Err(match frame.evidence.source("kube") {
        Some(failed) if !failed.status.answered() => {
            Missing::new(MissingKind::SourceFailed, failed.detail.clone())
        }
        _ => {
            let why = "Kubernetes was not asked: give what kubectl prints with --kube";
            Missing::new(MissingKind::NotConfigured, why)
        }
    })
}

fn pods(frame: &Frame<'_>, kinds: &[Kind]) -> Value {
    let cluster = cluster(frame)?;
    if frame.view.is_lifetime() {
        let why = "Kubernetes was asked for the present only";
        return Err(Missing::new(MissingKind::NoBaseline, why));
    }
    let span = frame.view.span();
    let recent = |at: f64| at >= span.from - RECENT && at <= span.to.max(cluster.at);
    let troubles = cluster.troubles.iter().filter(|it| kinds.contains(&it.kind));
    let mut pods: Vec<&str> =
        troubles.filter(|it| it.at.is_none_or(recent)).map(|it| it.pod.as_str()).collect();
    pods.sort_unstable();
    pods.dedup();
    Ok(Estimate::exact(pods.len() as f64, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Evidence, Span, kube::PodTrouble};

    #[test]
    fn a_pod_counts_once_and_no_longer_than_an_hour() {
        let trouble = |pod: &str, at| PodTrouble {
            kind: Kind::OomKilled,
            pod: pod.into(),
            at,
            times: 1,
            says: String::new(),
        };
        let mut evidence = Evidence::default();
        let killed = |evidence: &Evidence| {
            pods(&Frame::new(evidence, Span { from: 9000.0, to: 9100.0 }), &[Kind::OomKilled])
        };
        assert_eq!(killed(&evidence).unwrap_err().kind, MissingKind::NotConfigured);
        let troubles = [("a", Some(9050.0)), ("a", None), ("b", Some(60.0))];
        let troubles = troubles.map(|(pod, at)| trouble(pod, at)).to_vec();
        evidence.kube = Some(Cluster { at: 9100.0, pods: 2, troubles });
        assert_eq!(killed(&evidence).unwrap().point, 1.0);
    }
}

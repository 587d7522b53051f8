//! What Kubernetes says of pods, as plain data.

use super::Time;

/// Pods and their events, as they stood when somebody asked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cluster {
    /// When it was asked, Unix seconds.
    pub at: Time,
    /// Pods in the listing.
    pub pods: usize,
    /// What went wrong, in time order.
    pub troubles: Vec<PodTrouble>,
}

/// One thing that went wrong with a pod.
#[derive(Debug, Clone, PartialEq)]
pub struct PodTrouble {
    /// What it is.
    pub kind: PodTroubleKind,
    /// The pod.
    pub pod: String,
    /// When it happened last; `None` where Kubernetes does not tell.
    pub at: Option<Time>,
    /// How often.
    pub times: u64,
    /// What Kubernetes says of it, without secrets.
    pub says: String,
}

/// Kinds of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PodTroubleKind {
    /// A container was ended for using more memory than it may.
    OomKilled,
    /// A container ended with an error and was started again.
    Crashed,
    /// No node can take the pod.
    Unschedulable,
    /// The image cannot be pulled.
    ImagePull,
    /// A container cannot be created or started: a missing secret, volume or command.
    CannotStart,
    /// A liveness, readiness or start-up probe fails.
    ProbeFailed,
    /// The node put the pod out.
    Evicted,
}

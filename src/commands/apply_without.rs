//! `diagnose alerts apply` and `diagnose dashboard apply` in a build without AWS.

use super::Failure;
use crate::{
    cli::{ApplyAlarmsArgs, ApplyDashboardArgs},
    config::Environment,
    exit::Exit,
};

/// Puts no alarms.
pub fn alarms(_: &ApplyAlarmsArgs, _: &Environment) -> anyhow::Result<Exit> {
    Err(no_aws().into())
}

/// Puts no dashboard.
pub fn dashboard(_: &ApplyDashboardArgs, _: &Environment) -> anyhow::Result<Exit> {
    Err(no_aws().into())
}

fn no_aws() -> Failure {
    Failure {
        tried: "change CloudWatch".into(),
        happened: "this build has no AWS".into(),
        next: "a build with the feature `aws`, which is there by default; `render` needs none"
            .into(),
        exit: Exit::Failed,
    }
}

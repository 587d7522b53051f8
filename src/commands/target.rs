//! The target of a rendering: the names of its metrics, and what was read of it.

use super::alerts::{self, unknown};
use crate::{
    cli::RuleTargetArgs,
    config::Environment,
    evidence::Evidence,
    monitor::target::{Target, matchers},
};

/// Looks at the target, unless only its release is given: then there is no evidence.
pub(super) fn find(
    args: &RuleTargetArgs,
    env: &Environment,
) -> anyhow::Result<(Target, Option<Evidence>)> {
    let settings = alerts::settings(args, env)?;
    if args.vllm_version.is_some() {
        let target = alerts::target(args, &settings)?;
        return Ok((target.map_err(unknown)?, None));
    }
    let evidence = alerts::look(&settings)?;
    let selector = settings.history.prometheus.and_then(|it| it.selector).unwrap_or_default();
    let labels = matchers(&selector).map_err(unknown)?;
    let target = Target::of_evidence(&evidence, &labels).map_err(unknown)?;
    Ok((target, Some(evidence)))
}

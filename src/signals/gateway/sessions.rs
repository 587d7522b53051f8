//! Conversations: how their prompts grow from one request to the next.

use std::collections::BTreeMap;

use crate::{
    evidence::gateway::GatewayRecord,
    signals::{Estimate, Frame, Missing, MissingKind, Value},
};

use super::{ENOUGH, telling};

/// By how much more prompts grow from request to request than before, over the mean prompt before.
pub(in crate::signals) fn growth(now: &Frame<'_>, before: &Frame<'_>) -> Value {
    let (now, before) = (steps(now)?, steps(before)?);
    if before.mean_prompt <= 0.0 {
        return Err(Missing::new(MissingKind::NoBaseline, "prompts before have no tokens"));
    }
    let more = (now.added - before.added) / before.mean_prompt;
    let error = now.error.hypot(before.error) / before.mean_prompt;
    let n = Some(now.n.min(before.n));
    Ok(Estimate { point: more, lo: more - 2.0 * error, hi: more + 2.0 * error, n, bucket: false })
}

/// Steps from one request of a conversation to its next.
struct Steps {
    /// Mean tokens that a step adds, with its standard error.
    added: f64,
    error: f64,
    n: f64,
    mean_prompt: f64,
}

fn steps(frame: &Frame<'_>) -> Result<Steps, Missing> {
    let tells: fn(&GatewayRecord) -> bool = |it| it.session.is_some() && it.input_tokens.is_some();
    let records = telling(frame, "session with its prompt tokens", tells)?;
    let mut last: BTreeMap<&str, f64> = BTreeMap::new();
    let (mut added, mut prompts) = (Vec::new(), Vec::new());
    for record in records {
        let (Some(session), Some(tokens)) = (&record.session, record.input_tokens) else {
            continue;
        };
        prompts.push(tokens);
        added.extend(last.insert(session, tokens).map(|before| tokens - before));
    }
    if added.len() < ENOUGH {
        let n = added.len();
        let why =
            format!("{n} requests that go on with a session are too few; {ENOUGH} are needed");
        return Err(Missing::new(MissingKind::TooFew, why));
    }
    let n = added.len() as f64;
    let mean = added.iter().sum::<f64>() / n;
    let squares = added.iter().map(|step| (step - mean).powi(2)).sum::<f64>();
    let mean_prompt = prompts.iter().sum::<f64>() / prompts.len() as f64;
    Ok(Steps { added: mean, error: (squares / n / n).sqrt(), n, mean_prompt })
}

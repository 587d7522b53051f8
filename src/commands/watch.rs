//! `--watch`: the same question again and again, and only what changed as an answer.

use std::time::Duration;

use super::{
    live::stop_signal,
    run::{Scope, deliver, judged},
    write,
};
use crate::{config::Settings, exit::Exit, report::changes, sources::http};

/// Judges until interrupted. The first report is written whole, then one line for each change.
pub(super) fn run(scope: &Scope, settings: &Settings, interval: Duration) -> anyhow::Result<Exit> {
    let mut last = judged(scope, settings)?;
    deliver(&last, settings)?;
    while !last.cut_short {
        if let Some(exit) = pause(interval)? {
            return Ok(exit);
        }
        let next = judged(scope, settings)?;
        if settings.output.is_some() {
            deliver(&next, settings)?;
        }
        let at = next.report.window.to.as_deref().unwrap_or("at an unknown time");
        for change in changes::between(&last.report, &next.report) {
            write::print(&format!("{at}  {change}"))?;
        }
        last = next;
    }
    Ok(last.exit)
}

/// Waits; gives the exit code of the signal that ended it early.
fn pause(interval: Duration) -> std::io::Result<Option<Exit>> {
    http::block_on(async {
        tokio::select! {
            exit = stop_signal() => Some(exit),
            () = tokio::time::sleep(interval) => None,
        }
    })
}

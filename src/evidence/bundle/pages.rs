//! Saved `/metrics` pages without a bundle around them.

use std::path::Path;
use std::time::UNIX_EPOCH;

use super::Bundle;
use crate::evidence::SourceState;

/// Pages whose files were written closer together than this were copied, not scraped.
const COPIED_WITHIN_MS: u64 = 100;

/// The interval assumed between pages of unknown time.
const ASSUMED_INTERVAL_MS: u64 = 5_000;

/// A saved page with what is known of its time.
pub(super) struct SavedPage {
    named: Option<u64>,
    modified: Option<u64>,
    body: Vec<u8>,
}

impl SavedPage {
    pub(super) fn new(path: &Path, body: Vec<u8>) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let modified = path.metadata().and_then(|meta| meta.modified()).ok();
        let modified = modified.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        Self {
            named: time_in_name(&name),
            modified: modified.map(|since| since.as_millis() as u64),
            body,
        }
    }
}

/// The time that a file's name is: Unix seconds or milliseconds, from 2001 on.
fn time_in_name(name: &str) -> Option<u64> {
    let number: u64 = name.split('.').next()?.parse().ok()?;
    match number {
        1_000_000_000..100_000_000_000 => Some(number * 1000),
        1_000_000_000_000..100_000_000_000_000 => Some(number),
        _ => None,
    }
}

/// Makes a bundle of saved pages. Their times come from their names, else from the files, else
/// they are taken in the order given.
pub(super) fn bundle(pages: Vec<SavedPage>) -> Bundle {
    let mut bundle = Bundle::default();
    let named: Option<Vec<u64>> = pages.iter().map(|page| page.named).collect();
    let modified: Option<Vec<u64>> =
        pages.iter().map(|page| page.named.or(page.modified)).collect();
    let (times, told_by) = match (named.filter(|it| apart(it)), modified.filter(|it| apart(it))) {
        (Some(times), _) => (times, None),
        (None, Some(times)) => (times, Some("when the files were last written".to_owned())),
        (None, None) => {
            let first = pages.first().and_then(|page| page.named.or(page.modified)).unwrap_or(0);
            let times = (0..pages.len() as u64).map(|n| first + n * ASSUMED_INTERVAL_MS).collect();
            let why = format!(
                "the order given, {} s apart, which is a guess: every rate depends on it",
                ASSUMED_INTERVAL_MS / 1000
            );
            (times, Some(why))
        }
    };
    if let Some(told_by) = told_by {
        let detail = format!(
            "times of the saved pages are taken from {told_by}; name the files by the Unix second \
             of their scrape to be sure"
        );
        bundle.note("bundle", SourceState::Partial, detail);
    }
    bundle.scrapes = times.into_iter().zip(pages).map(|(at, page)| (at, page.body)).collect();
    bundle
}

fn apart(times: &[u64]) -> bool {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted.windows(2).all(|pair| pair[1] - pair[0] >= COPIED_WITHIN_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_time_in_seconds_or_milliseconds_or_none() {
        assert_eq!(time_in_name("1795304318.prom"), Some(1_795_304_318_000));
        assert_eq!(time_in_name("1795304318444.prom.gz"), Some(1_795_304_318_444));
        assert_eq!(time_in_name("2.prom"), None);
        assert_eq!(time_in_name("before.prom"), None);
    }

    #[test]
    fn pages_of_equal_time_keep_their_order_and_say_so() {
        let page = |body: &str| SavedPage { named: None, modified: Some(7), body: body.into() };
        let bundle = bundle(vec![page("a"), page("b")]);
        let bodies: Vec<_> = bundle.scrapes.values().map(Vec::as_slice).collect();
        assert_eq!(bodies, [b"a", b"b"]);
        assert!(bundle.notes[0].detail.contains("5 s apart"));
    }
}

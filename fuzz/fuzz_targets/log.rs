//! Any log at all: neither its reader nor the search for secrets may panic, and what is kept of a
//! line stays short.

#![no_main]

use diagnose::{evidence::bundle::shown, sources::logs};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|log: &[u8]| {
    let lines = log.split(|&byte| byte == b'\n').count();
    let read = logs::read(log, 1_795_305_520.0);
    assert!(read.access.len() + read.log.matches.len() <= lines);
    assert!(read.log.matches.iter().all(|seen| seen.text.chars().count() <= 240));
    assert!(read.log.stats.iter().all(|line| line.at.is_finite()));
    shown(&String::from_utf8_lossy(log));
});

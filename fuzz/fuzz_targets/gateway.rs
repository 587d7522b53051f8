//! Any lines at all: the reader of gateway records must neither panic nor make up numbers.

#![no_main]

use diagnose::sources::gateway::read;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|lines: &[u8]| {
    let log = read(lines);
    let count = lines.split(|byte| *byte == b'\n').count();
    assert!(log.records.len() + log.skipped <= count);
    assert!(log.records.windows(2).all(|pair| pair[0].at <= pair[1].at));
    for record in &log.records {
        assert!((1e9..1e11).contains(&record.at));
        let numbers = [record.ttft_ms, record.total_ms, record.input_tokens, record.queue_wait_ms];
        assert!(numbers.iter().flatten().all(|number| number.is_finite() && *number >= 0.0));
        assert!(record.status.is_none_or(|status| (100..600).contains(&status)));
    }
});

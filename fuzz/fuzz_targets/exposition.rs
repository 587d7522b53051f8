//! Any body at all: the reader of metrics pages must neither panic nor lose count.

#![no_main]

use diagnose::{
    evidence::SeriesSet,
    sources::exposition::{parse, record_page},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let mut seen = 0;
    let summary = parse(body, |sample| {
        seen += 1;
        assert!(sample.key.starts_with(sample.raw_name));
        assert!(sample.labels().all(|(name, _)| !name.is_empty()));
    });
    assert_eq!(summary.samples, seen);
    let mut set = SeriesSet::default();
    let recorded = record_page(&mut set, 0.0, body).is_ok();
    assert_eq!(set.pages().len(), usize::from(recorded));
});

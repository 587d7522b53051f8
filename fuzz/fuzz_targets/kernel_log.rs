//! Any bytes at all: the reader of the kernel's log must neither panic nor make up numbers.

#![no_main]

use diagnose::{evidence::KernelFact, sources::kernel::read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|log: &[u8]| {
    let events = read(log, 1.8e9).events;
    assert!(events.len() <= 1000);
    for event in events {
        assert!(event.count >= 1);
        assert!(event.when.is_none_or(|when| when.from <= when.to && when.to.is_finite()));
        if let KernelFact::Xid { pci, .. } = &event.what {
            assert!(pci.chars().all(|c| c.is_ascii_hexdigit() || c == ':'));
        }
    }
});

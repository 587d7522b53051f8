//! Upper bounds of the buckets that a release has unless it was started with others.

use super::{Version, at_least};

/// A change of bounds: from this release on, until that of the next entry.
type Change = (&'static str, &'static [f64]);

const TTFT: [Change; 2] = [
    (
        "0.4.0",
        &[
            0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5,
            10.0,
        ],
    ),
    (
        "0.8.4",
        &[
            0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5,
            10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0,
        ],
    ),
];

const GAP: [Change; 2] = [
    ("0.4.0", &[0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5]),
    (
        "0.8.4",
        &[
            0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5,
            10.0, 20.0, 40.0, 80.0,
        ],
    ),
];

const REQUEST: [Change; 3] = [
    ("0.4.0", &[1.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0]),
    ("0.6.4", &[0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0]),
    (
        "0.8.4",
        &[
            0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0,
            120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0,
        ],
    ),
];

/// The finite upper bounds of a latency family in a release, in seconds, ascending; from the source
/// of the releases. `None` for families whose bounds depend on settings.
pub fn bounds(family: &str, version: Version) -> Option<&'static [f64]> {
    let changes: &[Change] = match family {
        "ttft" => &TTFT,
        "itl" | "request_tpot" => &GAP,
        "e2e" | "queue_time" | "inference_time" | "prefill_time" | "decode_time" => &REQUEST,
        _ => return None,
    };
    changes.iter().rev().find(|(first, _)| at_least(version, first)).map(|(_, bounds)| *bounds)
}

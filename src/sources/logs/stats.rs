//! The periodic stats line: throughput and load every ten seconds, in every version's shape.

use crate::evidence::{Time, log::StatsLine};

/// Reads a stats line; `None` where it is none.
pub(super) fn read(text: &str, at: Time) -> Option<StatsLine> {
    let begin = text.find("Avg prompt throughput: ")?;
    let (head, body) = text.split_at(begin);
    let share =
        |name: &str| Some(number(body, name)? / 100.0).filter(|it| (0.0..=1.0).contains(it));
    Some(StatsLine {
        at,
        engine: engine(head),
        prompt_rate: number(body, "Avg prompt throughput: "),
        generation_rate: number(body, "Avg generation throughput: "),
        running: number(body, "Running: "),
        waiting: number(body, "Waiting: ").or_else(|| number(body, "Pending: ")),
        kv_usage: share(" KV cache usage: "),
        hit_ratio: share(" Prefix cache hit rate: "),
    })
}

/// The number after a name.
fn number(text: &str, name: &str) -> Option<f64> {
    let rest = &text[text.find(name)? + name.len()..];
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    rest[..end].trim_end_matches('.').parse().ok().filter(|value: &f64| value.is_finite())
}

/// `Engine 007: ` before the numbers.
fn engine(head: &str) -> Option<u32> {
    head.trim_end().strip_suffix(':')?.rsplit_once("Engine ")?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_s_line_is_read() {
        let v0 = "Avg prompt throughput: 1.5 tokens/s, Avg generation throughput: 20.0 tokens/s, \
                  Running: 1 reqs, Swapped: 0 reqs, Pending: 3 reqs, GPU KV cache usage: 1.0%, \
                  CPU KV cache usage: 50.0%.";
        let early = "Avg prompt throughput: 1.5 tokens/s, Avg generation throughput: 20.0 \
                     tokens/s, Running: 1 reqs, Waiting: 3 reqs GPU KV cache usage: 1.0%.";
        let late = "Engine 003: Avg prompt throughput: 1.5 tokens/s, Avg generation throughput: \
                    20.0 tokens/s, Running: 1 reqs, Waiting: 3 reqs, Deferred: 9 reqs, \
                    Preemptions: 4, NPU KV cache usage: 1.0%, Prefix cache hit rate: 25.0%, \
                    External prefix cache hit rate: 99.0%";
        for (text, engine, hits) in
            [(v0, None, None), (early, None, None), (late, Some(3), Some(0.25))]
        {
            let line = read(text, 7.0).unwrap();
            let wanted = StatsLine {
                at: 7.0,
                engine,
                prompt_rate: Some(1.5),
                generation_rate: Some(20.0),
                running: Some(1.0),
                waiting: Some(3.0),
                kv_usage: Some(0.01),
                hit_ratio: hits,
            };
            assert_eq!(line, wanted, "{text}");
        }
        assert_eq!(read("Avg draft throughput", 7.0), None);
    }
}

//! Capacity: how much more is offered than is done, and how many sequences the KV cache holds.

use crate::{stats, unit::Unit};

use super::{
    Derive, Estimate, Frame, Missing, MissingKind, Signal, Value,
    cache::CACHED,
    traffic::{ARRIVALS, FINISHES, FIRST_TOKENS, SECONDS},
};

/// Rows of this family.
pub(super) static SIGNALS: &[Signal] = &[
    Signal {
        name: "ceiling_finishes_requests_per_second",
        unit: Unit::RequestsPerSecond,
        about: "Requests finished per second while requests waited: what the server can do.",
        doc: "Finishes over the time between pages at both of which a request waited. Missing \
              where no two pages in a row show one, because a server with room shows the demand \
              and not its capacity. It holds for the lengths of that time, and preemption lowers \
              it.",
        source: "metrics",
        families: &["request_success", "waiting"],
        derive: Derive::Span(ceiling_finishes),
    },
    Signal {
        name: "offered_load_factor",
        unit: Unit::Factor,
        about: "Requests that arrive over requests that the server can finish.",
        doc: "Arrivals over finishes at the ceiling: 2 means that two such servers, filled to the \
              brim, would do. Retries of slow requests count as arrivals.",
        source: "metrics",
        families: &["request_success", "running", "waiting"],
        derive: Derive::Span(offered_load),
    },
    Signal {
        name: "kv_cache_size_tokens",
        unit: Unit::Tokens,
        about: "Tokens that the KV cache of one engine holds.",
        doc: "The kv_cache_size_tokens label of cache_config_info (0.24.0 on), else blocks times \
              block size over the engines, because the blocks of data-parallel engines are \
              summed. Missing for models whose layers do not all keep every token.",
        source: "metrics",
        families: &["cache_config_info"],
        derive: Derive::Span(|frame| Ok(Estimate::exact(kv_cache_size(frame)?, None))),
    },
    Signal {
        name: "kv_cache_size_fixed",
        unit: Unit::Flag,
        about: "Whether a flag sets the size of the KV cache, whatever memory the GPU has.",
        doc: "Yes where num_gpu_blocks_override or kv_cache_memory_bytes is set: then \
              gpu_memory_utilization does not change the cache.",
        source: "metrics",
        families: &["cache_config_info"],
        derive: Derive::Span(cache_size_fixed),
    },
    Signal {
        name: "gpu_memory_utilization_ratio",
        unit: Unit::Ratio,
        about: "Share of GPU memory that vLLM is told to take.",
        doc: "The gpu_memory_utilization label of cache_config_info, else the server's flags.",
        source: "metrics",
        families: &["cache_config_info"],
        derive: Derive::Span(|frame| told(frame, "gpu_memory_utilization")),
    },
    Signal {
        name: "max_num_seqs_requests",
        unit: Unit::Requests,
        about: "Requests that one engine may run at once.",
        doc: "`--max-num-seqs` from the server's flags; no page carries it.",
        source: "metrics",
        families: &[],
        derive: Derive::Span(|frame| told(frame, "max_num_seqs")),
    },
    Signal {
        name: "max_model_len_tokens",
        unit: Unit::Tokens,
        about: "Longest sequence that the server accepts, prompt and answer together.",
        doc: "What /v1/models says, else `--max-model-len` from the server's flags.",
        source: "metrics",
        families: &[],
        derive: Derive::Span(|frame| told(frame, "max_model_len")),
    },
    Signal {
        name: "prompt_longest_tokens",
        unit: Unit::Tokens,
        about: "Length of the longest prompt, as the bucket that holds it.",
        doc: "The highest bucket of request_prompt_tokens with a prompt in it.",
        source: "metrics",
        families: &["request_prompt_tokens"],
        derive: Derive::Span(|frame| frame.quantile("request_prompt_tokens", 1.0)),
    },
    Signal {
        name: "sequence_mean_tokens",
        unit: Unit::Tokens,
        about: "Mean tokens of a finished sequence, prompt and answer together.",
        doc: "The sum of both means, which is exact: means add up whatever goes with what.",
        source: "metrics",
        families: &["request_prompt_tokens", "request_generation_tokens"],
        derive: Derive::Span(sequence_mean),
    },
    Signal {
        name: "sequence_p50_tokens",
        unit: Unit::Tokens,
        about: "Median tokens of a finished sequence, as bounds.",
        doc: "See sequence_p95_tokens.",
        source: "metrics",
        families: &["request_prompt_tokens", "request_generation_tokens"],
        derive: Derive::Span(|frame| sequence_quantile(frame, 0.5)),
    },
    Signal {
        name: "sequence_p95_tokens",
        unit: Unit::Tokens,
        about: "95th percentile of a finished sequence's tokens, as bounds.",
        doc: "Prompts and answers are counted apart, so which goes with which is not known. At \
              most: the quantiles of both that leave half of the tail each, added up (Bonferroni), \
              and never more than max_model_len. At least: the same quantile of the one plus the \
              shortest of the other.",
        source: "metrics",
        families: &["request_prompt_tokens", "request_generation_tokens"],
        derive: Derive::Span(|frame| sequence_quantile(frame, 0.95)),
    },
    Signal {
        name: "sequences_fit_mean_count",
        unit: Unit::Count,
        about: "Whole sequences of mean length that the KV cache of one engine holds.",
        doc: "At least: the cache over the length, as if no two shared a block. At most: as if all \
              cached prompt tokens were one prefix that all share. Running requests are shorter \
              than finished ones, so a few more run before the cache is full.",
        source: "metrics",
        families: &["cache_config_info", "request_prompt_tokens", "request_generation_tokens"],
        derive: Derive::Span(mean_sequences_fit),
    },
    Signal {
        name: "sequences_fit_p50_count",
        unit: Unit::Count,
        about: "Sequences of median length that the KV cache of one engine holds.",
        doc: "See sequences_fit_p95_count.",
        source: "metrics",
        families: &["cache_config_info", "request_prompt_tokens", "request_generation_tokens"],
        derive: Derive::Span(|frame| sequences_fit(frame, 0.5)),
    },
    Signal {
        name: "sequences_fit_p95_count",
        unit: Unit::Count,
        about: "Sequences of p95 length that the KV cache of one engine holds.",
        doc: "The cache over both bounds of the length, as if no two shared a block; more fit where \
              they do. The lower end is a number of slots that hardly ever preempts.",
        source: "metrics",
        families: &["cache_config_info", "request_prompt_tokens", "request_generation_tokens"],
        derive: Derive::Span(|frame| sequences_fit(frame, 0.95)),
    },
];

fn ceiling_finishes(frame: &Frame<'_>) -> Value {
    let name = frame.name("waiting")?;
    frame.name("request_success")?;
    let waits = |part: &Frame<'_>| {
        let points = part.view.gauge(name);
        points.len() >= 2 && points.iter().all(|point| point.value >= 1.0)
    };
    let pairs: Vec<(f64, f64)> = frame
        .intervals()
        .iter()
        .filter(|part| waits(part))
        .filter_map(|part| Some((FINISHES(part).ok()?, SECONDS(part).ok()?)))
        .collect();
    let finishes: f64 = pairs.iter().map(|(finishes, _)| finishes).sum();
    let seconds: f64 = pairs.iter().map(|(_, seconds)| seconds).sum();
    if seconds <= 0.0 {
        let why = "requests wait at no two pages in a row, so the server is not at its ceiling";
        return Err(Missing::new(MissingKind::NoSamples, why));
    }
    if finishes <= 0.0 {
        let why = "requests wait and none finishes, so what the server can do is not known";
        return Err(Missing::new(MissingKind::NoSamples, why));
    }
    let spread = stats::ratio_error(&pairs).unwrap_or(0.0);
    let error = spread.max(finishes.sqrt() / seconds);
    Ok(Estimate::with_error(finishes / seconds, error, finishes))
}

fn offered_load(frame: &Frame<'_>) -> Value {
    let ceiling = ceiling_finishes(frame)?;
    let arrivals = frame.rate(ARRIVALS)?;
    let none = || Missing::no_samples("finished request while others waited");
    arrivals.over(&ceiling).ok_or_else(none)
}

fn number(frame: &Frame<'_>, fact: &str) -> Option<f64> {
    let value = frame.evidence.fact(fact)?.parse::<f64>().ok()?;
    (value.is_finite() && value > 0.0).then_some(value)
}

fn told(frame: &Frame<'_>, fact: &str) -> Value {
    let why = || Missing::new(MissingKind::Absent, format!("neither page nor flags tell {fact}"));
    number(frame, fact).map(|value| Estimate::exact(value, None)).ok_or_else(why)
}

fn kv_cache_size(frame: &Frame<'_>) -> Result<f64, Missing> {
    if let Some(tokens) = number(frame, "kv_cache_size_tokens") {
        return Ok(tokens);
    }
    frame.name("cache_config_info")?;
    let odd = ["sliding_window", "mamba_block_size"].iter().find(|f| number(frame, f).is_some());
    if let Some(fact) = odd {
        let why = format!("with {fact} set, a block does not hold the same tokens in every layer");
        return Err(Missing::new(MissingKind::Absent, why));
    }
    let blocks = number(frame, "num_gpu_blocks").zip(number(frame, "block_size"));
    let (blocks, size) =
        blocks.ok_or_else(|| Missing::no_samples("number of KV blocks on cache_config_info"))?;
    Ok(blocks * size / engines(frame))
}

/// Data-parallel engines behind the page.
fn engines(frame: &Frame<'_>) -> f64 {
    let name = frame.name("running").unwrap_or_default();
    frame.view.label_values(name, "engine").len().max(1) as f64
}

fn cache_size_fixed(frame: &Frame<'_>) -> Value {
    frame.name("cache_config_info")?;
    let set = ["num_gpu_blocks_override", "kv_cache_memory_bytes"];
    let fixed = set.iter().any(|fact| number(frame, fact).is_some());
    Ok(Estimate::exact(f64::from(u8::from(fixed)), None))
}

const PARTS: [&str; 2] = ["request_prompt_tokens", "request_generation_tokens"];

fn sequence_mean(frame: &Frame<'_>) -> Value {
    let [prompt, answer] = PARTS.map(|family| frame.mean(family));
    let (prompt, answer) = (prompt?, answer?);
    Ok(Estimate {
        point: prompt.point + answer.point,
        lo: prompt.lo + answer.lo,
        hi: prompt.hi + answer.hi,
        ..prompt
    })
}

fn sequence_quantile(frame: &Frame<'_>, q: f64) -> Value {
    let bounds = |q: f64| -> Result<[Estimate; 2], Missing> {
        Ok([frame.quantile(PARTS[0], q)?, frame.quantile(PARTS[1], q)?])
    };
    let [shortest, at, rarer] = [bounds(0.0)?, bounds(q)?, bounds(1.0 - (1.0 - q) / 2.0)?];
    let lo = (at[0].lo + shortest[1].lo).max(shortest[0].lo + at[1].lo);
    let limit = number(frame, "max_model_len").unwrap_or(f64::INFINITY);
    let hi = (rarer[0].hi + rarer[1].hi).min(limit).max(lo);
    Ok(Estimate::bucket(lo, hi, at[0].n.unwrap_or_default()))
}

/// An engine starts only where one sequence fits, so at least one does.
fn fit(cache: f64, length: f64) -> f64 {
    (cache / length).floor().max(1.0)
}

fn sequences_fit(frame: &Frame<'_>, q: f64) -> Value {
    let (cache, length) = (kv_cache_size(frame)?, sequence_quantile(frame, q)?);
    let (lo, hi) = (fit(cache, length.hi), fit(cache, length.lo));
    Ok(Estimate::bucket(lo, hi, length.n.unwrap_or_default()))
}

fn mean_sequences_fit(frame: &Frame<'_>) -> Value {
    let (cache, length) = (kv_cache_size(frame)?, sequence_mean(frame)?);
    let alone = fit(cache, length.hi);
    let shared = frame.ratio(CACHED, FIRST_TOKENS, FIRST_TOKENS).map(|cached| cached.hi);
    let together = shared.map_or(f64::INFINITY, |shared| fit_beside(cache, shared, length.lo));
    Ok(Estimate::bucket(alone, together.max(alone), length.n.unwrap_or_default()))
}

/// Sequences of `length` of which the first `shared` tokens are stored once.
fn fit_beside(cache: f64, shared: f64, length: f64) -> f64 {
    if length <= shared {
        return f64::INFINITY;
    }
    ((cache - shared).max(0.0) / (length - shared)).floor()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        evidence::{Evidence, Fact, Span},
        signals,
    };

    type Sample = (&'static str, &'static [(&'static str, &'static str)], f64);

    /// Pages a minute apart.
    fn evidence(pages: &[Vec<Sample>], facts: &[(&str, &str)]) -> Evidence {
        let mut evidence = Evidence::default();
        for (index, page) in pages.iter().enumerate() {
            let at = index as f64 * 60.0;
            evidence.series.begin_page(at);
            for (name, labels, value) in page {
                let owned = |(key, text): &(&str, &str)| ((*key).into(), (*text).into());
                evidence.series.record(&format!("{name}{labels:?}"), at, *value, || {
                    ((*name).into(), labels.iter().map(owned).collect())
                });
            }
        }
        for (name, value) in facts {
            let fact = Fact { value: (*value).into(), source: "a test".into() };
            evidence.facts.insert((*name).into(), fact);
        }
        evidence
    }

    fn read(signal: &str, evidence: &Evidence) -> Value {
        let Derive::Span(derive) = signals::find(signal).unwrap().derive else {
            panic!("{signal} compares two spans")
        };
        derive(&Frame::new(evidence, Span { from: 0.0, to: 1e9 }))
    }

    fn queue(waiting: f64, running: f64, finished: f64) -> Vec<Sample> {
        vec![
            ("vllm:num_requests_waiting", &[("engine", "0")], waiting),
            ("vllm:num_requests_running", &[("engine", "0")], running),
            ("vllm:request_success_total", &[], finished),
        ]
    }

    #[test]
    fn what_a_server_can_do_is_counted_only_while_requests_wait() {
        let pages = [queue(0.0, 1.0, 0.0), queue(5.0, 8.0, 30.0), queue(65.0, 8.0, 150.0)];
        let seen = evidence(&pages, &[]);
        assert_eq!(read("ceiling_finishes_requests_per_second", &seen).unwrap().point, 2.0);
        // 150 finished and 72 came to run or wait in two minutes: 1.85 a second against 2.
        let load = read("offered_load_factor", &seen).unwrap();
        assert!((load.point - 222.0 / 120.0 / 2.0).abs() < 1e-9, "{load:?}");
        assert!(load.lo < load.point && load.point < load.hi);
    }

    #[test]
    fn a_server_with_room_or_without_finishes_does_not_show_what_it_can_do() {
        let why = |pages: &[Vec<Sample>]| {
            read("offered_load_factor", &evidence(pages, &[])).unwrap_err().why
        };
        let calm = why(&[queue(0.0, 1.0, 0.0), queue(0.0, 2.0, 90.0)]);
        assert!(calm.contains("not at its ceiling"), "{calm}");
        let stuck = why(&[queue(9.0, 1.0, 7.0), queue(9.0, 1.0, 7.0)]);
        assert!(stuck.contains("none finishes"), "{stuck}");
    }

    fn cache() -> Sample {
        ("vllm:cache_config_info", &[], 1.0)
    }

    #[test]
    fn blocks_are_summed_over_engines_and_shared_out_again() {
        let facts = [("num_gpu_blocks", "400"), ("block_size", "16")];
        let one = evidence(&[vec![cache()]], &facts);
        assert_eq!(read("kv_cache_size_tokens", &one).unwrap().point, 6400.0);
        let running: [Sample; 2] = [
            ("vllm:num_requests_running", &[("engine", "0")], 1.0),
            ("vllm:num_requests_running", &[("engine", "1")], 1.0),
        ];
        let two = evidence(&[[&[cache()][..], &running].concat()], &facts);
        assert_eq!(read("kv_cache_size_tokens", &two).unwrap().point, 3200.0);
    }

    #[test]
    fn a_cache_whose_layers_keep_different_tokens_has_no_size() {
        let facts = [("num_gpu_blocks", "400"), ("block_size", "16"), ("sliding_window", "4096")];
        let missing = read("kv_cache_size_tokens", &evidence(&[vec![cache()]], &facts));
        assert!(missing.unwrap_err().why.contains("sliding_window"));
        assert!(read("kv_cache_size_tokens", &evidence(&[queue(0.0, 0.0, 0.0)], &[])).is_err());
    }

    #[test]
    fn what_is_shared_is_stored_once() {
        // 3072 tokens; sequences of 1694, of which 1151 are one prefix: (3072 - 1151) / 543.
        assert_eq!((fit(3072.0, 1694.0), fit_beside(3072.0, 1151.0, 1694.0)), (1.0, 3.0));
        assert_eq!(fit_beside(3072.0, 1700.0, 1694.0), f64::INFINITY);
        // The engine starts only where the longest sequence fits.
        assert_eq!(fit(3072.0, f64::INFINITY), 1.0);
    }

    /// Cumulative counts at 10, 100, 1000 and without bound.
    fn buckets(values: &[f64]) -> [f64; 4] {
        [10.0, 100.0, 1000.0, f64::INFINITY]
            .map(|bound| values.iter().filter(|value| **value <= bound).count() as f64)
    }

    fn sequences(prompts: &[f64], answers: &[f64]) -> Vec<Sample> {
        type Labels = &'static [(&'static str, &'static str)];
        const BOUNDS: [Labels; 4] =
            [&[("le", "10")], &[("le", "100")], &[("le", "1000")], &[("le", "+Inf")]];
        let histogram = |names: [&'static str; 3], values: &[f64]| {
            let mut out: Vec<Sample> =
                BOUNDS.iter().zip(buckets(values)).map(|(le, n)| (names[0], *le, n)).collect();
            out.push((names[1], &[], values.len() as f64));
            out.push((names[2], &[], values.iter().sum()));
            out
        };
        let prompt = [
            "vllm:request_prompt_tokens_bucket",
            "vllm:request_prompt_tokens_count",
            "vllm:request_prompt_tokens_sum",
        ];
        let answer = [
            "vllm:request_generation_tokens_bucket",
            "vllm:request_generation_tokens_count",
            "vllm:request_generation_tokens_sum",
        ];
        [histogram(prompt, prompts), histogram(answer, answers)].concat()
    }

    proptest::proptest! {
        #[test]
        fn the_true_length_lies_between_the_bounds(
            both in proptest::collection::vec((1.0..2000.0_f64, 1.0..2000.0_f64), 1..60),
        ) {
            let (prompts, answers): (Vec<f64>, Vec<f64>) = both.iter().copied().unzip();
            let pages = [sequences(&[], &[]), sequences(&prompts, &answers)];
            let mut sums: Vec<f64> = both.iter().map(|(prompt, answer)| prompt + answer).collect();
            sums.sort_by(f64::total_cmp);
            for (signal, q) in [("sequence_p50_tokens", 0.5), ("sequence_p95_tokens", 0.95)] {
                let bounds = read(signal, &evidence(&pages, &[])).unwrap();
                let truth = sums[((q * sums.len() as f64).ceil() as usize).max(1) - 1];
                proptest::prop_assert!(bounds.lo <= truth && truth <= bounds.hi, "{bounds:?} {truth}");
            }
            let mean = read("sequence_mean_tokens", &evidence(&pages, &[])).unwrap().point;
            let truth = sums.iter().sum::<f64>() / sums.len() as f64;
            proptest::prop_assert!((mean - truth).abs() < 1e-6);
        }
    }

    #[test]
    fn no_sequence_is_longer_than_the_server_accepts() {
        let pages = [sequences(&[], &[]), sequences(&[1500.0], &[50.0])];
        let bounds = read("sequence_p95_tokens", &evidence(&pages, &[("max_model_len", "2048")]));
        let bounds = bounds.unwrap();
        assert_eq!((bounds.lo, bounds.hi), (1010.0, 2048.0));
    }
}

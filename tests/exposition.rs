//! The reader of metrics pages against the formats, against random pages and against noise.

#![allow(clippy::expect_used, reason = "a test may fail by panic")]

use std::path::{Path, PathBuf};

use diagnose::{
    evidence::SeriesSet,
    signals::families::{self, Engine, FrontEnd, fingerprint},
    sources::exposition::{PageError, Summary, canonical, parse, record_page},
};
use proptest::prelude::*;

type Labels = Vec<(String, String)>;

fn read(body: &[u8]) -> (Vec<(String, Labels, f64)>, Summary) {
    let mut samples = Vec::new();
    let summary = parse(body, |sample| {
        let labels = sample.labels().map(|(name, value)| (name.into(), value.into())).collect();
        samples.push((sample.name().into(), labels, sample.value));
    });
    (samples, summary)
}

fn one(line: &str) -> (String, Labels, f64) {
    let (mut samples, summary) = read(line.as_bytes());
    assert_eq!((samples.len(), summary.bad_lines), (1, 0), "{line:?}: {summary:?}");
    samples.remove(0)
}

fn why_bad(line: &str) -> &'static str {
    let (samples, summary) = read(format!("ok 1\n{line}\nok 2\n").as_bytes());
    assert_eq!((samples.len(), summary.bad_lines), (2, 1), "{line:?}");
    let bad = summary.first_bad.expect("a bad line is described");
    assert_eq!(bad.line, 2);
    bad.why
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|&(name, value)| (name.into(), value.into())).collect()
}

#[test]
fn label_values_are_unescaped_and_may_hold_braces_commas_and_hashes() {
    let (_, found, value) = one(r#"x{a="b\\c\"d\ne",b="},{ # 9",c="",d="é\x"} 5"#);
    let expected = [("a", "b\\c\"d\ne"), ("b", "},{ # 9"), ("c", ""), ("d", "é\\x")];
    assert_eq!((found, value), (labels(&expected), 5.0));
}

#[test]
fn blanks_tabs_and_a_trailing_comma_are_accepted() {
    let (name, found, value) = one("\t x \t{ a = \"1\" ,\tb=\"2\" , }\t 3 \t4 ");
    assert_eq!((name.as_str(), found, value), ("x", labels(&[("a", "1"), ("b", "2")]), 3.0));
    assert_eq!(one("x{} 1").1, labels(&[]));
}

#[test]
fn every_spelling_of_special_values_is_read() {
    for (text, expected) in [
        ("+Inf", f64::INFINITY),
        ("inf", f64::INFINITY),
        ("-Inf", f64::NEG_INFINITY),
        ("1.795304589e+09", 1.795_304_589e9),
        ("-0.5", -0.5),
        ("3", 3.0),
    ] {
        assert_eq!(one(&format!("x {text}")).2, expected);
    }
    assert!(one("x NaN").2.is_nan() && one("x nan").2.is_nan());
}

#[test]
fn timestamps_of_both_formats_and_exemplars_are_passed_over() {
    assert_eq!(one("x 1 1700000000123").2, 1.0);
    assert_eq!(one("x 1 1700000000.123").2, 1.0);
    assert_eq!(one("x_bucket{le=\"1.0\"} 7 # {trace_id=\"a}b # c\"} 0.5 123").2, 7.0);
    assert_eq!(one("x_bucket{le=\"1.0\"} 7 1700000000.1 # {} 0.5").2, 7.0);
}

#[test]
fn each_defect_of_a_line_is_named_and_the_rest_is_read() {
    for (line, why) in [
        ("x", "it has no value"),
        ("x{a=\"b\"}", "it has no value"),
        ("x one", "its value is not a number"),
        ("9x 1", "it begins with no metric name"),
        ("x-y 1", "its name has a character no metric has"),
        ("x{a=\"b 1", "its labels are not closed"),
        ("x{a=\"b\"", "its labels are not closed"),
        ("x{a=b} 1", "it has a label without a quoted value"),
        ("x{=\"b\"} 1", "it has a label without a name"),
        ("x{a=\"b\" c=\"d\"} 1", "its labels are not separated by commas"),
        ("x 1 yesterday", "what follows its value is no timestamp"),
        ("x 1 # trace", "its exemplar has no labels"),
        ("x 1 # {a=\"b\"} much", "its exemplar has no readable value"),
    ] {
        assert_eq!(why_bad(line), why, "{line}");
    }
}

#[test]
fn a_line_that_is_not_utf8_is_counted_and_shown_and_the_rest_goes_on() {
    let (samples, summary) = read(b"a 1\nb{l=\"\xff\x1b[31m\"} 2\nc 3\n");
    assert_eq!(samples.len(), 2);
    let bad = summary.first_bad.expect("described");
    assert_eq!((bad.line, bad.why), (2, "it is not UTF-8"));
    assert_eq!(bad.excerpt, "b{l=\"\u{fffd}\u{fffd}[31m\"} 2");
}

#[test]
fn carriage_returns_a_byte_order_mark_and_a_missing_last_newline_do_no_harm() {
    let (samples, summary) = read(b"\xef\xbb\xbf# HELP x y\r\n# TYPE x gauge\r\nx 1\r\n\r\ny 2");
    assert_eq!(samples.len(), 2);
    assert_eq!((summary.bad_lines, summary.truncated, summary.families), (0, false, 1));
}

#[test]
fn openmetrics_is_known_by_its_end_its_units_and_its_bare_counters() {
    let whole = "# TYPE x counter\n# UNIT x seconds\nx_total 1\nx_created 5\n# EOF\n";
    let (samples, summary) = read(whole.as_bytes());
    assert_eq!((samples.len(), summary.openmetrics, summary.eof), (2, true, true));
    assert!(!summary.truncated);
    let bare = read(b"# TYPE x counter\n# HELP x y\nx_total 1\n").1;
    assert!(bare.openmetrics && bare.truncated && !bare.eof);
    let old = read(b"# TYPE x_total counter\nx_total 1\n# TYPE y counter\ny 1\n").1;
    assert!(!old.openmetrics && !old.truncated);
}

#[test]
fn a_page_that_breaks_off_inside_a_line_is_truncated() {
    assert!(read(b"x 1\ny{a=\"b").1.truncated);
    assert!(!read(b"x 1\ny{a=\"b\n").1.truncated);
    let summary = read(b"x 1\ny 41").1;
    assert_eq!((summary.samples, summary.truncated, summary.unterminated), (2, false, true));
    assert!(!read(b"x 1\n# EOF").1.unterminated);
}

#[test]
fn summaries_keep_their_quantile_label() {
    assert_eq!(one("s{quantile=\"0.99\"} 4").1, labels(&[("quantile", "0.99")]));
}

#[test]
fn only_vllm_names_are_brought_to_colon_spelling() {
    assert_eq!(canonical("vllm_num_requests_running"), "vllm:num_requests_running");
    assert_eq!(canonical("ray_vllm_x"), "vllm:x");
    for same in ["vllm:x", "http_requests_total", "process_open_fds", "my_vllm_x", "vllm_"] {
        assert_eq!(canonical(same), same);
    }
}

#[test]
fn a_page_is_recorded_without_start_times_and_without_the_python_runtime() {
    let mut set = SeriesSet::default();
    let body = b"python_info 1\nprocess_open_fds 3\nhttp_requests_created 9\n\
        vllm_prompt_tokens_total{engine=\"0\"} 5\nvllm:prompt_tokens_created 9\nother 1\n";
    let summary = record_page(&mut set, 10.0, body).expect("a page");
    assert_eq!(summary.samples, 6);
    let names: Vec<&str> = set.names().collect();
    assert_eq!(names, ["process_open_fds", "vllm:prompt_tokens_total"]);
    assert_eq!(set.pages(), [10.0]);
}

fn refused(body: &[u8]) -> PageError {
    let mut set = SeriesSet::default();
    let error = record_page(&mut set, 10.0, body).expect_err("no page of vLLM metrics");
    assert!(set.pages().is_empty() && set.names().next().is_none());
    error
}

#[test]
fn what_is_no_vllm_page_is_refused_by_what_it_is() {
    assert_eq!(refused(b" \r\n"), PageError::Empty);
    assert!(matches!(refused(b"<!DOCTYPE html><html>"), PageError::Html { .. }));
    assert!(matches!(refused(b"{\"detail\":\"Not Found\"}"), PageError::Json { .. }));
    assert!(matches!(refused(b"404 page not found\n"), PageError::Garbage { .. }));
    assert_eq!(refused(b"# TYPE vllm:x gauge\n"), PageError::NoSamples { families: 1 });
    let quiet = refused(b"python_info 1\nprocess_open_fds 3\n");
    assert_eq!(quiet, PageError::NoStats { seen: "process_*, python_*".into() });
    let other = refused(b"DCGM_FI_DEV_GPU_TEMP{gpu=\"0\"} 40\nprocess_open_fds 3\n");
    assert_eq!(other, PageError::OtherExporter { seen: "DCGM_*, process_*".into() });
}

#[test]
fn refusals_say_what_came_and_what_to_try() {
    let quiet = refused(b"process_open_fds 3\n").to_string();
    assert!(quiet.contains("process_*") && quiet.contains("--disable-log-stats"), "{quiet}");
    let garbage = refused(b"404 page not found\n").to_string();
    assert!(garbage.contains("line 1 reads `404 page not found`"), "{garbage}");
}

/// Replays every file of the fuzzer's seed corpus, so that a stable toolchain runs them too.
#[test]
fn the_fuzzing_corpus_is_read_without_panic() {
    let seeds = files(&root().join("fuzz/corpus/exposition"));
    assert!(!seeds.is_empty());
    for seed in seeds {
        let body = std::fs::read(&seed).expect("a readable seed");
        check_any_body(&body);
    }
}

/// What holds for every body, however broken.
fn check_any_body(body: &[u8]) {
    let mut seen = 0;
    let summary = parse(body, |sample| {
        seen += 1;
        assert!(sample.key.starts_with(sample.raw_name));
        assert!(sample.labels().all(|(name, _)| !name.is_empty()));
    });
    assert_eq!(summary.samples, seen);
    assert_eq!(summary.first_bad.is_some(), summary.bad_lines > 0);
    let mut set = SeriesSet::default();
    let recorded = record_page(&mut set, 0.0, body).is_ok();
    assert_eq!(set.pages().len(), usize::from(recorded));
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder exists");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

/// A page of `fixtures/exposition`, read.
fn page(name: &str) -> (SeriesSet, Summary) {
    let path = root().join(format!("fixtures/exposition/vllm-{name}.prom"));
    let body = std::fs::read(&path).expect("a readable page");
    let mut set = SeriesSet::default();
    let summary = record_page(&mut set, 0.0, &body).expect("a page of vLLM metrics");
    (set, summary)
}

#[test]
fn every_page_is_read_to_its_last_line() {
    let pages = files(&root().join("fixtures/exposition"));
    let pages: Vec<_> =
        pages.iter().filter(|path| path.extension() == Some("prom".as_ref())).collect();
    assert!(pages.len() >= 9);
    for path in pages {
        let body = std::fs::read(path).expect("a readable page");
        let samples =
            body.split(|&b| b == b'\n').filter(|line| !line.is_empty() && !line.starts_with(b"#"));
        let (_, summary) = read(&body);
        assert_eq!((summary.bad_lines, summary.truncated), (0, false), "{path:?}");
        assert_eq!(summary.samples, samples.count(), "{path:?}");
        assert_eq!(summary.openmetrics, path.to_string_lossy().contains("rust"), "{path:?}");
    }
}

/// Page, version, engine, front-end, several processes, hint.
type Identity = (&'static str, Engine, FrontEnd, bool, &'static str);

#[test]
fn every_page_names_its_server() {
    use {Engine::*, FrontEnd::*};
    let expected: [Identity; 9] = [
        ("0.6.6", V0, Python, true, "0.6.4 to 0.6.6.post1"),
        ("0.8.5", V1, Python, false, "0.8.3 or later, before 0.9.2"),
        ("0.10.2", V1, Python, false, "0.10.2 or later, before 0.11.0"),
        ("0.12.0", V1, Python, false, "0.11.1 or later, before 0.13.0"),
        ("0.23.0", V1, Python, false, "0.20.0 or later, before 0.30.0"),
        ("0.23.0-ray", V1, Ray, false, "0.20.0 or later"),
        ("0.32.0", V1, Python, false, "0.32.0 or later"),
        ("0.33.0", V1, Python, false, "0.32.0 or later"),
        ("0.33.0-rust", V1, Rust, false, "0.32.0 or later"),
    ];
    for (name, engine, front_end, multiprocess, hint) in expected {
        let (set, summary) = page(name);
        let found = fingerprint(&set, None, summary.openmetrics);
        assert_eq!(found.engine, Some(engine), "{name}");
        assert_eq!(found.front_end, front_end, "{name}");
        assert_eq!((found.multiprocess, found.no_stats), (multiprocess, false), "{name}");
        let text = found.version_hint.map(|hint| hint.to_string());
        assert_eq!(text.as_deref(), Some(hint), "{name}");
    }
}

const CORE: [&str; 17] = [
    "running",
    "waiting",
    "kv_cache_usage",
    "preemptions",
    "ttft",
    "itl",
    "e2e",
    "queue_time",
    "prefill_time",
    "decode_time",
    "prompt_tokens",
    "generation_tokens",
    "request_success",
    "request_prompt_tokens",
    "request_generation_tokens",
    "iteration_tokens",
    "prefix_cache_queries",
];

/// Core families that a page lacks, each with the reason given.
fn absent(name: &str) -> Vec<String> {
    let set = page(name).0;
    let version = name.split('-').next();
    let engine = fingerprint(&set, version, false).engine;
    let more = ["cache_config_info", "http_requests", "process_start_time"];
    let ids = CORE.iter().chain(&more).filter(|id| families::exported(id, &set).is_none());
    ids.map(|id| families::why_absent(id, version, engine)).collect()
}

#[test]
fn core_families_are_found_on_every_page_or_are_absent_for_a_reason() {
    for complete in ["0.8.5", "0.10.2", "0.12.0", "0.23.0", "0.32.0", "0.33.0"] {
        assert_eq!(absent(complete), Vec::<String>::new(), "{complete}");
    }
    assert_eq!(
        absent("0.6.6"),
        [
            "vLLM 0.6.6 (V0) has no vllm:prefix_cache_queries_total: only the other engine \
             exports it, from 0.7.3",
            "vLLM 0.6.6 (V0) has no http_requests_total: it exists from 0.8.3",
            "the page has no process_start_time_seconds: vLLM 0.6.6 exports it only with one \
             API-server process: not several, not V0's separate engine, not the Rust front-end",
        ]
    );
    let rust = absent("0.33.0-rust");
    assert_eq!(rust.len(), 2, "{rust:?}");
    assert!(rust.iter().all(|why| why.contains("Rust front-end")), "{rust:?}");
}

#[test]
fn renamed_families_are_read_under_the_newest_name_that_has_samples() {
    for (name, id, exported) in [
        ("0.6.6", "kv_cache_usage", "vllm:gpu_cache_usage_perc"),
        ("0.8.5", "prefix_cache_queries", "vllm:gpu_prefix_cache_queries_total"),
        ("0.8.5", "itl", "vllm:time_per_output_token_seconds"),
        ("0.10.2", "kv_cache_usage", "vllm:kv_cache_usage_perc"),
        ("0.10.2", "itl", "vllm:inter_token_latency_seconds"),
        ("0.23.0-ray", "ttft", "vllm:time_to_first_token_seconds"),
        ("0.33.0-rust", "prompt_tokens", "vllm:prompt_tokens_total"),
    ] {
        assert_eq!(families::exported(id, &page(name).0), Some(exported), "{name}");
    }
}

#[test]
fn no_page_has_a_sample_that_no_family_knows() {
    for name in ["0.6.6", "0.8.5", "0.10.2", "0.12.0", "0.23.0", "0.32.0", "0.33.0", "0.33.0-rust"]
    {
        let set = page(name).0;
        let known = |sample: &str| {
            families::all().iter().any(|family| {
                family.names.iter().any(|known| {
                    let suffix = sample.strip_prefix(known.name);
                    matches!(suffix, Some("" | "_bucket" | "_count" | "_sum"))
                })
            })
        };
        let unknown: Vec<&str> = set.names().filter(|name| !known(name)).collect();
        assert_eq!(unknown, Vec::<&str>::new(), "{name}");
    }
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn written(samples: &[(String, Labels, f64)], newline: &str) -> String {
    let line = |(name, labels, value): &(String, Labels, f64)| {
        let pairs: Vec<String> =
            labels.iter().map(|(key, text)| format!("{key}=\"{}\"", escape(text))).collect();
        format!("{name}{{{}}} {value:?}{newline}", pairs.join(","))
    };
    samples.iter().map(line).collect()
}

fn any_sample() -> impl Strategy<Value = (String, Labels, f64)> {
    // No letter v first: names with vLLM's prefix are respelled on purpose.
    let name = "[a-u_:][a-zA-Z0-9_:]{0,20}"
        .prop_filter("respelled", |name| !name.starts_with("ray_vllm_"));
    let text = "[^\r]{0,12}";
    let labels = prop::collection::vec(("[a-zA-Z_][a-zA-Z0-9_]{0,8}", text), 0..5);
    (name, labels, prop::num::f64::NORMAL | prop::num::f64::ZERO | prop::num::f64::INFINITE)
}

proptest! {
    #[test]
    fn what_was_written_is_read_back(
        samples in prop::collection::vec(any_sample(), 0..20),
        newline in prop::sample::select(vec!["\n", "\r\n"]),
    ) {
        let (found, summary) = read(written(&samples, newline).as_bytes());
        prop_assert_eq!(summary.bad_lines, 0, "{:?}", summary.first_bad);
        prop_assert_eq!(found, samples);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(body in prop::collection::vec(any::<u8>(), 0..400)) {
        check_any_body(&body);
    }

    #[test]
    fn nothing_that_looks_like_a_page_makes_the_reader_panic(
        body in "([a-z:_]{0,5}|[{}=\",\\\\# \t\r\n]|vllm:x|[0-9.]{1,3}|é|le=\"1\"){0,60}",
    ) {
        check_any_body(body.as_bytes());
    }
}

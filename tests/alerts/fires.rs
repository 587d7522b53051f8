//! Each rule fires on series that warrant it, and stays silent on series just short of that.

use std::fmt::Write as _;

use diagnose::monitor::{
    burn::Objective,
    load::Rules,
    objective::{measure, never, tier},
    seconds,
};

use crate::promtool::{promtool, rendered};

/// Series as promtool writes them, over so many minutes.
type Series = Vec<(String, String)>;

struct Case {
    alert: String,
    series: Series,
    minutes: usize,
    fires: bool,
}

fn gauge(name: &str, value: f64, minutes: usize) -> (String, String) {
    (format!("vllm:{name}{{job=\"vllm\",model_name=\"m\"}}"), format!("{value}+0x{minutes}"))
}

fn counter(name: &str, each: f64, minutes: usize) -> (String, String) {
    (format!("vllm:{name}{{job=\"vllm\",model_name=\"m\"}}"), format!("0+{each}x{minutes}"))
}

/// `late` of 100 observations a minute lie between the bounds, all others below the lower.
fn histogram(name: &str, between: (&str, &str), late: f64, mean: f64, minutes: usize) -> Series {
    let bucket = |le: &str, each: f64| {
        let name = format!("vllm:{name}_bucket{{job=\"vllm\",model_name=\"m\",le=\"{le}\"}}");
        (name, format!("0+{each}x{minutes}"))
    };
    vec![
        bucket(between.0, 100.0 - late),
        bucket(between.1, 100.0),
        bucket("+Inf", 100.0),
        counter(&format!("{name}_sum"), mean * 100.0, minutes),
        counter(&format!("{name}_count"), 100.0, minutes),
    ]
}

/// `bad` of 1000 answers a minute are 5xx; tokenising does not count.
fn answers(bad: f64, minutes: usize) -> Series {
    let one = |handler: &str, status: &str, each: f64| {
        let labels =
            format!("job=\"vllm\",method=\"POST\",handler=\"{handler}\",status=\"{status}\"");
        (format!("http_requests_total{{{labels}}}"), format!("0+{each}x{minutes}"))
    };
    vec![
        one("/v1/chat/completions", "2xx", 1000.0 - bad),
        one("/v1/chat/completions", "5xx", bad),
        one("/tokenize", "2xx", 1e6),
    ]
}

const HOUR: usize = 60;

/// Alerts and own rules of objectives: series that fire, then series that do not.
fn pairs() -> Vec<(&'static str, Series, Series)> {
    let up =
        |value: f64| vec![("up{job=\"vllm\",instance=\"a\"}".into(), format!("{value}+0x{HOUR}"))];
    let ttft = |bounds, late| histogram("time_to_first_token_seconds", bounds, late, 1.0, HOUR);
    let queue =
        |bounds, late, mean| histogram("request_queue_time_seconds", bounds, late, mean, HOUR);
    let e2e = |bounds, late| histogram("e2e_request_latency_seconds", bounds, late, 1.0, HOUR);
    let with = |mut series: Series, more: (String, String)| {
        series.push(more);
        series
    };
    let hits = |hits: f64| {
        vec![
            counter("prefix_cache_hits_total", hits, HOUR),
            counter("prefix_cache_queries_total", 100.0, HOUR),
        ]
    };
    let preempted = |each| counter("num_preemptions_total", each, HOUR);
    let waiting = |n| vec![gauge("num_requests_waiting", n, HOUR)];
    let usage = |share| vec![gauge("kv_cache_usage_perc", share, HOUR)];
    vec![
        ("queue-overflow", waiting(81.0), waiting(80.0)),
        ("endpoint-down", up(0.0), up(1.0)),
        ("error-rate-spike", answers(11.0, HOUR), answers(9.0, HOUR)),
        ("high-ttft", ttft(("0.5", "0.75"), 6.0), ttft(("0.5", "0.75"), 4.0)),
        ("gpu-memory-pressure", usage(0.96), usage(0.94)),
        ("prefix-cache-degradation", hits(49.0), hits(51.0)),
        ("preemption-rate-high", vec![preempted(11.0)], vec![preempted(9.0)]),
        ("queue-wait-creep", queue(("0.3", "0.5"), 4.0, 0.21), queue(("0.3", "0.5"), 4.0, 0.19)),
        ("serving-high-ttft", ttft(("2.5", "5"), 50.0), ttft(("2.5", "5"), 4.0)),
        ("serving-queue-time-high", queue(("2", "2.5"), 6.0, 1.0), queue(("2", "2.5"), 4.0, 1.0)),
        (
            "preemption-related-degradation",
            with(ttft(("2.5", "5"), 50.0), preempted(1.0)),
            with(ttft(("2.5", "5"), 50.0), preempted(0.0)),
        ),
        ("availability-budget", answers(7.3, 2 * HOUR), answers(7.1, 2 * HOUR)),
        ("error-rate-over", answers(5.1, 2 * HOUR), answers(4.9, 2 * HOUR)),
        ("ttft-p50-over", ttft(("0.25", "0.5"), 90.0), ttft(("0.25", "0.5"), 40.0)),
        ("e2e-p99-over", e2e(("2.5", "5"), 50.0), e2e(("2.5", "5"), 0.9)),
        ("queue-p95-over", queue(("0.3", "0.5"), 4.0, 0.21), queue(("0.3", "0.5"), 4.0, 0.19)),
    ]
}

/// Each tier that can fire: a tenth more than its threshold, and a tenth less.
fn tiers() -> Vec<Case> {
    let rules = Rules::embedded().unwrap();
    let mut cases = Vec::new();
    for slo in &rules.slos {
        let objective = Objective { share: slo.objective, period: seconds(&slo.period).unwrap() };
        for rule in slo.burn.iter().flat_map(|name| &rules.tiers[name]) {
            let tier = tier(rule).unwrap();
            if never(objective, tier).is_some() {
                continue;
            }
            let minutes = (tier.long / 60.0) as usize + 10;
            for (factor, fires) in [(1.1, true), (0.9, false)] {
                let share = objective.threshold(tier) * factor;
                let series = match measure(slo, &rules).unwrap().id.as_str() {
                    "failed_5xx_ratio" => answers(1000.0 * share, minutes),
                    id => late(id, 100.0 * share, minutes),
                };
                let alert = format!("{}-{}", slo.id, rule.id);
                cases.push(Case { alert, series, minutes, fires });
            }
        }
    }
    assert!(cases.len() >= 2 * 11, "{}", cases.len());
    cases
}

fn late(measure: &str, late: f64, minutes: usize) -> Series {
    let (name, bounds) = match measure {
        "ttft_p50_seconds" => ("time_to_first_token_seconds", ("0.25", "0.5")),
        "e2e_p99_seconds" => ("e2e_request_latency_seconds", ("2", "2.5")),
        _ => ("request_queue_time_seconds", ("0.3", "0.5")),
    };
    histogram(name, bounds, late, 0.0, minutes)
}

/// A file of unit tests for promtool; an alert fires where its series of ALERTS is there.
fn unit_tests(cases: &[Case], every: &str) -> String {
    let mut text = format!("rule_files: [rules.yaml]\nevaluation_interval: {every}\ntests:\n");
    for case in cases {
        let _ = writeln!(text, "  - interval: 1m\n    input_series:");
        for (series, values) in &case.series {
            let _ = writeln!(text, "      - {{series: '{series}', values: '{values}'}}");
        }
        let alert = &case.alert;
        let samples = if case.fires { "[{value: 1}]" } else { "[]" };
        let _ = writeln!(
            text,
            "    promql_expr_test:\n      - expr: 'count(ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}})'\n        \
             eval_time: {}m\n        exp_samples: {samples}",
            case.minutes
        );
    }
    text
}

fn rules() -> String {
    rendered(&["--vllm-version", "0.23.0", "--selector", "job=\"vllm\""])
}

#[test]
fn each_alert_fires_above_its_threshold_and_is_silent_below() {
    let rules = rules();
    let cases: Vec<Case> = pairs()
        .into_iter()
        .flat_map(|(alert, fires, silent)| {
            let case = |series, fires| Case { alert: alert.into(), series, minutes: 59, fires };
            [case(fires, true), case(silent, false)]
        })
        .collect();
    promtool(
        &["test", "rules"],
        "tests.yaml",
        &unit_tests(&cases, "1m"),
        &[("rules.yaml", &rules)],
    );
    let tested =
        |line: &&str| cases.iter().any(|case| line.ends_with(&format!("alert: {}", case.alert)));
    let alerts = rules.lines().filter(|line| line.contains("- alert: "));
    let is_tier =
        |line: &&str| ["fast", "slow", "day", "trickle"].iter().any(|end| line.ends_with(end));
    let untested: Vec<_> = alerts.filter(|line| !tested(line) && !is_tier(line)).collect();
    assert!(untested.is_empty(), "no series for {untested:?}");
}

#[test]
fn each_tier_fires_above_its_burn_rate_and_is_silent_below() {
    let cases = tiers();
    promtool(
        &["test", "rules"],
        "tests.yaml",
        &unit_tests(&cases, "10m"),
        &[("rules.yaml", &rules())],
    );
}

/// Two bad requests of three are no page: too few to say anything.
#[test]
fn a_quiet_service_does_not_page() {
    let mut series = answers(0.0, 120);
    for (name, values) in &mut series {
        *values = if name.contains("5xx") { "0x60 2x59" } else { "1x119" }.into();
    }
    let case = Case { alert: "availability-fast".into(), series, minutes: 70, fires: false };
    promtool(
        &["test", "rules"],
        "tests.yaml",
        &unit_tests(&[case], "1m"),
        &[("rules.yaml", &rules())],
    );
}

/// An hour that was bad burns on in the long window; the short one says that it is over.
#[test]
fn a_tier_ends_soon_after_the_trouble() {
    let mut series = answers(100.0, 120);
    for (name, values) in &mut series {
        if name.contains("5xx") {
            *values = "0+100x40 4000+0x30".into();
        }
    }
    let case = |minutes, fires| Case {
        alert: "availability-fast".into(),
        series: series.clone(),
        minutes,
        fires,
    };
    let cases = [case(39, true), case(60, false)];
    promtool(
        &["test", "rules"],
        "tests.yaml",
        &unit_tests(&cases, "1m"),
        &[("rules.yaml", &rules())],
    );
}

/// Labels and annotations as whoever is paged sees them, with the command to paste.
#[test]
fn the_page_says_what_to_run_and_for_when() {
    let (series, values) = gauge("num_requests_waiting", 90.0, 30);
    let test = format!(
        "rule_files: [rules.yaml]\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    \
         external_url: http://prometheus:9090\n    \
         input_series: [{{series: '{series}', values: '{values}'}}]\n    \
         alert_rule_test:\n      - eval_time: 10m\n        alertname: queue-overflow\n        exp_alerts:\n          \
         - exp_labels: {{severity: critical, job: vllm, model_name: m}}\n            exp_annotations:\n              \
         summary: Queue overflow\n              \
         description: 'Waiting requests: 90 model_name=m job=vllm.'\n              \
         runbook: 'diagnose high-ttft --prometheus http://prometheus:9090 --selector ''job=\"vllm\"'' --at 1970-01-01T00:10:00Z'\n              \
         diagnose_runbook: high-ttft\n              \
         action: 'Scale out at once, and look for a traffic spike upstream.'\n"
    );
    promtool(&["test", "rules"], "tests.yaml", &test, &[("rules.yaml", &rules())]);
}

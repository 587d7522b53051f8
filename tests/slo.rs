//! Objectives through the program: from the server's metrics, from the gateway's records and from
//! CloudWatch, the shipped ones and a user's own.
#![allow(missing_docs, clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "support/cli.rs"]
mod cli;

use std::{fmt::Write as _, fs};

use cli::{Ran, incident, run};
use diagnose::evidence::bundle::Bundle;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The end of all recordings here, Unix seconds; a whole hour.
const END: u64 = 1_795_305_600;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

fn empty(seconds: u64) -> Bundle {
    let mut bundle = Bundle::default();
    bundle.meta.format_version = 1;
    bundle.meta.target = Some("chat".into());
    bundle.meta.vllm_version = Some("0.23.0".into());
    (bundle.meta.started, bundle.meta.ended) = (Some((END - seconds) as f64), Some(END as f64));
    bundle
}

/// `slo` over a bundle, with the folder that it lies in.
fn slo(bundle: &Bundle, more: &[&str]) -> (TempDir, Ran) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bundle");
    bundle.save(&path).unwrap();
    let args = ["slo", "--replay", path.to_str().unwrap()];
    let ran = run(args.iter().chain(more));
    (dir, ran)
}

fn told(bundle: &Bundle, more: &[&str]) -> (i32, Vec<Value>) {
    let json = [&["--format", "json"], more].concat();
    let ran = slo(bundle, &json).1;
    (ran.code, ran.json().as_array().unwrap().clone())
}

#[track_caller]
fn of<'a>(told: &'a [Value], id: &str) -> &'a Value {
    told.iter().find(|slo| slo["id"] == id).unwrap()
}

#[track_caller]
fn part<'a>(slo: &'a Value, list: &str, id: &str) -> &'a Value {
    slo[list].as_array().unwrap().iter().find(|it| it["id"] == id).unwrap()
}

#[track_caller]
fn assert_near(value: &Value, expected: f64) {
    let value = value.as_f64().unwrap_or_else(|| panic!("{value} is not {expected}"));
    assert!((value - expected).abs() <= 0.01 * expected.abs(), "{value} is not {expected}");
}

/// Nothing on a screen is wider than that, and no number is none.
#[track_caller]
fn assert_readable(text: &str) {
    let long = text.lines().find(|line| line.chars().count() > 80);
    assert!(long.is_none(), "{long:?}");
    for bad in ["NaN", "inf", "null", "None"] {
        assert!(!text.contains(bad), "`{bad}` in\n{text}");
    }
}

/// Pages of a server: each hour up to the last two, then each minute. In the minutes before the end
/// `failing` tells the share of 100 answers a minute that fails, and `busy` whether any came.
fn pages(days: u64, failing: impl Fn(u64) -> f64, busy: impl Fn(u64) -> bool) -> Bundle {
    let mut bundle = empty(days * DAY);
    let (mut good, mut bad) = (0.0, 0.0);
    for before in (0..=days * DAY / MINUTE).rev() {
        if busy(before) {
            let failed = 100.0 * failing(before);
            (good, bad) = (good + 100.0 - failed, bad + failed);
        }
        let apart = if before > 2 * 60 { 60 } else { 1 };
        if before % apart != 0 {
            continue;
        }
        let mut page = String::from("# TYPE http_requests_total counter\n");
        for (status, value) in [("2xx", good), ("5xx", bad)] {
            let labels =
                format!("handler=\"/v1/chat/completions\",method=\"POST\",status=\"{status}\"");
            writeln!(page, "http_requests_total{{{labels}}} {value}").unwrap();
        }
        page.push_str("# TYPE vllm:num_requests_running gauge\n");
        page.push_str("vllm:num_requests_running{model_name=\"m\"} 1\n");
        bundle.scrapes.insert((END - before * MINUTE) * 1000, page.into_bytes());
    }
    bundle
}

#[test]
fn a_month_with_an_incident_tells_what_is_left_and_what_fires() {
    let bundle = pages(31, |before| if before < 30 { 0.2 } else { 0.000_1 }, |_| true);
    let (code, slos) = told(&bundle, &["availability", "error-rate"]);
    assert_eq!(code, 1);
    let availability = of(&slos, "availability");
    // 30 minutes at 20 % and a month at 0.01 %, of 43 200 minutes at 0.1 %.
    let spent = (30.0 * 0.2 + 43_170.0 * 0.000_1) / 43.2;
    assert_near(&availability["budget_spent"], spent);
    assert_near(&availability["budget_left_minutes"], (1.0 - spent) * 43.2);
    // The last hour burns at 10 % and 0.005 % over 0.1 %.
    let rate = (30.0 * 0.2 + 30.0 * 0.000_1) / 60.0 / 0.001;
    assert_near(&availability["burn_rate"], rate);
    assert_near(&availability["exhausted_in_seconds"], (1.0 - spent) * 30.0 * 86_400.0 / rate);
    let fast = part(availability, "tiers", "fast");
    assert_eq!(fast["state"], "firing");
    assert_near(&fast["events"][0], 6000.0);
    let own = part(availability, "rules", "availability-budget");
    assert_eq!(own["state"], "firing");
    assert_near(&own["events"], 6000.0);
    assert_near(&own["fires_at"], 7.2);
    assert_near(&own["burns"], rate);
    // A rule of the guide that is no burn rate: over 0.5 % within an hour.
    let errors = of(&slos, "error-rate");
    assert_eq!(part(errors, "rules", "error-rate-over")["state"], "firing");

    let (_dir, ran) = slo(&bundle, &[]);
    ran.assert_code(1);
    assert_readable(&ran.stdout);
    for line in [
        "Availability: MET (goal: 99.9 % good)",
        "Error rate: MISSED (goal: 99.9 % good)",
        "\"The chatbot is down.\" Lost conversions",
        "of 43.2 min of 30d; gone in",
        "at the rate of the last 1h",
        "FIRING from 14.4×: 100× over 1h (6,000 events), 200× over 5m (500 events)",
    ] {
        let whole = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(whole.contains(line), "`{line}` is missing in\n{}", ran.stdout);
    }
    // What was not read is said once and not by each tier.
    let unread = "has no vllm:time_to_first_token_seconds";
    let whole = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(whole.matches(unread).count(), 1, "{}", ran.stdout);
}

#[test]
fn a_good_month_is_met_and_a_budget_that_is_gone_is_told() {
    let (code, slos) = told(&pages(31, |_| 0.000_1, |_| true), &["availability"]);
    assert_eq!((code, &slos[0]["state"]), (0, &json!("met")));
    assert_near(&slos[0]["budget_left"], 0.9);
    assert_eq!(part(&slos[0], "rules", "availability-budget")["state"], "quiet");

    let spent = pages(31, |_| 0.002, |_| true);
    let (code, slos) = told(&spent, &["availability"]);
    assert_eq!((code, &slos[0]["state"]), (1, &json!("missed")));
    assert_near(&slos[0]["budget_left"], -1.0);
    slo(&spent, &["availability"]).1.assert_says("none left: 200 % of 43.2 min of 30d is spent");
}

/// Nothing in the last six hours: the month is known, and what fires is not.
#[test]
fn a_quiet_night_is_neither_good_nor_bad() {
    let bundle = pages(31, |_| 0.000_1, |before| before > 7 * 60);
    let (code, slos) = told(&bundle, &["availability"]);
    assert_eq!((code, &slos[0]["state"]), (0, &json!("met")));
    let fast = part(&slos[0], "tiers", "fast");
    assert_eq!((&fast["state"], &fast["burns"]), (&json!("unknown"), &json!([null, null])));
    assert_eq!(fast["why"], "0 of 348 events needed");
    let (_dir, ran) = slo(&bundle, &["availability", "error-rate"]);
    assert_readable(&ran.stdout);
    let all_quiet = pages(2, |_| 0.0, |_| false);
    let (code, slos) = told(&all_quiet, &["availability", "error-rate"]);
    assert_eq!((code, &slos[0]["why"]), (3, &json!("nothing happened in its window")));
    assert_readable(&slo(&all_quiet, &[]).1.stdout);
}

#[test]
fn shipped_recordings_are_readable_and_exit_as_documented() {
    for (name, code) in [("healthy", 3), ("load-exceeds-capacity", 1)] {
        let ran = run(["slo", "--replay", &incident(name)]);
        ran.assert_code(code);
        assert_readable(&ran.stdout);
        ran.assert_says("where the next bucket ends: none ends at");
        ran.assert_says("fast, slow, day cannot fire");
    }
    let overloaded = incident("load-exceeds-capacity");
    let args = ["slo", "--replay", &overloaded, "--format", "json"];
    let slos = run(args).json();
    let own = |slo: &str, id: &str| part(of(slos.as_array().unwrap(), slo), "rules", id).clone();
    // Two minutes and a half of half an hour.
    assert_eq!(own("ttft-p50", "ttft-p50-over")["state"], "pending");
    assert_eq!(own("e2e-p99", "e2e-p99-over")["state"], "pending");
    assert_eq!(own("queue-p95", "queue-p95-over")["state"], "pending");
    let healthy = run(["slo", "queue-p95", "--replay", &incident("healthy"), "--format", "json"]);
    let queue = part(&healthy.json()[0], "rules", "queue-p95-over").clone();
    assert_eq!(queue["why"], "not decidable at this bucket resolution");
    run(["slo", "no-such", "--replay", &overloaded]).assert_code(2);
}

/// Records each second of two hours; of those in the last ten minutes each tenth fails.
fn gateway() -> Bundle {
    let mut bundle = empty(2 * HOUR);
    let mut lines = String::new();
    for second in 0..2 * HOUR {
        let bad = second > 2 * HOUR - 10 * MINUTE && second % 10 == 0;
        let record = json!({
            "t": END - 2 * HOUR + second,
            "status": if bad { 500 } else { 200 },
            "ttft_ms": if second % 4 == 0 { 400 } else { 150 },
            "total_ms": 900,
            "queue_wait_ms": if second % 50 == 0 { 300 } else { 20 },
        });
        writeln!(lines, "{record}").unwrap();
    }
    bundle.gateway = Some(lines.into_bytes());
    bundle
}

#[test]
fn records_of_the_gateway_count_each_objective() {
    let (code, slos) = told(&gateway(), &[]);
    assert_eq!(code, 1);
    assert!(slos.iter().all(|slo| slo["source"] == "gateway"), "{slos:?}");
    let fast = part(of(&slos, "availability"), "tiers", "fast");
    assert_eq!(fast["state"], "firing");
    // 60 of 3601 in the hour.
    assert_near(&fast["burns"][0], 59.0 / 3601.0 / 0.001);
    assert_near(&of(&slos, "ttft-p50")["good"], 0.75);
    assert_eq!(of(&slos, "e2e-p99")["state"], "met");
    assert_near(&of(&slos, "queue-p95")["good"], 0.98);
    let own = part(of(&slos, "queue-p95"), "rules", "queue-p95-over");
    assert_eq!((&own["state"], &own["value"]), (&json!("quiet"), &json!("20 ms")));
    slo(&gateway(), &[]).1.assert_says("by the gateway's records");
}

/// What CloudWatch answered of one statistic, a value a period.
fn answered(
    (namespace, name): (&str, &str),
    dimensions: Value,
    statistic: &str,
    period: u64,
    values: impl Fn(u64) -> f64,
) -> (Value, Value) {
    let id = format!("{name}{statistic}{dimensions}").to_lowercase();
    let id: String = id.chars().filter(char::is_ascii_alphanumeric).collect();
    let metric = json!({"Namespace": namespace, "MetricName": name, "Dimensions": dimensions});
    let query = json!({
        "Id": id,
        "MetricStat": {"Metric": metric, "Period": period, "Stat": statistic},
    });
    let steps = 2 * DAY / period;
    let (times, values): (Vec<u64>, Vec<f64>) =
        (0..steps).map(|step| (END - (steps - step) * period, values(steps - step - 1))).unzip();
    (query, json!({"Id": id, "Timestamps": times, "Values": values, "StatusCode": "Complete"}))
}

fn cloud(answers: Vec<(Value, Value)>) -> Bundle {
    let mut bundle = empty(2 * DAY);
    let (queries, results): (Vec<Value>, Vec<Value>) = answers.into_iter().unzip();
    let answer = json!({
        "service": "cloudwatch",
        "operation": "GetMetricData",
        "input": {"MetricDataQueries": queries},
        "output": {"MetricDataResults": results},
    });
    let record = json!({"answers": [answer]});
    bundle.record("aws", END * 1000, record.to_string().into_bytes());
    bundle
}

fn endpoint(variant: &str) -> Value {
    json!([{"Name": "EndpointName", "Value": "chat"}, {"Name": "VariantName", "Value": variant}])
}

fn adapter(name: &str) -> Value {
    json!([{"Name": "AdapterId", "Value": name}, {"Name": "BackendVersion", "Value": "1"}])
}

/// Sums of two variants: one of them fails a fifth of its requests in the last hour.
fn failing_variant(period: u64) -> Vec<(Value, Value)> {
    let minutes = (period / MINUTE) as f64;
    let sum = |name, variant, values: &dyn Fn(u64) -> f64| {
        answered(("AWS/SageMaker", name), endpoint(variant), "Sum", period, values)
    };
    vec![
        sum("Invocations", "a", &|_| 100.0 * minutes),
        sum("Invocations", "b", &|_| 100.0 * minutes),
        sum("Invocation5XXErrors", "a", &|_| 0.0),
        sum("Invocation5XXErrors", "b", &|back| {
            if back * period < HOUR { 20.0 * minutes } else { 0.0 }
        }),
    ]
}

#[test]
fn sums_of_cloudwatch_make_a_budget() {
    let (code, slos) = told(&cloud(failing_variant(60)), &["availability", "error-rate"]);
    assert_eq!(code, 1);
    let availability = of(&slos, "availability");
    assert_eq!(availability["source"], "cloudwatch");
    let fast = part(availability, "tiers", "fast");
    // Sums of both variants, not a mean of their shares.
    assert_eq!((&fast["state"], &fast["events"]), (&json!("firing"), &json!([12_000.0, 1_000.0])));
    assert_near(&fast["burns"][0], 100.0);
    assert_eq!(part(availability, "rules", "availability-budget")["state"], "firing");
    assert_near(&of(&slos, "error-rate")["good"], 1.0 - 1_200.0 / 288_000.0);
    slo(&cloud(failing_variant(60)), &[]).1.assert_says("by CloudWatch");
}

/// Points of half an hour tell nothing of five minutes.
#[test]
fn points_too_long_for_a_window_decide_nothing() {
    let (_, slos) = told(&cloud(failing_variant(1800)), &["availability"]);
    let [fast, day] = ["fast", "day"].map(|id| part(&slos[0], "tiers", id).clone());
    assert_eq!(fast["state"], "unknown");
    assert!(fast["why"].as_str().unwrap().contains("a point every 30m"), "{fast}");
    assert_eq!(day["state"], "firing");
}

/// A percentile rank times the number of samples counts events; percentiles alone do not.
#[test]
fn latencies_of_cloudwatch_take_ranks_and_are_not_told_by_percentiles() {
    let own = |metric, name: &str, statistic: &str, value: f64| {
        answered(("MangaAssist/Inference", metric), adapter(name), statistic, 60, move |_| value)
    };
    let percentiles = || {
        vec![
            own("TTFTMs", "a", "p50", 120.0),
            own("TTFTMs", "a", "SampleCount", 90.0),
            own("TTFTMs", "b", "p50", 900.0),
            own("TTFTMs", "b", "SampleCount", 10.0),
        ]
    };
    let (code, slos) = told(&cloud(percentiles()), &["ttft-p50"]);
    assert_eq!((code, &slos[0]["state"]), (1, &json!("unknown")), "its own rule fires");
    let why = slos[0]["why"].as_str().unwrap();
    assert!(why.contains("PR(:200) of TTFTMs") && why.contains("percentiles cannot"), "{why}");
    // The rule on the percentile itself is decided, and that of the slow adapter counts.
    assert_eq!(part(&slos[0], "rules", "ttft-p50-over")["state"], "firing");

    let mut ranked = percentiles();
    ranked.push(own("TTFTMs", "a", "PR(:200)", 80.0));
    ranked.push(own("TTFTMs", "b", "PR(:200)", 10.0));
    let (_, slos) = told(&cloud(ranked), &["ttft-p50"]);
    // 72 and 1 of 100 a minute.
    assert_eq!((&slos[0]["state"], &slos[0]["events"]), (&json!("met"), &json!(6000.0)));
    assert_near(&slos[0]["good"], 0.73);
    assert_eq!(slos[0]["snapped_to_seconds"], Value::Null);
}

fn own_rules(slos: &str, tiers: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("monitoring")).unwrap();
    fs::write(dir.path().join("monitoring/slos.yaml"), slos).unwrap();
    fs::write(dir.path().join("monitoring/tiers.yaml"), tiers).unwrap();
    dir
}

const OWN: &str = "
- id: weekly
  title: Answers of the week
  objective: 0.99
  period: 7d
  window: 1d
  errors: {measure: failed_5xx_ratio}
  users: It fails now and then.
  business: Trust fades.
  burn: weekly
  rules:
    - {id: weekly-errors, title: Over 2 % errors in two hours, severity: warning, ratio_above: 0.02, within: 2h}
";

const OWN_TIERS: &str = "
weekly:
  - {id: quick, spends: 0.05, long: 2h, short: 10m, severity: critical}
  - {id: endless, spends: 0.5, long: 30d, short: 1d, severity: warning}
";

#[test]
fn a_users_own_objective_is_judged_beside_those_that_ship() {
    let dir = own_rules(OWN, OWN_TIERS);
    let own = ["--runbooks", dir.path().to_str().unwrap()];
    let bundle = pages(8, |before| if before < 120 { 0.05 } else { 0.0 }, |_| true);
    let (code, slos) = told(&bundle, &[&own[..], &["weekly"]].concat());
    assert_eq!((code, slos.len()), (1, 1));
    let weekly = &slos[0];
    assert_near(&weekly["budget_minutes"], 100.8);
    assert_near(&weekly["budget_left"], 1.0 - 120.0 * 0.05 / 100.8);
    let quick = part(weekly, "tiers", "quick");
    // A twentieth of the budget of a week in two hours is 4.2 times what is allowed.
    assert_near(&quick["fires_at"], 4.2);
    assert_eq!(quick["state"], "firing");
    let endless = part(weekly, "tiers", "endless");
    assert_eq!(endless["state"], "never");
    assert!(endless["why"].as_str().unwrap().contains("longer than the period"), "{endless}");
    assert_eq!(part(weekly, "rules", "weekly-errors")["state"], "firing");
    assert_eq!(told(&bundle, &own).1.len(), 6);
    slo(&bundle, &own).1.assert_says("endless cannot fire");
}

/// One that cannot be counted would be left out, and look like one that is met.
#[test]
fn an_objective_that_cannot_be_counted_is_refused_with_the_line() {
    for (from, to, why) in [
        ("failed_5xx_ratio", "failed_5x_ratio", "did you mean `failed_5xx_ratio`?"),
        ("{measure: failed_5xx_ratio}", "{measure: running_requests}", "errors take a ratio"),
        ("objective: 0.99", "objective: 99", "a share above 0 and below 1"),
        ("period: 7d", "period: week", "this is no time"),
        ("burn: weekly", "burn: weakly", "there are no tiers `weakly`"),
        ("within: 2h", "within: soon", "this is no time"),
        ("ratio_above: 0.02, ", "", "a rule has one of"),
    ] {
        let dir = own_rules(&OWN.replace(from, to), OWN_TIERS);
        let ran = run([
            "slo",
            "--replay",
            &incident("healthy"),
            "--runbooks",
            dir.path().to_str().unwrap(),
        ]);
        ran.assert_code(2);
        ran.assert_says(why);
        ran.assert_says("slos.yaml:");
    }
}

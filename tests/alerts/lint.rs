//! Mistakes in the user's own files, and what is no mistake.

use std::{
    fs,
    io::{Seek, Write},
    process::Command,
};

use serde_json::{Value, json};

use crate::{
    cli::{Ran, finish, run},
    promtool::rendered,
    tools::{free_port, tool},
};

const RULES: &str = "groups:
  - name: mine
    rules:
      - record: vllm:ttft:p95
        expr: histogram_quantile(0.95, sum by (le) (rate(vllm:time_to_first_token_seconds_bucket[5m])))
      - alert: Recorded
        expr: vllm:ttft:p95 > 3
      - alert: Renamed
        expr: vllm:gpu_cache_usage_perc > 0.95
      - alert: NoBuckets
        expr: |
          histogram_quantile(0.95,
            sum by (model_name) (rate(vllm:time_to_first_token_seconds_bucket[5m]))) > 3
      - alert: NotOurs
        expr: node_load1 > 4
";

/// Lints one file; the exit code and all that is said.
fn lint(name: &str, text: &str, target: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    run(["alerts", "lint", path.to_str().unwrap()].iter().chain(target))
}

#[test]
fn each_mistake_stands_under_its_line() {
    let ran = lint("rules.yaml", RULES, &["--vllm-version", "0.23.0"]);
    ran.assert_code(1);
    ran.assert_says("rules.yaml:9:");
    ran.assert_says("it is called vllm:kv_cache_usage_perc there");
    ran.assert_says("histogram_quantile without le");
    assert_eq!(ran.stdout.matches("warning:").count(), 2, "{}", ran.stdout);
}

#[test]
fn a_release_that_has_the_names_has_no_mistake() {
    let good = RULES.replace("sum by (model_name)", "sum by (le, model_name)");
    lint("rules.yaml", &good, &["--vllm-version", "0.8.5"]).assert_code(0);
    lint("rules.yaml", &good, &["--vllm-version", "0.23.0"]).assert_code(1);
}

/// Not all metrics of connectors are known here: only a whole page proves one missing.
#[test]
fn a_name_of_no_known_family_is_missing_only_where_a_page_lacks_it() {
    let rules = "groups: [{name: mine, rules: [{alert: A, expr: 'vllm:nixl_some_total > 0'}]}]\n";
    lint("rules.yaml", rules, &["--vllm-version", "0.23.0"]).assert_code(0);
    lint("rules.yaml", rules, &[]).assert_code(0);
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/exposition/vllm-0.23.0.prom");
    let ran = lint("rules.yaml", rules, &["--replay", page]);
    ran.assert_code(1);
    ran.assert_says("vllm:nixl_some_total has no series there");
    let there = rules.replace("nixl_some_total", "estimated_flops_per_gpu_total");
    lint("rules.yaml", &there, &["--replay", page]).assert_code(0);
}

/// A server that does not answer says nothing about names.
#[test]
fn a_server_that_is_down_makes_no_metric_missing() {
    let good = RULES.replace("sum by (model_name)", "sum by (le, model_name)");
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let ran = lint("rules.yaml", &good, &["--prometheus", &nobody, "--quiet"]);
    ran.assert_code(3);
    ran.assert_says("Names were not compared with a server");
    assert!(!ran.said().contains("vllm:gpu_cache_usage_perc"), "{}", ran.said());
    let bad = lint("rules.yaml", RULES, &["--prometheus", &nobody, "--quiet"]);
    bad.assert_code(1);
    assert_eq!(bad.stdout.matches("warning:").count(), 1, "{}", bad.stdout);
}

#[test]
fn queries_of_a_dashboard_are_found_with_their_line() {
    let panel = |expr: &str| json!({"targets": [{"expr": expr}]});
    let dashboard = json!({"panels": [
        panel("vllm:num_requests_swapped{model_name=~\"$model\"}"),
        {"panels": [panel("rate(vllm:prompt_tokens[$__rate_interval])")]},
        panel("vllm:num_requests_running"),
    ]});
    let text = serde_json::to_string_pretty(&dashboard).unwrap();
    let ran = lint("board.json", &text, &["--vllm-version", "0.23.0"]);
    ran.assert_code(1);
    let line = text.lines().position(|line| line.contains("swapped")).unwrap() + 1;
    ran.assert_says(&format!("board.json:{line}:"));
    ran.assert_says("vllm:prompt_tokens_total");
    assert_eq!(ran.stdout.matches("warning:").count(), 2, "{}", ran.stdout);
}

#[test]
fn alarms_without_the_dimensions_of_their_metric_never_fire() {
    let alarms = json!([
        {"AlarmName": "ttft", "MetricName": "TTFTMs", "Threshold": 500},
        {"AlarmName": "oom", "MetricName": "OOMCaught", "Threshold": 0,
         "Dimensions": [{"Name": "AdapterId", "Value": "a"}]},
        {"AlarmName": "wait", "MetricName": "QueueWaitMs", "Threshold": 0.2,
         "Dimensions": [{"Name": "AdapterId", "Value": "a"}, {"Name": "BackendVersion", "Value": "1"}]},
        {"AlarmName": "slip", "MetricName": "PrefixCacheHits", "Threshold": 0.5},
    ]);
    let ran = lint("alarms.json", &alarms.to_string(), &[]);
    ran.assert_code(1);
    ran.assert_says("ttft: it has no dimensions and TTFTMs has");
    ran.assert_says("200 for 0.2 s");
    ran.assert_says("did you mean `PrefixCacheHit`?");
    assert_eq!(ran.stdout.matches("warning:").count(), 3, "{}", ran.stdout);
}

/// Rules, dashboards and alarms as they are rendered pass the lint.
#[test]
fn what_is_rendered_has_no_mistake() {
    for version in ["0.6.6", "0.8.5", "0.23.0", "0.33.0"] {
        let target = ["--vllm-version", version];
        let ran = lint("rules.yaml", &rendered(&target), &target);
        assert_eq!(ran.code, 0, "{version}: {}", ran.said());
        let board = run(["dashboard", "render", "--to", "grafana", "--vllm-version", version]);
        let ran = lint("board.json", &board.stdout, &target);
        assert_eq!(ran.code, 0, "{version}: {}", ran.said());
    }
    let alarms = run(["alerts", "render", "--to", "cloudwatch"]);
    alarms.assert_code(0);
    lint("alarms.json", &alarms.stdout, &[]).assert_code(0);
}

#[test]
fn alarms_are_what_the_command_line_of_aws_takes() {
    let action = "arn:aws:sns:us-east-1:1:page";
    let ran = run(["alerts", "render", "--to", "cloudwatch", "--alarm-action", action]);
    ran.assert_code(0);
    ran.assert_says("Dimensions in <> stand for your own");
    ran.assert_says("endpoint-down is left out");
    let alarms = ran.json();
    assert!(alarms.as_array().unwrap().len() >= 8, "{alarms}");
    let (over, alarms): (Vec<&Value>, Vec<&Value>) =
        alarms.as_array().unwrap().iter().partition(|it| it["AlarmRule"].is_string());
    let named = |over: &Value, it: &Value| {
        let name = it["AlarmName"].as_str().unwrap();
        over["AlarmRule"].as_str().unwrap().contains(&format!("ALARM(\"{name}\")"))
    };
    assert_eq!(over.len(), 13, "every tier that can fire");
    for it in &over {
        assert_eq!(it["AlarmActions"], json!([action]), "{it}");
        assert_eq!(alarms.iter().filter(|part| named(it, part)).count(), 2, "{it}");
    }
    for alarm in alarms {
        let is_part = over.iter().any(|it| named(it, alarm));
        assert_eq!(alarm["AlarmActions"].is_null(), is_part, "who is told twice: {alarm}");
        let one = alarm["MetricName"].is_string();
        assert_ne!(one, alarm["Metrics"].is_array(), "{alarm}");
        let statistics =
            ["Statistic", "ExtendedStatistic"].iter().filter(|it| !alarm[**it].is_null());
        assert_eq!(statistics.count(), usize::from(one), "{alarm}");
    }
}

/// The names and types are those of AWS's own model, and one that is not is seen.
#[test]
fn aws_takes_every_alarm() {
    let alarms = run(["alerts", "render", "--to", "cloudwatch"]);
    let ran = checked(&alarms.stdout);
    ran.assert_code(0);
    assert_eq!(ran.stdout.trim(), alarms.json().as_array().unwrap().len().to_string());
    assert_ne!(checked(&alarms.stdout.replace("EvaluationPeriods", "Periods")).code, 0);
}

fn checked(alarms: &str) -> Ran {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/check-alarms");
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(alarms.as_bytes()).unwrap();
    file.rewind().unwrap();
    let mut command = Command::new(tool("python-botocore"));
    finish(command.arg(script).stdin(file))
}

#[test]
fn flags_without_effect_and_files_without_rules_are_refused() {
    let aws = ["alerts", "render", "--to", "cloudwatch", "--vllm-version", "0.23.0"];
    run(aws).assert_code(2);
    let action = ["alerts", "render", "--to", "prometheus", "--alarm-action", "x"];
    run(action).assert_code(2);
    run(["alerts", "render", "--to", "prometheus", "--vllm-version", "new"]).assert_code(2);
    run(["alerts", "lint", "/no/such/file"]).assert_code(2);
    let empty = lint("empty.yaml", "groups: []\n", &[]);
    empty.assert_code(1);
    empty.assert_says("there is no rule");
}

//! Dashboards and collectors, through the program: every panel and metric of both guides is there,
//! and what is rendered is taken by the programs and formats it is for.
#![allow(missing_docs, clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "support/cli.rs"]
mod cli;
#[path = "support/tools.rs"]
mod tools;

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use cli::{diagnose, finish, run};
use diagnose::monitor::{emf, load::Rules};
use serde_json::{Value, json};
use tools::tool;

/// Releases with other names, engines and lacks, oldest first.
const RELEASES: [&str; 5] = ["0.6.6", "0.8.5", "0.10.2", "0.23.0", "0.33.0"];

fn schema(name: &str) -> jsonschema::Validator {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("tests/support/schemas").join(name)).unwrap();
    jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
}

#[track_caller]
fn assert_valid(schema: &jsonschema::Validator, value: &Value) {
    let errors: Vec<_> =
        schema.iter_errors(value).map(|it| format!("{} at {}", it, it.instance_path())).collect();
    assert!(errors.is_empty(), "{}\n{value:#}", errors.join("\n"));
}

fn page(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/exposition");
    root.join(format!("vllm-{name}.prom")).display().to_string()
}

#[track_caller]
fn rendered(args: &str) -> Value {
    let ran = run(args.split(' '));
    ran.assert_code(0);
    ran.json()
}

fn grafana(version: &str) -> Value {
    rendered(&format!("dashboard render --to grafana --vllm-version {version}"))
}

fn cloudwatch(more: &str) -> Value {
    let fixed = "dashboard render --to cloudwatch --vllm-version 0.23.0 --region eu-west-1";
    rendered(format!("{fixed} {more}").trim())
}

fn panels(dashboard: &Value) -> &Vec<Value> {
    dashboard["panels"].as_array().unwrap()
}

/// The panel of this title in a dashboard of Grafana.
#[track_caller]
fn panel<'a>(dashboard: &'a Value, title: &str) -> &'a Value {
    panels(dashboard).iter().find(|it| it["title"] == title).unwrap_or_else(|| panic!("{title}"))
}

/// The widget of this title in a dashboard of CloudWatch; one of text begins with it.
#[track_caller]
fn widget<'a>(dashboard: &'a Value, title: &str) -> &'a Value {
    let is_it = |it: &&Value| {
        let heading = format!("### {title}\n");
        it["properties"]["title"] == title
            || it["properties"]["markdown"].as_str().is_some_and(|text| text.starts_with(&heading))
    };
    let widgets = dashboard["widgets"].as_array().unwrap();
    widgets.iter().find(is_it).unwrap_or_else(|| panic!("{title}"))
}

fn expressions(dashboard: &Value) -> Vec<String> {
    let targets = panels(dashboard).iter().filter_map(|panel| panel["targets"].as_array());
    targets.flatten().map(|it| it["expr"].as_str().unwrap().to_owned()).collect()
}

/// Rows of guide A, section 7, in its order: row, period, and each panel with how it is drawn, how
/// many lines it has at least, and its alert.
type GuideRow =
    (&'static str, &'static str, &'static [(&'static str, &'static str, usize, &'static str)]);
const GUIDE_A: [GuideRow; 4] = [
    (
        "Health now",
        "1m",
        &[
            ("Active sequences", "stat", 1, ""),
            ("Queued requests", "stat", 1, "queue-overflow"),
            ("KV cache in use", "gauge", 1, "gpu-memory-pressure"),
            ("Endpoint status", "stat", 1, "endpoint-down"),
        ],
    ),
    (
        "Latency",
        "5m",
        &[
            ("Time to first token", "timeseries", 3, "high-ttft"),
            ("Queue wait", "timeseries", 4, "queue-wait-creep"),
            ("Generation", "timeseries", 3, ""),
            ("End to end", "timeseries", 3, ""),
        ],
    ),
    (
        "Efficiency",
        "15m",
        &[
            ("Prefix cache hits", "timeseries", 1, "prefix-cache-degradation"),
            ("Prompts cut to the token budget", "text", 0, ""),
            ("Preemptions", "timeseries", 1, "preemption-rate-high"),
            ("Tokens", "timeseries", 2, ""),
        ],
    ),
    (
        "Adapters",
        "1h",
        &[
            ("Generation by adapter", "text", 0, "adapter-latency-regression"),
            ("Requests by adapter", "text", 0, ""),
            ("Errors by adapter", "text", 0, "oom-detected"),
        ],
    ),
];

#[test]
fn every_panel_of_the_first_guide_is_in_grafana() {
    let dashboard = grafana("0.23.0");
    let titles: Vec<&str> =
        panels(&dashboard).iter().map(|it| it["title"].as_str().unwrap()).collect();
    let place = |title: &str| titles.iter().position(|it| *it == title).unwrap();
    let mut last = 0;
    for (row, period, wanted) in GUIDE_A {
        assert!(place(row) >= last, "{row} stands too high");
        for (title, kind, lines, alert) in wanted {
            last = place(title);
            assert!(last > place(row), "{title} stands before its row");
            let panel = panel(&dashboard, title);
            assert_eq!(panel["type"], *kind, "{title}");
            assert_eq!(panel["targets"].as_array().map_or(0, Vec::len), *lines, "{title}");
            assert!(*kind == "text" || panel["interval"] == period, "{title}");
            assert!(alert.is_empty() || panel.to_string().contains(alert), "{title}: {alert}");
        }
    }
    assert_eq!(dashboard["refresh"], "10s");
}

#[test]
fn bounds_and_targets_of_the_first_guide_are_drawn() {
    let dashboard = grafana("0.23.0");
    let steps = |title: &str| {
        let steps = &panel(&dashboard, title)["fieldConfig"]["defaults"]["thresholds"]["steps"];
        let steps = steps.as_array().unwrap().iter();
        steps.map(|it| (it["value"].as_f64().unwrap(), it["color"].as_str().unwrap())).collect()
    };
    let queued: Vec<(f64, &str)> = steps("Queued requests");
    assert_eq!(queued, [(0.0, "green"), (50.0, "red"), (80.0, "red")]);
    let hits: Vec<(f64, &str)> = steps("Prefix cache hits");
    assert_eq!(hits, [(0.0, "red"), (0.5, "yellow"), (0.7, "green")]);
    let first: Vec<(f64, &str)> = steps("Time to first token");
    assert_eq!(first, [(0.0, "green"), (0.2, "yellow"), (0.5, "red")]);
    let kv = &panel(&dashboard, "KV cache in use")["fieldConfig"]["defaults"];
    assert_eq!((&kv["unit"], &kv["max"]), (&json!("percentunit"), &json!(1)));
    let status = panel(&dashboard, "Endpoint status");
    assert_eq!(status["fieldConfig"]["defaults"]["mappings"][0]["options"]["0"]["color"], "red");
    let stacked = &panel(&dashboard, "Tokens")["fieldConfig"]["defaults"]["custom"]["stacking"];
    assert_eq!(stacked["mode"], "normal");
}

/// The eleven points of guide B: each with what its panels must ask for.
#[test]
fn every_point_of_the_second_guide_is_in_grafana() {
    let asked = expressions(&grafana("0.23.0"));
    let has =
        |metric: &str, part: &str| asked.iter().any(|it| it.contains(metric) && it.contains(part));
    for (metric, part) in [
        ("http_requests_total", "increase"),
        ("http_requests_total", "status=~\"[5].*\""),
        ("http_requests_total", "status=~\"[45].*\""),
        ("vllm:time_to_first_token_seconds", "quantile(0.95"),
        ("vllm:time_to_first_token_seconds", "quantile(0.99"),
        ("vllm:inter_token_latency_seconds", "quantile(0.95"),
        ("vllm:inter_token_latency_seconds", "quantile(0.99"),
        ("vllm:request_time_per_output_token_seconds", "quantile(0.95"),
        ("vllm:e2e_request_latency_seconds", "quantile(0.95"),
        ("vllm:request_queue_time_seconds", "quantile(0.95"),
        ("vllm:num_requests_waiting", "max by"),
        ("vllm:num_preemptions_total", "increase"),
        ("vllm:kv_cache_usage_perc", "max by"),
        ("vllm:prompt_tokens_total", "increase"),
        ("vllm:generation_tokens_total", "increase"),
        ("vllm:request_prompt_tokens", "quantile(0.5"),
        ("vllm:request_generation_tokens", "quantile(0.95"),
        ("vllm:request_params_max_tokens", "quantile(0.95"),
        ("vllm:prefix_cache_hits_total", "vllm:prefix_cache_queries_total"),
        ("DCGM_FI_DEV_GPU_UTIL", "by (Hostname, gpu, pod)"),
        ("DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_FREE"),
        ("DCGM_FI_DEV_POWER_USAGE", "max"),
        ("DCGM_FI_DEV_SM_CLOCK", "max"),
        ("DCGM_FI_DEV_THERMAL_VIOLATION", "increase"),
        ("DCGM_FI_DEV_XID_ERRORS", "max"),
    ] {
        assert!(has(metric, part), "{metric} {part}");
    }
}

#[test]
fn the_number_of_requests_and_the_workload_stand_beside_the_percentiles() {
    let rules = Rules::embedded().unwrap();
    let row = |id: &str| rules.rows.iter().position(|row| row.id == id).unwrap();
    let latency = &rules.rows[row("latency")];
    assert!(latency.panels.iter().any(|it| it.id == "request-volume"));
    assert_eq!(row("traffic"), row("latency") + 1);
    let dashboard = grafana("0.23.0");
    assert!(dashboard["links"].to_string().contains("DCGM"), "no way on to the GPUs of each pod");
}

#[test]
fn what_a_release_lacks_is_a_text_that_says_why_and_who_has_it() {
    let old = grafana("0.8.5");
    let tpot = panel(&old, "Time per output token of a request");
    assert_eq!(tpot["type"], "text");
    let text = tpot["options"]["content"].as_str().unwrap();
    assert!(text.contains("it exists from 0.11.0"), "{text}");
    let cut = panel(&old, "Prompts cut to the token budget")["options"]["content"].to_string();
    assert!(cut.contains("TokenBudgetTrimmed to CloudWatch"), "{cut}");
    let itl = panel(&old, "Time between tokens").to_string();
    assert!(itl.contains("vllm:time_per_output_token_seconds_bucket"), "{itl}");
}

#[test]
fn a_page_is_shown_with_the_names_that_it_really_has() {
    let path = page("0.23.0-ray");
    let ran = run(["dashboard", "render", "--to", "grafana", "--replay", &path]);
    ran.assert_code(0);
    let text = fs::read_to_string(&path).unwrap();
    let names: BTreeSet<&str> = text.lines().filter_map(|it| it.split(['{', ' ']).next()).collect();
    for asked in expressions(&ran.json()) {
        let words = asked.split(|c: char| !(c.is_alphanumeric() || "_:".contains(c)));
        for name in words.filter(|word| word.starts_with("vllm:") || word.starts_with("ray_")) {
            assert!(names.contains(name), "{name} is not on the page: {asked}");
        }
    }
}

#[test]
fn grafana_takes_every_dashboard() {
    let schema = schema("grafana-dashboard.json");
    for version in RELEASES {
        let dashboard = grafana(version);
        assert_valid(&schema, &dashboard);
        let ids: BTreeSet<_> = panels(&dashboard).iter().map(|it| it["id"].as_u64()).collect();
        assert_eq!(ids.len(), panels(&dashboard).len(), "panels share an id");
        assert_no_overlap(panels(&dashboard).iter().map(|it| {
            let at = |key: &str| it["gridPos"][key].as_u64().unwrap();
            [at("x"), at("y"), at("w"), at("h")]
        }));
    }
}

/// What Grafana's own types say of a dashboard: nothing where they know and take all of it.
fn grafana_says(dashboard: &Value) -> String {
    let check = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/grafana_check.py");
    let mut python = Command::new(tool("python-grafana"));
    let mut child = python.arg(check).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(dashboard.to_string().as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
}

#[test]
fn grafana_knows_every_field_and_value_of_every_dashboard() {
    for version in RELEASES {
        assert_eq!(grafana_says(&grafana(version)), "", "{version}");
    }
    let mut wrong = grafana("0.23.0");
    wrong["panels"][1]["gridPos"]["x"] = json!("3");
    wrong["panels"][1]["options"]["colorMode"] = json!("pink");
    wrong["panels"][2]["targets"][0]["expression"] = json!("up");
    let said = grafana_says(&wrong);
    assert_eq!(said.lines().count(), 3, "{said}");
}

#[track_caller]
fn assert_no_overlap(places: impl Iterator<Item = [u64; 4]>) {
    let mut taken = BTreeSet::new();
    for [x, y, w, h] in places {
        assert!(x + w <= 24, "{x} + {w} is beyond the edge");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(cell), "two panels at {cell:?}");
        }
    }
}

#[test]
fn prometheus_parses_every_query_of_every_release() {
    let mut rules = String::from("groups:\n  - name: panels\n    rules:\n");
    for version in RELEASES {
        for (index, expr) in expressions(&grafana(version)).iter().enumerate() {
            let name = format!("panel:v{}:{index}", version.replace('.', "_"));
            rules.push_str(&format!("      - {{record: {name:?}, expr: {}}}\n", json!(expr)));
        }
    }
    let file = tempfile::NamedTempFile::with_suffix(".yml").unwrap();
    fs::write(file.path(), rules).unwrap();
    promtool(&["check", "rules", &file.path().display().to_string()]);
}

#[track_caller]
fn promtool(args: &[&str]) {
    let output = Command::new(tool("promtool")).args(args).output().unwrap();
    let said = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap()).concat();
    assert!(output.status.success(), "{said}");
}

#[test]
fn cloudwatch_has_the_panels_of_the_first_guide() {
    let dashboard = cloudwatch("");
    assert_valid(&schema("cloudwatch-dashboard.json"), &dashboard);
    let asks = |title: &str| widget(&dashboard, title)["properties"]["metrics"].to_string();
    for (title, metric, period) in [
        ("Active sequences", "vllm:num_requests_running", 60),
        ("Queued requests", "vllm:num_requests_waiting", 60),
        ("KV cache in use", "vllm:kv_cache_usage_perc", 60),
        ("Endpoint status", "SuccessPercent", 60),
        ("Time to first token", "TTFTMs", 300),
        ("Queue wait", "QueueWaitMs", 300),
        ("Generation", "GenerationMs", 300),
        ("End to end", "TotalMs", 300),
        ("Prefix cache hits", "PrefixCacheHit", 900),
        ("Prompts cut to the token budget", "TokenBudgetTrimmed", 900),
        ("Preemptions", "vllm:num_preemptions_total", 900),
        ("Tokens", "vllm:generation_tokens_total", 900),
        ("Generation by adapter", "GenerationMs", 3600),
        ("Requests by adapter", "GenerationMs", 3600),
        ("Errors by adapter", "OOMCaught", 3600),
    ] {
        assert!(asks(title).contains(metric), "{title}: {}", asks(title));
        assert_eq!(widget(&dashboard, title)["properties"]["period"], period, "{title}");
    }
    for percentile in ["p50", "p95", "p99"] {
        assert!(asks("Time to first token").contains(&format!("'{percentile}'")));
    }
    assert_no_overlap(
        dashboard["widgets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| ["x", "y", "width", "height"].map(|key| it[key].as_u64().unwrap())),
    );
}

#[test]
fn percentiles_of_different_adapters_are_never_merged() {
    for found in cloudwatch("")["widgets"].as_array().unwrap() {
        for metric in found["properties"]["metrics"].as_array().into_iter().flatten() {
            let expression = metric[0]["expression"].as_str().unwrap();
            let percentile = ["'p50'", "'p95'", "'p99'"].iter().any(|it| expression.contains(it));
            assert!(!percentile || expression.starts_with("SEARCH("), "{expression}");
        }
    }
}

#[test]
fn lines_of_cloudwatch_stand_in_its_own_units() {
    let dashboard = cloudwatch("");
    let lines = |title: &str| {
        let lines = widget(&dashboard, title)["properties"]["annotations"]["horizontal"].clone();
        let lines = lines.as_array().unwrap().iter();
        lines.map(|it| it["value"].as_f64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(lines("Time to first token"), [200.0, 500.0], "milliseconds");
    assert_eq!(lines("KV cache in use"), [95.0], "per cent");
    assert_eq!(lines("Prefix cache hits"), [50.0, 70.0]);
    assert_eq!(lines("Queued requests"), [50.0, 80.0]);
    assert_eq!(lines("Endpoint status"), [100.0]);
}

#[test]
fn what_cloudwatch_cannot_have_says_who_has_it() {
    let dashboard = cloudwatch("");
    let text = widget(&dashboard, "Time between tokens")["properties"]["markdown"].to_string();
    assert!(text.contains("drops histograms") && text.contains("Prometheus has it"), "{text}");
}

#[test]
fn alarms_are_tied_in_by_name() {
    let text = cloudwatch("").to_string();
    for alert in ["queue-overflow", "gpu-memory-pressure", "high-ttft", "preemption-rate-high"] {
        assert!(text.contains(&format!("\"alert {alert}\"")), "{alert}");
    }
    let fixed = "dashboard render --to cloudwatch --vllm-version 0.23.0 --region eu-west-1";
    let ran = run(format!("{fixed} --account 123456789012").split(' '));
    ran.assert_code(3);
    ran.assert_says("--cloudwatch");
}

#[test]
fn flags_that_would_do_nothing_and_lacks_are_told() {
    let base = "dashboard render --vllm-version 0.23.0 --to";
    let ran = run(format!("{base} grafana --region eu-west-1").split(' '));
    ran.assert_code(2);
    ran.assert_says("needs --to cloudwatch");
    let ran = run(format!("{base} cloudwatch").split(' '));
    ran.assert_code(2);
    ran.assert_says("--region");
    let nobody = format!("http://127.0.0.1:{}", tools::free_port());
    let ran = run(["dashboard", "render", "--to", "grafana", "--url", &nobody]);
    ran.assert_code(3);
    ran.assert_says("--vllm-version");
}

#[test]
fn prometheus_takes_the_scrape_configuration() {
    for version in RELEASES {
        let file = tempfile::NamedTempFile::with_suffix(".yml").unwrap();
        let path = file.path().display().to_string();
        let line = format!(
            "collector render 10.0.0.7:8000 10.0.0.8:8000 --gpu 10.0.0.7:9400 --to prometheus \
             --vllm-version {version} --output {path}"
        );
        run(line.split_whitespace()).assert_code(0);
        promtool(&["check", "config", &path]);
    }
}

#[test]
fn everything_that_a_panel_asks_for_is_collected_and_nothing_that_no_one_uses() {
    let path = page("0.23.0");
    let ran = run(["collector", "render", "--to", "prometheus", "--replay", &path]);
    ran.assert_code(0);
    let regex = ran.stdout.lines().find_map(|it| it.trim().strip_prefix("regex: ")).unwrap();
    let kept: BTreeSet<&str> = regex.trim_matches('"').split('|').collect();
    let ran = run(["dashboard", "render", "--to", "grafana", "--replay", &path]);
    let asked = expressions(&ran.json()).join(" ");
    let words = asked.split(|c: char| !(c.is_alphanumeric() || "_:".contains(c)));
    for name in words.filter(|it| it.starts_with("vllm:") || it.starts_with("http_")) {
        assert!(kept.contains(name), "{name} is not collected");
    }
    let unused =
        ["vllm:cache_config_info", "process_open_fds", "vllm:iteration_tokens_total_bucket"];
    assert!(unused.iter().all(|name| !kept.contains(name)), "{kept:?}");
}

/// From a page the series are counted; by the release alone the estimate comes close.
#[test]
fn the_number_of_series_is_told() {
    let number = |args: &[&str]| {
        let ran = run(["collector", "render", "--to", "prometheus"].iter().chain(args));
        let line = ran.stdout.lines().find(|it| it.contains("Series of one server")).unwrap();
        let number = line.split(": ").nth(1).unwrap().split(' ').next().unwrap();
        number.parse::<f64>().unwrap()
    };
    let counted = number(&["--replay", &page("0.23.0")]);
    let about = number(&["--vllm-version", "0.23.0"]);
    assert!((about / counted - 1.0).abs() < 0.25, "{about} and {counted}");
}

#[test]
fn an_opentelemetry_collector_keeps_the_names() {
    let ran = run("collector render 10.0.0.7:8000 --to otel --vllm-version 0.23.0".split(' '));
    ran.assert_code(0);
    let config: Value = serde_saphyr::from_str(&ran.stdout).unwrap();
    let scrape = &config["receivers"]["prometheus"]["config"]["scrape_configs"][0];
    assert_eq!(scrape["static_configs"][0]["targets"][0], "10.0.0.7:8000");
    let regex = scrape["metric_relabel_configs"][0]["regex"].as_str().unwrap();
    assert!(regex.contains("vllm:num_requests_waiting") && !regex.contains('$'), "{regex}");
    let exporter = &config["exporters"]["prometheusremotewrite"];
    assert_eq!(exporter["add_metric_suffixes"], false);
    assert_eq!(config["service"]["pipelines"]["metrics"]["receivers"][0], "prometheus");
}

#[test]
fn the_cloudwatch_agent_takes_its_configuration() {
    let ran = run("collector render --to cloudwatch-agent --vllm-version 0.23.0".split(' '));
    ran.assert_code(0);
    assert_valid(&schema("cloudwatch-agent.json"), &ran.json());
    assert!(ran.stderr.contains("custom metrics"), "{}", ran.stderr);
    let prometheus = &ran.json()["logs"]["metrics_collected"]["prometheus"]["emf_processor"];
    assert_eq!(prometheus["metric_namespace"], "MangaAssist/Inference");
}

const RECORDS: &str = r#"
{"t": 1795336199.613, "status": 200, "adapter_id": "manga_v3", "backend_version": "0.23.0", "queue_wait_ms": 12, "ttft_ms": 180.5, "generation_ms": 900, "total_ms": 1092.5, "input_tokens": 812, "output_tokens": 44, "prefix_cache_hit": true, "trimmed": false, "finish_reason": "stop"}
not a record
{"t": 1795336200, "status": 200, "adapter_id": "manga_v3", "finish_reason": "cuda_oom"}
{"t": 1795336201, "status": 429, "rejection_reason": "queue_full"}
{"t": 1795336202, "status": 200}
"#;

fn emf(settings: &str) -> cli::Ran {
    let folder = tempfile::tempdir().unwrap();
    let (records, config) = (folder.path().join("gateway.jsonl"), folder.path().join("d.toml"));
    fs::write(&records, RECORDS).unwrap();
    fs::write(&config, settings).unwrap();
    finish(
        diagnose().args(["collector", "emf", "--gateway"]).arg(records).arg("--config").arg(config),
    )
}

fn lines(ran: &cli::Ran) -> Vec<Value> {
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn records_become_lines_that_cloudwatch_reads() {
    let ran = emf("");
    ran.assert_code(0);
    let schema = schema("embedded-metric-format.json");
    let lines = lines(&ran);
    assert_eq!(lines.len(), 3);
    lines.iter().for_each(|line| assert_valid(&schema, line));
    for line in &lines {
        for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
            let named = directive["Metrics"].as_array().unwrap().iter().map(|it| &it["Name"]);
            let keys = directive["Dimensions"][0].as_array().unwrap();
            for name in named.chain(keys) {
                assert!(!line[name.as_str().unwrap()].is_null(), "{name} in {line}");
            }
        }
    }
    assert!(ran.stderr.contains("1 line told no metric"), "{}", ran.stderr);
    assert!(ran.stderr.contains("1 line could not be read"), "{}", ran.stderr);
}

/// The schema that AWS has published, beside the stricter one of this repository.
#[test]
fn lines_are_sound_by_the_schema_of_aws() {
    let text = fs::read_to_string(tools::schema("embedded-metric-format.json")).unwrap();
    let schema = serde_json::from_str(&text).unwrap();
    let published =
        jsonschema::options().with_draft(jsonschema::Draft::Draft7).build(&schema).unwrap();
    let lines = lines(&emf(""));
    lines.iter().for_each(|line| assert_valid(&published, line));
    for (path, bad) in [
        ("/_aws/CloudWatchMetrics/0/Namespace", Value::Null),
        ("/_aws/CloudWatchMetrics/0/Dimensions", json!(["AdapterId"])),
        ("/_aws/Timestamp", json!("now")),
    ] {
        let mut wrong = lines[0].clone();
        *wrong.pointer_mut(path).unwrap() = bad;
        assert!(!published.is_valid(&wrong), "{path}");
    }
}

/// Rows of guide A's catalogue with their dimensions.
#[test]
fn every_metric_of_the_catalogue_is_written_with_its_dimensions() {
    let lines = lines(&emf(""));
    let both = ["AdapterId", "BackendVersion"];
    for (line, metric, dimensions, value) in [
        (0, "QueueWaitMs", &both[..], 12.0),
        (0, "TTFTMs", &both[..], 180.5),
        (0, "GenerationMs", &both[..], 900.0),
        (0, "InputTokens", &both[..], 812.0),
        (0, "OutputTokens", &both[..], 44.0),
        (0, "PrefixCacheHit", &both[..], 1.0),
        (0, "TokenBudgetTrimmed", &both[..], 0.0),
        (1, "OOMCaught", &both[..1], 1.0),
        (2, "AdmissionRejected", &["Reason"][..], 1.0),
    ] {
        let line = &lines[line];
        assert_eq!(line[metric], value, "{metric}");
        let directives = line["_aws"]["CloudWatchMetrics"].as_array().unwrap();
        let has = |it: &&Value| it["Metrics"].to_string().contains(&format!("\"{metric}\""));
        let directive = directives.iter().find(has).unwrap();
        assert_eq!(directive["Namespace"], "MangaAssist/Inference");
        assert_eq!(directive["Dimensions"], json!([dimensions]), "{metric}");
        assert!(emf::CATALOGUE.iter().any(|it| it.name == metric));
    }
}

#[test]
fn names_are_those_of_the_settings() {
    let ran = emf("[aws]\nnamespace = 'Chat'\nmetrics = { TTFTMs = 'FirstToken' }\n\
         dimensions = { AdapterId = 'Lora' }\n");
    let line = &lines(&ran)[0];
    assert_eq!((&line["FirstToken"], &line["Lora"]), (&json!(180.5), &json!("manga_v3")));
    assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Namespace"], "Chat");
    assert!(line.get("TTFTMs").is_none());
}

//! Answers that take arithmetic, on the recordings as a user sees them.
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used)]

#[path = "support/cli.rs"]
mod cli;

use std::collections::BTreeMap;

use cli::{Ran, incident, run};
use diagnose::{
    runbook::{
        Library,
        expr::{Names, Program, Scope},
    },
    signals::{Estimate, Missing, MissingKind, Value},
};
use serde_json::{Value as Json, json};

fn sweep(name: &str, more: &[&str]) -> Ran {
    run(["sweep", "--replay", &incident(name)].into_iter().chain(more.iter().copied()))
}

fn report(name: &str) -> Json {
    sweep(name, &["--format", "json"]).json()
}

fn cause<'a>(report: &'a Json, id: &str) -> &'a Json {
    let causes = report["causes"].as_array().unwrap();
    causes.iter().find(|cause| cause["id"] == id).unwrap()
}

fn reading<'a>(report: &'a Json, signal: &str) -> &'a Json {
    let readings = report["readings"].as_array().unwrap();
    &readings.iter().find(|row| row["signal"] == signal).unwrap()["now"]
}

#[test]
fn overload_says_how_many_replicas_it_takes() {
    let report = report("load-exceeds-capacity");
    let replicas = &cause(&report, "load-exceeds-capacity")["replicas"];
    assert_eq!(replicas["helps"], "yes");
    // 20.2 ÷ (6.03 × 0.8) = 4.19: five in place of one, or four at the lower end of the error.
    assert_eq!(replicas["how_many"], json!({"lo": 3, "hi": 4}));
    let arithmetic = replicas["arithmetic"].as_str().unwrap();
    for number in ["20.2 requests/s", "6.03", "80 %", "4.19"] {
        assert!(arithmetic.contains(number), "{arithmetic}");
    }
    let screen = sweep("load-exceeds-capacity", &[]);
    screen.assert_says(
        "Replicas  3 to 4 more would help: 20.2 requests/s come, one does 6.03 at most.\n",
    );
    assert!(screen.stdout.lines().count() <= 25);
}

#[test]
fn a_fault_that_every_replica_shares_is_not_scaled_away() {
    let report = report("prefix-broken");
    let replicas = &cause(&report, "volatile-prompt-prefix")["replicas"];
    assert_eq!((&replicas["helps"], &replicas["how_many"]), (&json!("no"), &Json::Null));
    sweep("prefix-broken", &[]).assert_says("Replicas  More would not help: every replica");
}

#[test]
fn only_supported_causes_carry_an_answer_on_replicas() {
    for cause in report("kv-pressure")["causes"].as_array().unwrap() {
        let supported = cause["status"] == "supported";
        assert_eq!(supported, cause["replicas"].is_object(), "{}", cause["id"]);
    }
}

#[test]
fn kv_pressure_shows_the_arithmetic_of_the_cache() {
    let report = report("kv-pressure");
    // 24 blocks of 128 tokens; the mean sequence is 1,387 + 307 tokens.
    assert_eq!(reading(&report, "kv_cache_size_tokens"), &json!(3072.0));
    let mean = reading(&report, "sequence_mean_tokens").as_f64().unwrap();
    assert!((mean - 1694.0).abs() < 5.0, "{mean}");
    assert_eq!(reading(&report, "sequences_fit_p95_count"), &json!({"lo": 1.0, "hi": 2.0}));
    let cause = cause(&report, "kv-working-set-too-large");
    let commands: Vec<&str> = cause["fixes"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|fix| fix["command"].as_str())
        .collect();
    assert_eq!(commands, ["--max-num-seqs <1 to 3>", "--max-num-batched-tokens <smaller>"]);
}

#[test]
fn what_the_numbers_do_not_show_to_be_safe_is_named_as_not_advised() {
    let report = report("kv-pressure");
    let told = |id: &str| cause(&report, id)["not_advised"].to_string();
    let memory = told("kv-working-set-too-large");
    assert!(memory.contains("A larger gpu_memory_utilization is not advised"), "{memory}");
    assert!(memory.contains("A lower max_model_len is not advised"), "{memory}");
    assert!(memory.contains("2,048 tokens"), "{memory}");
}

#[test]
fn slots_are_raised_where_the_cache_has_room() {
    let report = report("load-exceeds-capacity");
    let cause = cause(&report, "load-exceeds-capacity");
    assert_eq!(cause["not_advised"], json!([]));
    let fixes = cause["fixes"].to_string();
    assert!(fixes.contains("--max-num-seqs <more than 8>"), "{fixes}");
    assert!(fixes.contains("262,144 tokens holds 124 to 249 sequences"), "{fixes}");
}

#[test]
fn a_drop_of_throughput_by_fewer_requests_is_told_and_is_no_incident() {
    let report = report("bad-requests");
    let symptoms = report["symptoms"].as_array().unwrap();
    let dropped =
        symptoms.iter().find(|symptom| symptom["signal"] == "generation_tokens_per_second");
    let dropped = dropped.unwrap();
    assert_eq!(dropped["severity"], "info");
    let readings = dropped["readings"].as_array().unwrap();
    let held: Vec<&Json> =
        readings.iter().filter(|reading| reading["answer"] == "yes").map(|r| &r["id"]).collect();
    assert_eq!((readings.len(), held), (6, vec![&json!("fewer-requests")]));
    let steady = self::report("decode-slow").to_string();
    assert!(!steady.contains("tokens/s are generated"), "throughput held there");
}

struct Given<'a>(&'a BTreeMap<&'a str, f64>, &'a Library);

impl Names for Given<'_> {
    fn value(&self, name: &str) -> Value {
        let policy = name.strip_prefix("policy_").and_then(|name| self.1.policy.get(name));
        let value = self.0.get(name).copied().or(policy.map(|entry| entry.value));
        let missing = || Missing::new(MissingKind::Absent, "not given");
        value.map(|value| Estimate::exact(value, None)).ok_or_else(missing)
    }

    fn long_run(&self, _: &str) -> bool {
        false
    }
}

#[test]
fn each_of_the_six_readings_is_told_apart_from_the_others() {
    let library = Library::embedded().unwrap();
    let readings = &library.checks["throughput-dropped"].symptom.as_ref().unwrap().readings;
    let steady = BTreeMap::from([
        ("arrivals_requests_per_second_change", 1.0),
        ("output_mean_tokens_change", 1.0),
        ("computed_per_request_tokens_change", 1.0),
        ("itl_mean_seconds_change", 1.0),
        ("waiting_pages_ratio", 0.0),
        ("waiting_mean_requests", 0.0),
        ("preemptions_per_request", 0.0),
        ("config_changes_count", 0.0),
        ("restarts_count", 0.0),
    ]);
    let cases: [(&str, &[(&str, f64)]); 7] = [
        ("fewer-requests", &[("arrivals_requests_per_second_change", 0.5)]),
        ("shorter-outputs", &[("output_mean_tokens_change", 0.5)]),
        ("more-prefill", &[("computed_per_request_tokens_change", 3.0)]),
        ("slower-decode", &[("itl_mean_seconds_change", 2.0)]),
        ("scheduler-contention", &[("waiting_pages_ratio", 1.0), ("waiting_mean_requests", 9.0)]),
        ("scheduler-contention", &[("preemptions_per_request", 0.5)]),
        ("model-or-settings-changed", &[("restarts_count", 1.0)]),
    ];
    for (wanted, moved) in cases {
        let mut given = steady.clone();
        given.extend(moved.iter().copied());
        let holds = |when: &str| {
            let names = Given(&given, &library);
            Program::compile(when).unwrap().evaluate(&Scope::default(), &names).is_yes()
        };
        let held: Vec<&str> =
            readings.iter().filter(|r| holds(&r.when.value)).map(|r| &*r.id.value).collect();
        assert_eq!(held, [wanted]);
    }
    assert_eq!(readings.len(), 6);
}

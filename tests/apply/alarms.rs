//! Alarms.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use diagnose::evidence::SourceState;
use serde_json::{Value, json};

use crate::{
    Machine, account,
    aws::{
        account::{Kept, Shared},
        stub::{self, Fault, Stub},
    },
    changes, serve,
    tools::tool,
};

const APPLY: &str =
    "alerts apply --to cloudwatch --replay bundle --alarm-action arn:aws:sns:eu-west-1:1:page";

/// The alarms that `render` writes, but for those whose dimensions are not known, by name.
pub fn rendered(machine: &Machine) -> BTreeMap<String, Value> {
    let line = APPLY.replace("alerts apply", "alerts render");
    let ran = machine.run("http://127.0.0.1:1", &line);
    ran.assert_code(0);
    let name = |it: &Value| it["AlarmName"].as_str().unwrap().to_owned();
    let alarms = ran.json().as_array().unwrap().clone().into_iter();
    alarms.map(|it| (name(&it), it)).filter(|(name, _)| !name.contains('<')).collect()
}

fn held(account: &Shared) -> BTreeMap<String, Value> {
    let account = account.lock().unwrap();
    account.alarms.iter().map(|(name, kept)| (name.clone(), kept.put.clone())).collect()
}

/// An account in which everything stands.
fn applied(machine: &Machine) -> Shared {
    let account = account();
    machine.run(&serve(&account, &[]).url(), &format!("{APPLY} --yes")).assert_code(0);
    account
}

#[test]
fn a_dry_run_shows_everything_and_changes_nothing() {
    let (machine, account) = (Machine::whole(), account());
    let stub = serve(&account, &[]);
    let ran = machine.run(&stub.url(), &format!("{APPLY} --dry-run"));
    ran.assert_code(1);
    ran.assert_says("+ vllm-high-ttft-base-0.11.0");
    ran.assert_says("+ vllm-availability-fast-chat-main");
    ran.assert_says("its dimensions were not seen in CloudWatch");
    assert_eq!(changes(&stub), []);
    assert!(held(&account).is_empty());
}

#[test]
fn what_is_put_is_what_is_rendered_and_a_second_time_puts_nothing() {
    let machine = Machine::whole();
    let account = applied(&machine);
    let wanted = rendered(&machine);
    assert!(wanted.len() > 14, "more than two pages: {}", wanted.len());
    assert!(wanted.values().any(|it| it["AlarmRule"].is_string()));
    assert_eq!(held(&account), wanted);
    let tags = [("diagnose-scope", "default"), ("managed-by", "diagnose")];
    let tags = tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    assert!(account.lock().unwrap().alarms.values().all(|kept| kept.tags == tags));
    let stub = serve(&account, &[]);
    for flag in ["--yes", "--dry-run", ""] {
        let again = machine.run(&stub.url(), &format!("{APPLY} {flag}"));
        again.assert_code(0);
        again.assert_says("0 to create, 0 to change");
    }
    assert_eq!(changes(&stub), []);
}

#[test]
fn every_name_that_is_sent_is_one_of_aws() {
    let (machine, account) = (Machine::whole(), account());
    let stub = serve(&account, &[]);
    machine.run(&stub.url(), &format!("{APPLY} --yes")).assert_code(0);
    let board = "dashboard apply --to cloudwatch --vllm-version 0.23.0 --yes";
    machine.run(&stub.url(), board).assert_code(0);
    let told = |(operation, input): (String, Value)| json!({"service": "cloudwatch", "operation": operation, "input": input});
    let answers: Vec<Value> = stub.asked().into_iter().map(told).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("asked.json");
    fs::write(&path, json!({"answers": answers}).to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/check-aws-shapes");
    let checked = Command::new(tool("python-botocore")).arg(script).arg(&path).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}

#[test]
fn a_changed_threshold_is_the_only_difference_and_the_only_change() {
    let machine = Machine::whole();
    let account = applied(&machine);
    let name = "vllm-high-ttft-base-0.11.0";
    account.lock().unwrap().alarms.get_mut(name).unwrap().put["Threshold"] = json!(700.0);
    let stub = serve(&account, &[]);
    let ran = machine.run(&stub.url(), &format!("{APPLY} --dry-run"));
    ran.assert_code(1);
    ran.assert_says(&format!("~ {name}\n    Threshold: 700.0 -> 500.0\n0 to create, 1 to change"));
    machine.run(&stub.url(), &format!("{APPLY} --yes")).assert_code(0);
    let changed = changes(&stub);
    assert_eq!(changed.len(), 1);
    assert_eq!(
        (changed[0].0.as_str(), &changed[0].1["AlarmName"]),
        ("PutMetricAlarm", &json!(name))
    );
    assert_eq!(held(&account), rendered(&machine));
}

#[test]
fn an_alarm_of_the_same_name_that_others_made_stops_everything() {
    let machine = Machine::whole();
    let name = "vllm-high-ttft-base-0.11.0";
    for tags in [
        vec![],
        vec![("managed-by", "terraform")],
        vec![("managed-by", "diagnose"), ("diagnose-scope", "blue")],
    ] {
        let account = account();
        let kept = Kept {
            put: json!({"AlarmName": name, "Threshold": 1.0, "EvaluationPeriods": 1}),
            tags: tags
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        };
        account.lock().unwrap().alarms.insert(name.into(), kept.clone());
        let stub = serve(&account, &[]);
        for flag in ["--yes", "--yes --prune", "--dry-run"] {
            let ran = machine.run(&stub.url(), &format!("{APPLY} {flag}"));
            ran.assert_code(2);
            ran.assert_says(&format!("! {name}: "));
            ran.assert_says("nothing was changed");
        }
        assert_eq!(changes(&stub), []);
        assert_eq!(held(&account)[name], kept.put);
    }
}

#[test]
fn only_what_this_scope_made_is_deleted_and_only_when_asked() {
    let machine = Machine::whole();
    let account = applied(&machine);
    let mut gone: Vec<String> = Vec::new();
    {
        let mut account = account.lock().unwrap();
        let tags = account.alarms.values().next().unwrap().tags.clone();
        let mut blue = tags.clone();
        blue.insert("diagnose-scope".into(), "blue".into());
        for (name, rule, tags) in [
            ("vllm-old-part", None, tags.clone()),
            ("vllm-old", Some("ALARM(\"vllm-old-part\")"), tags),
            ("vllm-theirs", None, blue),
            ("vllm-by-hand", None, BTreeMap::new()),
        ] {
            let put = json!({"AlarmName": name, "AlarmRule": rule, "EvaluationPeriods": 1});
            account.alarms.insert(name.into(), Kept { put, tags });
        }
    }
    let stub = serve(&account, &[]);
    let kept = machine.run(&stub.url(), &format!("{APPLY} --yes"));
    kept.assert_code(0);
    kept.assert_says("- vllm-old: not wanted any more, and kept without --prune");
    assert_eq!(changes(&stub), []);
    machine.run(&stub.url(), &format!("{APPLY} --yes --prune")).assert_code(0);
    for (operation, input) in changes(&stub) {
        assert_eq!(operation, "DeleteAlarms");
        gone.extend(
            input["AlarmNames"].as_array().unwrap().iter().map(|it| it.as_str().unwrap().into()),
        );
    }
    assert_eq!(gone, ["vllm-old", "vllm-old-part"], "what names another goes first");
    let held = held(&account);
    assert!(held.contains_key("vllm-theirs") && held.contains_key("vllm-by-hand"));
}

#[test]
fn nothing_is_deleted_where_cloudwatch_told_only_a_part() {
    let whole = Machine::whole();
    let account = applied(&whole);
    let stub = serve(&account, &[]);
    let ran =
        Machine::told(SourceState::Partial).run(&stub.url(), &format!("{APPLY} --yes --prune"));
    ran.assert_code(3);
    ran.assert_says("CloudWatch did not tell everything");
    assert_eq!(changes(&stub), []);
}

#[test]
fn a_refusal_says_what_to_allow_what_is_done_and_what_is_not() {
    let machine = Machine::whole();
    for (operation, code, words, tries) in [
        ("DescribeAlarms", "AccessDenied", "allow `cloudwatch:DescribeAlarms`", 1),
        ("ListTagsForResource", "AccessDenied", "allow `cloudwatch:ListTagsForResource`", 1),
        ("PutMetricAlarm", "AccessDenied", "allow `cloudwatch:PutMetricAlarm`", 1),
        ("PutCompositeAlarm", "AccessDeniedException", "allow `cloudwatch:PutCompositeAlarm`", 1),
        ("PutMetricAlarm", "ExpiredToken", "log in again", 1),
        ("PutMetricAlarm", "Throttling", "throttled", 3),
    ] {
        let account = match operation {
            "ListTagsForResource" => applied(&machine),
            _ => account(),
        };
        let stub = serve(&account, &[(operation, Fault::Refuse(400, code, "no"))]);
        let ran = machine.run(&stub.url(), &format!("{APPLY} --yes"));
        ran.assert_code(2);
        ran.assert_says(words);
        assert_eq!(stub.times(operation), tries, "{operation} {code}");
        if operation.starts_with("Put") {
            ran.assert_says("not done: vllm-");
            ran.assert_says("(not tried)");
        }
    }
}

#[test]
fn one_bad_alarm_does_not_stop_the_others_and_the_next_time_does_the_rest() {
    let (machine, account) = (Machine::whole(), account());
    let fault = Fault::Refuse(400, "ValidationError", "the rule is bad");
    let ran = machine
        .run(&serve(&account, &[("PutCompositeAlarm", fault)]).url(), &format!("{APPLY} --yes"));
    ran.assert_code(2);
    ran.assert_says("ValidationError: the rule is bad");
    ran.assert_says("created vllm-availability-fast-long-chat-main");
    assert!(held(&account).values().all(|it| it["AlarmRule"].is_null()));
    machine.run(&serve(&account, &[]).url(), &format!("{APPLY} --yes")).assert_code(0);
    assert_eq!(held(&account), rendered(&machine));
}

#[test]
fn nothing_is_changed_that_nobody_confirmed() {
    let (machine, account) = (Machine::whole(), account());
    let stub = serve(&account, &[]);
    let ran = machine.run(&stub.url(), APPLY);
    ran.assert_code(2);
    ran.assert_says("--yes");
    let no = machine.type_in(&stub.url(), APPLY, "n\n");
    no.assert_code(2);
    no.assert_says("[y/N]");
    no.assert_says("nothing was changed");
    assert_eq!(changes(&stub), []);
    machine.type_in(&stub.url(), APPLY, "y\n").assert_code(0);
    assert_eq!(held(&account), rendered(&machine));
}

/// The account is asked for its metrics and changed in one run.
#[test]
fn dimensions_are_those_that_cloudwatch_has_now() {
    let (machine, account) = (Machine::whole(), account());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let mut metrics = crate::cloud::Metrics::default();
    metrics.adapter("now", |_| Some(crate::cloud::Minute::default()));
    let record = crate::cloud::record([metrics.ending_at(now.as_secs())]);
    let shared = account.clone();
    let stub = Stub::answering(&[], move |operation, input| {
        let kept = shared.lock().unwrap().answer(operation, input);
        kept.unwrap_or_else(|| stub::answer(&record, operation, input))
    });
    let live = "alerts apply --to cloudwatch --cloudwatch --region eu-west-1 --yes --prune";
    let ran = machine.run(&stub.url(), live);
    ran.assert_code(0);
    ran.assert_says("created vllm-queue-p95-slow-now-0.11.0");
    ran.assert_says("Without --alarm-action these alarms tell nobody");
    assert!(held(&account).keys().all(|name| name.ends_with("-now-0.11.0")));
    let empty = Stub::answering(&[], |operation, input| {
        stub::answer(&json!({"answers": []}), operation, input)
    });
    let ran = machine.run(&empty.url(), live);
    ran.assert_code(3);
}

#[test]
fn without_dimensions_there_is_nothing_to_put() {
    let (machine, account) = (Machine::whole(), account());
    let stub = serve(&account, &[]);
    let ran = machine.run(&stub.url(), "alerts apply --to cloudwatch --yes");
    ran.assert_code(3);
    ran.assert_says("--cloudwatch");
    assert_eq!(stub.asked(), []);
}

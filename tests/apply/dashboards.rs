//! Dashboards.

use serde_json::{Value, json};

use crate::{
    Machine, account,
    aws::{
        account::{Kept, Shared},
        stub::Fault,
    },
    changes, serve,
};

const APPLY: &str = "dashboard apply --to cloudwatch --vllm-version 0.23.0 --name vllm-prod";

fn body(account: &Shared) -> Value {
    let account = account.lock().unwrap();
    let kept = &account.dashboards["vllm-prod"];
    serde_json::from_str(kept.put["DashboardBody"].as_str().unwrap()).unwrap()
}

#[test]
fn it_is_put_as_it_is_rendered_and_only_once() {
    let (machine, account) = (Machine::whole(), account());
    let stub = serve(&account, &[]);
    machine.run(&stub.url(), &format!("{APPLY} --dry-run")).assert_code(1);
    machine.run(&stub.url(), APPLY).assert_code(2);
    assert_eq!(changes(&stub), []);
    let ran = machine.run(&stub.url(), &format!("{APPLY} --yes"));
    ran.assert_code(0);
    ran.assert_says("created vllm-prod\n    /widgets/3: a field is deprecated");
    let line = "dashboard render --to cloudwatch --vllm-version 0.23.0";
    assert_eq!(body(&account), machine.run(&stub.url(), line).json());
    assert_eq!(account.lock().unwrap().dashboards["vllm-prod"].tags["managed-by"], "diagnose");
    let again = machine.run(&stub.url(), &format!("{APPLY} --yes"));
    again.assert_code(0);
    again.assert_says("1 as they should be");
    assert_eq!(changes(&stub).len(), 1);
}

#[test]
fn widgets_that_differ_are_named_by_their_titles() {
    let (machine, account) = (Machine::whole(), account());
    let stub = serve(&account, &[]);
    machine.run(&stub.url(), &format!("{APPLY} --yes")).assert_code(0);
    let rendered = body(&account);
    let mut other = rendered.clone();
    let widgets = other["widgets"].as_array_mut().unwrap();
    let titled = |it: &&mut Value| it["properties"]["title"] == "Time to first token";
    widgets.iter_mut().find(titled).unwrap()["properties"]["period"] = json!(60);
    widgets.push(json!({"type": "text", "properties": {"markdown": "# By hand\nx"}}));
    account.lock().unwrap().dashboards.get_mut("vllm-prod").unwrap().put["DashboardBody"] =
        json!(other.to_string());
    let ran = machine.run(&stub.url(), &format!("{APPLY} --dry-run"));
    ran.assert_code(1);
    ran.assert_says("widgets[Time to first token].properties.period: 60 -> 300");
    ran.assert_says("widgets[# By hand]: {");
    assert_eq!(ran.stdout.matches(" -> ").count(), 2, "{}", ran.stdout);
    machine.run(&stub.url(), &format!("{APPLY} --yes")).assert_code(0);
    assert_eq!(body(&account), rendered);
}

#[test]
fn one_that_others_made_is_not_replaced() {
    let (machine, account) = (Machine::whole(), account());
    let kept = Kept { put: json!({"DashboardBody": "{\"widgets\":[]}"}), ..Default::default() };
    account.lock().unwrap().dashboards.insert("vllm-prod".into(), kept);
    let stub = serve(&account, &[]);
    let ran = machine.run(&stub.url(), &format!("{APPLY} --yes"));
    ran.assert_code(2);
    ran.assert_says("! vllm-prod: it stands there without the tag managed-by=diagnose");
    assert_eq!(changes(&stub), []);
}

#[test]
fn a_refusal_names_what_to_allow() {
    let machine = Machine::whole();
    for operation in ["GetDashboard", "PutDashboard"] {
        let denied = Fault::Refuse(403, "AccessDenied", "no");
        let stub = serve(&account(), &[(operation, denied)]);
        let ran = machine.run(&stub.url(), &format!("{APPLY} --yes"));
        ran.assert_code(2);
        ran.assert_says(&format!("allow `cloudwatch:{operation}`"));
    }
}

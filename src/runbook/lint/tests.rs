use super::*;

const CHECKS: &str = "\
- id: slow
  question: Is it slow?
  when: ttft_mean_seconds_change >= 1.5
  group: latency
  yes: Slow.
  no: Fast.
  symptom:
    signal: ttft_mean_seconds
    threshold: slo
    severity: warning
    statement: It takes {now}, allowed is {threshold}.
- {id: busy, question: Is it busy?, when: running_requests > policy_slo, group: queue, yes: Y, no: N}
";
const CAUSES: &str = "\
- id: too-much
  family: load
  title: Too much
  claim: Too much arrives.
  severity: warning
  replicas: {help: yes, why: each takes its share}
  decisive: [{check: busy, weight: decisive}]
  leads_to: [too-much]
  fixes: [{action: observe, text: Wait., risk: safe, effect: None., undo: None.}]
";
const POLICY: &str = "slo: {value: 2.0, about: Ours.}\n";
const VERSIONS: &str = "\
- id: slower
  from: 0.5.1
  until: 0.5.3
  kind: user_report
  symptom: Slower.
  checks: [slow]
  see: Latency.
  remedy: Wait.
  source: Us.
";
const RUNBOOK: &str = "\
id: book
title: Book
symptoms: [Slow.]
gate: [slow]
start: one
steps:
  one:
    check: busy
    then: {cause: too-much}
    else: {goto: two}
    unknown: {done: Unknown.}
  two:
    check: slow
    then: {done: Slow.}
    else: {done: Fine.}
    unknown: {done: Unknown.}
tests:
  - name: busy
    given: {running_requests: 9.0}
    expect: {path: [one], cause: too-much, not: []}
";

/// Lints the five files after replacing one text, and gives the problems as they are shown.
fn shown(from: &str, to: &str) -> String {
    let all = [CHECKS, CAUSES, POLICY, RUNBOOK, VERSIONS];
    assert!(from.is_empty() || all.iter().any(|text| text.contains(from)), "{from}");
    let file = |path: &str, text: &str| {
        let text = if from.is_empty() { text.into() } else { text.replacen(from, to, 1) };
        SourceFile::new(path, text, 0)
    };
    let files = vec![
        file("checks/a.yaml", CHECKS),
        file("causes/a.yaml", CAUSES),
        file("policy.yaml", POLICY),
        file("book.yaml", RUNBOOK),
        file("versions.yaml", VERSIONS),
    ];
    let library = Library::from_files(files).unwrap();
    let problems = lint_with(&library, ["ttft_mean_seconds", "running_requests"].into());
    problems.iter().map(|problem| problem.render(false)).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn expect(from: &str, to: &str, parts: &[&str]) {
    let shown = shown(from, to);
    for part in parts {
        assert!(shown.contains(part), "`{part}` is not in\n{shown}");
    }
}

#[test]
fn a_sound_library_has_no_problem_and_leads_to_may_be_a_circle() {
    assert_eq!(shown("", ""), "");
}

#[test]
fn a_problem_is_shown_under_its_line_with_the_name_meant() {
    insta::assert_snapshot!(shown("when: running_requests >", "when: runing_requests >"), @"
    error: unknown signal `runing_requests`
      --> checks/a.yaml:12:43
       |
    12 | - {id: busy, question: Is it busy?, when: runing_requests > policy_slo, group: queue, yes: Y, no: N}
       |                                           ^^^^^^^^^^^^^^^
       |
       = help: did you mean `running_requests`?
    ");
}

#[test]
fn conditions() {
    expect("running_requests > p", "running_requests > > p", &["not a CEL condition"]);
    expect("policy_slo", "policy_slp", &["unknown policy entry `slp`", "`policy_slo`?"]);
    expect("ttft_mean_seconds_change", "x_change", &["unknown signal `x`", "checks/a.yaml:3:9"]);
}

#[test]
fn known_versions() {
    expect("from: 0.5.1", "from: five", &["`five` is no version", "versions.yaml:2:9"]);
    expect("until: 0.5.3", "until: 0.5.1", &["holds no version"]);
    expect("  checks: [slow]\n", "  checks: [slo]\n", &["unknown check `slo`"]);
}

#[test]
fn questions_and_statements() {
    expect("Is it slow?", "It is slow", &["question mark", "checks/a.yaml:2:13"]);
    expect("{now}", "{noww}", &["unknown placeholder `{noww}`", "did you mean `now`?"]);
    expect("    threshold: slo\n", "", &["this symptom has no `threshold`"]);
    expect("threshold: slo", "threshold: sla", &["unknown policy entry `sla`"]);
    expect("signal: ttft_mean_seconds", "signal: ttft", &["unknown signal `ttft`"]);
}

#[test]
fn causes() {
    expect("[{check: busy, weight: decisive}]", "[]", &["no decisive check"]);
    expect("check: busy, weight", "check: buzy, weight", &["unknown check `buzy`", "`busy`?"]);
    expect("leads_to: [too-much]", "leads_to: [to-much]", &["unknown cause `to-much`"]);
    expect("  fixes:", "  fixes: []\n  decided_by: slow\n#", &["warning: no fix"]);
}

#[test]
fn advice() {
    expect("why: each takes its share", "why: ''", &["`replicas` needs a `why`"]);
    expect("text: Wait.", "text: 'Now {running_request|none}.'", &["unknown signal"]);
    expect("text: Wait.", "text: 'Now {running_requests}.'", &["may be missing", "|words}"]);
    expect("text: Wait.", "text: Wait., otherwise: Not.", &["without `when` is never said"]);
    expect("text: Wait.", "text: Wait., when: runing_requests > 1.0", &["unknown signal"]);
    let asked = "text: 'Now {running_requests}.', when: running_requests > 1.0";
    assert_eq!(shown("text: Wait.", asked), "");
}

#[test]
fn what_a_symptom_may_mean() {
    let readings = |reading: &str| format!("{{threshold}}.\n    readings: [{reading}]");
    let unknown = readings("{id: a, when: runing_requests > 1.0, text: T.}");
    expect("{threshold}.", &unknown, &["unknown signal `runing_requests`"]);
    let cause = readings("{id: a, when: running_requests > 1.0, text: T., causes: [to-much]}");
    expect("{threshold}.", &cause, &["unknown cause `to-much`"]);
}

#[test]
fn trees() {
    expect("goto: two", "goto: tow", &["unknown step `tow`", "`two`?", "no answer leads to"]);
    expect("goto: two", "done: End.", &["no answer leads to the step `two`"]);
    expect("start: one", "start: onne", &["unknown step `onne`"]);
    expect("{done: Slow.}", "{}", &["`then` needs exactly one of"]);
    expect("{done: Slow.}", "{done: Slow., goto: one}", &["`then` needs exactly one of"]);
    expect("gate: [slow]", "gate: [busy]", &["`busy` has no `symptom` block"]);
    expect("tests:", "causes: [other]\ntests:", &["not among", "unknown cause `other`"]);
}

#[test]
fn a_circle_is_printed() {
    expect("{done: Fine.}", "{goto: one}", &["in a circle: `one` → `two` → `one`"]);
    let from =
        "    then: {done: Slow.}\n    else: {done: Fine.}\n    unknown: {done: Unknown.}\ntests";
    let to = "    then: {goto: two}\n    else: {goto: two}\n    unknown: {goto: two}\ntests";
    expect(from, to, &["in a circle: `two` → `two`", "no answer of `two` ever leads to an end"]);
}

#[test]
fn tests_inside_runbooks() {
    expect("given: {running_requests", "given: {runing_requests", &["unknown signal"]);
    expect("path: [one]", "path: [won]", &["unknown step `won`", "book.yaml:20:"]);
    expect("cause: too-much, not", "cause: too-mach, not", &["unknown cause `too-mach`"]);
}

#[test]
fn ids() {
    expect("id: book", "id: sweep", &["`sweep` is a command"]);
    expect("id: book", "id: Book", &["lower-case"]);
    expect("- {id: busy", "- {id: slow", &["`slow` stands twice", "the other one is at"]);
}

#[test]
fn an_unused_check_is_a_warning() {
    let text = format!(
        "{CHECKS}- {{id: lone, question: Q?, when: 'true', group: queue, yes: Y, no: N}}\n"
    );
    let file = SourceFile::new("checks/a.yaml", text, 0);
    let policy = SourceFile::new("policy.yaml", POLICY, 0);
    let library = Library::from_files(vec![file, policy]).unwrap();
    let problems = lint_with(&library, ["ttft_mean_seconds", "running_requests"].into());
    let unused: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(
        unused,
        ["no cause and no runbook uses `busy`", "no cause and no runbook uses `lone`"]
    );
    assert!(problems.iter().all(|problem| !problem.is_error()));
}

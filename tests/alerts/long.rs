//! Days of history in a real Prometheus, with an incident that burns the budget fast, one that burns
//! it slowly, a restart and a quiet night: its rules say at each moment what is told here.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    process::{Child, Command},
    sync::LazyLock,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use diagnose::{
    evidence::{Evidence, SeriesSet, Span, Time},
    monitor::{
        load::Rules,
        objective::{self, RuleState},
        prometheus, seconds,
        state::{self, Policy, State},
        target::{Target, matchers},
    },
    runbook::Library,
};
use serde_json::Value;

use crate::{cli::finish, server::start, tools::tool};

/// Seconds between two samples, and two evaluations.
const STEP: f64 = 60.0;

/// Minutes of the whole story: three days and a half.
const END: usize = 5040;

/// A share of 10 % fails for half an hour, then 0.8 % for six hours and more.
const FAST: std::ops::Range<usize> = 2880..2910;
const SLOW: std::ops::Range<usize> = 3400..3800;
const RESTART: usize = 3900;
const NIGHT: std::ops::Range<usize> = 4000..4300;

/// Histograms with the bucket that holds what is not late, their bounds, and the mean of that. What is
/// late takes 7 s.
const HISTOGRAMS: [(&str, &str, &[&str], f64); 3] = [
    ("vllm:time_to_first_token_seconds", "0.1", &["0.1", "0.25", "0.5", "2.5", "5.0", "10.0"], 0.1),
    ("vllm:e2e_request_latency_seconds", "1.5", &["1.5", "2.0", "2.5", "5.0", "10.0"], 1.0),
    ("vllm:request_queue_time_seconds", "0.3", &["0.3", "0.5", "2.0", "2.5", "5.0", "10.0"], 0.05),
];

/// What happens in a minute: requests, those that fail, and those that wait or are late.
struct Minute {
    requests: f64,
    failed: f64,
    late: f64,
    waiting: f64,
    preempted: f64,
    hits: f64,
}

fn minute(at: usize) -> Minute {
    let requests = if NIGHT.contains(&at) { 0.0 } else { 1000.0 };
    let share = match at {
        at if FAST.contains(&at) => 0.1,
        at if SLOW.contains(&at) => 0.008,
        _ => 0.0,
    };
    let fast = FAST.contains(&at);
    Minute {
        requests,
        failed: requests * share,
        late: if fast { requests * 0.9 } else { requests * 0.002 },
        waiting: if fast { 95.0 } else { 3.0 },
        preempted: if fast { 30.0 } else { 0.0 },
        hits: if SLOW.contains(&at) { 300.0 } else { 800.0 },
    }
}

/// The story up to minute `end`, as a server shows it whose last page is at `last`.
fn story(end: usize, last: Time) -> Evidence {
    let mut series = SeriesSet::default();
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    for at in 0..=end {
        let now = minute(at);
        let mut grow = |key: &'static str, by: f64| {
            let sum = sums.entry(key).or_default();
            *sum = if at == RESTART { by } else { *sum + by };
            *sum
        };
        let time = last - (end - at) as f64 * STEP;
        series.begin_page(time);
        let mut put = |name: &str, labels: &[(&str, &str)], value: f64| {
            series.record(&format!("{name}{labels:?}"), time, value, || {
                let owned = labels.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
                (name.to_owned(), owned)
            });
        };
        let model = ("model_name", "m");
        for (status, key, by) in
            [("2xx", "good", now.requests - now.failed), ("5xx", "bad", now.failed)]
        {
            let labels =
                [("handler", "/v1/chat/completions"), ("method", "POST"), ("status", status)];
            put("http_requests_total", &labels, grow(key, by));
        }
        let (all, soon) = (grow("all", now.requests), grow("soon", now.requests - now.late));
        for (name, soon_until, bounds, mean) in HISTOGRAMS {
            let bucket = format!("{name}_bucket");
            for le in bounds {
                let number = |text: &str| text.parse::<f64>().unwrap();
                let below = if number(le) >= number(soon_until) { soon } else { 0.0 };
                let below = if *le == "10.0" { all } else { below };
                put(&bucket, &[model, ("le", le)], below);
            }
            put(&bucket, &[model, ("le", "+Inf")], all);
            put(&format!("{name}_count"), &[model], all);
            put(&format!("{name}_sum"), &[model], soon * mean + (all - soon) * 7.0);
        }
        put("vllm:num_requests_waiting", &[model], now.waiting);
        put("vllm:num_requests_running", &[model], 10.0);
        put("vllm:kv_cache_usage_perc", &[model], 0.5);
        put("vllm:num_preemptions_total", &[model], grow("preempted", now.preempted));
        put(
            "vllm:prefix_cache_hits_total",
            &[model],
            grow("hits", now.hits * now.requests / 1000.0),
        );
        put("vllm:prefix_cache_queries_total", &[model], grow("queries", now.requests));
    }
    let span = Span { from: last - end as f64 * STEP, to: last };
    let mut evidence = Evidence { series, span, ..Evidence::default() };
    evidence.target.version = Some("0.23.0".into());
    evidence
}

/// Rules as they are rendered for one job, with name, expression and time to last.
fn rendered(evidence: &Evidence, job: &str) -> (String, Vec<(String, String, f64)>) {
    let (rules, policy) = all();
    let target = Target::of_evidence(evidence, &matchers(&format!("job=\"{job}\"")).unwrap());
    let text = prometheus::render(rules, policy, &target.unwrap());
    let file: Value = serde_saphyr::from_str(&text).unwrap();
    let groups = file["groups"].as_array().unwrap().iter();
    let written = groups.flat_map(|group| group["rules"].as_array().unwrap());
    let each = written.map(|rule| {
        let word = |key: &str| rule[key].as_str().unwrap_or_default().to_owned();
        (word("alert"), word("expr"), seconds(&word("for")).unwrap_or(0.0))
    });
    (text.clone(), each.collect())
}

fn all() -> &'static (Rules, Policy) {
    static ALL: LazyLock<(Rules, Policy)> =
        LazyLock::new(|| (Rules::embedded().unwrap(), Library::embedded().unwrap().policy));
    &ALL
}

/// The states of all rules as they are told here, by the names that they have in Prometheus; those
/// that nobody can tell are left out.
fn told(evidence: &Evidence, at: Time) -> BTreeMap<String, &'static str> {
    let (rules, policy) = all();
    let mut told = BTreeMap::new();
    for slo in &rules.slos {
        let status = objective::status(slo, rules, evidence, at).remove(0);
        let tiers = status.tiers.iter().map(|it| (format!("{}-{}", slo.id, it.rule.id), &it.state));
        let own = status.rules.iter().map(|it| (it.rule.id.clone(), &it.state));
        for (id, state) in tiers.chain(own) {
            match state {
                RuleState::Fires => told.insert(id, "firing"),
                RuleState::Pending => told.insert(id, "pending"),
                RuleState::Quiet => told.insert(id, ""),
                RuleState::Never(_) | RuleState::Unknown(_) => None,
            };
        }
    }
    for alert in rules.alerts.iter().filter(|it| it.id != "endpoint-down") {
        match state::check(alert, rules, policy, evidence, at).remove(0).state {
            State::Firing { .. } => told.insert(alert.id.clone(), "firing"),
            State::Pending { .. } => told.insert(alert.id.clone(), "pending"),
            State::Inactive => told.insert(alert.id.clone(), ""),
            State::Unknown(_) => None,
        };
    }
    told
}

fn openmetrics(text: &mut String, evidence: &Evidence, job: &str) {
    for series in evidence.series.iter() {
        let own = series.labels.iter().map(|(name, value)| format!("{name}={value:?}"));
        let labels: Vec<String> =
            own.chain([format!("job={job:?}"), "instance=\"a\"".into()]).collect();
        let labels = labels.join(",");
        for point in &series.points {
            let _ = writeln!(text, "{}{{{labels}}} {} {}", series.name, point.value, point.at);
        }
    }
}

/// A Prometheus with these jobs in its database and their rules loaded.
struct Prometheus {
    child: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    fn with(jobs: &[(String, &Evidence)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let mut text = String::new();
        jobs.iter().for_each(|(job, evidence)| openmetrics(&mut text, evidence, job));
        fs::write(at("in.txt"), text + "# EOF\n").unwrap();
        let mut create = Command::new(tool("promtool"));
        create.args(["tsdb", "create-blocks-from", "--max-block-duration=192h", "openmetrics"]);
        let created = finish(create.arg(at("in.txt")).arg(at("data")));
        assert_eq!(created.code, 0, "{}", created.said());
        let mut config = "global: {evaluation_interval: 1s}\nrule_files:\n".to_owned();
        for (job, evidence) in jobs {
            // Groups of one name in several files stay apart.
            fs::write(at(&format!("{job}.rules.yaml")), rendered(evidence, job).0).unwrap();
            let _ = writeln!(config, "  - {job}.rules.yaml");
        }
        fs::write(at("prometheus.yaml"), config).unwrap();
        let (child, url) = start(&at("data"), &at("prometheus.yaml"));
        Self { child, url, _folder: folder }
    }

    fn ask(&self, args: &[&str], query: &str) -> Vec<Value> {
        let mut command = Command::new(tool("promtool"));
        let ran =
            finish(command.args(["query", "-o", "json"]).args(args).arg(&self.url).arg(query));
        assert_eq!(ran.code, 0, "{query}: {}", ran.said());
        ran.json().as_array().cloned().unwrap_or_default()
    }

    /// States of alerts as the server itself evaluates its rules, now.
    fn alerts(&self, job: &str) -> BTreeMap<String, String> {
        let found = self.ask(&["instant"], &format!("ALERTS{{job={job:?}}}"));
        let word = |it: &Value, key: &str| it["metric"][key].as_str().unwrap().to_owned();
        found.iter().map(|it| (word(it, "alertname"), word(it, "alertstate"))).collect()
    }

    /// Waits until the server has evaluated its rules and says this of them.
    #[track_caller]
    fn await_alerts(&self, job: &str, expected: &BTreeMap<&str, &str>) {
        let start = Instant::now();
        loop {
            let theirs = self.alerts(job);
            let state = |id: &str| theirs.get(id).map_or("", String::as_str);
            let wrong = expected.iter().find(|(id, ours)| state(id) != **ours);
            let Some((id, ours)) = wrong else { return };
            let late = start.elapsed() > Duration::from_secs(20);
            assert!(!late, "{job}: {id} is {:?} and not {ours:?}", state(id));
            thread::sleep(Duration::from_millis(500));
        }
    }

    /// When an expression holds, of all moments of a span that are a step apart.
    fn holds(&self, expr: &str, span: Span) -> Vec<Time> {
        let (start, end) = (format!("--start={}", span.from), format!("--end={}", span.to));
        let found = self.ask(&["range", &start, &end, "--step=60s"], expr);
        let values = found.iter().flat_map(|series| series["values"].as_array().unwrap());
        let mut times: Vec<Time> = values.map(|pair| pair[0].as_f64().unwrap()).collect();
        times.sort_by(f64::total_cmp);
        times.dedup();
        times
    }
}

fn now() -> Time {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    (seconds / STEP).floor() * STEP
}

/// Whether a rule is active or fires at each moment, from when its expression holds.
fn state_at(holds: &[Time], lasting: f64, at: Time) -> &'static str {
    let holds_at = |time: Time| holds.iter().any(|it| (it - time).abs() < 1.0);
    if !holds_at(at) {
        return "";
    }
    let mut since = at;
    while holds_at(since - STEP) {
        since -= STEP;
    }
    if at - since >= lasting { "firing" } else { "pending" }
}

/// Minutes that are judged: where something begins or ends, and some in between.
const MOMENTS: [usize; 38] = [
    2879, 2881, 2883, 2885, 2888, 2892, 2900, 2909, 2911, 2914, 2920, 2940, 2970, 3100, 3430, 3460,
    3520, 3600, 3700, 3799, 3806, 3835, 3870, 3899, 3900, 3901, 3905, 3915, 3999, 4003, 4010, 4065,
    4250, 4301, 4306, 4335, 4700, 5000,
];

/// Both take the same state at a moment, or one takes it a minute later.
fn agree(theirs: [&str; 3], ours: &str) -> bool {
    theirs.contains(&ours)
}

#[test]
fn rules_of_a_real_prometheus_say_for_days_what_is_told() {
    let started = Instant::now();
    let last = now();
    let evidence = story(END, last);
    // The story as it stands at these minutes, each ending now, for the server's own evaluation.
    let ends = [2905, 2920, 3790, 4305];
    let parts: Vec<(String, Evidence)> =
        ends.iter().map(|end| (format!("at-{end}"), story(*end, last))).collect();
    let mut jobs: Vec<(String, &Evidence)> =
        parts.iter().map(|(job, evidence)| (job.clone(), evidence)).collect();
    jobs.push(("story".into(), &evidence));
    let prometheus = Prometheus::with(&jobs);
    eprintln!("loaded after {:?}", started.elapsed());

    let mut live: BTreeMap<&str, usize> = BTreeMap::new();
    for (job, evidence) in &parts {
        let ours = told(evidence, last);
        let (_, written) = rendered(evidence, job);
        let rules = written.iter().filter(|(id, ..)| ours.contains_key(id));
        // A server that has just been started knows of no time before.
        let expected: BTreeMap<&str, &str> = rules
            .map(|(id, _, lasting)| match ours[id] {
                "firing" if *lasting > 0.0 => (id.as_str(), "pending"),
                state => (id.as_str(), state),
            })
            .collect();
        prometheus.await_alerts(job, &expected);
        expected.into_values().for_each(|state| *live.entry(state).or_default() += 1);
    }
    eprintln!("evaluated by the server: {live:?} after {:?}", started.elapsed());
    assert!(live["firing"] >= 15 && live["pending"] >= 10 && live[""] >= 60, "{live:?}");

    let span = Span { from: last - (END - 2780) as f64 * STEP, to: last };
    let (_, written) = rendered(&evidence, "story");
    let held: BTreeMap<&str, (Vec<Time>, f64)> = written
        .iter()
        .map(|(id, expr, lasting)| (id.as_str(), (prometheus.holds(expr, span), *lasting)))
        .collect();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for moment in MOMENTS {
        let at = last - (END - moment) as f64 * STEP;
        for (id, ours) in told(&evidence, at) {
            let Some((holds, lasting)) = held.get(id.as_str()) else { continue };
            let theirs = [at - STEP, at, at + STEP].map(|at| state_at(holds, *lasting, at));
            assert!(agree(theirs, ours), "{id} at minute {moment}: {theirs:?} and here {ours:?}");
            *seen.entry(ours).or_default() += 1;
        }
    }
    eprintln!("compared over the story: {seen:?} after {:?}", started.elapsed());
    assert!(seen["firing"] >= 60 && seen["pending"] >= 10 && seen[""] >= 500, "{seen:?}");

    backtests(&evidence, &held, last);
    eprintln!("all after {:?}", started.elapsed());
}

/// A backtest finds the firings of Prometheus, within one evaluation, and those that come from errors
/// alone as late as the formula says.
fn backtests(evidence: &Evidence, held: &BTreeMap<&str, (Vec<Time>, f64)>, last: Time) {
    let (rules, policy) = all();
    let onset = last - (END - FAST.start) as f64 * STEP;
    let mut compared = 0;
    for id in ["error-rate-spike", "queue-overflow", "high-ttft", "preemption-rate-high"] {
        let alert = rules.alerts.iter().find(|alert| alert.id == id).unwrap();
        let ours = state::backtest(alert, rules, policy, evidence, STEP).fired;
        let ours = ours.iter().find(|fired| fired.from >= onset).unwrap().from - onset;
        let (holds, lasting) = &held[id];
        let fires = holds.iter().find(|at| state_at(holds, *lasting, **at) == "firing");
        let theirs = fires.unwrap() - onset;
        assert!((ours - theirs).abs() <= STEP, "{id}: {ours} and {theirs} s after the onset");
        compared += 1;
        if id == "error-rate-spike" {
            let formula = 0.01 * 300.0 / 0.1 + lasting;
            assert!((ours - formula).abs() <= STEP, "{ours} and not {formula}");
        }
    }
    assert_eq!(compared, 4);
}

//! A real Prometheus over the pages of a recording.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use diagnose::{
    evidence::{
        Evidence,
        bundle::{Bundle, Limits},
    },
    monitor::{Query, load::Rules, read::read, target::Target},
    sources,
};

use crate::{
    cli::{finish, incident, run},
    promtool::{promtool, rendered},
    tools::{free_port, tool},
};

pub fn evidence(name: &str) -> Evidence {
    let bundle = Bundle::load(&[incident(name).into()], &Limits::default()).unwrap();
    sources::read(&bundle)
}

/// All samples as OpenMetrics with their times and the labels of a scrape, which promtool turns into
/// a database.
fn openmetrics(evidence: &Evidence) -> String {
    let mut text = String::new();
    for series in evidence.series.iter() {
        let own = series.labels.iter().map(|(name, value)| format!("{name}={value:?}"));
        let scraped = ["job=\"vllm\"", "instance=\"a:8000\""].map(String::from);
        let labels: Vec<String> = own.chain(scraped).collect();
        for point in &series.points {
            let _ = writeln!(
                text,
                "{}{{{}}} {} {}",
                series.name,
                labels.join(","),
                point.value,
                point.at
            );
        }
    }
    text + "# EOF\n"
}

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
    fn over(evidence: &Evidence) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("in.txt"), openmetrics(evidence)).unwrap();
        fs::write(at("empty.yaml"), "{}").unwrap();
        let mut create = Command::new(tool("promtool"));
        create
            .args(["tsdb", "create-blocks-from", "openmetrics"])
            .arg(at("in.txt"))
            .arg(at("data"));
        let created = finish(&mut create);
        assert_eq!(created.code, 0, "{}", created.said());
        let (child, url) = start(&at("data"), &at("empty.yaml"));
        Self { child, url, _folder: folder }
    }

    /// Values of an instant query, by the labels that tell them apart.
    fn ask(&self, query: &str, time: f64) -> BTreeMap<String, f64> {
        let mut command = Command::new(tool("promtool"));
        let time = format!("--time={time:.3}");
        let ran = finish(command.args(["query", "instant", &time, &self.url, query]));
        assert_eq!(ran.code, 0, "{query}: {}", ran.said());
        let value = |line: &str| {
            let (labels, rest) = line.split_once(" => ")?;
            Some((labels.to_owned(), rest.split(' ').next()?.parse().ok()?))
        };
        ran.stdout.lines().filter_map(value).collect()
    }
}

/// Starts a Prometheus over a database, and waits until it answers.
pub fn start(data: &Path, config: &Path) -> (Child, String) {
    let address = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new(tool("prometheus"));
    command.arg(format!("--storage.tsdb.path={}", data.display()));
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!("--web.listen-address={address}"));
    command.args(["--storage.tsdb.retention.time=100y", "--log.level=error"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while std::net::TcpStream::connect(&address).is_err() {
        assert!(start.elapsed() < Duration::from_secs(60), "Prometheus does not start");
        thread::sleep(Duration::from_millis(100));
    }
    thread::sleep(Duration::from_secs(1));
    (child, format!("http://{address}"))
}

/// What is asked of Prometheus and what is read from the same pages is the same thing: a bucket
/// holds the quantile, and numbers differ by no more than Prometheus extrapolates.
#[test]
fn prometheus_and_the_tool_read_the_same_values() {
    let evidence = evidence("load-exceeds-capacity");
    let target = Target::of_evidence(&evidence, &[]).unwrap();
    let prometheus = Prometheus::over(&evidence);
    let (at, window) = (evidence.span.to, 60.0);
    let rules = Rules::embedded().unwrap();
    let mut compared = 0;
    for measure in rules.measures.values() {
        let Some(query) = &measure.metrics else { continue };
        let told = read(measure, &evidence, at, window).remove(0);
        let Ok(ours) = told.value else { continue };
        let http = diagnose::monitor::read::family(query).starts_with("http_");
        let dialect = if http { target.without_model() } else { target.dialect.clone() };
        let Ok(expression) = dialect.expression(measure, window) else { continue };
        let theirs = prometheus.ask(&expression, at);
        assert_eq!(theirs.len(), 1, "{}: {theirs:?} for {expression}", measure.id);
        let theirs = *theirs.values().next().unwrap();
        let id = &measure.id;
        let within = match query {
            Query::Quantile { .. } => ours.lo <= theirs && theirs <= ours.hi,
            Query::Gauge { .. } => theirs == ours.point,
            _ => (theirs - ours.point).abs() <= 0.1 * ours.point.abs().max(1e-9),
        };
        assert!(within, "{id}: {theirs} and {ours:?} for {expression}");
        compared += 1;
    }
    assert!(compared >= 25, "only {compared} measures");
}

/// Alerts asked of Prometheus say what they say of the pages that it has scraped, and rules are
/// written for what it has stored.
#[test]
fn alerts_are_the_same_from_prometheus_and_from_the_recording() {
    let name = "load-exceeds-capacity";
    let evidence = evidence(name);
    let prometheus = Prometheus::over(&evidence);
    let end = jiff::Timestamp::from_millisecond((evidence.span.to * 1e3) as i64).unwrap();
    let stored = ["--prometheus", &prometheus.url, "--history", "10m", "--at", &end.to_string()];
    let check = |target: &[&str]| -> BTreeMap<String, String> {
        let args = ["alerts", "check", "--format", "json", "--quiet"];
        let alerts = run(args.iter().chain(target)).json();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        // Nobody has probed the server for Prometheus.
        let metric = |it: &&serde_json::Value| it["id"] != "endpoint-down";
        let alerts = alerts.as_array().unwrap().iter().filter(metric);
        alerts.map(|it| (text(&it["id"]), text(&it["state"]))).collect()
    };
    let told = check(&stored);
    assert_eq!(told, check(&["--replay", &incident(name)]));
    assert_eq!(told["queue-overflow"], "pending");
    let rules = rendered(&stored);
    promtool(&["check", "rules"], "rules.yaml", &rules, &[]);
    let code = |text: &str| -> Vec<String> {
        text.lines().filter(|line| line.contains("- alert:")).map(Into::into).collect()
    };
    assert_eq!(code(&rules), code(&rendered(&["--replay", &incident(name)])));
}

//! A live vLLM server over HTTP: rounds of raw pages, sampled without disturbing it.

mod completion;
mod discover;
mod many;
mod status;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::stream::{FuturesUnordered, StreamExt};

use super::http::{Answer, Client, Failure, Options};
use super::local;
use crate::evidence::bundle::{self, Bundle};
use crate::evidence::{Probe, SourceState, SourceStatus};
pub use discover::{Discovery, Tried, discover};
pub use many::{Visit, sample_all};

/// Formats of `/metrics` that are understood.
const ACCEPT: &str =
    "text/plain;version=0.0.4;q=0.9,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1";

/// Paths asked for in every round beside `/metrics`.
const PROBED: [&str; 5] = ["/health", "/ping", "/version", "/v1/models", "/load"];

/// Most bytes read of a probe's answer, and most characters kept of it.
const PROBE_BYTES: usize = 4 << 20;
const PROBE_CHARS: usize = 4000;

/// Most characters kept of `/v1/models`: some 500 for each adapter.
const MODELS_CHARS: usize = 1 << 20;

/// The window up to which two scrapes do, and the interval of longer ones.
const SHORT_WINDOW: Duration = Duration::from_secs(15);
const INTERVAL: Duration = Duration::from_secs(5);

/// What to sample, and how.
#[derive(Debug, Clone)]
pub struct Live {
    /// The server, as a URL or a host with or without port.
    pub url: String,
    /// How long to look.
    pub window: Duration,
    /// Time between rounds; by default two rounds in up to 15 s, else one every 5 s.
    pub interval: Option<Duration>,
    /// How requests are made.
    pub http: Options,
    /// Streamed completions to send, 0 to 3. They are work for the server.
    pub probe: u8,
}

impl Live {
    /// The default sampling of a server.
    pub fn new(url: impl Into<String>) -> Self {
        let http = Options::default();
        Self { url: url.into(), window: SHORT_WINDOW, interval: None, http, probe: 0 }
    }

    fn interval(&self) -> Duration {
        let default = if self.window > SHORT_WINDOW { INTERVAL } else { self.window };
        self.interval.unwrap_or(default).max(Duration::from_millis(10))
    }

    /// Offsets of the rounds from the start.
    fn schedule(&self) -> Vec<Duration> {
        let interval = self.interval();
        let rounds = (self.window.as_secs_f64() / interval.as_secs_f64() + 1e-9) as u32;
        (0..=rounds).map(|round| interval * round).collect()
    }
}

/// How far sampling has come.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// A round begins.
    Round {
        /// Its number, from 1.
        number: usize,
        /// How many there will be.
        of: usize,
    },
    /// A round's `/metrics` failed.
    Failed {
        /// What happened.
        why: String,
    },
    /// Nothing is asked for until the next round.
    Waiting {
        /// For how long.
        time: Duration,
    },
    /// A completion is sent.
    Completion {
        /// Its number, from 1.
        number: u8,
    },
}

/// Whether requests can be made at all: the target is a URL, the key fits a header, certificates
/// can be read.
pub fn check(live: &Live) -> Result<(), String> {
    Client::new(&live.url, &live.http).map(drop)
}

/// Samples a server for its window, or until `stop` is done: what was gathered until then is kept.
/// Nothing here fails: a server that does not answer is evidence too.
pub async fn sample(
    live: &Live,
    stop: impl Future<Output = ()>,
    progress: &mut dyn FnMut(Progress),
) -> Bundle {
    let mut sampler = match Client::new(&live.url, &live.http) {
        Ok(client) => Sampler::new(client.clone(), server_args(&client)),
        Err(why) => return unusable(live, why),
    };
    let stopped = {
        let mut stop = pin!(stop);
        let work = sampler.run(live, progress);
        tokio::select! {
            biased;
            () = &mut stop => true,
            () = work => false,
        }
    };
    sampler.finish(stopped)
}

/// Samples a server at its interval until `done`, and once more then. As with [`sample`], nothing
/// here fails.
pub async fn watch(
    live: &Live,
    done: impl Future<Output = ()>,
    progress: &mut dyn FnMut(Progress),
) -> Bundle {
    let mut sampler = match Client::new(&live.url, &live.http) {
        Ok(client) => Sampler::new(client.clone(), server_args(&client)),
        Err(why) => return unusable(live, why),
    };
    let mut done = pin!(done);
    loop {
        sampler.round().await;
        progress(Progress::Waiting { time: live.interval() });
        tokio::select! {
            biased;
            () = &mut done => break,
            () = tokio::time::sleep(live.interval()) => {}
        }
    }
    sampler.round().await;
    sampler.finish(false)
}

/// The bundle of a target that cannot be asked at all.
fn unusable(live: &Live, why: String) -> Bundle {
    let mut bundle = Bundle::default();
    bundle.meta.target = Some(bundle::url_without_credentials(&live.url));
    bundle.meta.format_version = bundle::FORMAT_VERSION;
    let status = SourceState::NotConfigured;
    for id in ["metrics", "probes"] {
        let detail = why.clone();
        let source = SourceStatus { id: id.into(), status, detail, took_ms: None };
        bundle.meta.sources.push(source);
    }
    bundle
}

type Outcome = Result<Answer, Failure>;

struct Sampler {
    client: Client,
    bundle: Bundle,
    began: (Instant, f64),
    rounds: usize,
    model: Option<String>,
    scrapes: Vec<Outcome>,
    probes: BTreeMap<&'static str, Vec<Outcome>>,
}

impl Sampler {
    fn new(client: Client, server_args: Vec<String>) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let mut bundle = Bundle::default();
        let meta = &mut bundle.meta;
        meta.format_version = bundle::FORMAT_VERSION;
        meta.target = Some(client.shown(""));
        meta.tool_version = Some(env!("CARGO_PKG_VERSION").into());
        meta.started = Some(rounded(now));
        meta.server_args = server_args;
        Self {
            client,
            bundle,
            began: (Instant::now(), now),
            rounds: 0,
            model: None,
            scrapes: Vec::new(),
            probes: BTreeMap::new(),
        }
    }

    /// Wall-clock seconds now; the clock is read once, so that setting it does no harm.
    fn now(&self) -> f64 {
        self.began.1 + self.began.0.elapsed().as_secs_f64()
    }

    /// A free key for a round that begins now.
    fn key(&self) -> u64 {
        let last = self.bundle.probes.keys().next_back().copied();
        last.map_or(0, |last| last + 1).max((self.now() * 1000.0) as u64)
    }

    async fn run(&mut self, live: &Live, progress: &mut dyn FnMut(Progress)) {
        let schedule = live.schedule();
        let of = schedule.len();
        for (index, offset) in schedule.into_iter().enumerate() {
            // Slow rounds must not add up beyond the window, but the last one shows its end.
            let late = self.began.0.elapsed() > offset + live.interval() / 2;
            if late && index > 0 && index + 1 < of {
                continue;
            }
            let wait = offset.saturating_sub(self.began.0.elapsed());
            if !wait.is_zero() {
                progress(Progress::Waiting { time: wait });
                tokio::time::sleep(wait).await;
            }
            progress(Progress::Round { number: index + 1, of });
            self.round().await;
            if let Some(Err(failure)) = self.scrapes.last() {
                progress(Progress::Failed { why: failure.kind.word().into() });
            }
            if of <= 2 && self.nothing_is_there() {
                return;
            }
            // Between two scrapes, so that the server's own histograms count them too.
            if index == 0 {
                self.complete(live.probe.min(3), progress).await;
            }
        }
    }

    /// Whether no request of any round found anything to connect to.
    fn nothing_is_there(&self) -> bool {
        let all = || self.scrapes.iter().chain(self.probes.values().flatten());
        all().all(|outcome| outcome.as_ref().is_err_and(|failure| failure.kind.is_connect()))
    }

    /// Whether no request of any round had an answer.
    fn nothing_came(&self) -> bool {
        self.scrapes.iter().chain(self.probes.values().flatten()).all(Result::is_err)
    }

    /// One round: all paths at once, each with its own deadline, each kept as soon as it is done.
    async fn round(&mut self) {
        let at = self.key();
        self.rounds += 1;
        self.bundle.probes.insert(at, BTreeMap::new());
        let client = self.client.clone();
        let ask = |path: &'static str| {
            let client = &client;
            async move {
                let (accept, bytes) =
                    if path == "/metrics" { (ACCEPT, usize::MAX) } else { ("*/*", PROBE_BYTES) };
                (path, client.get(path, accept, bytes).await)
            }
        };
        let paths = std::iter::once("/metrics").chain(PROBED);
        let mut asked: FuturesUnordered<_> = paths.map(ask).collect();
        while let Some((path, outcome)) = asked.next().await {
            self.keep(at, path, outcome);
        }
    }

    fn keep(&mut self, at: u64, path: &'static str, mut outcome: Outcome) {
        let is_page = path == "/metrics" && status::is_page(&outcome);
        let chars = if path == "/v1/models" { MODELS_CHARS } else { PROBE_CHARS };
        let mut probe = probe_of(&self.client, &outcome, if is_page { 0 } else { chars });
        if let Ok(answer) = &mut outcome {
            let start = answer.body[..answer.body.len().min(status::START)].to_vec();
            let body = std::mem::replace(&mut answer.body, start);
            match path {
                "/metrics" if is_page => drop(self.bundle.scrapes.insert(at, body)),
                "/metrics" if answer.status == 200 => probe.error = Some("not metrics".into()),
                "/version" => self.keep_version(&body),
                "/v1/models" => self.model = completion::model(&body),
                _ => {}
            }
        }
        self.bundle.probes.entry(at).or_default().insert(path.into(), probe);
        match path {
            "/metrics" => self.scrapes.push(outcome),
            _ => self.probes.entry(path).or_default().push(outcome),
        }
    }

    fn keep_version(&mut self, body: &[u8]) {
        let json = serde_json::from_slice::<serde_json::Value>(body).ok();
        let version = json.as_ref().and_then(|json| json.get("version")?.as_str());
        if let Some(version) = version {
            self.bundle.meta.vllm_version = Some(version.chars().take(100).collect());
        }
    }

    /// Sends completions one after the other; each is a round of its own.
    async fn complete(&mut self, count: u8, progress: &mut dyn FnMut(Progress)) {
        for number in 1..=count {
            progress(Progress::Completion { number });
            let at = self.key();
            let probe = match &self.model {
                Some(model) => completion::time_to_first_token(&self.client, model).await,
                None => Probe { error: Some("no model in /v1/models".into()), ..Probe::default() },
            };
            self.bundle.probes.insert(at, [("completion".to_owned(), probe)].into());
        }
    }

    fn finish(self, stopped: bool) -> Bundle {
        let ended = rounded(self.now());
        let mut bundle = self.bundle;
        bundle.meta.ended = Some(ended);
        bundle.probes.retain(|_, round| !round.is_empty());
        bundle.meta.sources = vec![
            status::of_metrics(&self.client, &self.scrapes),
            status::of_probes(&self.client, &self.probes),
        ];
        if stopped {
            let scrapes = bundle.scrapes.len();
            let detail = format!(
                "sampling was interrupted in round {}: {scrapes} scrapes were kept",
                self.rounds
            );
            let status = SourceState::Partial;
            let source = SourceStatus { id: "bundle".into(), status, detail, took_ms: None };
            bundle.notes.push(source);
        }
        bundle
    }
}

/// The flags of the server, where it is one of the processes of this machine.
fn server_args(client: &Client) -> Vec<String> {
    if !client.is_loopback() {
        return Vec::new();
    }
    let port = client.base().port_or_known_default();
    let here = |url: &str| {
        super::http::parse_target(url).is_ok_and(|it| it.port_or_known_default() == port)
    };
    let found = local::servers(Path::new("/proc")).into_iter().find(|server| here(&server.url));
    found.map(|server| bundle::args_without_secrets(&server.args)).unwrap_or_default()
}

fn probe_of(client: &Client, outcome: &Outcome, chars: usize) -> Probe {
    match outcome {
        Ok(answer) => {
            let start = &answer.body[..answer.body.len().min(PROBE_BYTES)];
            let text = (chars > 0).then(|| client.text(start));
            Probe {
                status: Some(answer.status),
                error: None,
                ms: Some(answer.ms),
                body: text.map(|text| text.chars().take(chars).collect()),
                date: answer.date,
            }
        }
        Err(failure) => Probe {
            status: failure.status,
            error: Some(failure.kind.word().into()),
            ms: Some(failure.ms),
            body: None,
            date: None,
        },
    }
}

/// Seconds to the millisecond.
fn rounded(time: f64) -> f64 {
    (time * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(window: u64) -> Vec<u64> {
        let live = Live { window: Duration::from_secs(window), ..Live::new("h") };
        live.schedule().iter().map(Duration::as_secs).collect()
    }

    #[test]
    fn short_windows_have_two_rounds_and_long_ones_one_every_five_seconds() {
        assert_eq!(offsets(15), [0, 15]);
        assert_eq!(offsets(4), [0, 4]);
        assert_eq!(offsets(20), [0, 5, 10, 15, 20]);
        assert_eq!(offsets(0), [0]);
    }
}

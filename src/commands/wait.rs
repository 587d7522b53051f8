//! `--wait`: a gate after a deploy judges once the server is ready and has answered enough.

use std::{cell::RefCell, time::Duration};

use super::{
    Failure,
    live::{self, Gathered, stop_signal},
    run, write,
};
use crate::{
    config::Settings,
    evidence::{SourceState, SourceStatus, View, bundle::Bundle},
    exit::Exit,
    runbook::Library,
    signals::families,
    sources::{
        self, http,
        vllm::{self, Live},
    },
};

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(5);

/// Names the note in the bundle that the time was over.
const NOTE: &str = "wait";

/// The policy that says how many requests are enough.
const ENOUGH: &str = "wait_requests";

/// Looks until the server is ready and has answered enough requests since, then samples it as
/// usual. All looks since it was ready are judged together. When the time is over, what is there is
/// judged all the same: why a server does not come up is a question for a diagnosis.
pub(super) fn gather(
    settings: &Settings,
    library: &Library,
    longest: Duration,
) -> anyhow::Result<Gathered> {
    let Some(url) = settings.live.url.clone() else { return Err(no_url().into()) };
    let wait = Wait {
        live: live::live(&settings.live, url, Duration::ZERO),
        enough: library.policy.get(ENOUGH).map_or(0.0, |entry| entry.value),
        quiet: settings.quiet,
        looks: RefCell::default(),
    };
    let ended = http::block_on(async {
        tokio::select! {
            exit = stop_signal() => End::Stopped(exit),
            () = wait.until() => End::Ready,
            () = tokio::time::sleep(longest) => End::TimeOver,
        }
    })?;
    let mut gathered = run::gather(settings)?;
    let looks = wait.looks.into_inner();
    match ended {
        End::Ready => {}
        End::TimeOver => gathered.bundle.notes.push(too_early(longest, wait.enough, &looks)),
        End::Stopped(exit) => gathered.cut_short = Some(exit),
    }
    for look in looks {
        gathered.bundle.scrapes.extend(look.scrapes);
        gathered.bundle.probes.extend(look.probes);
        let started = gathered.bundle.meta.started.into_iter().chain(look.meta.started);
        gathered.bundle.meta.started = started.reduce(f64::min);
    }
    Ok(gathered)
}

/// Whether the gate's time was over before it could judge as it should.
pub(super) fn was_too_short(bundle: &Bundle) -> bool {
    bundle.notes.iter().any(|note| note.id == NOTE)
}

/// How waiting ended.
enum End {
    Ready,
    TimeOver,
    Stopped(Exit),
}

struct Wait {
    live: Live,
    enough: f64,
    quiet: bool,
    /// What was seen since the server was ready.
    looks: RefCell<Vec<Bundle>>,
}

impl Wait {
    async fn until(&self) {
        let mut said = String::new();
        loop {
            let look = vllm::sample(&self.live, std::future::pending(), &mut |_| {}).await;
            let Some(state) = self.keep(look) else { return };
            if !self.quiet && state != said {
                write::note(&state);
                said = state;
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Keeps a look, and says what is waited for; nothing where that is over.
    fn keep(&self, look: Bundle) -> Option<String> {
        let mut looks = self.looks.borrow_mut();
        if !is_ready(&look) {
            looks.clear();
            return Some("waiting until the server is ready".into());
        }
        looks.push(look);
        let (answered, enough) = (answered(&looks), self.enough);
        (answered < enough)
            .then(|| format!("ready; {answered} of {enough} requests answered since"))
    }
}

fn too_early(longest: Duration, enough: f64, looks: &[Bundle]) -> SourceStatus {
    let waited = jiff::SignedDuration::try_from(longest).unwrap_or_default();
    let seen = match looks.is_empty() {
        true => "the server was not ready".to_owned(),
        false => format!("only {} of {enough} requests were answered", answered(looks)),
    };
    SourceStatus {
        id: NOTE.into(),
        status: SourceState::TimedOut,
        detail: format!("{seen} after the {waited:#} that --wait allows"),
        took_ms: None,
    }
}

/// Whether the server says so itself, and shows its metrics.
fn is_ready(look: &Bundle) -> bool {
    let health = look.probes.values().rev().find_map(|round| round.get("/health"));
    health.is_some_and(|probe| probe.status == Some(200)) && !look.scrapes.is_empty()
}

/// Requests answered over all looks.
fn answered(looks: &[Bundle]) -> f64 {
    let mut all = Bundle::default();
    for look in looks {
        all.scrapes.extend(look.scrapes.iter().map(|(at, body)| (*at, body.clone())));
    }
    let evidence = sources::read(&all);
    let name = families::exported("request_success", &evidence.series);
    let view = View::new(&evidence.series, evidence.span);
    name.and_then(|name| view.increase(name)).unwrap_or(0.0)
}

fn no_url() -> Failure {
    Failure {
        tried: "wait for a server".into(),
        happened: "nothing says where it will be".into(),
        next: "--url http://HOST:PORT".into(),
        exit: Exit::Failed,
    }
}

//! `diagnose sweep --targets`: many servers at once, each judged as soon as it was sampled.

mod list;

use std::{
    collections::BTreeMap,
    io::IsTerminal,
    num::NonZero,
    sync::{
        Mutex, PoisonError,
        mpsc::{self, Receiver},
    },
    thread,
};

use anyhow::{Context, anyhow};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    attach::{self, Pages},
    junit, live,
    run::{self, Asked, Scope},
    seal, waive, write,
};
use crate::{
    cli::{Format, SweepArgs},
    config::{self, Environment, Settings},
    evidence::bundle::{Bundle, Redact},
    exit::{self, Exit},
    report::{
        Tool, Verdict,
        fleet::{self, Counts, Fleet, Replica},
        terminal::Style,
    },
    runbook::{Library, Severity},
    signals::Ask,
    sources::{
        self, http,
        vllm::{self, Live, Visit, sample_all},
    },
    unit::counted,
};
use list::Listed;

/// The policy that says how sure a common cause must be.
const SIGNIFICANCE: &str = "fleet_significance_ratio";

/// A sweep over one server or, with a list of targets, over all of them.
pub(super) fn sweep(args: &SweepArgs, env: &Environment) -> anyhow::Result<Exit> {
    let settings = config::settings(&args.run, env)?;
    let Some(from) = &args.targets else { return run::run_with(&Scope::Sweep, &settings) };
    list::check(from, args)?;
    over_all(from, &settings)
}

fn over_all(from: &str, settings: &Settings) -> anyhow::Result<Exit> {
    super::check_form("a fleet", settings.format, &[Format::Html])?;
    settings.output.as_deref().map_or(Ok(()), write::check_destination)?;
    settings.bundle.as_deref().map_or(Ok(()), seal::check_destination)?;
    attach::check(settings)?;
    let library = run::sound_library(&settings.runbook_dirs, None)?;
    waive::check(&settings.waivers, &library)?;
    let targets = list::read(from, settings)?;
    if let Some(folder) = &settings.bundle {
        write::private_folder(folder)
            .with_context(|| format!("failed to make {}", folder.display()))?;
    }
    let (replicas, cut_short) = judged(&targets, settings, &library)?;
    let alpha = library.policy.get(SIGNIFICANCE).map_or(0.0, |entry| entry.value);
    let counts = Counts::of(&replicas);
    let fleet = Fleet {
        schema_version: 1,
        tool: Tool { name: "diagnose".into(), version: env!("CARGO_PKG_VERSION").into() },
        command: Scope::Sweep.id().into(),
        verdict: counts.verdict(),
        counts,
        common: fleet::search(&replicas, alpha),
        replicas: fleet::sorted(replicas),
    };
    let text = render(&fleet, settings);
    match &settings.output {
        Some(path) => write::file(path, &text)?,
        None => write::print(&text)?,
    }
    let exit = cut_short.unwrap_or_else(|| exit_of(&fleet.replicas));
    attach::all(settings, || pages(&fleet), exit)
}

/// Of several reasons the strongest wins, as over the findings on one server.
fn exit_of(replicas: &[Replica]) -> Exit {
    let any = |exit: Exit| replicas.iter().any(|it| it.exit_code == exit.code());
    match () {
        () if any(Exit::Finding) => Exit::Finding,
        () if any(Exit::Inconclusive) || replicas.is_empty() => Exit::Inconclusive,
        () => Exit::Clean,
    }
}

fn render(fleet: &Fleet, settings: &Settings) -> String {
    match settings.format {
        Format::Terminal => fleet::terminal(fleet, &run::style(settings)),
        Format::Markdown => fleet::markdown(fleet),
        Format::Json | Format::Html => fleet.to_json(),
        Format::Junit => junit::of_fleet(fleet, fail_on(settings)),
    }
}

fn pages(fleet: &Fleet) -> Pages {
    let style = Style { width: attach::COLUMNS, color: false, verbose: 1, quiet: false };
    Pages {
        json: fleet.to_json(),
        html: None,
        markdown: fleet::markdown(fleet),
        text: fleet::terminal(fleet, &style),
    }
}

fn fail_on(settings: &Settings) -> Severity {
    settings.fail_on.unwrap_or_else(|| Scope::Sweep.fail_on())
}

/// Samples and judges all targets, in their order; tells too how a signal ended it early.
fn judged(
    targets: &[Listed],
    settings: &Settings,
    library: &Library,
) -> anyhow::Result<(Vec<Replica>, Option<Exit>)> {
    if settings.live.insecure {
        write::note(live::INSECURE);
    }
    let window = settings.window.unwrap_or(live::WINDOW);
    let servers: Vec<Live> =
        targets.iter().map(|it| live::live(&settings.live, it.url.clone(), window)).collect();
    if let Some(first) = servers.first() {
        vllm::check(first).map_err(live::unusable)?;
    }
    let bar = progress_bar(targets.len(), settings.quiet);
    let (came, cut_short) = Judge { targets, settings, library, bar: &bar }.each(&servers)?;
    bar.finish_and_clear();
    let mut replicas: Vec<Replica> = targets.iter().map(not_judged).collect();
    for (index, mut replica) in came {
        let Listed { name, labels, .. } = &targets[index];
        (replica.name, replica.labels) = (name.clone(), labels.clone());
        replicas[index] = replica;
    }
    if cut_short.is_some() {
        let count = replicas.iter().filter(|it| it.answered).count();
        write::note(&format!("interrupted: only {} of them judged", counted(count, "replica")));
    }
    Ok((replicas, cut_short))
}

/// What is said of a target that nobody came to.
fn not_judged(target: &Listed) -> Replica {
    Replica {
        name: target.name.clone(),
        labels: target.labels.clone(),
        attributes: BTreeMap::new(),
        answered: false,
        verdict: Verdict::Inconclusive,
        answered_checks: 0,
        asked_checks: 0,
        causes: Vec::new(),
        symptoms: Vec::new(),
        not_examinable: Vec::new(),
        happened: Some("it was not judged".into()),
        waivers: Vec::new(),
        exit_code: Exit::Inconclusive.code(),
    }
}

struct Judge<'a> {
    targets: &'a [Listed],
    settings: &'a Settings,
    library: &'a Library,
    bar: &'a ProgressBar,
}

/// Replicas by their place in the list.
type Judged = Vec<(usize, Replica)>;

impl Judge<'_> {
    /// Samples on this thread and judges on as many as there are cores, until all is done or a
    /// signal ends it.
    fn each(&self, servers: &[Live]) -> anyhow::Result<(Judged, Option<Exit>)> {
        let (send, waiting) = mpsc::channel();
        let waiting = Mutex::new(waiting);
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        thread::scope(|scope| {
            let workers: Vec<_> =
                (0..threads).map(|_| scope.spawn(|| self.all(&waiting))).collect();
            let ended = http::block_on(async {
                // A worker ends only when all was judged, so what is sent is taken.
                let came = |visit| drop(send.send(visit));
                tokio::select! {
                    biased;
                    exit = live::stop_signal() => Some(exit),
                    () = sample_all(servers, came) => None,
                }
            });
            drop(send);
            let mut judged = Vec::new();
            for worker in workers {
                judged.extend(worker.join().map_err(|_| anyhow!("a judging thread died"))??);
            }
            Ok((judged, ended.context("failed to start the runtime")?))
        })
    }

    /// Judges what comes until nothing comes any more.
    fn all(&self, waiting: &Mutex<Receiver<Visit>>) -> anyhow::Result<Judged> {
        let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
        let mut judged = Vec::new();
        while let Some(visit) = next() {
            let index = visit.index;
            judged.push((index, self.one(index, visit.unpack()?)?));
            self.bar.inc(1);
        }
        Ok(judged)
    }

    fn one(&self, index: usize, mut bundle: Bundle) -> anyhow::Result<Replica> {
        let settings = self.settings;
        bundle.redact(Redact { addresses: settings.live.redact_addresses });
        let evidence = sources::read(&bundle);
        let min_coverage = settings.min_coverage.unwrap_or(config::MIN_COVERAGE);
        let asked = Asked { runbook: None, ask: Ask::default(), min_coverage, kept: None };
        let mut report = run::judge(&asked, self.library, &evidence);
        report.waivers = waive::applied(&report, &settings.waivers, self.library, &evidence)?;
        if let Some(folder) = &settings.bundle {
            let path = folder.join(file_name(index, &self.targets[index].name));
            seal::sealed(bundle, &report, self.library, &asked.ask, min_coverage).save(&path)?;
        }
        let mut replica = fleet::replica(&report, fleet::attributes(&report, &evidence));
        let exit = match exit::of(&report, fail_on(settings), min_coverage) {
            Exit::Clean if !replica.answered => Exit::Inconclusive,
            exit => exit,
        };
        replica.exit_code = exit.code();
        Ok(replica)
    }
}

/// Names of targets may hold anything; the number keeps two of them apart.
fn file_name(index: usize, name: &str) -> String {
    let harmless = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let name: String = name.chars().take(80).map(harmless).collect();
    format!("{:04}-{name}.tar.zst", index + 1)
}

/// A bar on stderr where a person looks at it, else nothing.
fn progress_bar(targets: usize, quiet: bool) -> ProgressBar {
    let bar = ProgressBar::new(targets as u64);
    if quiet || !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    if let Ok(style) = ProgressStyle::with_template("judging {bar:24} {pos}/{len} replicas") {
        bar.set_style(style);
    }
    bar
}

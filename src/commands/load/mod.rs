//! `diagnose load`: a scenario's load on a server, a gate on what came back, and why it failed.

mod evidence;
pub(super) mod explain;
mod plan;
mod traffic;

use std::cell::Cell;

use anyhow::Context;
use indicatif::ProgressBar;

use self::{evidence::Watch, plan::Planned};
use super::{Failure, OF_REPORTS, baseline, check_form, history, live, run, write};
use crate::{
    cli::{Format, LoadArgs, RunArgs},
    config::{self, Environment, Settings},
    evidence::exchange::{Exchange, Order},
    exit::Exit,
    load::{
        build::{self, About, Raw},
        limits::{Limits, SaturationLimits},
        markdown,
        prompts::Planner,
        result::{CutBy, CutShort, LoadResult, Verdict},
        saturation::{self, Course},
        scenario::Loads,
        terminal,
    },
    report::{json::escape_hazards, terminal::Style},
    runbook::Severity,
    sources::{
        http::{self, Client},
        openai::{self, Driven, End, Plan, Work},
    },
};

/// Runs a load test and writes its result.
pub fn run(args: &LoadArgs, env: &Environment) -> anyhow::Result<Exit> {
    let settings = settings(args, env)?;
    check_form("a load test", settings.format, &OF_REPORTS)?;
    let loads = Loads::load(&settings.runbook_dirs)?;
    let library = run::sound_library(&settings.runbook_dirs, None)?;
    settings.output.as_deref().map_or(Ok(()), write::check_destination)?;
    let limits = loads.limits.clone().context("load/limits.yaml is missing")?;
    let scenario = plan::scenario(&loads, args)?;
    live::warn_of_insecure(&settings.live);
    let url =
        http::block_on(live::find(&settings.live)).context("failed to start the runtime")??;
    let client = client(&settings, &url)?;
    allowed(&client, args)?;
    let planned = plan::plan(scenario, args, &settings, &client)?;
    let watch = Watch::start(&settings.live, &url, planned.plan.due.last().copied())?;
    let (driven, signal) = drive(client.clone(), &planned, args, &limits, &settings)?;
    let ended = history::now();
    let (report, trends) = watch.finish(&settings, &library, &limits, planned.used.warmup);
    let raw = raw(driven, signal.is_some(), &planned);
    let about = About {
        target: client.shown(""),
        started: rfc3339(ended - raw.seconds),
        ended: rfc3339(ended),
        used: planned.used,
        report,
        trends,
    };
    let result = build::result(raw, about, &loads.rules(&planned.scenario), &limits);
    let text = render(&result, &settings)?;
    match &settings.output {
        Some(path) => write::file(path, &text)?,
        None => write::print(&text)?,
    }
    if let Some((name, force)) = &settings.save_baseline {
        baseline::keep_result(&settings, name, *force, &result)?;
    }
    Ok(signal.unwrap_or_else(|| exit(&result, settings.fail_on)))
}

fn settings(args: &LoadArgs, env: &Environment) -> anyhow::Result<Settings> {
    if args.live.probe.is_some() {
        anyhow::bail!("--probe does nothing beside a load test, which measures the same");
    }
    let run = RunArgs {
        live: args.live.clone(),
        judge: args.judge.clone(),
        output: args.output.clone(),
        config: args.config.clone(),
        ..RunArgs::default()
    };
    config::settings(&run, env)
}

fn client(settings: &Settings, url: &str) -> Result<Client, Failure> {
    let options = live::live(&settings.live, url.to_owned(), live::WINDOW).http;
    Client::new(url, &options).map_err(live::unusable)
}

/// Load is work, and may cost money: on another machine only where the user says so.
fn allowed(client: &Client, args: &LoadArgs) -> Result<(), Failure> {
    if client.is_loopback() || args.traffic.yes {
        return Ok(());
    }
    Err(Failure {
        tried: format!("send load to {}", client.shown("")),
        happened: "it is not on this machine, and load is work for it that may cost money".into(),
        next: "the same with --yes, where you may do that".into(),
        exit: Exit::Failed,
    })
}

/// Sends everything, until done or told to stop.
fn drive(
    client: Client,
    planned: &Planned,
    args: &LoadArgs,
    limits: &Limits,
    settings: &Settings,
) -> anyhow::Result<(Driven, Option<Exit>)> {
    let signal = Cell::new(None);
    let stop = async { signal.set(Some(live::stop_signal().await)) };
    let mut worker = worker(planned, args, limits, settings.quiet);
    let driven = http::block_on(openai::drive(client, &planned.plan, &mut worker, stop));
    worker.bar.finish_and_clear();
    let driven = driven.context("failed to start the runtime")?.map_err(anyhow::Error::msg)?;
    Ok((driven, signal.get()))
}

fn worker<'a>(planned: &'a Planned, args: &LoadArgs, limits: &Limits, quiet: bool) -> Worker<'a> {
    let worker = Worker {
        planner: planned.planner(),
        plan: &planned.plan,
        limits: limits.saturation,
        early_stop: !args.traffic.no_early_stop,
        over: &planned.over,
        bar: live::progress_bar(quiet),
    };
    worker.bar.set_length(planned.plan.due.len() as u64);
    worker.bar.set_message("sending");
    worker
}

/// Sends the same requests to two servers at the same times, so that what troubles the way troubles
/// both. Gives both results, the settings in force and the signal that ended it.
pub(super) fn shadow(
    args: &[LoadArgs; 2],
    env: &Environment,
) -> anyhow::Result<([LoadResult; 2], Settings, Option<Exit>)> {
    let settings = settings(&args[0], env)?;
    let loads = Loads::load(&settings.runbook_dirs)?;
    let limits = loads.limits.clone().context("load/limits.yaml is missing")?;
    let (client_a, a) = prepare(&args[0], env, &loads)?;
    let (client_b, b) = prepare(&args[1], env, &loads)?;
    let b = b.with_the_prompts_of(&a);
    let mut work_a = worker(&a, &args[0], &limits, settings.quiet);
    let mut work_b = worker(&b, &args[1], &limits, true);
    let began = history::now();
    let (driven, signal) =
        drive_both([(&client_a, &a.plan, &mut work_a), (&client_b, &b.plan, &mut work_b)])?;
    work_a.bar.finish_and_clear();
    drop((work_a, work_b));
    let result = |driven: Driven, planned: Planned, client: &Client| {
        let raw = raw(driven, signal.is_some(), &planned);
        let about = About {
            target: client.shown(""),
            started: rfc3339(began),
            ended: rfc3339(began + raw.seconds),
            used: planned.used,
            report: Err("a comparison looks at the answers alone".into()),
            trends: Vec::new(),
        };
        build::result(raw, about, &loads.rules(&planned.scenario), &limits)
    };
    let [of_a, of_b] = driven;
    Ok(([result(of_a, a, &client_a), result(of_b, b, &client_b)], settings, signal))
}

/// One of two servers, and what is sent to it.
fn prepare(args: &LoadArgs, env: &Environment, loads: &Loads) -> anyhow::Result<(Client, Planned)> {
    let own = settings(args, env)?;
    let url = own.live.url.clone().unwrap_or_default();
    let scenario = plan::scenario(loads, args)?;
    let client = client(&own, &url)?;
    allowed(&client, args)?;
    let planned = plan::plan(scenario, args, &own, &client)?;
    Ok((client, planned))
}

/// One of two servers: how it is reached, what is sent when, and what makes the requests.
type Driving<'a, 'b> = (&'a Client, &'a Plan, &'a mut Worker<'b>);

/// Sends to both at once. One signal ends both.
fn drive_both(
    [(client_a, plan_a, work_a), (client_b, plan_b, work_b)]: [Driving<'_, '_>; 2],
) -> anyhow::Result<([Driven; 2], Option<Exit>)> {
    let signal = Cell::new(None);
    let (told, heard) = tokio::sync::oneshot::channel::<()>();
    let first = async {
        signal.set(Some(live::stop_signal().await));
        drop(told);
    };
    let both = async { drop(heard.await) };
    let (a, b) = http::block_on(async {
        tokio::try_join!(
            openai::drive(client_a.clone(), plan_a, work_a, first),
            openai::drive(client_b.clone(), plan_b, work_b, both),
        )
    })
    .context("failed to start the runtime")?
    .map_err(anyhow::Error::msg)?;
    Ok(([a, b], signal.get()))
}

/// Makes the requests, and looks out for over-saturation.
struct Worker<'a> {
    planner: Planner,
    plan: &'a Plan,
    limits: SaturationLimits,
    early_stop: bool,
    over: &'a Cell<Option<String>>,
    bar: ProgressBar,
}

impl Work for Worker<'_> {
    fn next(&mut self, index: usize) -> Order {
        self.planner.next(index)
    }

    fn answered(&mut self, conversation: u64, answer: Option<String>) {
        self.planner.answered(conversation, answer);
    }

    fn over(&mut self, sent: &[Exchange], now: f64) -> bool {
        self.bar.set_position(sent.len() as u64);
        if !self.early_stop {
            return false;
        }
        let course = Course {
            due: &self.plan.due,
            sent,
            now,
            warmup: self.plan.warmup,
            concurrency: self.plan.concurrency as u32,
        };
        let why = saturation::over(&course, &self.limits);
        let over = why.is_some();
        self.over.set(why);
        over
    }
}

/// What the driver gave, with why it ended early, where it did.
fn raw(driven: Driven, stopped: bool, planned: &Planned) -> Raw {
    let failed = driven.examples.iter().find(|(outcome, _)| outcome.failed());
    let first = failed.map(|(outcome, words)| format!("{}: {words}", outcome.words()));
    let end = if stopped { End::Stopped } else { driven.end };
    let cut = match end {
        End::Done => None,
        End::Stopped => Some((CutBy::Signal, "interrupted".to_owned())),
        End::Over => Some((CutBy::Saturation, planned.over.take().unwrap_or_default())),
        End::Hopeless => Some((
            CutBy::NoServer,
            format!("no request got through ({})", first.unwrap_or_default()),
        )),
    };
    let cut_short = cut.map(|(by, why)| CutShort { by, at: driven.seconds, why });
    Raw {
        records: driven.records,
        gaps: driven.gaps,
        lag: driven.lag,
        cpu_share: driven.cpu_share,
        due: driven.due,
        seconds: driven.seconds,
        examples: driven.examples.into_iter().collect(),
        cut_short,
    }
}

/// Unix seconds as a time of day.
fn rfc3339(at: f64) -> String {
    jiff::Timestamp::from_millisecond((at * 1e3) as i64).unwrap_or_default().to_string()
}

fn render(result: &LoadResult, settings: &Settings) -> anyhow::Result<String> {
    let style = Style {
        width: settings.width,
        color: settings.color,
        verbose: settings.verbose,
        quiet: settings.quiet,
    };
    Ok(match settings.format {
        Format::Terminal => terminal::render(result, &style),
        Format::Markdown => markdown::render(result),
        Format::Json | Format::Html | Format::Junit => {
            escape_hazards(&serde_json::to_string(result)?) + "\n"
        }
    })
}

/// How a gate ends. A warning passes, unless `--fail-on warning` says otherwise.
fn exit(result: &LoadResult, fail_on: Option<Severity>) -> Exit {
    match result.verdict {
        Verdict::Failed => Exit::Finding,
        Verdict::Invalid | Verdict::TooFew => Exit::Inconclusive,
        Verdict::Warning if fail_on == Some(Severity::Warning) => Exit::Finding,
        Verdict::Warning | Verdict::Passed => Exit::Clean,
    }
}

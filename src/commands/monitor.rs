//! `diagnose slo` and `diagnose alerts`: objectives and alert rules against any evidence.

use std::path::PathBuf;

use super::{
    Failure,
    run::{Asked, ask, gather, judge},
    write,
};
use crate::{
    cli::{ConfigArgs, PlainFormat, WatchArgs},
    config::{self, Environment, Settings},
    evidence::{Evidence, Time, bundle::url_without_credentials},
    exit::Exit,
    monitor::{Alert, Slo, duration, load::Rules, objective, shown, shown_slo, state},
    runbook::{Library, Severity, problem::did_you_mean},
    signals::Ask,
    sources,
    unit::Unit,
};

/// Seconds that a sweep over a firing looks at, where it fired for less.
const LEAST_JUDGED: f64 = 60.0;

/// What all of these commands look at.
struct Watched {
    settings: Settings,
    rules: Rules,
    library: Library,
    evidence: Evidence,
    at: Time,
}

/// Judges the objectives. Exit 1 where one is missed, or a tier or a rule of its own fires, 3 where
/// none can be told.
pub fn slo(args: &WatchArgs, env: &Environment) -> anyhow::Result<Exit> {
    let rules = rules(&args.look.runbooks, &args.look.config, env)?;
    known(&args.ids, rules.slos.iter().map(|slo| slo.id.as_str()), "objective")?;
    let watched = look(args, env, rules)?;
    let rules = &watched.rules;
    let wanted = rules.slos.iter().filter(|slo| is_wanted(args, &slo.id));
    let each = |slo: &Slo| {
        let unit = objective::measure(slo, rules).map_or(Unit::Count, |measure| measure.unit);
        let told = objective::status(slo, rules, &watched.evidence, watched.at);
        told.into_iter().map(|status| shown_slo::slo(slo, unit, &status)).collect::<Vec<_>>()
    };
    let told: Vec<_> = wanted.flat_map(each).collect();
    put(args, &watched, &told, shown_slo::slos_on_screen)?;
    Ok(match () {
        () if told.iter().any(|slo| slo.state == "missed" || slo.fires()) => Exit::Finding,
        () if told.iter().all(|slo| slo.state == "unknown") => Exit::Inconclusive,
        () => Exit::Clean,
    })
}

/// What each alert says. Exit 1 where a critical one fires, 3 where none can be told.
pub fn check(args: &WatchArgs, env: &Environment) -> anyhow::Result<Exit> {
    let watched = look_at_alerts(args, env)?;
    let (rules, policy) = (&watched.rules, &watched.library.policy);
    let statuses =
        |alert: &Alert| state::check(alert, rules, policy, &watched.evidence, watched.at);
    let wanted = rules.alerts.iter().filter(|alert| is_wanted(args, &alert.id));
    let flags = again(&watched);
    let told: Vec<_> = wanted
        .flat_map(|alert| statuses(alert).into_iter().map(move |status| (alert, status)))
        .map(|(alert, status)| shown::alert(alert, rules, policy, &status, &flags))
        .collect();
    put(args, &watched, &told, shown::alerts_on_screen)?;
    let pages = |it: &shown::ShownAlert| it.state == "firing" && it.severity == Severity::Critical;
    Ok(match () {
        () if told.iter().any(pages) => Exit::Finding,
        () if told.iter().all(|alert| alert.state == "unknown") => Exit::Inconclusive,
        () => Exit::Clean,
    })
}

/// The flags that lead another command to the same evidence. A live server has no past of its own,
/// so a time is named only where somebody kept it.
fn again(watched: &Watched) -> String {
    let settings = &watched.settings;
    let mut flags: Vec<String> =
        settings.replay.iter().map(|path| format!("--replay {}", path.display())).collect();
    let url = settings.live.url.as_deref().map(url_without_credentials);
    flags.extend(url.map(|url| format!("--url {url}")));
    let prometheus = settings.history.prometheus.as_ref();
    let kept = prometheus.and_then(|it| it.url.as_deref()).map(url_without_credentials);
    flags.extend(kept.map(|url| format!("--prometheus {url}")));
    if !settings.replay.is_empty() || (prometheus.is_some() && settings.live.url.is_none()) {
        flags.push(format!("--at {}", shown::stamp(watched.at)));
    }
    flags.join(" ")
}

/// When each alert would have fired over all of the history, and what a report says of that time.
pub fn backtest(args: &WatchArgs, env: &Environment) -> anyhow::Result<Exit> {
    let watched = look_at_alerts(args, env)?;
    let (rules, policy) = (&watched.rules, &watched.library.policy);
    let wanted = rules.alerts.iter().filter(|alert| is_wanted(args, &alert.id));
    let mut fired = Vec::new();
    for alert in wanted {
        let told = state::backtest(alert, rules, policy, &watched.evidence, state::EVERY);
        if let Some((seconds, why)) = told.unknown {
            write::note(&format!("{}: unknown for {}: {why}.", alert.id, duration(seconds)));
        }
        for time in told.fired {
            let found = found(&watched, &time);
            fired.push(shown::fired(alert, time, found));
        }
    }
    put(args, &watched, &fired, |fired, _| shown::fired_on_screen(fired))?;
    Ok(Exit::Clean)
}

/// What a sweep over a firing says.
fn found(watched: &Watched, fired: &state::Fired) -> shown::Found {
    let at = fired.to.unwrap_or(watched.evidence.span.to);
    let window = Some((at - fired.from).max(LEAST_JUDGED));
    let asked = Asked { ask: Ask { at: Some(at), window, baseline: None }, ..Asked::sweep() };
    let report = judge(&asked, &watched.library, &watched.evidence);
    let onset = report.onset.and_then(|onset| onset.at.parse::<jiff::Timestamp>().ok());
    let firm = report.symptoms.into_iter().filter(|it| it.severity > Severity::Info);
    shown::Found {
        onset: onset.map(|onset| onset.as_millisecond() as f64 / 1e3),
        symptoms: firm.map(|symptom| symptom.signal).collect(),
    }
}

fn look_at_alerts(args: &WatchArgs, env: &Environment) -> anyhow::Result<Watched> {
    let rules = rules(&args.look.runbooks, &args.look.config, env)?;
    known(&args.ids, rules.alerts.iter().map(|alert| alert.id.as_str()), "alert")?;
    look(args, env, rules)
}

/// The rules in force.
pub(super) fn rules(
    runbooks: &[PathBuf],
    config: &ConfigArgs,
    env: &Environment,
) -> anyhow::Result<Rules> {
    Ok(Rules::load(&config::directories(runbooks, config, env)?)?)
}

fn look(args: &WatchArgs, env: &Environment, rules: Rules) -> anyhow::Result<Watched> {
    let settings = config::settings(&args.look.as_run()?, env)?;
    let library = Library::load(&settings.runbook_dirs)?;
    args.answer.output.as_deref().map_or(Ok(()), write::check_destination)?;
    let gathered = gather(&settings)?;
    let evidence = sources::read(&gathered.bundle);
    let at = ask(&settings, &evidence)?.at.unwrap_or(evidence.span.to);
    Ok(Watched { settings, rules, library, evidence, at })
}

fn is_wanted(args: &WatchArgs, id: &str) -> bool {
    args.ids.is_empty() || args.ids.iter().any(|wanted| wanted == id)
}

/// An id that nothing has is a mistake of the command line.
fn known<'a>(
    asked: &[String],
    ids: impl Iterator<Item = &'a str> + Clone,
    what: &str,
) -> Result<(), Failure> {
    let unknown = asked.iter().find(|wanted| ids.clone().all(|id| id != *wanted));
    let Some(unknown) = unknown else { return Ok(()) };
    let all = || format!("one of {}", ids.clone().collect::<Vec<_>>().join(", "));
    Err(Failure {
        tried: format!("find the {what} `{unknown}`"),
        happened: "there is none".into(),
        next: did_you_mean(unknown, ids.clone()).unwrap_or_else(all),
        exit: Exit::Failed,
    })
}

fn put<T: serde::Serialize>(
    args: &WatchArgs,
    watched: &Watched,
    told: &[T],
    on_screen: impl Fn(&[T], usize) -> String,
) -> anyhow::Result<()> {
    let text = match args.answer.format {
        PlainFormat::Terminal => on_screen(told, watched.settings.width),
        PlainFormat::Json => shown::json(told),
    };
    match &args.answer.output {
        Some(path) => Ok(write::file(path, &text)?),
        None => write::print(&text),
    }
}

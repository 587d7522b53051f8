//! `diagnose alerts apply` and `diagnose dashboard apply`: what is rendered is put into CloudWatch,
//! after a look at what stands there.

use std::io::{self, BufRead, IsTerminal};

use super::{Failure, alerts, dashboard, monitor, write};
use crate::{
    cli::{ApplyAlarmsArgs, ApplyArgs, ApplyDashboardArgs, RuleTargetArgs},
    config::{self, Environment},
    evidence::{Evidence, SourceState, SourceStatus, Span},
    exit::Exit,
    monitor::{
        apply::{self, Change, Plan, Standing, Step, Wanted},
        cloudwatch,
    },
    runbook::Library,
    sources::{
        aws::{
            self,
            writing::{Account, Found, Refused},
        },
        http,
    },
};

/// Puts the alarms.
pub fn alarms(args: &ApplyAlarmsArgs, env: &Environment) -> anyhow::Result<Exit> {
    let (wanted, left) = wanted_alarms(args, env)?;
    let options = access(&args.target, env)?;
    http::block_on(async {
        let account = Account::open(&options).await.map_err(refused)?;
        let found = account.alarms(cloudwatch::PREFIX).await.map_err(refused)?;
        let plan = apply::plan(&wanted, &standing(found), &args.apply.scope);
        alerts::say_left(&left);
        if args.alarm_action.is_empty() {
            write::note("Without --alarm-action these alarms tell nobody.");
        }
        let kind = Kind::Alarms { prune: args.prune };
        decide_and_do(&account, &plan, kind, &args.apply).await
    })?
}

/// Puts the dashboard.
pub fn dashboard(args: &ApplyDashboardArgs, env: &Environment) -> anyhow::Result<Exit> {
    let fields = dashboard::for_cloudwatch(args.account.as_ref(), &args.target, env)?;
    let wanted = [Wanted { name: args.name.clone(), fields }];
    let options = access(&args.target, env)?;
    http::block_on(async {
        let account = Account::open(&options).await.map_err(refused)?;
        let found = account.dashboard(&args.name).await.map_err(refused)?;
        let plan = apply::plan(&wanted, &standing(found), &args.apply.scope);
        decide_and_do(&account, &plan, Kind::Dashboard, &args.apply).await
    })?
}

/// What is changed.
#[derive(Clone, Copy)]
enum Kind {
    Alarms { prune: bool },
    Dashboard,
}

/// The alarms of the dimensions that were seen, and what has none.
fn wanted_alarms(
    args: &ApplyAlarmsArgs,
    env: &Environment,
) -> anyhow::Result<(Vec<Wanted>, cloudwatch::Alarms)> {
    if args.target.vllm_version.is_some() {
        anyhow::bail!("--vllm-version has no effect: CloudWatch has the gateway's names");
    }
    if !args.target.names_evidence() {
        return Err(no_dimensions(None).into());
    }
    let settings = alerts::settings(&dashboard::asked(&args.target), env)?;
    let rules = monitor::rules(&args.target.look.runbooks, &args.target.look.config, env)?;
    let policy = Library::load(&settings.runbook_dirs)?.policy;
    let evidence = alerts::look(&settings)?;
    if args.prune {
        whole(&evidence)?;
    }
    let (aws, _) = config::gateway(&args.target.look.config, env)?;
    let options =
        cloudwatch::Options { names: dashboard::names(&aws), actions: args.alarm_action.clone() };
    let mut rendered = cloudwatch::render(&rules, &policy, Some(&evidence), &options);
    rendered.leave_unseen();
    let name = |fields: &serde_json::Value| fields["AlarmName"].as_str().map(ToOwned::to_owned);
    let rows = rendered.rows().into_iter();
    let wanted: Vec<Wanted> =
        rows.filter_map(|fields| Some(Wanted { name: name(&fields)?, fields })).collect();
    if wanted.is_empty() {
        return Err(no_dimensions(evidence.source("cloudwatch")).into());
    }
    Ok((wanted, rendered))
}

/// Deleting rests on what was not seen, so everything must have been looked at.
fn whole(evidence: &Evidence) -> Result<(), Failure> {
    let told = evidence.source("cloudwatch");
    let happened = match told {
        Some(it) if it.status == SourceState::Ok => return Ok(()),
        Some(it) => format!("CloudWatch did not tell everything: {}", it.detail),
        None => "the evidence does not say whether CloudWatch told everything".into(),
    };
    Err(Failure {
        tried: "find alarms that are not wanted any more".into(),
        happened,
        next: "without --prune, which keeps them".into(),
        exit: Exit::Inconclusive,
    })
}

/// Names of alarms hold the dimensions that they watch.
fn no_dimensions(told: Option<&SourceStatus>) -> Failure {
    let asked = told.filter(|it| it.status != SourceState::NotConfigured);
    let why = asked.map(|it| format!(" (CloudWatch: {})", it.detail)).unwrap_or_default();
    Failure {
        tried: "put alarms into CloudWatch".into(),
        happened: format!("they watch dimensions, of which none was seen{why}"),
        next: "--cloudwatch, or --replay of a recording that has CloudWatch".into(),
        exit: Exit::Inconclusive,
    }
}

/// How the account is reached.
fn access(target: &RuleTargetArgs, env: &Environment) -> anyhow::Result<aws::Options> {
    let live = alerts::settings(&dashboard::asked(target), env)?.live;
    let (aws, _) = config::gateway(&target.look.config, env)?;
    Ok(aws::Options {
        endpoint: None,
        region: target.look.history.region.clone().or(aws.region),
        profile: aws.profile,
        endpoint_url: aws.endpoint_url,
        services: Vec::new(),
        gateway: aws::Gateway::default(),
        warm_pool_group: None,
        reach: Span::default(),
        now: 0.0,
        max_body: usize::try_from(live.max_body).unwrap_or(usize::MAX),
        timeout: live.timeout,
        deadline: live.timeout,
    })
}

fn standing(found: impl IntoIterator<Item = Found>) -> Vec<Standing> {
    let one = |Found { name, arn, fields, tags }| Standing { name, arn, fields, tags };
    found.into_iter().map(one).collect()
}

fn refused(it: Refused) -> Failure {
    Failure {
        tried: "read what stands in CloudWatch".into(),
        happened: it.text,
        next: "`diagnose config check`, and docs/aws.md for what has to be allowed".into(),
        exit: Exit::Failed,
    }
}

/// Shows the plan, asks, and does it.
async fn decide_and_do(
    account: &Account,
    plan: &Plan,
    kind: Kind,
    args: &ApplyArgs,
) -> anyhow::Result<Exit> {
    let prune = matches!(kind, Kind::Alarms { prune: true });
    let region = account.region();
    write::print(&format!("CloudWatch in {region}:\n{}", plan.render(prune)))?;
    if !plan.foreign.is_empty() {
        return Err(not_ours(plan).into());
    }
    let pending = plan.pending(prune);
    match args.dry_run {
        _ if pending.is_empty() => return Ok(Exit::Clean),
        true => return Ok(Exit::Finding),
        false if !args.yes => confirmed(pending.len())?,
        false => (),
    }
    put_all(account, &pending, kind, &args.scope).await
}

fn not_ours(plan: &Plan) -> Failure {
    let names: Vec<&str> = plan.foreign.iter().map(|(name, _)| name.as_str()).collect();
    Failure {
        tried: format!("change {}", names.join(", ")),
        happened: "it was not made here, as said above; nothing was changed".into(),
        next: "another --scope, other names, or the tags to take it over".into(),
        exit: Exit::Failed,
    }
}

/// Asks on the terminal; without one nobody can answer.
fn confirmed(changes: usize) -> Result<(), Failure> {
    let not = |happened: &str, next: &str| Failure {
        tried: "change CloudWatch".into(),
        happened: happened.into(),
        next: next.into(),
        exit: Exit::Failed,
    };
    if !io::stdin().is_terminal() {
        return Err(not(
            "nobody confirmed it, and there is no terminal to ask on; nothing was changed",
            "--yes, or --dry-run to look only",
        ));
    }
    write::note(&format!("Do these {changes} now? [y/N]"));
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    match read.is_ok() && ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
        true => Ok(()),
        false => Err(not("it was not confirmed; nothing was changed", "y, or --yes")),
    }
}

/// Does every step. What fails by itself does not stop the rest; what would fail each time does.
async fn put_all(
    account: &Account,
    pending: &[&Step],
    kind: Kind,
    scope: &str,
) -> anyhow::Result<Exit> {
    let (mut done, mut failed) = (0, Vec::new());
    for (at, step) in pending.iter().enumerate() {
        match put(account, step, kind, scope).await {
            Ok(said) => {
                done += 1;
                let messages: String = said.iter().map(|it| format!("    {it}\n")).collect();
                write::print(&format!("{} {}\n{messages}", past(&step.change), step.name))?;
            }
            Err(why) => {
                failed.push(format!("{} ({})", step.name, why.text));
                if why.is_final {
                    let rest = pending.iter().skip(at + 1);
                    failed.extend(rest.map(|it| format!("{} (not tried)", it.name)));
                    break;
                }
            }
        }
    }
    if failed.is_empty() {
        return Ok(Exit::Clean);
    }
    Err(Failure {
        tried: format!("do all of it: {done} of {} are done", pending.len()),
        happened: format!("\n  not done: {}", failed.join("\n  not done: ")),
        next: "the same again: what is done is not done twice".into(),
        exit: Exit::Failed,
    }
    .into())
}

async fn put(
    account: &Account,
    step: &Step,
    kind: Kind,
    scope: &str,
) -> Result<Vec<String>, Refused> {
    let tags = apply::tags(scope);
    match (&step.change, kind) {
        (Change::Delete, _) => account.delete_alarm(&step.name).await.map(|()| Vec::new()),
        (_, Kind::Dashboard) => account.put_dashboard(&step.name, &step.fields, &tags).await,
        _ => account.put_alarm(&step.fields, &tags).await.map(|()| Vec::new()),
    }
}

fn past(change: &Change) -> &'static str {
    match change {
        Change::Create => "created",
        Change::Delete => "deleted",
        Change::Update(_) | Change::Keep => "changed",
    }
}

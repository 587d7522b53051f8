//! From flags and a scenario to what is sent when.

use std::cell::Cell;

use super::{Failure, history, traffic};
use crate::{
    cli::{ArrivalsArg, LoadArgs},
    config::Settings,
    exit::Exit,
    load::{
        arrivals::{self, Course},
        fingerprint,
        prompts::{Models, Planner, Prompts},
        result::{MixEntry, Used},
        scenario::{Arrivals, Loads, Scenario},
    },
    runbook::problem::did_you_mean,
    sources::{
        http::{self, Client, FailureKind},
        openai::{self, Plan},
    },
};

/// Most requests of one test.
const MOST_REQUESTS: u64 = 5_000_000;

/// Share of a shortened test that the warm-up may take.
const MOST_WARMUP: f64 = 0.2;

/// What helps where the server's certificate is not trusted.
const UNTRUSTED: &str =
    "--ca FILE with the authority's certificate, or http:// where the server speaks no TLS";

/// Everything that a test needs.
pub(super) struct Planned {
    pub(super) scenario: Scenario,
    pub(super) plan: Plan,
    pub(super) used: Used,
    prompts: Prompts,
    models: Models,
    salt: u64,
    /// Why the server is over-saturated, once it is.
    pub(super) over: Cell<Option<String>>,
}

impl Planned {
    /// The same with the prompts that another plan sends, letter by letter.
    pub(super) fn with_the_prompts_of(self, other: &Self) -> Self {
        Self { salt: other.salt, ..self }
    }

    pub(super) fn planner(&self) -> Planner {
        let (scenario, prompts) = (self.scenario.clone(), self.prompts.clone());
        Planner::new(scenario, prompts, &self.models, self.used.seed, self.salt)
    }
}

/// The scenario by its id, with the flags over it.
pub(super) fn scenario(loads: &Loads, args: &LoadArgs) -> Result<Scenario, Failure> {
    let Some(found) = loads.scenarios.get(&args.scenario) else {
        let names: Vec<&str> = loads.scenarios.keys().map(String::as_str).collect();
        let list = format!("one of {}", names.join(", "));
        return Err(Failure {
            tried: format!("run the load test `{}`", args.scenario),
            happened: "there is no such scenario".into(),
            next: did_you_mean(&args.scenario, names).unwrap_or(list),
            exit: Exit::Failed,
        });
    };
    let flags = &args.traffic;
    let mut it = found.clone();
    it.rate = flags.rate.unwrap_or(it.rate);
    if let Some(duration) = flags.duration {
        it.duration = duration.as_secs_f64();
        it.warmup = it.warmup.min(it.duration * MOST_WARMUP);
    }
    it.warmup = flags.warmup.map_or(it.warmup, |warmup| warmup.as_secs_f64());
    it.concurrency = flags.concurrency.unwrap_or(it.concurrency);
    it.timeout = flags.request_timeout.map_or(it.timeout, |timeout| timeout.as_secs_f64());
    if let Some(arrivals) = flags.arrivals {
        it.rate_to = None;
        it.arrivals = match arrivals {
            ArrivalsArg::Constant => Arrivals::Constant,
            ArrivalsArg::Poisson => Arrivals::Poisson,
        };
    }
    it.check(&loads.gate).map_err(|why| Failure {
        tried: format!("run the load test `{}` with these flags", args.scenario),
        happened: why,
        next: "`diagnose load --help`".into(),
        exit: Exit::Failed,
    })?;
    Ok(it)
}

/// Asks the server for its models, reads what was given, and settles every send.
pub(super) fn plan(
    scenario: Scenario,
    args: &LoadArgs,
    settings: &Settings,
    client: &Client,
) -> anyhow::Result<Planned> {
    let flags = &args.traffic;
    let models = models(client, flags.model.as_deref(), scenario.least_adapters)?;
    let prompts = traffic::prompts(flags, settings)?;
    let seed = flags.seed.unwrap_or(1);
    let most = flags.requests.unwrap_or(MOST_REQUESTS).min(MOST_REQUESTS);
    let (due, warmup) = due(&scenario, &prompts, flags.speed.unwrap_or(1.0), seed, most, args);
    let planner = Planner::new(scenario.clone(), prompts.clone(), &models, seed, 0);
    let used = used(&scenario, &prompts, &planner, (seed, flags.requests), (&due, warmup));
    let plan = Plan {
        due,
        warmup,
        concurrency: scenario.concurrency as usize,
        timeout: std::time::Duration::from_secs_f64(scenario.timeout),
    };
    let salt = (history::now() * 1e3) as u64;
    Ok(Planned { scenario, plan, used, prompts, models, salt, over: Cell::new(None) })
}

/// When requests are due, and how long the warm-up is. A trace has none unless asked for.
fn due(
    scenario: &Scenario,
    prompts: &Prompts,
    speed: f64,
    seed: u64,
    most: u64,
    args: &LoadArgs,
) -> (Vec<f64>, f64) {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    if let Prompts::Recorded(records) = prompts {
        let flags = &args.traffic;
        let until = flags.duration.map_or(f64::INFINITY, |it| it.as_secs_f64());
        let warmup = flags.warmup.map_or(0.0, |it| it.as_secs_f64());
        let times = records.iter().map(|it| it.at / speed).take_while(|at| *at <= until);
        return (times.take(most).collect(), warmup);
    }
    let course = Course {
        arrivals: scenario.arrivals,
        rate: scenario.rate,
        rate_to: scenario.rate_to.unwrap_or(scenario.rate),
        warmup: scenario.warmup,
        duration: scenario.duration,
    };
    (arrivals::offsets(&course, seed, most), scenario.warmup)
}

fn used(
    scenario: &Scenario,
    prompts: &Prompts,
    planner: &Planner,
    (seed, most_requests): (u64, Option<u64>),
    (due, warmup): (&[f64], f64),
) -> Used {
    let trace = matches!(prompts, Prompts::Recorded(_));
    let arrivals = match scenario.arrivals {
        _ if trace => "trace",
        Arrivals::Constant => "constant",
        Arrivals::Poisson => "poisson",
        Arrivals::Ramp => "ramp",
    };
    let weights: f64 = scenario.mix.iter().map(|kind| kind.weight).sum();
    let mix = match prompts {
        Prompts::Given(_) => vec![MixEntry { id: "prompts".into(), share: 1.0 }],
        _ => scenario
            .mix
            .iter()
            .map(|kind| MixEntry { id: kind.id.clone(), share: kind.weight / weights })
            .collect(),
    };
    let asked = serde_json::json!([scenario, seed, most_requests, due.len(), planner.models()]);
    let sent = format!("{asked}{prompts:?}");
    Used {
        id: scenario.id.clone(),
        title: scenario.title.clone(),
        seed,
        api: scenario.api.word().into(),
        arrivals: arrivals.into(),
        rate: (!trace).then_some(scenario.rate),
        duration: if trace { due.last().copied().unwrap_or(0.0) } else { scenario.duration },
        warmup,
        concurrency: scenario.concurrency,
        most_requests,
        timeout: scenario.timeout,
        models: planner.models().to_vec(),
        mix,
        fingerprint: fingerprint(&sent),
    }
}

/// The models of the server; `base` wins over what it names first.
fn models(client: &Client, base: Option<&str>, least: usize) -> anyhow::Result<Models> {
    let asked = http::block_on(openai::models(client))?;
    let refused = |happened: String, next: &str, exit: Exit| Failure {
        tried: format!("see which models {} serves", client.shown("")),
        happened,
        next: next.into(),
        exit,
    };
    let (bases, adapters) = match (asked, base) {
        (Ok(found), _) => found,
        (Err(why), _) if why.starts_with(FailureKind::Tls.word()) => {
            return Err(refused(why, UNTRUSTED, Exit::Inconclusive).into());
        }
        (Err(_), Some(_)) => Default::default(),
        (Err(why), None) => {
            return Err(refused(why, "--model NAME", Exit::Inconclusive).into());
        }
    };
    if adapters.len() < least {
        let why = format!("the scenario takes {least} adapters, and it serves {}", adapters.len());
        let next = "a server with --enable-lora and --lora-modules";
        return Err(refused(why, next, Exit::Failed).into());
    }
    let Some(base) = base.map(Into::into).or_else(|| bases.first().cloned()) else {
        return Err(refused("it names none".into(), "--model NAME", Exit::Inconclusive).into());
    };
    Ok(Models { base, adapters })
}

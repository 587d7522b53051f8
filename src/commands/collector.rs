//! `diagnose collector render` and `diagnose collector emf`.

use std::io::BufReader;

use anyhow::Context;

use super::{
    Failure,
    dashboard::{names, put, watched},
    given, target, write,
};
use crate::{
    cli::{CollectorArgs, CollectorKind, EmfArgs},
    config::{self, Environment},
    exit::Exit,
    input,
    monitor::{
        collector::{self, Wanted},
        emf,
    },
    sources::gateway,
    unit::counted,
};

/// Writes the configuration of a collector.
pub fn render(args: &CollectorArgs, env: &Environment) -> anyhow::Result<Exit> {
    args.output.as_deref().map_or(Ok(()), write::check_destination)?;
    let (rules, _) = watched(&args.target, env)?;
    let (target, evidence) = target::find(&args.target, env)?;
    let (servers, gpus) = (args.servers.clone(), args.gpu.clone());
    let page = evidence.as_ref().map(|evidence| &evidence.series);
    let wanted = collector::wanted(&rules, &target, page);
    let wanted = Wanted { targets: servers, gpu_targets: gpus, ..wanted };
    let text = match args.to {
        CollectorKind::Prometheus => collector::prometheus(&wanted),
        CollectorKind::Otel => collector::otel(&wanted),
        CollectorKind::CloudwatchAgent => {
            without_scrape(args)?;
            let (aws, _) = config::gateway(&args.target.look.config, env)?;
            let text = collector::cloudwatch_agent(&wanted, &names(&aws));
            write::note(&collector::agent_notes(&wanted).join("\n"));
            serde_json::to_string_pretty(&text)?
        }
    };
    put(args.output.as_deref(), &text)?;
    Ok(Exit::Clean)
}

/// The agent reads addresses from its scrape configuration, which is that of Prometheus.
fn without_scrape(args: &CollectorArgs) -> Result<(), Failure> {
    if args.servers.is_empty() && args.gpu.is_empty() {
        return Ok(());
    }
    Err(Failure {
        tried: "put addresses into the CloudWatch agent's configuration".into(),
        happened: "it takes them from its scrape configuration, a file of its own".into(),
        next: "`collector render --to prometheus` with the addresses, which writes that file"
            .into(),
        exit: Exit::Failed,
    })
}

/// Turns the gateway's records into lines, one by one, as they come.
pub fn emf(args: &EmfArgs, env: &Environment) -> anyhow::Result<Exit> {
    let (aws, fields) = config::gateway(&args.config, env)?;
    let (names, fields) = (names(&aws), given::fields(&fields)?);
    let mut records = input::follow(&args.gateway)
        .map(BufReader::new)
        .with_context(|| format!("failed to read {}", args.gateway.display()))?;
    let mut silent = 0;
    let done = write::stream(|out| {
        gateway::each(&mut records, &fields, |record| match emf::line(&record, &names) {
            Some(line) => writeln!(out, "{line}"),
            None => {
                silent += 1;
                Ok(())
            }
        })
    })?;
    let Some(skipped) = done else { return Ok(Exit::Clean) };
    for (number, what) in [(silent, "told no metric"), (skipped, "could not be read")] {
        if number > 0 {
            write::note(&format!("{} {what}", counted(number, "line")));
        }
    }
    Ok(Exit::Clean)
}

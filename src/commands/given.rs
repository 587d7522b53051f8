//! Evidence that comes as files and pipes: logs, gateway records, and what kubectl printed.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;

use super::Failure;
use crate::{
    cli::Source,
    config::LiveSettings,
    evidence::{bundle::Bundle, gateway::GatewayFields},
    exit::Exit,
    input,
    sources::{
        gateway, kube,
        logs::collect::{self, Asked},
    },
};

/// Adds what the settings name to what was gathered. A log that cannot be read is noted in the
/// bundle; a listing that is none is a mistake of the command line.
pub(super) fn add(bundle: &mut Bundle, settings: &LiveSettings) -> anyhow::Result<()> {
    let uses = |source| settings.sources.contains(&source);
    if uses(Source::Log) {
        let (files, unit) = (settings.logs.clone(), settings.journal_unit.clone());
        collect::record(bundle, &Asked { files, unit, deadline: settings.timeout });
    }
    if let Some(file) = settings.gateway.as_deref().filter(|_| uses(Source::Gateway)) {
        gateway::from_file(bundle, file, &fields(&settings.gateway_fields)?);
    }
    let Some(path) = settings.kube.as_deref().filter(|_| uses(Source::Kube)) else { return Ok(()) };
    let body = input::bytes(path, settings.max_body)
        .map_err(|error| unusable(path, &error.to_string()))?;
    kube::check(&body).map_err(|why| unusable(path, &why))?;
    let at = bundle.span_ms().map_or(0, |(_, to)| to);
    bundle.record("kube", at, body);
    Ok(())
}

/// The names of a gateway's fields; a meaning that is not known is a mistake of the settings.
pub(super) fn fields(named: &BTreeMap<String, String>) -> Result<GatewayFields, Failure> {
    let named = named.iter().map(|(meaning, name)| (meaning.clone(), name.as_str().into()));
    serde_json::from_value(Value::Object(named.collect())).map_err(|error| Failure {
        tried: "read `gateway_fields` in the settings file".into(),
        happened: error.to_string(),
        next: "diagnose.example.toml, which shows them".into(),
        exit: Exit::Failed,
    })
}

fn unusable(path: &Path, why: &str) -> Failure {
    Failure {
        tried: format!("read the pods and events in {}", path.display()),
        happened: why.into(),
        next: "kubectl get pods,events -o json | diagnose sweep --kube -".into(),
        exit: Exit::Failed,
    }
}

//! What an endpoint runs, now and before its last change.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::evidence::{Endpoint, cloud::Release};

use super::{Answer, list, said, some_text, text, time};

/// Adds the release that runs, or is being deployed, and the one before it.
pub(super) fn add<'a>(
    endpoint: &mut Endpoint,
    described: &Value,
    configs: impl Iterator<Item = &'a Answer>,
    models: impl Iterator<Item = &'a Answer>,
) {
    let models: BTreeMap<String, &Value> =
        models.map(|it| (text(&it.output["ModelName"]), &it.output)).collect();
    let configs: BTreeMap<String, &Value> =
        configs.map(|it| (text(&it.output["EndpointConfigName"]), &it.output)).collect();
    let current = text(&described["EndpointConfigName"]);
    let coming = some_text(&described["PendingDeploymentSummary"]["EndpointConfigName"]);
    let now = coming.unwrap_or_else(|| current.clone());
    let release = |name: &str| configs.get(name).map(|config| release(name, config, &models));
    endpoint.release = release(&now);
    let mut others: Vec<Release> =
        configs.keys().filter(|name| **name != now).filter_map(|name| release(name)).collect();
    others.sort_by(|a, b| {
        let running = |it: &Release| it.config == current;
        running(a)
            .cmp(&running(b))
            .then(a.created.partial_cmp(&b.created).unwrap_or(std::cmp::Ordering::Equal))
    });
    let began = endpoint.release.as_ref().and_then(|it| it.created);
    others.retain(|it| it.config == current || began.is_none() || it.created <= began);
    endpoint.before = others.pop();
}

fn release(name: &str, config: &Value, models: &BTreeMap<String, &Value>) -> Release {
    let variants: Vec<&Value> = list(&config["ProductionVariants"]).collect();
    let mut settings = Vec::new();
    for variant in &variants {
        let prefix = match variants.len() {
            1 => String::new(),
            _ => format!("{} ", text(&variant["VariantName"])),
        };
        let mut set = |name: &str, value: Option<String>| {
            settings.extend(value.map(|value| (format!("{prefix}{name}"), value)));
        };
        set("instance type", some_text(&variant["InstanceType"]));
        let Some(model) = models.get(&text(&variant["ModelName"])) else { continue };
        for container in list(&model["Containers"]).chain(Some(&model["PrimaryContainer"])) {
            set("image", some_text(&container["Image"]));
            set("model data", some_text(&container["ModelDataUrl"]));
            for (key, value) in container["Environment"].as_object().into_iter().flatten() {
                let pair =
                    said(&Value::String(format!("{key}={}", value.as_str().unwrap_or_default())));
                let hidden = pair.and_then(|it| Some(it.split_once('=')?.1.to_owned()));
                set(key, hidden);
            }
        }
    }
    Release { config: name.into(), created: time(&config["CreationTime"]), settings }
}

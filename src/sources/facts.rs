//! What describes the server for as long as it runs: version, flags, cache configuration.

use std::collections::BTreeMap;

use crate::evidence::{Evidence, Fact, SeriesSet, bundle::Meta};

/// Flags whose value the runbooks read, and how they are called as facts.
const FLAGS: [(&str, &str); 9] = [
    ("--max-num-seqs", "max_num_seqs"),
    ("--max-model-len", "max_model_len"),
    ("--max-num-batched-tokens", "max_num_batched_tokens"),
    ("--gpu-memory-utilization", "gpu_memory_utilization"),
    ("--tensor-parallel-size", "tensor_parallel_size"),
    ("--data-parallel-size", "data_parallel_size"),
    ("--max-loras", "max_loras"),
    ("--max-lora-rank", "max_lora_rank"),
    ("--num-gpu-blocks-override", "num_gpu_blocks_override"),
];

/// Switches, with the fact they set.
const SWITCHES: [(&str, &str, &str); 5] = [
    ("--enforce-eager", "enforce_eager", "true"),
    ("--enable-lora", "enable_lora", "true"),
    ("--enable-prefix-caching", "enable_prefix_caching", "true"),
    ("--no-enable-prefix-caching", "enable_prefix_caching", "false"),
    ("--disable-log-stats", "disable_log_stats", "true"),
];

/// Facts from a command line. `--flag value` and `--flag=value` are both read, and `_` for `-`.
pub(super) fn from_args(args: &[String]) -> BTreeMap<String, Fact> {
    let mut facts = BTreeMap::new();
    let mut add = |name: &str, value: &str| {
        let fact = Fact { value: value.to_string(), source: "server flags".into() };
        facts.insert(name.to_string(), fact);
    };
    for (index, arg) in args.iter().enumerate() {
        let (flag, joined) = match arg.split_once('=') {
            Some((flag, value)) => (flag.replace('_', "-"), Some(value)),
            None => (arg.replace('_', "-"), None),
        };
        if let Some((_, name)) = FLAGS.iter().find(|(known, _)| *known == flag)
            && let Some(value) = joined.or_else(|| args.get(index + 1).map(String::as_str))
        {
            add(name, value);
        }
        if let Some((_, name, value)) = SWITCHES.iter().find(|(known, ..)| *known == flag) {
            add(name, joined.unwrap_or(value));
        }
    }
    facts
}

/// Facts from the process on this machine: SageMaker's image takes `SM_VLLM_MAX_NUM_SEQS` for
/// `--max-num-seqs`, and flags win over variables.
fn from_process(evidence: &Evidence) -> BTreeMap<String, Fact> {
    let last = evidence.host.last().and_then(|round| round.processes.first());
    let Some(process) = last else { return BTreeMap::new() };
    let as_flag = |(name, value): (&String, &Option<String>)| {
        let name = name.strip_prefix("SM_VLLM_")?.to_ascii_lowercase().replace('_', "-");
        Some(format!("--{name}={}", value.as_ref()?))
    };
    let mut facts = from_args(&process.env.iter().filter_map(as_flag).collect::<Vec<_>>());
    facts.values_mut().for_each(|fact| fact.source = "environment of the server".into());
    facts.extend(from_args(&process.args));
    facts
}

/// Facts from the labels of the last cache_config_info. The engine's own word outranks the flags,
/// because defaults are resolved there.
pub(super) fn from_cache_config(set: &SeriesSet) -> BTreeMap<String, Fact> {
    let last = |series: &&crate::evidence::Series| series.points.last().map(|point| point.at);
    let newest = set
        .named("vllm:cache_config_info")
        .max_by(|a, b| last(a).partial_cmp(&last(b)).unwrap_or(std::cmp::Ordering::Equal));
    let labels = newest.map(|series| series.labels.clone()).unwrap_or_default();
    let skipped = ["engine", "model_name", crate::evidence::series::REPLICA];
    labels
        .into_iter()
        .filter(|(name, value)| !skipped.contains(&name.as_str()) && value != "None")
        .map(|(name, value)| (name, Fact { value, source: "cache_config_info".into() }))
        .collect()
}

/// Fills the target and the facts.
pub(super) fn describe(evidence: &mut Evidence, meta: &Meta) {
    evidence.facts.extend(from_process(evidence));
    evidence.facts.extend(from_args(&meta.server_args));
    evidence.facts.extend(from_cache_config(&evidence.series));
    evidence.facts.extend(max_model_len(evidence).map(|fact| ("max_model_len".to_string(), fact)));
    let told = evidence.probes.iter().rev().find_map(|round| {
        let body = round.paths.get("/version")?.body.as_deref()?;
        let json: serde_json::Value = serde_json::from_str(body).ok()?;
        Some(json.get("version")?.as_str()?.to_string())
    });
    evidence.target.version = told.or_else(|| meta.vllm_version.clone());
    evidence.target.name = meta.target.clone().unwrap_or_else(|| "a saved page".into());
    evidence.target.models = models(&evidence.series);
}

/// The longest sequence that the last answer of /v1/models names; adapters repeat their base's.
fn max_model_len(evidence: &Evidence) -> Option<Fact> {
    let answer = evidence.probes.iter().rev().find_map(|round| {
        let body = round.paths.get("/v1/models")?.body.as_deref()?;
        serde_json::from_str::<serde_json::Value>(body).ok()
    })?;
    let models = answer.get("data")?.as_array()?;
    let longest = models.iter().filter_map(|model| model.get("max_model_len")?.as_u64()).max()?;
    Some(Fact { value: longest.to_string(), source: "/v1/models".into() })
}

fn models(set: &SeriesSet) -> Vec<String> {
    let mut names: Vec<String> = ["vllm:num_requests_running", "vllm:prompt_tokens_total"]
        .iter()
        .flat_map(|name| set.named(name))
        .filter_map(|series| series.label("model_name").map(Into::into))
        .collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_in_every_spelling() {
        let args = ["--max-num-seqs", "8", "--max_model_len=2048", "--no-enable-prefix-caching"];
        let facts = from_args(&args.map(String::from));
        let value = |name: &str| facts[name].value.as_str();
        assert_eq!(value("max_num_seqs"), "8");
        assert_eq!(value("max_model_len"), "2048");
        assert_eq!(value("enable_prefix_caching"), "false");
    }
}

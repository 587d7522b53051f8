//! Writes `/metrics` in the shape of a release: the page recorded from that release lends its
//! families, labels and their order; the model lends the values.

use std::{collections::BTreeSet, fmt::Write};

use super::{
    engine::Config,
    stats::{Hist, Http, Stats},
};

/// Releases that can be written.
pub const VERSIONS: [&str; 5] = ["0.8.5", "0.10.2", "0.12.0", "0.23.0", "0.32.0"];

fn recorded(version: &str) -> &'static str {
    match version {
        "0.8.5" => include_str!("../../../fixtures/exposition/vllm-0.8.5.prom"),
        "0.10.2" => include_str!("../../../fixtures/exposition/vllm-0.10.2.prom"),
        "0.12.0" => include_str!("../../../fixtures/exposition/vllm-0.12.0.prom"),
        "0.23.0" => include_str!("../../../fixtures/exposition/vllm-0.23.0.prom"),
        _ => include_str!("../../../fixtures/exposition/vllm-0.32.0.prom"),
    }
}

/// One family of the recorded page.
#[derive(Debug)]
struct Family {
    head: String,
    /// Exported name of the samples, without suffixes.
    name: &'static str,
    kind: &'static str,
    /// Name, labels and value of each recorded sample.
    samples: Vec<(&'static str, &'static str, &'static str)>,
}

#[derive(Debug)]
pub struct Template {
    families: Vec<Family>,
    several: bool,
}

/// What a page shows.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    pub model: &'a str,
    pub config: &'a Config,
    pub engines: &'a [&'a Stats],
    pub http: &'a Http,
    pub probes: f64,
    /// Whether the old prefix-cache counters count blocks (before 0.9.0).
    pub in_blocks: bool,
    /// Unix seconds.
    pub started: f64,
    /// Unix seconds of simulated second 0.
    pub epoch: f64,
    pub cpu_seconds: f64,
}

impl Template {
    /// `several` API servers share a page, which then has no family of a single process.
    pub fn new(version: &str, several: bool) -> Self {
        let mut families: Vec<Family> = Vec::new();
        let mut help = "";
        for line in recorded(version).lines() {
            if line.starts_with("# HELP") {
                help = line;
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap_or((rest, "gauge"));
                let head = format!("{help}\n{line}\n");
                families.push(Family { head, name, kind, samples: Vec::new() });
            } else if let (Some(family), Some((key, value))) =
                (families.last_mut(), line.rsplit_once(' '))
            {
                let (name, labels) = key.split_once('{').unwrap_or((key, ""));
                family.samples.push((name, labels.trim_end_matches('}'), value));
            }
        }
        if several {
            let lost = |name: &str| {
                name.starts_with("python_")
                    || name.starts_with("process_")
                    || name.ends_with("_created")
            };
            families.retain(|family| !lost(family.name));
        }
        Self { families, several }
    }

    pub fn render(&self, view: &View<'_>) -> Vec<u8> {
        let mut out = String::with_capacity(64 << 10);
        for family in &self.families {
            out.push_str(&family.head);
            let done = vllm(family, view, &mut out) || http(family, view, &mut out);
            if !done {
                as_recorded(family, view, &mut out);
            }
        }
        speculation(view, &mut out);
        adapters(view, &mut out);
        debug_assert!(self.several || out.contains("process_start_time_seconds "));
        out.into_bytes()
    }
}

/// Families that the model fills.
fn vllm(family: &Family, view: &View<'_>, out: &mut String) -> bool {
    let Some(name) = family.name.strip_prefix("vllm:") else { return false };
    let name = match name {
        "time_per_output_token_seconds" => "inter_token_latency_seconds",
        name => name,
    };
    if view.engines.first().is_some_and(|stats| stats.hists.contains_key(name)) {
        for (engine, stats) in view.engines.iter().enumerate() {
            let labels = format!("engine=\"{engine}\",model_name=\"{}\"", view.model);
            let le = |bound: &str| {
                format!("engine=\"{engine}\",le=\"{bound}\",model_name=\"{}\"", view.model)
            };
            histogram(family.name, &stats.hists[name], &labels, le, out);
        }
        return true;
    }
    if name == "cache_config_info" {
        cache_config(family, view, out);
        return true;
    }
    let mut filled = false;
    for (engine, stats) in view.engines.iter().enumerate() {
        for (sample, labels, _) in &family.samples {
            let Some(value) = scalar(name, labels, stats, view.in_blocks) else { continue };
            let labels = relabel(labels, engine, view.model);
            _ = writeln!(out, "{sample}{{{labels}}} {value:?}");
            filled = true;
        }
    }
    filled
}

fn scalar(name: &str, labels: &str, stats: &Stats, in_blocks: bool) -> Option<f64> {
    let has = |word: &str| labels.contains(&format!("\"{word}\""));
    Some(match name {
        "num_requests_running" => stats.running,
        "num_requests_waiting" => stats.waiting,
        "num_requests_waiting_by_reason" if has("capacity") => stats.waiting - stats.deferred,
        "num_requests_waiting_by_reason" => stats.deferred,
        "kv_cache_usage_perc" | "gpu_cache_usage_perc" => stats.kv_usage,
        "gpu_prefix_cache_queries_total" if in_blocks => stats.query_blocks,
        "gpu_prefix_cache_hits_total" if in_blocks => stats.hit_blocks,
        "prefix_cache_queries_total" | "gpu_prefix_cache_queries_total" => stats.queries,
        "prefix_cache_hits_total" | "gpu_prefix_cache_hits_total" => stats.hits,
        "num_preemptions_total" => stats.preemptions,
        "prompt_tokens_total" => stats.prompt_tokens,
        "prompt_tokens_by_source_total" if has("local_compute") => {
            stats.prompt_tokens - stats.cached_tokens
        }
        "prompt_tokens_by_source_total" if has("local_cache_hit") => stats.cached_tokens,
        "prompt_tokens_cached_total" => stats.cached_tokens,
        "prompt_tokens_cached_by_source_total" if has("device") => stats.cached_tokens,
        "generation_tokens_total" => stats.generation_tokens,
        "request_success_total" if has("stop") => stats.stop,
        "request_success_total" if has("length") => stats.length,
        "request_success_total"
        | "prompt_tokens_by_source_total"
        | "prompt_tokens_cached_by_source_total" => 0.0,
        _ => return None,
    })
}

fn relabel(labels: &str, engine: usize, model: &str) -> String {
    let mut new = labels.replace("engine=\"0\"", &format!("engine=\"{engine}\""));
    if let Some(start) = new.find("model_name=\"").map(|at| at + "model_name=\"".len())
        && let Some(length) = new[start..].find('"')
    {
        new.replace_range(start..start + length, model);
    }
    new
}

fn number(bound: f64) -> String {
    format!("{bound:?}")
}

fn histogram(name: &str, hist: &Hist, labels: &str, le: impl Fn(&str) -> String, out: &mut String) {
    let mut below = 0.0;
    for (bound, count) in hist.bounds.iter().zip(&hist.counts) {
        below += count;
        _ = writeln!(out, "{name}_bucket{{{}}} {below:?}", le(&number(*bound)));
    }
    _ = writeln!(out, "{name}_bucket{{{}}} {:?}", le("+Inf"), hist.count);
    let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
    _ = writeln!(out, "{name}_count{labels} {:?}", hist.count);
    _ = writeln!(out, "{name}_sum{labels} {:?}", hist.sum);
}

fn cache_config(family: &Family, view: &View<'_>, out: &mut String) {
    let Some((sample, labels, _)) = family.samples.first() else { return };
    let config = view.config;
    let blocks = config.blocks * view.engines.len();
    let tokens = config.blocks as u32 * config.block_size;
    let set = |labels: &str, name: &str, value: String| -> String {
        let marks = [format!("{name}=\""), format!(",{name}=\"")];
        let at = if labels.starts_with(&marks[0]) {
            Some(marks[0].len())
        } else {
            labels.find(&marks[1]).map(|at| at + marks[1].len())
        };
        let Some(at) = at else { return labels.into() };
        let length = labels[at..].find('"').unwrap_or(0);
        format!("{}{value}{}", &labels[..at], &labels[at + length..])
    };
    for engine in 0..view.engines.len() {
        let mut text = relabel(labels, engine, view.model);
        let caching = if config.caching { "True" } else { "False" };
        for (name, value) in [
            ("block_size", config.block_size.to_string()),
            ("effective_attention_block_size", config.block_size.to_string()),
            ("num_gpu_blocks", blocks.to_string()),
            ("enable_prefix_caching", caching.to_string()),
            ("kv_cache_size_tokens", tokens.to_string()),
            (
                "kv_cache_max_concurrency",
                format!("{:?}", f64::from(tokens) / f64::from(config.max_model_len)),
            ),
        ] {
            text = set(&text, name, value);
        }
        if let Some(share) = config.gpu_memory {
            text = set(&text, "gpu_memory_utilization", share.to_string());
        }
        _ = writeln!(out, "{sample}{{{text}}} 1.0");
        if !labels.contains("engine=") {
            break;
        }
    }
}

fn http(family: &Family, view: &View<'_>, out: &mut String) -> bool {
    const CHAT: &str = "handler=\"/v1/chat/completions\",method=\"POST\"";
    let http = view.http;
    match family.name {
        "http_requests_total" => {
            for (class, n) in &http.posts {
                _ = writeln!(out, "http_requests_total{{{CHAT},status=\"{class}\"}} {n:?}");
            }
            let models = "handler=\"/v1/models\",method=\"GET\",status=\"2xx\"";
            _ = writeln!(out, "http_requests_total{{{models}}} {:?}", view.probes);
        }
        "http_request_duration_seconds" => {
            let le = |bound: &str| {
                format!("handler=\"/v1/chat/completions\",le=\"{bound}\",method=\"POST\"")
            };
            histogram(family.name, &http.duration, CHAT, le, out);
        }
        "http_request_duration_highr_seconds" => {
            let le = |bound: &str| format!("le=\"{bound}\"");
            histogram(family.name, &http.duration_fine, "", le, out);
        }
        _ => return false,
    }
    true
}

/// Families that only a server with speculative decoding has.
fn speculation(view: &View<'_>, out: &mut String) {
    if view.config.drafts == 0 {
        return;
    }
    let value = |what: &str, stats: &Stats| match what {
        "drafts" => stats.drafts,
        "draft_tokens" => stats.draft_tokens,
        _ => stats.accepted.iter().sum(),
    };
    for what in ["drafts", "draft_tokens", "accepted_tokens"] {
        let name = format!("vllm:spec_decode_num_{what}_total");
        _ = writeln!(out, "# HELP {name} Number of spec decoding {what}.\n# TYPE {name} counter");
        for (engine, stats) in view.engines.iter().enumerate() {
            let labels = format!("engine=\"{engine}\",model_name=\"{}\"", view.model);
            _ = writeln!(out, "{name}{{{labels}}} {:?}", value(what, stats));
        }
    }
    let name = "vllm:spec_decode_num_accepted_tokens_per_pos_total";
    _ = writeln!(out, "# HELP {name} Accepted tokens per draft position.\n# TYPE {name} counter");
    for (engine, stats) in view.engines.iter().enumerate() {
        for (position, accepted) in stats.accepted.iter().enumerate() {
            let of = format!("model_name=\"{}\",position=\"{position}\"", view.model);
            _ = writeln!(out, "{name}{{engine=\"{engine}\",{of}}} {accepted:?}");
        }
    }
}

/// The family that only a server with adapters has: a series for each pair of lists ever seen,
/// with the moment as its value.
fn adapters(view: &View<'_>, out: &mut String) {
    if view.config.max_loras == 0 {
        return;
    }
    let name = "vllm:lora_requests_info";
    _ = writeln!(out, "# HELP {name} Running stats on lora requests.\n# TYPE {name} gauge");
    let list = |adapters: &BTreeSet<usize>| {
        adapters.iter().map(|id| format!("adapter-{id}")).collect::<Vec<_>>().join(",")
    };
    for ((running, waiting), at) in view.engines.iter().flat_map(|stats| &stats.adapters) {
        _ = writeln!(
            out,
            "{name}{{max_lora=\"{}\",running_lora_adapters=\"{}\",waiting_lora_adapters=\"{}\"}} \
             {:?}",
            view.config.max_loras,
            list(running),
            list(waiting),
            view.epoch + at,
        );
    }
}

/// What the model has no opinion on stays as it was recorded, but for names and times.
fn as_recorded(family: &Family, view: &View<'_>, out: &mut String) {
    for (name, labels, value) in &family.samples {
        let value = match *name {
            "process_start_time_seconds" => format!("{:?}", view.started),
            "process_cpu_seconds_total" => format!("{:?}", view.cpu_seconds),
            name if name.ends_with("_created") => format!("{:?}", view.started + 20.0),
            _ => (*value).into(),
        };
        let engines = if labels.contains("engine=") { view.engines.len() } else { 1 };
        for engine in 0..engines {
            if labels.is_empty() {
                _ = writeln!(out, "{name} {value}");
            } else {
                let labels = relabel(labels, engine, view.model);
                _ = writeln!(out, "{name}{{{labels}}} {value}");
            }
        }
    }
    debug_assert!(["gauge", "counter", "histogram", "summary"].contains(&family.kind));
}

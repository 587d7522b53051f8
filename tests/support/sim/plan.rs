//! What is run, and what came of it: the plan of a case, and a tally of its requests.

use diagnose::evidence::bundle::Bundle;

use super::{
    engine::{Config, Cost},
    machine::Trouble,
    workload::Workload,
};

/// What happens to the server at a moment.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The accelerator takes this many times as long.
    Gpu(f64),
    /// The host's CPU takes this many times as long.
    Host(f64),
    /// This share of requests goes to the first engine, whatever its load.
    Skew(f64),
    /// The process goes down and comes back after so many seconds, perhaps with other settings.
    Restart(f64, Option<Config>),
    /// The process ends and nobody restarts it; the log's last words.
    Die(&'static [&'static str]),
    /// The process ends and is started again, which fails; the log's last words.
    FailStart(&'static [&'static str]),
    /// This share of a finished request's blocks is never given back.
    Leak(f64),
    /// Requests and tokens take so many seconds between front-end and engine.
    Link(f64),
    /// Engines make no step any more; the front-end lives.
    Wedge,
    /// An engine admits only one request in so many seconds.
    Trickle(f64),
    /// Drafted tokens are accepted with this chance.
    Acceptance(f64),
}

/// Costs of the front-end's CPU, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct FrontCost {
    pub per_request: f64,
    pub per_token: f64,
    pub page: f64,
}

/// One run.
#[derive(Debug, Clone)]
pub struct Plan {
    pub version: &'static str,
    pub model: &'static str,
    pub config: Config,
    pub cost: Cost,
    pub front: FrontCost,
    pub engines: usize,
    pub workload: Workload,
    /// Seconds from the start of the process to the first scrape.
    pub warmup: f64,
    pub length: f64,
    pub interval: f64,
    pub faults: Vec<(f64, Fault)>,
    /// When everything stands still, in order, and for how many seconds.
    pub pauses: Vec<(f64, f64)>,
    /// Which scrape got lost on its way.
    pub lost: Option<usize>,
    /// What is the matter with the machine, where it was looked at.
    pub machine: Option<Vec<Trouble>>,
    /// Whether the recorder knew the command line.
    pub args_known: bool,
    /// When the incident began, in the same clock as the faults.
    pub onset: Option<f64>,
}

/// Seconds that loading the model takes before requests are served.
pub const LOADING: f64 = 20.0;

/// What really happened, by looking at requests and not at metrics.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    pub arrived: f64,
    pub refused: f64,
    pub aborted: f64,
    pub finished: f64,
    pub ttft: (f64, f64),
    pub itl: (f64, f64),
    /// As in an outcome.
    pub itl_shape: (f64, f64),
    /// Seconds per token of whole answers.
    pub per_token: (f64, f64),
    pub queue: (f64, f64),
    pub waiting: (f64, f64),
    pub cached: (f64, f64),
    pub preemptions: f64,
    pub kv_peak: f64,
}

impl Tally {
    pub fn mean(pair: (f64, f64)) -> f64 {
        pair.0 / pair.1.max(1.0)
    }
}

/// A finished run.
#[derive(Debug, Clone)]
pub struct Recording {
    pub bundle: Bundle,
    /// Unix seconds of simulated second 0.
    pub epoch: f64,
    pub before: Tally,
    pub after: Tally,
}

impl Plan {
    /// When work of so many seconds that begins at `from` ends, with all pauses on the way.
    pub fn end_of(&self, from: f64, seconds: f64) -> f64 {
        let next = self.pauses.partition_point(|pause| pause.0 + pause.1 <= from);
        let mut end = from + seconds;
        for &(start, length) in &self.pauses[next..] {
            if start >= end {
                break;
            }
            end += length - (from - start).max(0.0);
        }
        end
    }

    /// The server's command line.
    pub fn args(&self) -> Vec<String> {
        let config = &self.config;
        let mut args = vec!["--model".to_owned(), self.model.to_owned()];
        let flags = [
            ("--max-num-seqs", config.max_num_seqs.to_string()),
            ("--max-num-batched-tokens", config.max_batched.to_string()),
            ("--max-model-len", config.max_model_len.to_string()),
        ];
        args.extend(flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]));
        if !config.caching {
            args.push("--no-enable-prefix-caching".into());
        }
        if let Some(share) = config.gpu_memory {
            args.extend(["--gpu-memory-utilization".to_owned(), share.to_string()]);
        }
        if config.max_loras > 0 {
            args.push("--enable-lora".into());
            args.extend(["--max-loras".to_owned(), config.max_loras.to_string()]);
        }
        if config.drafts > 0 {
            let method =
                format!("{{\"method\":\"ngram\",\"num_speculative_tokens\":{}}}", config.drafts);
            args.extend(["--speculative-config".to_owned(), method]);
        }
        if self.engines > 1 {
            args.extend(["--data-parallel-size".to_owned(), self.engines.to_string()]);
        }
        args
    }
}

//! Flags of `sweep`: one server, or a fleet.

use clap::Args;

use super::RunArgs;

/// Flags of `sweep`.
#[derive(Debug, Clone, Default, Args)]
pub struct SweepArgs {
    /// Judge many servers: a file of Prometheus' file_sd (JSON or YAML) or with one target a line, -
    /// for standard input, or prometheus:SELECTOR for what --prometheus scrapes, e.g.
    /// 'prometheus:job="vllm"'. Each is sampled like one alone, over HTTP only
    #[arg(
        long, value_name = "FILE", help_heading = "Fleet",
        conflicts_with_all = [
            "replay", "url", "at", "baseline", "probe", "adapter_dir", "log", "journal_unit", "kube",
            "kernel_log", "gateway", "host_root", "nvml_library", "only", "skip", "selector",
            "sagemaker", "region", "cloudwatch", "mlflow", "experiment", "history", "wait", "watch"
        ]
    )]
    pub targets: Option<String>,
    /// How to judge.
    #[command(flatten)]
    pub run: RunArgs,
}

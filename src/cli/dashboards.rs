//! Flags of `dashboard` and `collector`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{ApplyDashboardArgs, ConfigArgs, RuleTargetArgs};

/// Commands about dashboards.
#[derive(Debug, Clone, Subcommand)]
pub enum DashboardCommand {
    /// Write the dashboard for Grafana or CloudWatch, with what the target really exports
    Render(Box<DashboardArgs>),
    /// Put the same dashboard into CloudWatch: shows what would change, asks, and changes only what it
    /// made itself
    Apply(Box<ApplyDashboardArgs>),
}

/// Commands about collecting metrics.
#[derive(Debug, Clone, Subcommand)]
pub enum CollectorCommand {
    /// Write a configuration that collects exactly what alerts, objectives and dashboards use
    Render(Box<CollectorArgs>),
    /// Turn the gateway's records into CloudWatch metrics: lines in Embedded Metric Format on stdout
    Emf(EmfArgs),
}

/// Flags of `dashboard render`.
#[derive(Debug, Clone, Args)]
pub struct DashboardArgs {
    /// What it is for
    #[arg(long, value_name = "BACKEND")]
    pub to: DashboardBackend,
    /// AWS account of the alarms, for CloudWatch: the states of those that the evidence has
    /// dimensions for stand on top
    #[arg(long, value_name = "ACCOUNT")]
    pub account: Option<String>,
    /// Write it to this file, all of it or nothing [default: stdout]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The server.
    #[command(flatten)]
    pub target: RuleTargetArgs,
}

/// Flags of `collector render`.
#[derive(Debug, Clone, Args)]
pub struct CollectorArgs {
    /// Addresses of the servers, as the collector reaches them, e.g. 10.0.0.7:8000
    #[arg(value_name = "HOST:PORT")]
    pub servers: Vec<String>,
    /// What it is for
    #[arg(long, value_name = "COLLECTOR")]
    pub to: CollectorKind,
    /// Address of dcgm-exporter, for the GPUs (repeat for several)
    #[arg(long, value_name = "HOST:PORT")]
    pub gpu: Vec<String>,
    /// Write it to this file, all of it or nothing [default: stdout]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The server.
    #[command(flatten)]
    pub target: RuleTargetArgs,
}

/// Flags of `collector emf`.
#[derive(Debug, Clone, Args)]
pub struct EmfArgs {
    /// Records of the gateway, as JSON lines, whose fields diagnose.toml may name; - is stdin
    #[arg(long, value_name = "FILE")]
    pub gateway: PathBuf,
    /// Settings.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// What a dashboard is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DashboardBackend {
    /// JSON to import, for any Prometheus.
    Grafana,
    /// The body that PutDashboard takes.
    Cloudwatch,
}

/// What a configuration is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CollectorKind {
    /// prometheus.yml.
    Prometheus,
    /// An OpenTelemetry collector that writes to Prometheus.
    Otel,
    /// The CloudWatch agent.
    CloudwatchAgent,
}

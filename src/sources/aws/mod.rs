//! AWS: SageMaker, Auto Scaling, CloudWatch and CloudWatch Logs, asked side by side and read-only.
//! Only [`writing`] changes anything, and only for `alerts apply` and `dashboard apply`.
//!
//! The record of a run is `{"answers": [{"service", "operation", "input", "output" or "error"}]}`,
//! errors with the `state` that they give the service. Names are those that
//! `aws SERVICE OPERATION --output json` prints, times ISO 8601 in UTC, and only the fields that
//! something reads are kept.

pub mod permissions;

#[cfg(feature = "aws")]
mod alarms;
#[cfg(feature = "aws")]
mod asking;
#[cfg(feature = "aws")]
mod bounded;
#[cfg(feature = "aws")]
mod client;
#[cfg(feature = "aws")]
mod failure;
#[cfg(feature = "aws")]
mod fetch;
#[cfg(feature = "aws")]
mod logs;
#[cfg(feature = "aws")]
mod metrics;
#[cfg(feature = "aws")]
mod names;
#[cfg(feature = "aws")]
mod sagemaker;
#[cfg(feature = "aws")]
mod scaling;
#[cfg(feature = "aws")]
mod spelling;
#[cfg(feature = "aws")]
mod words;
#[cfg(feature = "aws")]
pub mod writing;

#[cfg(feature = "aws")]
pub use fetch::fetch;

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use crate::evidence::{Span, Time, bundle::Bundle};

/// Folder of the records in a bundle.
pub const FOLDER: &str = "aws";

/// Namespace of the gateway's metrics, unless set otherwise.
pub const NAMESPACE: &str = "MangaAssist/Inference";

/// What may be asked; each is a source of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// The endpoint, its configurations and models.
    Sagemaker,
    /// Application Auto Scaling, and the warm pool of EC2 Auto Scaling.
    Autoscaling,
    /// Metrics and alarms.
    Cloudwatch,
    /// The containers' log.
    Log,
}

impl Service {
    /// Id of the source's status.
    pub fn id(self) -> &'static str {
        match self {
            Self::Sagemaker => "sagemaker",
            Self::Autoscaling => "autoscaling",
            Self::Cloudwatch => "cloudwatch",
            Self::Log => "log",
        }
    }

    /// Names that its answers have in a record.
    fn recorded(self) -> &'static [&'static str] {
        match self {
            Self::Sagemaker => &["sagemaker"],
            Self::Autoscaling => &["application-autoscaling", "autoscaling"],
            Self::Cloudwatch => &["cloudwatch"],
            Self::Log => &[],
        }
    }
}

/// What to ask, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// Name of the endpoint.
    pub endpoint: Option<String>,
    /// Region; `None` for that of the AWS settings on this machine.
    pub region: Option<String>,
    /// Profile of those settings.
    pub profile: Option<String>,
    /// Where all services are asked instead of AWS.
    pub endpoint_url: Option<String>,
    /// The services to ask.
    pub services: Vec<Service>,
    /// How the gateway names its metrics.
    pub gateway: Gateway,
    /// EC2 Auto Scaling group with a warm pool.
    pub warm_pool_group: Option<String>,
    /// The time asked for.
    pub reach: Span,
    /// Now: what CloudWatch still holds depends on the age.
    pub now: Time,
    /// Most bytes of one answer.
    pub max_body: usize,
    /// Deadline of one request.
    pub timeout: Duration,
    /// Deadline of all requests together.
    pub deadline: Duration,
}

/// How the gateway names its metrics. Records have the usual names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gateway {
    /// Namespace; `None` for [`NAMESPACE`].
    pub namespace: Option<String>,
    /// Usual name of a metric → its own.
    pub metrics: BTreeMap<String, String>,
    /// Usual name of a dimension → its own.
    pub dimensions: BTreeMap<String, String>,
    /// Usual name of a metric → percentile ranks such as `PR(:200)`, in its own unit, which tell how
    /// many samples an objective takes for good.
    pub ranks: BTreeMap<String, Vec<String>>,
}

/// This build cannot ask.
#[cfg(not(feature = "aws"))]
pub async fn fetch(options: Options) -> super::Fetched {
    use crate::evidence::{SourceState, SourceStatus};
    let status = |service: &Service| SourceStatus {
        id: service.id().into(),
        status: SourceState::Unsupported,
        detail: "this build has no AWS".into(),
        took_ms: None,
    };
    super::Fetched {
        statuses: options.services.iter().map(status).collect(),
        ..super::Fetched::default()
    }
}

/// Drops the answers of a service from the records of a bundle.
pub fn leave_out(bundle: &mut Bundle, service: Service) {
    let Some(records) = bundle.records.get_mut(FOLDER) else { return };
    records.retain(|_, body| {
        let Ok(mut record) = serde_json::from_slice::<Value>(body) else { return true };
        let Some(Value::Array(answers)) = record.get_mut("answers") else { return true };
        let before = answers.len();
        answers.retain(|answer| {
            let name = answer.get("service").and_then(Value::as_str).unwrap_or_default();
            !service.recorded().contains(&name)
        });
        let (left, dropped) = (answers.len(), answers.len() < before);
        if dropped && let Ok(bytes) = serde_json::to_vec(&record) {
            *body = bytes;
        }
        left > 0 || !dropped
    });
    if records.is_empty() {
        bundle.records.remove(FOLDER);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_one_service_are_dropped_and_a_record_without_any_is_gone() {
        let mut bundle = Bundle::default();
        let record = br#"{"answers":[{"service":"sagemaker"},{"service":"autoscaling"}]}"#;
        bundle.record(FOLDER, 1, record.to_vec());
        bundle.record(FOLDER, 2, b"no JSON".to_vec());
        bundle.record(FOLDER, 3, br#"{"answers":[{"service":"sagemaker"}]}"#.to_vec());
        leave_out(&mut bundle, Service::Sagemaker);
        let kept: Vec<_> = bundle.recorded(FOLDER).collect();
        assert_eq!(
            kept,
            [
                (1, br#"{"answers":[{"service":"autoscaling"}]}"#.as_slice()),
                (2, b"no JSON".as_slice())
            ]
        );
        leave_out(&mut bundle, Service::Autoscaling);
        assert_eq!(bundle.recorded(FOLDER).count(), 1, "what cannot be read is left to the reader");
    }
}

//! What a cloud says of an endpoint and of its gateway, as plain data.

use super::{Span, Time, series::Point};

/// Metrics, alarms, the endpoint and its scaling, as far as each was asked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cloud {
    /// When it was asked, Unix seconds.
    pub at: Time,
    /// Metrics of CloudWatch.
    pub metrics: Vec<CloudSeries>,
    /// Alarms with what became of them.
    pub alarms: Vec<Alarm>,
    /// The endpoint; `None` where it was not read.
    pub endpoint: Option<Endpoint>,
    /// Its scaling; `None` where it was not read.
    pub scaling: Option<Scaling>,
    /// Ready instances of the configured warm pool; `None` where none is configured.
    pub warm_pool: Option<WarmPool>,
}

/// One statistic of one metric with one set of dimensions.
#[derive(Debug, Clone, PartialEq)]
pub struct CloudSeries {
    /// Namespace, e.g. `AWS/SageMaker`.
    pub namespace: String,
    /// Name of the metric, in its usual spelling, e.g. `TTFTMs`.
    pub name: String,
    /// Dimensions, sorted by name, in their usual spelling, e.g. `AdapterId`.
    pub dimensions: Vec<(String, String)>,
    /// `Sum`, `Average`, `Maximum`, `Minimum`, `SampleCount` or a percentile such as `p95`.
    pub statistic: String,
    /// Seconds that each point covers.
    pub period: f64,
    /// Values by the start of their period. A period without data has no point, which is not 0.
    pub points: Vec<Point>,
}

/// An alarm of CloudWatch.
#[derive(Debug, Clone, PartialEq)]
pub struct Alarm {
    /// Its name.
    pub name: String,
    /// Its state when it was asked.
    pub state: AlarmState,
    /// Since when; `None` where it was not told.
    pub since: Option<Time>,
    /// Why, in CloudWatch's own words.
    pub reason: String,
    /// Whether one of its actions is a scaling policy.
    pub scales: bool,
    /// Changes of its state in the time asked, in order.
    pub changes: Vec<(Time, AlarmState)>,
}

/// States of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlarmState {
    /// The condition does not hold.
    Ok,
    /// It fires.
    Alarm,
    /// CloudWatch has too few data to say.
    InsufficientData,
}

/// An endpoint of SageMaker.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Endpoint {
    /// Its name.
    pub name: String,
    /// `InService`, `Updating`, `Failed`, ….
    pub status: String,
    /// Why it failed, where it did.
    pub failure: Option<String>,
    /// When it was last changed.
    pub changed: Option<Time>,
    /// Its variants.
    pub variants: Vec<Variant>,
    /// What it runs now; `None` where the configuration was not read.
    pub release: Option<Release>,
    /// What it ran before the last change, where that can still be read.
    pub before: Option<Release>,
}

/// One production variant.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Variant {
    /// Its name.
    pub name: String,
    /// Instances that serve.
    pub current: Option<u32>,
    /// Instances wanted.
    pub desired: Option<u32>,
    /// State of the variant, e.g. `Creating`, with the time of its start.
    pub status: Option<(String, Option<Time>)>,
}

/// What an endpoint runs: a configuration with its images and environment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Release {
    /// Name of the endpoint configuration.
    pub config: String,
    /// When it was made.
    pub created: Option<Time>,
    /// What it says, key to value: image, instance type, variables of the environment.
    pub settings: Vec<(String, String)>,
}

/// Application Auto Scaling of an endpoint.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scaling {
    /// Bounds and suspensions, one for each variant.
    pub targets: Vec<ScalableTarget>,
    /// Names of the policies.
    pub policies: Vec<String>,
    /// Activities in the time asked, in order, those included that scaled nothing.
    pub activities: Vec<ScalingActivity>,
}

/// What may be scaled, and how far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ScalableTarget {
    /// The resource, e.g. `endpoint/chat/variant/main`.
    pub resource: String,
    /// Least instances.
    pub min: u32,
    /// Most instances.
    pub max: u32,
    /// Whether scaling out is suspended.
    pub suspended: bool,
}

/// One activity of scaling.
#[derive(Debug, Clone, PartialEq)]
pub struct ScalingActivity {
    /// When it began, and when it ended where it did.
    pub at: Time,
    /// When it ended.
    pub ended: Option<Time>,
    /// How it ended.
    pub outcome: ScalingOutcome,
    /// What was to be done, e.g. `Setting desired instance count to 4.`
    pub what: String,
    /// What led to it, and what came of it, in the service's own words.
    pub says: String,
}

/// How an activity of scaling ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScalingOutcome {
    /// It is under way.
    Pending,
    /// It scaled.
    Scaled,
    /// It failed, or was overtaken by another.
    Failed,
    /// It scaled nothing, for a reason.
    NotScaled,
}

/// Instances that EC2 Auto Scaling keeps ready.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WarmPool {
    /// Ready ones.
    pub ready: usize,
    /// Those on the way to it.
    pub warming: usize,
}

impl CloudSeries {
    /// The value of a dimension.
    pub fn dimension(&self, name: &str) -> Option<&str> {
        self.dimensions.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The points whose periods lie in a span as a whole.
    pub fn within(&self, span: Span) -> &[Point] {
        let from = self.points.partition_point(|point| point.at < span.from);
        let to = self.points.partition_point(|point| point.at + self.period <= span.to);
        self.points.get(from..to).unwrap_or_default()
    }
}

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
    /// What it does when it fires.
    pub role: AlarmRole,
    /// Seconds that it looks back over before it fires; `None` where it was not told.
    pub looks_back: Option<f64>,
    /// Changes of its state in the time asked, in order.
    pub changes: Vec<AlarmChange>,
}

/// What an alarm does when it fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlarmRole {
    /// It asks a scaling policy for more instances.
    Adds,
    /// It asks a scaling policy for fewer; it fires whenever load is low.
    Removes,
    /// It only tells.
    Tells,
}

/// One change of an alarm's state.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AlarmChange {
    /// When.
    pub at: Time,
    /// From which state; `None` where it was not told.
    pub from: Option<AlarmState>,
    /// To which.
    pub to: AlarmState,
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
    /// When it was made.
    pub created: Option<Time>,
    /// When it was last changed.
    pub changed: Option<Time>,
    /// Its variants; those of the deployment under way, where there is one.
    pub variants: Vec<Variant>,
    /// When the deployment under way began.
    pub deploying_since: Option<Time>,
    /// The first of the runs that have all seen fewer instances than wanted, up to the last one.
    pub short_since: Option<Time>,
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
    /// State of the variant, e.g. `Creating`, with the message that came along.
    pub status: Option<String>,
    /// Since when it is in that state.
    pub since: Option<Time>,
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
    /// What decides on the number of instances.
    pub policies: Vec<ScalingPolicy>,
    /// Activities in the time asked, in order, those included that scaled nothing; `None` where
    /// they were not read.
    pub activities: Option<Vec<ScalingActivity>>,
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

/// A scaling policy.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ScalingPolicy {
    /// Its name.
    pub name: String,
    /// Seconds after it scaled out in which it does not do so again; `None` where it has none.
    pub cooldown: Option<f64>,
    /// Whether all of its steps take instances away.
    pub only_removes: bool,
}

/// One activity of scaling.
#[derive(Debug, Clone, PartialEq)]
pub struct ScalingActivity {
    /// When it began.
    pub at: Time,
    /// When it ended, where it did.
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

impl Alarm {
    /// Its state at a moment, with the time since when it had been in it; `None` where that is not
    /// known.
    pub fn state_at(&self, at: Time) -> Option<(AlarmState, Option<Time>)> {
        let before = self.changes.iter().rev().find(|change| change.at <= at);
        if let Some(change) = before {
            return Some((change.to, Some(change.at)));
        }
        if let Some(first) = self.changes.first() {
            return first.from.map(|state| (state, None));
        }
        let reaches_back = self.since.is_none_or(|since| since <= at);
        reaches_back.then_some((self.state, self.since))
    }
}

impl Endpoint {
    /// Instances wanted and not there, over all variants; `None` where a count is not known.
    pub fn missing(&self) -> Option<u32> {
        if self.variants.is_empty() {
            return None;
        }
        let short = |it: &Variant| Some(it.desired?.saturating_sub(it.current?));
        self.variants.iter().map(short).try_fold(0_u32, |sum, own| Some(sum.saturating_add(own?)))
    }
}

impl ScalingActivity {
    /// Whether any of it lies in a span. One that has not ended reaches to its end.
    pub fn touches(&self, span: Span) -> bool {
        self.at <= span.to && self.ended.is_none_or(|ended| ended >= span.from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_in_the_state_of_its_last_change_before() {
        let change = |at, from, to| AlarmChange { at, from: Some(from), to };
        let mut alarm = Alarm {
            name: "queue".into(),
            state: AlarmState::Alarm,
            since: Some(200.0),
            reason: String::new(),
            role: AlarmRole::Adds,
            looks_back: None,
            changes: vec![
                change(100.0, AlarmState::InsufficientData, AlarmState::Ok),
                change(200.0, AlarmState::Ok, AlarmState::Alarm),
            ],
        };
        assert_eq!(alarm.state_at(50.0), Some((AlarmState::InsufficientData, None)));
        assert_eq!(alarm.state_at(150.0), Some((AlarmState::Ok, Some(100.0))));
        assert_eq!(alarm.state_at(300.0), Some((AlarmState::Alarm, Some(200.0))));
        alarm.changes.clear();
        assert_eq!(alarm.state_at(300.0), Some((AlarmState::Alarm, Some(200.0))));
        assert_eq!(alarm.state_at(150.0), None, "what it was before is not told");
    }
}

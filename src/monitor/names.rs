//! What the gateway calls its metrics in CloudWatch.

use std::collections::BTreeMap;

/// Namespace of the gateway's metrics, unless set otherwise.
pub const NAMESPACE: &str = "MangaAssist/Inference";

/// Dimensions of the gateway's request metrics, unless a measure has its own.
pub const DIMENSIONS: [&str; 2] = ["AdapterId", "BackendVersion"];

/// Own names of the gateway's namespace, metrics and dimensions, by their usual ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudNames {
    /// The namespace.
    pub namespace: String,
    /// Own names of metrics; those not listed have their usual one.
    pub metrics: BTreeMap<String, String>,
    /// Own names of dimensions; those not listed have their usual one.
    pub dimensions: BTreeMap<String, String>,
}

impl Default for CloudNames {
    fn default() -> Self {
        let namespace = NAMESPACE.into();
        Self { namespace, metrics: BTreeMap::new(), dimensions: BTreeMap::new() }
    }
}

impl CloudNames {
    /// The own name of a metric.
    pub fn metric<'a>(&'a self, usual: &'a str) -> &'a str {
        self.metrics.get(usual).map_or(usual, String::as_str)
    }

    /// The own name of a dimension.
    pub fn dimension<'a>(&'a self, usual: &'a str) -> &'a str {
        self.dimensions.get(usual).map_or(usual, String::as_str)
    }
}

//! Measures as PromQL, under the names that a server exports.

use crate::signals::{
    endpoint::NO_INFERENCE,
    families::{self, Engine, Version},
};

use super::{Across, ExporterQuery, Measure, Part, Query, duration};

/// What is asked, and how series are told apart there.
#[derive(Debug, Clone, PartialEq)]
pub struct Dialect {
    /// Release whose names are used.
    pub version: Version,
    /// Names that the target really exports; `None` where only the release is known.
    pub exported: Option<Vec<String>>,
    /// Matchers of every series, e.g. `job="vllm"`.
    pub selector: String,
    /// Labels that results keep.
    pub by: Vec<String>,
}

/// Why a measure cannot be asked of a target.
pub type Unavailable = String;

impl Dialect {
    /// The expression of a measure over the last `window` seconds.
    pub fn expression(&self, measure: &Measure, window: f64) -> Result<String, Unavailable> {
        if let Some(query) = &measure.exporter {
            return Ok(of_exporter(query, &duration(window)));
        }
        let Some(query) = &measure.metrics else { return self.without_metrics(measure) };
        let range = duration(window);
        match query {
            Query::Quantile { q, of } => {
                let name = self.name(of)?;
                let by = self.by_and("le");
                let rate = format!("rate({name}_bucket{}[{range}])", self.matchers(&[]));
                Ok(format!("histogram_quantile({q}, sum by ({by}) ({rate}))"))
            }
            Query::Mean { of } => {
                let name = self.name(of)?;
                let part = |suffix: &str| self.growth(&format!("{name}{suffix}"), &range, &[]);
                Ok(format!("{} / ({} > 0)", part("_sum"), part("_count")))
            }
            Query::Gauge { of, across } => {
                let fold = if *across == Across::Sum { "sum" } else { "max" };
                let by = self.by.join(", ");
                Ok(format!("{fold} by ({by}) ({}{})", self.name(of)?, self.matchers(&[])))
            }
            Query::Rate { of, per } => {
                let parts = of.iter().map(|family| self.part(&Part::whole(family), &range));
                let sum = parts.collect::<Result<Vec<_>, _>>()?.join(" + ");
                Ok(format!("({sum}) / {}", window / per.seconds()))
            }
            Query::Ratio { of, to } => {
                let (top, bottom) = (self.part(of, &range)?, self.part(to, &range)?);
                // No child of the upper part may exist yet, which is 0; nothing below is no value.
                Ok(format!("({top} or {bottom} * 0) / ({bottom} > 0)"))
            }
        }
    }

    /// The growth of a counter of a family over a window such as `5m`.
    pub fn part(&self, part: &Part, range: &str) -> Result<String, Unavailable> {
        let name = self.name(&part.family)?;
        let label =
            part.label.as_ref().map(|label| format!("{label}=~\"[{}].*\"", part.starts_with));
        let mut matchers: Vec<String> = label.into_iter().collect();
        if part.family == "http_requests" {
            matchers.push("method=\"POST\"".into());
            matchers.push(format!("handler!~\".*({})\"", NO_INFERENCE.join("|")));
        }
        Ok(self.growth(&name, range, &matchers))
    }

    /// The growth of one counter by its full name, summed by the labels that are kept.
    pub fn growth(&self, name: &str, range: &str, matchers: &[String]) -> String {
        let by = self.by.join(", ");
        format!("sum by ({by}) (increase({name}{}[{range}]))", self.matchers(matchers))
    }

    /// The name of a family at the target, or why it has none.
    pub fn name(&self, family: &str) -> Result<String, Unavailable> {
        let Some(known) = families::family(family) else {
            return Err(format!("no metric family is called `{family}`"));
        };
        let engine = Engine::of(self.version);
        let lives = |name: &&families::Name| {
            name.lives(engine).any(|life| life.contains(self.version) && !life.hides(self.version))
        };
        let there = |name: &&families::Name| match &self.exported {
            Some(exported) => exported.iter().any(|it| *it == known.kind.sample(name.name)),
            None => lives(name),
        };
        let found = known.names.iter().find(there).map(|name| name.name.to_owned());
        let version = self.version.to_string();
        found.ok_or_else(|| families::why_absent(family, Some(&version), engine))
    }

    fn without_metrics(&self, measure: &Measure) -> Result<String, Unavailable> {
        if !measure.probe.is_empty() {
            let by = self.by.join(", ");
            return Ok(format!("min by ({by}) (up{})", self.matchers(&[])));
        }
        match &measure.cloudwatch {
            Some(query) => Err(match &query.namespace {
                None => format!(
                    "vLLM exports nothing like it: the gateway writes {} to CloudWatch",
                    query.metric
                ),
                Some(namespace) => format!(
                    "vLLM exports nothing like it: CloudWatch has {} in {namespace}",
                    query.metric
                ),
            }),
            None => Err("no backend has it".into()),
        }
    }

    fn matchers(&self, more: &[String]) -> String {
        let own = Some(self.selector.clone()).filter(|own| !own.is_empty());
        let all: Vec<String> = own.into_iter().chain(more.iter().cloned()).collect();
        if all.is_empty() { String::new() } else { format!("{{{}}}", all.join(",")) }
    }

    fn by_and(&self, label: &str) -> String {
        let labels = std::iter::once(label).chain(self.by.iter().map(String::as_str));
        labels.collect::<Vec<_>>().join(", ")
    }
}

/// What an exporter beside the server is asked; its series carry none of the server's labels.
fn of_exporter(query: &ExporterQuery, range: &str) -> String {
    let metric = &query.metric;
    let value = match (&query.rest, query.growth) {
        (Some(rest), _) => format!("{metric} / ({metric} + {rest})"),
        (None, true) => format!("increase({metric}[{range}])"),
        (None, false) => metric.clone(),
    };
    let folded = format!("max by ({}) ({value})", query.by.join(", "));
    query.scale.map_or(folded.clone(), |scale| format!("{folded} * {scale}"))
}

impl Part {
    /// All children of a counter.
    pub fn whole(family: &str) -> Self {
        Self { family: family.into(), label: None, starts_with: String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::load::Rules;

    fn dialect(version: &str) -> Dialect {
        Dialect {
            version: Version::parse(version).unwrap(),
            exported: None,
            selector: "job=\"vllm\"".into(),
            by: vec!["model_name".into()],
        }
    }

    fn ask(dialect: &Dialect, id: &str) -> Result<String, Unavailable> {
        dialect.expression(&Rules::embedded().unwrap().measures[id], 300.0)
    }

    #[test]
    fn names_are_those_of_the_release() {
        let now = ask(&dialect("0.23.0"), "itl_p99_seconds").unwrap();
        let before = ask(&dialect("0.8.5"), "itl_p99_seconds").unwrap();
        assert_eq!(
            now,
            "histogram_quantile(0.99, sum by (le, model_name) \
             (rate(vllm:inter_token_latency_seconds_bucket{job=\"vllm\"}[5m])))"
        );
        assert!(before.contains("vllm:time_per_output_token_seconds_bucket"), "{before}");
    }

    #[test]
    fn what_the_target_lacks_says_why_and_who_has_it() {
        let missing = ask(&dialect("0.8.5"), "tpot_p95_seconds").unwrap_err();
        assert!(missing.contains("it exists from 0.1"), "{missing}");
        let gateway = ask(&dialect("0.23.0"), "oom_caught_count").unwrap_err();
        assert!(gateway.contains("OOMCaught to CloudWatch"), "{gateway}");
        let mut exporting = dialect("0.23.0");
        exporting.exported = Some(vec!["vllm:num_requests_running".into()]);
        assert!(ask(&exporting, "waiting_requests").unwrap_err().contains("num_requests_waiting"));
        assert!(ask(&exporting, "running_requests").is_ok());
    }

    #[test]
    fn a_ratio_divides_sums_and_is_silent_where_nothing_happened() {
        let ratio = ask(&dialect("0.23.0"), "failed_5xx_ratio").unwrap();
        assert!(ratio.contains("status=~\"[5].*\"") && ratio.contains("> 0)"), "{ratio}");
    }
}

//! Signals over time: page by page, and part by part where a sum hides what one replica or GPU does.

use std::collections::BTreeMap;

use crate::evidence::{
    Evidence, Span, Time, View,
    gpu::Gpu,
    series::{ENGINE, Engine, REPLICA},
};

use super::{Derive, Frame, Signal, families};

/// A signal between each two pages.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Course {
    /// Time of the later page, and the value; finite only.
    pub points: Vec<(Time, f64)>,
    /// The same where only a bucket is known that holds the value: time, least, most.
    pub buckets: Vec<(Time, f64, f64)>,
    /// Times between two pages of which it says nothing, neighbours joined.
    pub gaps: Vec<(Time, Time)>,
}

/// A signal between each two pages of `span`. Signals that compare two spans have no course of
/// their own.
pub fn over_time(evidence: &Evidence, signal: &Signal, span: Span) -> Course {
    let mut course = Course::default();
    let Derive::Span(derive) = signal.derive else { return course };
    for part in Frame::new(evidence, span).intervals() {
        let Span { from, to } = part.view.span();
        match derive(&part).ok().filter(|estimate| estimate.point.is_finite()) {
            Some(estimate) => {
                course.points.push((to, estimate.point));
                if estimate.bucket {
                    course.buckets.push((to, estimate.lo, estimate.hi));
                }
            }
            None => course.skip(from, to),
        }
    }
    course
}

impl Course {
    fn skip(&mut self, from: Time, to: Time) {
        match self.gaps.last_mut() {
            Some(last) if last.1 >= from => last.1 = to,
            _ => self.gaps.push((from, to)),
        }
    }
}

/// A signal over time on one replica, engine or GPU.
#[derive(Debug, Clone, PartialEq)]
pub struct PartCourse {
    /// The signal's name.
    pub signal: &'static str,
    /// What tells the part from the others, e.g. `instance`.
    pub labels: BTreeMap<String, String>,
    /// Time and value, in time order.
    pub points: Vec<(Time, f64)>,
}

/// Gauges that every engine has of its own.
const BY_ENGINE: [(&str, &str); 3] = [
    ("waiting_mean_requests", "waiting"),
    ("running_mean_requests", "running"),
    ("kv_cache_usage_mean_ratio", "kv_cache_usage"),
];

/// What every GPU tells of itself.
type OfGpu = fn(&Gpu) -> Option<f64>;
const BY_GPU: [(&str, OfGpu); 2] = [
    ("gpu_utilisation_ratio", |gpu| Some(f64::from(gpu.utilisation_percent.get()?) / 100.0)),
    ("gpu_memory_used_ratio", |gpu| {
        let memory = gpu.memory.get().filter(|memory| memory.total > 0)?;
        Some(memory.used as f64 / memory.total as f64)
    }),
];

/// Signals by engine and by GPU, where there are several of them; the fullest first.
pub fn by_part(evidence: &Evidence) -> Vec<PartCourse> {
    let engines = BY_ENGINE.iter().flat_map(|(signal, family)| engines(evidence, signal, family));
    let gpus = BY_GPU.iter().flat_map(|(signal, value)| gpus(evidence, signal, *value));
    engines.chain(gpus).collect()
}

fn engines(evidence: &Evidence, signal: &'static str, family: &str) -> Vec<PartCourse> {
    let Some(name) = families::exported(family, &evidence.series) else { return Vec::new() };
    let whole = View::new(&evidence.series, Span { from: f64::MIN, to: f64::MAX });
    let engines = whole.gauge_by_engine(name).into_iter();
    let courses = engines.map(|(engine, points)| PartCourse {
        signal,
        labels: labels(engine),
        points: points.into_iter().map(|point| (point.at, point.value)).collect(),
    });
    several(courses.collect())
}

fn labels((replica, rank): Engine<'_>) -> BTreeMap<String, String> {
    let known = [(REPLICA, replica), (ENGINE, rank)].into_iter();
    known.filter_map(|(name, value)| Some((name.to_string(), value?.to_string()))).collect()
}

fn gpus(evidence: &Evidence, signal: &'static str, value: OfGpu) -> Vec<PartCourse> {
    let mut by_index: BTreeMap<u32, Vec<(Time, f64)>> = BTreeMap::new();
    for look in &evidence.gpus {
        for gpu in look.of_server() {
            if let Some(value) = value(gpu) {
                by_index.entry(gpu.index).or_default().push((look.at, value));
            }
        }
    }
    let courses = by_index.into_iter().map(|(index, points)| PartCourse {
        signal,
        labels: BTreeMap::from([("gpu".to_string(), index.to_string())]),
        points,
    });
    several(courses.collect())
}

/// One part alone says what the whole says.
fn several(mut courses: Vec<PartCourse>) -> Vec<PartCourse> {
    courses.retain(|course| !course.points.is_empty());
    if courses.len() < 2 {
        return Vec::new();
    }
    let most = |course: &PartCourse| course.points.iter().map(|point| point.1).fold(0.0, f64::max);
    courses.sort_by(|a, b| most(b).total_cmp(&most(a)));
    courses
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::GpuSnapshot;
    use crate::evidence::gpu::Field;

    fn pages(values: &[(&str, f64, f64)]) -> Evidence {
        let mut evidence = Evidence::default();
        for at in [10.0, 20.0] {
            evidence.series.begin_page(at);
            for (replica, first, second) in values {
                let labels = vec![(REPLICA.to_string(), (*replica).to_string())];
                let value = if at < 15.0 { *first } else { *second };
                let name = "vllm:num_requests_waiting";
                evidence.series.record(replica, at, value, || (name.into(), labels));
            }
        }
        evidence
    }

    #[test]
    fn replicas_stand_apart_and_the_fullest_comes_first() {
        let courses = by_part(&pages(&[("a:1", 1.0, 2.0), ("b:1", 3.0, 9.0)]));
        let names: Vec<&str> = courses.iter().map(|it| it.labels[REPLICA].as_str()).collect();
        assert_eq!(names, ["b:1", "a:1"]);
        assert_eq!(courses[0].points, [(10.0, 3.0), (20.0, 9.0)]);
        assert_eq!(by_part(&pages(&[("a:1", 1.0, 2.0)])), [], "one alone is the whole");
    }

    #[test]
    fn each_gpu_has_its_own_course() {
        let gpu = |index, percent| Gpu {
            index,
            utilisation_percent: Field::Value(percent),
            ..Gpu::default()
        };
        let look =
            GpuSnapshot { at: 5.0, gpus: vec![gpu(0, 40), gpu(1, 90)], ..Default::default() };
        let courses = by_part(&Evidence { gpus: vec![look], ..Evidence::default() });
        assert_eq!(courses.len(), 2, "what a GPU does not tell has no course");
        assert_eq!((courses[0].labels["gpu"].as_str(), courses[0].points[0].1), ("1", 0.9));
    }

    #[test]
    fn an_interval_without_a_value_is_a_gap_and_not_zero() {
        let mut evidence = Evidence::default();
        for (at, count) in [(0.0, 1.0), (10.0, 2.0), (20.0, 2.0), (30.0, 2.0), (40.0, 5.0)] {
            evidence.series.begin_page(at);
            for (name, value) in [("_sum", count), ("_count", count)] {
                let name = format!("vllm:time_to_first_token_seconds{name}");
                evidence.series.record(&name.clone(), at, value, || (name, Vec::new()));
            }
        }
        let signal = super::super::find("ttft_mean_seconds").unwrap();
        let course = over_time(&evidence, signal, Span { from: 0.0, to: 40.0 });
        let times: Vec<f64> = course.points.iter().map(|point| point.0).collect();
        assert_eq!((times, course.gaps), (vec![10.0, 40.0], vec![(10.0, 30.0)]));
    }
}

//! GetMetricData, a value a minute.

use serde_json::{Value, json};

use super::{FROM, MINUTES};

/// What one adapter's requests of one minute are like.
#[derive(Clone, Copy)]
pub struct Minute {
    pub requests: f64,
    pub queue_ms: f64,
    pub ttft_ms: f64,
    pub generation_ms: f64,
    pub input: f64,
    pub output: f64,
    /// Share of prefix-cache hits.
    pub hits: f64,
}

impl Default for Minute {
    fn default() -> Self {
        Self {
            requests: 120.0,
            queue_ms: 8.0,
            ttft_ms: 140.0,
            generation_ms: 2600.0,
            input: 700.0,
            output: 200.0,
            hits: 0.82,
        }
    }
}

/// One number of a minute.
type Part = fn(&Minute) -> f64;

/// The answer as it grows.
#[derive(Default)]
pub struct Metrics {
    queries: Vec<Value>,
    results: Vec<Value>,
}

/// Each minute a little off, the same way every time.
fn uneven(minute: usize, salt: usize) -> f64 {
    let wave = ((minute * 7 + salt * 13) % 11) as f64 / 10.0 - 0.5;
    1.0 + 0.08 * wave
}

impl Metrics {
    /// One statistic of one metric.
    pub fn add(
        &mut self,
        (namespace, name): (&str, &str),
        dimensions: &[(&str, &str)],
        statistic: &str,
        value: impl Fn(usize) -> Option<f64>,
    ) -> &mut Self {
        let id = format!("m{}", self.queries.len());
        let dimensions: Vec<Value> =
            dimensions.iter().map(|(name, value)| json!({"Name": name, "Value": value})).collect();
        let metric = json!({"Namespace": namespace, "MetricName": name, "Dimensions": dimensions});
        let stat = json!({"Metric": metric, "Period": 60, "Stat": statistic});
        self.queries.push(json!({"Id": id, "MetricStat": stat}));
        // CloudWatch gives the newest first.
        let points = (0..MINUTES).rev().filter_map(|minute| Some((minute, value(minute)?)));
        let (times, values): (Vec<i64>, Vec<f64>) =
            points.map(|(minute, value)| (FROM + 60 * minute as i64, value)).unzip();
        self.results.push(
            json!({"Id": id, "StatusCode": "Complete", "Timestamps": times, "Values": values}),
        );
        self
    }

    /// All that the gateway sends of one adapter.
    pub fn adapter(&mut self, adapter: &str, of: impl Fn(usize) -> Option<Minute>) -> &mut Self {
        let dimensions = [("AdapterId", adapter), ("BackendVersion", "0.11.0")];
        let parts: [(&str, Part); 7] = [
            ("QueueWaitMs", |it| it.queue_ms),
            ("TTFTMs", |it| it.ttft_ms),
            ("GenerationMs", |it| it.generation_ms),
            ("InputTokens", |it| it.input),
            ("OutputTokens", |it| it.output),
            ("PrefixCacheHit", |it| it.hits),
            ("TokenBudgetTrimmed", |_| 0.05),
        ];
        for (salt, (name, part)) in parts.into_iter().enumerate() {
            let metric = ("MangaAssist/Inference", name);
            let count = |minute: usize| Some(of(minute)?.requests);
            let mean = |minute: usize| Some(part(&of(minute)?) * uneven(minute, salt));
            self.add(metric, &dimensions, "SampleCount", count);
            self.add(metric, &dimensions, "Sum", |minute| Some(mean(minute)? * count(minute)?));
            self.add(metric, &dimensions, "Average", mean);
            if name.ends_with("Ms") {
                self.add(metric, &dimensions, "p95", |minute| Some(mean(minute)? * 1.6));
            }
        }
        self
    }

    /// What the endpoint counts: requests a minute, and how many of them failed by 4xx and 5xx.
    pub fn invocations(&mut self, of: impl Fn(usize) -> (f64, f64, f64)) -> &mut Self {
        let dimensions = [("EndpointName", "chat"), ("VariantName", "main")];
        let mut add = |name: &str, value: &dyn Fn(usize) -> f64| {
            self.add(("AWS/SageMaker", name), &dimensions, "Sum", |minute| Some(value(minute)));
        };
        add("Invocations", &|minute| of(minute).0);
        add("Invocation4XXErrors", &|minute| of(minute).1);
        add("Invocation5XXErrors", &|minute| of(minute).2);
        self
    }

    /// The answer as of another hour, which ends then.
    pub fn ending_at(&self, end: u64) -> Value {
        let mut answer = self.answer();
        let shift = end as i64 - (FROM + 60 * MINUTES as i64);
        for result in answer["output"]["MetricDataResults"].as_array_mut().unwrap() {
            for time in result["Timestamps"].as_array_mut().unwrap() {
                *time = json!(time.as_i64().unwrap() + shift);
            }
        }
        answer
    }

    /// The answer.
    pub fn answer(&self) -> Value {
        json!({"service": "cloudwatch", "operation": "GetMetricData",
            "input": {"MetricDataQueries": self.queries},
            "output": {"MetricDataResults": self.results}})
    }
}

//! The REST API of MLflow 2 and 3, with as few requests as each allows.

use std::cell::Cell;

use serde_json::{Value, json};

use super::record;
use crate::{
    evidence::{SourceState, bundle::shown},
    sources::http::{Answer, Client, Failure},
};

/// Traces taken of one part of the time, where whole traces come in batches.
const BATCHED: usize = 50;
/// The same where each trace is a request of its own.
const SINGLE: usize = 10;
/// Pages of one search; a server may answer with short ones.
const PAGES: usize = 4;
/// Most experiments asked for at once.
const EXPERIMENTS: usize = 100;
/// Characters kept of what a server says of an error.
const MAX_SAID: usize = 200;

/// Why a request gave nothing.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    pub(super) state: SourceState,
    pub(super) why: String,
}

/// Experiments as id and name, those that there are not, and whether there are more.
pub(super) struct Experiments {
    pub(super) known: Vec<(String, String)>,
    pub(super) unknown: Vec<String>,
    pub(super) more: bool,
}

/// Traces of one part of the time.
#[derive(Default)]
pub(super) struct Sample {
    pub(super) traces: Vec<Value>,
    pub(super) looked: usize,
    pub(super) more: bool,
    /// Why some traces could not be read.
    pub(super) refused: Option<Refusal>,
}

/// A tracking server, and what it was found to speak.
pub(super) struct Api<'a> {
    client: &'a Client,
    experiments: Vec<String>,
    version: Cell<u8>,
    batches: Cell<bool>,
}

/// The experiments of these names or ids; without any, all that are active.
pub(super) async fn experiments(
    client: &Client,
    wanted: &[String],
) -> Result<Experiments, Refusal> {
    let mut found = Experiments { known: Vec::new(), unknown: Vec::new(), more: false };
    if wanted.is_empty() {
        let ask = json!({"max_results": EXPERIMENTS, "view_type": "ACTIVE_ONLY"});
        let answer = client.post("/api/2.0/mlflow/experiments/search", &ask).await;
        let page = json_of(client, answer)?;
        found.known = items(&page["experiments"]).filter_map(experiment).collect();
        found.more = page["next_page_token"].as_str().is_some_and(|token| !token.is_empty());
        return Ok(found);
    }
    for name in wanted {
        match one_experiment(client, name).await? {
            Some(known) => found.known.push(known),
            None => found.unknown.push(name.clone()),
        }
    }
    Ok(found)
}

async fn one_experiment(client: &Client, name: &str) -> Result<Option<(String, String)>, Refusal> {
    let is_id = name.bytes().all(|byte| byte.is_ascii_digit());
    let by = [("get-by-name", "experiment_name", true), ("get", "experiment_id", is_id)];
    for (call, key, _) in by.into_iter().filter(|(.., asked)| *asked) {
        let path = format!("/api/2.0/mlflow/experiments/{call}");
        let answer = client.get_with(&path, &[(key, name)]).await;
        if answer.as_ref().is_ok_and(|answer| answer.status == 404 && says_absent(answer)) {
            continue;
        }
        return Ok(experiment(&json_of(client, answer)?["experiment"]));
    }
    Ok(None)
}

/// Whether it is MLflow that says so, and not a server without such a path.
fn says_absent(answer: &Answer) -> bool {
    let said = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
    said["error_code"] == "RESOURCE_DOES_NOT_EXIST"
}

fn experiment(value: &Value) -> Option<(String, String)> {
    let id = value["experiment_id"].as_str()?;
    Some((id.into(), value["name"].as_str().unwrap_or(id).into()))
}

impl<'a> Api<'a> {
    pub(super) fn new(client: &'a Client, experiments: Vec<String>) -> Self {
        Self { client, experiments, version: Cell::new(3), batches: Cell::new(true) }
    }

    /// The last traces from `from` until before `to`, Unix milliseconds.
    pub(super) async fn sample(&self, (from, to): (u64, u64)) -> Result<Sample, Refusal> {
        let (ids, mut more) = self.search(from, to).await?;
        let mut sample = Sample { looked: ids.len(), ..Sample::default() };
        let mut left = ids;
        if self.version.get() == 3 && self.batches.get() && !left.is_empty() {
            match self.batch(&left).await {
                Ok((traces, got)) => {
                    sample.traces = traces;
                    left.retain(|id| !got.contains(id));
                }
                // Servers before the batch existed take its name for a trace's id.
                Err(refusal) if refusal.state == SourceState::Unsupported => {
                    self.batches.set(false);
                }
                Err(refusal) => return Err(refusal),
            }
        }
        more |= left.len() > SINGLE;
        sample.looked -= left.len().saturating_sub(SINGLE);
        left.truncate(SINGLE);
        for id in &left {
            match self.artifact(id).await {
                Ok(traces) => sample.traces.extend(traces),
                Err(refusal) => sample.refused = Some(refusal),
            }
        }
        sample.more = more;
        Ok(sample)
    }

    /// Ids of the last traces of a time, and whether there are more.
    async fn search(&self, from: u64, to: u64) -> Result<(Vec<String>, bool), Refusal> {
        let (mut ids, mut token) = (Vec::new(), String::new());
        for _ in 0..PAGES {
            let filter = format!("timestamp_ms >= {from} AND timestamp_ms < {to}");
            let page = self.page(&filter, &token).await?;
            let id = |info: &Value| {
                let id = info["trace_id"].as_str().or_else(|| info["request_id"].as_str());
                id.map(String::from)
            };
            ids.extend(items(&page["traces"]).filter_map(id));
            token = page["next_page_token"].as_str().unwrap_or_default().into();
            if token.is_empty() || ids.len() >= BATCHED {
                break;
            }
        }
        let more = !token.is_empty() || ids.len() > BATCHED;
        ids.truncate(BATCHED);
        Ok((ids, more))
    }

    async fn page(&self, filter: &str, token: &str) -> Result<Value, Refusal> {
        if self.version.get() == 3 {
            match self.page_of_3(filter, token).await {
                Err(refusal) if refusal.state == SourceState::Unsupported => self.version.set(2),
                answered => return answered,
            }
        }
        self.page_of_2(filter, token).await
    }

    async fn page_of_3(&self, filter: &str, token: &str) -> Result<Value, Refusal> {
        let place = |id: &String| json!({"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": id}});
        let mut ask = json!({
            "locations": self.experiments.iter().map(place).collect::<Vec<_>>(),
            "filter": filter,
            "max_results": BATCHED,
            "order_by": ["timestamp_ms DESC"],
        });
        if !token.is_empty() {
            ask["page_token"] = token.into();
        }
        json_of(self.client, self.client.post("/api/3.0/mlflow/traces/search", &ask).await)
    }

    async fn page_of_2(&self, filter: &str, token: &str) -> Result<Value, Refusal> {
        let most = BATCHED.to_string();
        let mut query: Vec<(&str, &str)> =
            self.experiments.iter().map(|id| ("experiment_ids", id.as_str())).collect();
        query.extend([("filter", filter), ("max_results", &most)]);
        query.push(("order_by", "timestamp_ms DESC"));
        if !token.is_empty() {
            query.push(("page_token", token));
        }
        json_of(self.client, self.client.get_with("/api/2.0/mlflow/traces", &query).await)
    }

    /// The requests in whole traces, and the ids of those that came.
    async fn batch(&self, ids: &[String]) -> Result<(Vec<Value>, Vec<String>), Refusal> {
        let query: Vec<_> = ids.iter().map(|id| ("trace_ids", id.as_str())).collect();
        let answer = self.client.get_with("/api/3.0/mlflow/traces/batchGet", &query).await;
        let page = json_of(self.client, answer)?;
        let whole = || items(&page["traces"]).filter(|trace| trace["spans"].is_array());
        let got = whole().filter_map(|trace| trace["trace_info"]["trace_id"].as_str());
        let got = got.map(String::from).collect();
        Ok((whole().flat_map(|trace| record::requests(&trace["spans"])).collect(), got))
    }

    /// The requests in one trace, by way of what MLflow's own page asks for.
    async fn artifact(&self, id: &str) -> Result<Vec<Value>, Refusal> {
        let path = "/ajax-api/2.0/mlflow/get-trace-artifact";
        let answer = self.client.get_with(path, &[("request_id", id)]).await;
        Ok(record::requests(&json_of(self.client, answer)?["spans"]))
    }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn json_of(client: &Client, answer: Result<Answer, Failure>) -> Result<Value, Refusal> {
    let answer = answer.map_err(|failure| Refusal {
        state: failure.kind.state(),
        why: format!("{}: {}", failure.kind.word(), failure.detail),
    })?;
    let said = serde_json::from_slice::<Value>(&answer.body);
    if answer.status == 200 {
        return said.map_err(|error| {
            let why = format!("the answer is not MLflow's: {error}");
            Refusal { state: SourceState::BadData, why }
        });
    }
    let said = said.unwrap_or_default();
    let message: String =
        said["message"].as_str().unwrap_or_default().chars().take(MAX_SAID).collect();
    let message = client.text(message.as_bytes());
    let state = match answer.status {
        401 | 403 => SourceState::Unauthorized,
        404 | 405 | 501 => SourceState::Unsupported,
        _ => SourceState::BadData,
    };
    let why = format!("status {} {}", answer.status, shown(&message)).trim_end().into();
    Err(Refusal { state, why })
}

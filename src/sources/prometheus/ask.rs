//! Queries on their way.

use futures_util::{StreamExt, stream};

use super::{
    Options, alerts,
    answer::{self, Trouble},
    plan, query,
    record::{Answered, Column, Grain, Part, Record},
    replicas::Replicas,
};
use crate::{
    evidence::{SourceState, Span},
    sources::http::Client,
};

/// Most bytes of one answer.
const MAX_BODY: usize = 64 << 20;

/// Queries under way at once: half of what Prometheus works on at a time is left to others.
const AT_ONCE: usize = 4;

/// Port where Prometheus listens.
const PORT: u16 = 9090;

/// Asks one Prometheus.
pub(super) struct Asker {
    client: Client,
    from_ms: i64,
}

impl Asker {
    pub(super) fn new(options: &Options, from_ms: i64) -> Result<Self, Trouble> {
        let client = Client::new(&base(&options.url), &options.http)
            .map_err(|why| Trouble { state: SourceState::BadData, why })?;
        Ok(Self { client, from_ms })
    }

    /// The series that a query gives at one moment.
    pub(super) async fn at(
        &self,
        query: &str,
        at: f64,
        record: &mut Record,
    ) -> Result<Vec<Column>, Trouble> {
        let at = format!("{at:.3}");
        let answers = self.post("/api/v1/query", &[("query", query), ("time", &at)]).await?;
        heed(record, answers.warnings);
        Ok(answers.series)
    }

    /// Asks for all samples of `series` by the record's grain, part by part.
    pub(super) async fn history(
        &self,
        part: Part,
        series: &str,
        reach: Span,
        many: f64,
        record: &mut Record,
    ) -> Result<(), Trouble> {
        for span in plan::parts(reach, many, record.spacing()) {
            let (query, columns) = match record.grain {
                Grain::Samples => {
                    let query = format!("{series}[{}]", query::range(span));
                    let columns = self.at(&query, span.to, record).await?;
                    (query, columns)
                }
                Grain::Steps(step) | Grain::Fleet(step) => {
                    let query = format!("last_over_time({series}[{}])", window(step));
                    let answers = self.range(&query, span, step).await?;
                    heed(record, answers.warnings);
                    (query, answers.series)
                }
            };
            self.keep(record, part, query, columns);
        }
        Ok(())
    }

    /// Asks for the growth of each of `names` in every step, summed over the replicas.
    pub(super) async fn sums(
        &self,
        names: &[String],
        without: &str,
        selector: &str,
        reach: Span,
        record: &mut Record,
    ) -> Result<(), Trouble> {
        let step = record.spacing();
        let asked = names.iter().map(|name| async move {
            let series = query::series(name, selector);
            let query = format!("sum without ({without}) (increase({series}[{}]))", window(step));
            let mut answers = self.range(&query, reach, step).await?;
            for column in &mut answers.series {
                column.labels.insert("__name__".into(), name.clone());
            }
            Ok((query, answers))
        });
        let mut asked = stream::iter(asked).buffered(AT_ONCE);
        let mut outcome = Ok(());
        while let Some(answered) = asked.next().await {
            match answered {
                Ok((query, answers)) => {
                    heed(record, answers.warnings);
                    self.keep(record, Part::Sums, query, answers.series);
                }
                Err(trouble) => outcome = Err(trouble),
            }
        }
        outcome
    }

    /// Asks for the alerts that fired and concern the replicas.
    pub(super) async fn alerts(
        &self,
        replicas: &Replicas,
        reach: Span,
        record: &mut Record,
    ) -> Result<(), Trouble> {
        let step = alerts::step(reach, record.spacing());
        let query = format!("last_over_time(ALERTS{{alertstate=\"firing\"}}[{}])", window(step));
        let mut answers = self.range(&query, reach, step).await?;
        heed(record, answers.warnings);
        answers.series.retain(|it| alerts::concerns(&it.labels, replicas));
        self.keep(record, Part::Alerts, query, answers.series);
        Ok(())
    }

    pub(super) fn keep(&self, record: &mut Record, part: Part, query: String, series: Vec<Column>) {
        record.answers.push(Answered { part, query, series });
    }

    async fn range(&self, query: &str, span: Span, step: f64) -> Result<answer::Answers, Trouble> {
        // The step at the start of a part is the last one of the part before it.
        let steps = ((span.seconds() / step) - 1e-9).ceil().max(1.0) - 1.0;
        let start = format!("{:.3}", span.to - steps * step);
        let (end, step) = (format!("{:.3}", span.to), step.to_string());
        let form = [("query", query), ("start", &start), ("end", &end), ("step", &step)];
        self.post("/api/v1/query_range", &form).await
    }

    /// Asks for a page beside the queries; `None` where it is not there.
    pub(super) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Option<Vec<u8>> {
        let answer = self.client.get_with(path, query).await.ok()?;
        (answer.status == 200).then_some(answer.body)
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Result<answer::Answers, Trouble> {
        let shown = self.client.shown(path);
        let answered = self.client.post_form(path, form, MAX_BODY).await;
        let answered = answered.map_err(|failure| answer::failed(&failure, &shown))?;
        let text = self.client.text(&answered.body);
        answer::read(&answered, &text, self.from_ms)
    }
}

/// Keeps what Prometheus warns of: parts of a cluster that did not answer, for one.
fn heed(record: &mut Record, warnings: Vec<String>) {
    for warning in warnings {
        let warning = format!("it warns: {}", warning.chars().take(200).collect::<String>());
        if !record.lost.contains(&warning) {
            record.lost.push(warning);
        }
    }
}

fn window(step: f64) -> String {
    format!("{}ms", (step * 1e3).round() as u64)
}

/// The base URL of what people give: with or without scheme, port and API path.
fn base(url: &str) -> String {
    let url = url.trim().trim_end_matches('/');
    let url = url.strip_suffix("/api/v1").unwrap_or(url);
    match url.contains("://") || url.contains(':') {
        true => url.into(),
        false => format!("http://{url}:{PORT}"),
    }
}

#[cfg(test)]
mod tests {
    use super::base;

    #[test]
    fn a_base_is_taken_as_people_type_it() {
        assert_eq!(base("prometheus"), "http://prometheus:9090");
        assert_eq!(base("h:1234"), "h:1234");
        assert_eq!(base("https://mimir/prometheus/api/v1/"), "https://mimir/prometheus");
    }
}

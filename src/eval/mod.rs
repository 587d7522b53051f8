//! How often the verdict is right, counted on incidents whose truth is known.
//!
//! Everything here is arithmetic on pairs of a label and a report: finding and judging recordings
//! is the command's work, and a test may bring pairs of its own.

mod baselines;
pub mod published;
pub mod render;
mod score;

use serde::{Deserialize, Serialize};

use crate::{
    report::{CauseFound, Report, Status, Verdict},
    runbook::{Library, Severity},
};

pub use score::{Bin, Cell, Errors, Miss, Rate, Score};

/// The truth about a recording: `label.json`. Unknown keys are ignored.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Label {
    /// The true causes, most important first; none for a healthy system.
    pub causes: Vec<String>,
    /// Right too: never required, and never counted against precision.
    pub also_accepted: Vec<String>,
    /// When it began, Unix seconds.
    pub onset: Option<f64>,
    /// Whether something is wrong that the catalogue of causes does not hold.
    pub outside: bool,
}

impl Label {
    /// Whether naming this cause is right at all.
    pub fn accepts(&self, cause: &str) -> bool {
        self.causes.iter().chain(&self.also_accepted).any(|right| right == cause)
    }

    /// Whether naming this cause first is right: no lesser cause may stand before the main one.
    fn accepts_first(&self, cause: &str) -> bool {
        self.causes.first().into_iter().chain(&self.also_accepted).any(|right| right == cause)
    }

    /// What the truth asks of a verdict. An incident lies outside where its main cause does.
    fn truth(&self, library: &Library) -> Truth {
        match self.causes.first() {
            _ if self.outside => Truth::Outside,
            None => Truth::Healthy,
            Some(main) if library.causes.contains_key(main) => Truth::Incident,
            Some(_) => Truth::Outside,
        }
    }
}

/// What the truth asks of a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// No cause and no alarm.
    Healthy,
    /// The true causes.
    Incident,
    /// No cause, as none that is known is true.
    Outside,
}

/// A cause that was named, with its probability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Named {
    /// The cause.
    pub id: String,
    /// How sure the judge was.
    pub probability: f64,
}

/// What a judge said about a case.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// The causes named, first one first.
    pub named: Vec<Named>,
    /// Whether it said that something is wrong.
    pub alarm: bool,
    /// When it says it began, Unix seconds.
    pub onset: Option<f64>,
    /// Share of what was asked that could be answered.
    pub coverage: Option<f64>,
}

impl Answer {
    /// The answer of a report. Causes of severity `info` change no verdict, so they count only
    /// where they are the truth.
    fn of(report: &Report, label: &Label) -> Self {
        let counts = |cause: &&CauseFound| {
            let firm = cause.severity > Severity::Info || label.accepts(&cause.id);
            cause.status == Status::Supported && firm
        };
        let named = report
            .causes
            .iter()
            .filter(counts)
            .map(|cause| Named { id: cause.id.clone(), probability: cause.probability });
        let onset = report.onset.as_ref().and_then(|onset| onset.at.parse().ok());
        let asked = f64::from(report.coverage.asked);
        Self {
            named: named.collect(),
            alarm: matches!(report.verdict, Verdict::Degraded | Verdict::Critical),
            onset: onset.map(|at: jiff::Timestamp| at.as_millisecond() as f64 / 1e3),
            coverage: (asked > 0.0).then(|| f64::from(report.coverage.answered) / asked),
        }
    }

    /// The answer of a judge that names one cause, or none.
    fn naming(cause: Option<(&str, f64)>) -> Self {
        let named = cause.map(|(id, probability)| Named { id: id.into(), probability });
        Self { alarm: named.is_some(), named: named.into_iter().collect(), ..Self::default() }
    }

    fn first(&self) -> Option<&Named> {
        self.named.first()
    }
}

/// One judged case: the truth, and what each judge made of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Name of the case.
    pub name: String,
    /// The truth.
    pub label: Label,
    /// What the truth asks for.
    pub truth: Truth,
    /// The tool's answer.
    pub answer: Answer,
    /// The answer of fixed thresholds on the same readings.
    thresholds: Answer,
}

impl Trial {
    /// Compares a report with a label. The library says which causes are known.
    pub fn new(name: &str, label: Label, report: &Report, library: &Library) -> Self {
        Self {
            name: name.into(),
            truth: label.truth(library),
            answer: Answer::of(report, &label),
            thresholds: baselines::thresholds(report),
            label,
        }
    }
}

/// The score of the tool, and of two judges that know less.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Always 1.
    pub schema_version: u32,
    /// All cases.
    pub cases: usize,
    /// Incidents whose cause is in the catalogue.
    pub incidents: usize,
    /// Cases in which nothing is wrong.
    pub healthy: usize,
    /// Incidents outside the catalogue.
    pub outside: usize,
    /// `diagnose` first, then the baselines.
    pub judges: Vec<Score>,
}

impl Evaluation {
    /// Scores all judges on the same cases.
    pub fn of(trials: &[Trial]) -> Self {
        let count = |truth| trials.iter().filter(|trial| trial.truth == truth).count();
        let frequent = baselines::most_frequent(trials);
        let judged = |name: &str, answer: &dyn for<'a> Fn(&'a Trial) -> &'a Answer| {
            let pairs: Vec<_> = trials.iter().map(|trial| (trial, answer(trial))).collect();
            Score::of(name, &pairs)
        };
        let always: Vec<_> = trials.iter().map(|trial| (trial, &frequent)).collect();
        Self {
            schema_version: 1,
            cases: trials.len(),
            incidents: count(Truth::Incident),
            healthy: count(Truth::Healthy),
            outside: count(Truth::Outside),
            judges: vec![
                judged("diagnose", &|trial| &trial.answer),
                judged("one threshold per symptom", &|trial| &trial.thresholds),
                Score::of("most frequent cause", &always),
            ],
        }
    }

    /// The score of the tool itself.
    pub fn tool(&self) -> &Score {
        &self.judges[0]
    }
}

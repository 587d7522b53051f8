//! Judgement as data: runbooks, checks, causes and policy, read from YAML.

pub mod advice;
pub mod expr;
pub mod lint;
pub mod load;
pub mod problem;
pub mod rank;
pub mod trial;
pub mod versions;
pub mod walk;
pub mod xid;

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;

pub use advice::{Action, Fix, Help, Replicas, Risk};
pub use problem::{Problem, SourceFile};
pub use xid::{XidAction, XidHits, XidRow};

/// How bad a finding is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It explains; it never changes the verdict.
    Info,
    /// Degraded service.
    Warning,
    /// Users are failing.
    Critical,
}

/// How much a check weighs. The words are the contract; their size is in nats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// Nothing.
    None,
    /// 0.5 nats.
    Hint,
    /// 1 nat.
    Weak,
    /// 2 nats.
    Strong,
    /// 3 nats.
    Decisive,
}

/// One yes/no question, asked once and used by many causes and runbooks.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Stable id, e.g. `prefix-cache-hit-ratio-low`.
    #[schemars(with = "String")]
    pub id: Spanned<String>,
    /// The question, ending in a question mark.
    pub question: String,
    /// CEL over signals: `x` is now, `x_baseline` and `x_change` the other views,
    /// `policy_x` a threshold of policy.yaml.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub when: Option<Spanned<String>>,
    /// In place of `when`: whether a row of versions.yaml explains what other checks see.
    #[serde(default)]
    pub versions: bool,
    /// In place of `when`: whether the kernel's log holds an Xid that hits one of these, by xid.yaml.
    #[serde(default)]
    pub xid: Vec<XidHits>,
    /// The signal group: within a cause, only the strongest check of a group counts.
    pub group: Group,
    /// What yes means.
    pub yes: String,
    /// What no means.
    pub no: String,
    /// Present where a yes is a symptom that users or operators would see.
    #[serde(default)]
    pub symptom: Option<Symptom>,
}

/// What makes a check a symptom: it opens the gate, and it is a finding by itself.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Symptom {
    /// The signal shown.
    #[schemars(with = "String")]
    pub signal: Spanned<String>,
    /// The threshold shown: a number, or the name of a policy entry.
    #[serde(default)]
    pub threshold: Option<Threshold>,
    /// Severity when it holds.
    pub severity: Severity,
    /// CEL; when it holds too, the severity is critical.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub critical: Option<Spanned<String>>,
    /// CEL; while it holds, the symptom is expected: its severity is info, and only causes of
    /// severity info explain it.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub expected: Option<Spanned<String>>,
    /// One sentence for the report; `{now}`, `{baseline}`, `{era}` (before, or
    /// since start), `{change}` and `{threshold}` are filled in.
    pub statement: String,
    /// What the symptom may mean, where it alone does not say.
    #[serde(default)]
    pub readings: Vec<Meaning>,
}

/// One thing that a symptom may mean. Several may hold at once.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Meaning {
    /// Stable id.
    #[schemars(with = "String")]
    pub id: Spanned<String>,
    /// CEL over signals: it is this where the condition holds.
    #[schemars(with = "String")]
    pub when: Spanned<String>,
    /// One sentence for the report, said where it holds.
    pub text: String,
    /// Causes that may be behind it; none where it is no incident.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub causes: Vec<Spanned<String>>,
}

/// A number, or the name of a policy entry that holds it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Threshold {
    /// The number itself.
    Number(f64),
    /// Name in policy.yaml.
    Policy(String),
}

/// Groups of signals that tell the same thing.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Group {
    Latency,
    Queue,
    Arrivals,
    PromptSize,
    PromptTail,
    OutputSize,
    CachedStock,
    CacheMode,
    CeilingSlots,
    CeilingKv,
    CeilingBatchTokens,
    Preemption,
    StepCost,
    PrefillCost,
    Refusals,
    Aborts,
    Restart,
    Config,
    Host,
    Gpu,
    Adapter,
    Replica,
    Deploy,
    Cloud,
    Outage,
    Traffic,
}

/// A claim about why.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cause {
    /// Stable id.
    #[schemars(with = "String")]
    pub id: Spanned<String>,
    /// Causes of a family share a first fix.
    pub family: String,
    /// Short title.
    pub title: String,
    /// The claim, one sentence.
    pub claim: String,
    /// Severity when supported.
    pub severity: Severity,
    /// Whether more replicas would help against it.
    pub replicas: Replicas,
    /// All must be Yes. A No refutes; an Unknown makes the cause not examinable.
    #[serde(default)]
    pub requires: Vec<Item>,
    /// At least one must be Yes.
    pub decisive: Vec<Item>,
    /// Each adds to the score.
    #[serde(default)]
    pub supports: Vec<Item>,
    /// A Yes here takes away from the score.
    #[serde(default)]
    pub against: Vec<Item>,
    /// Signal groups this cause explains: struck for all others once it is found.
    #[serde(default)]
    pub explains: Vec<Group>,
    /// Causes that follow from this one.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub leads_to: Vec<Spanned<String>>,
    /// The check that separates it from its nearest rival.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub decided_by: Option<Spanned<String>>,
    /// The specific mechanism is named before the driver behind it.
    #[serde(default)]
    pub rank: Rank,
    /// What to do, safest first.
    #[serde(default)]
    pub fixes: Vec<Fix>,
}

/// Whether a cause is the mechanism that hurts or the driver behind one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rank {
    /// The specific mechanism: KV, preemption, configuration, refusals.
    #[default]
    Mechanism,
    /// What drives the load: arrivals, prompts, outputs.
    Driver,
    /// What follows from others, and is named after what leads to it.
    Effect,
}

/// A check with its weight.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Id of the check.
    #[schemars(with = "String")]
    pub check: Spanned<String>,
    /// Weight of a Yes.
    pub weight: Weight,
    /// Weight of a No, against.
    #[serde(default = "no_weight")]
    pub no: Weight,
}

fn no_weight() -> Weight {
    Weight::None
}

/// One symptom's decision tree, as an engineer walks it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Runbook {
    /// Stable id; also the command: `diagnose <id>`.
    #[schemars(with = "String")]
    pub id: Spanned<String>,
    /// Title.
    pub title: String,
    /// What users report, one sentence each.
    pub symptoms: Vec<String>,
    /// Checks (with a `symptom` block) that say whether this runbook's symptom holds. The first is
    /// its own: while that cannot be answered, nothing is called healthy.
    #[schemars(with = "Vec<String>")]
    pub gate: Vec<Spanned<String>>,
    /// The source without which nothing is called healthy.
    #[serde(default)]
    pub needs: Needs,
    /// First step.
    #[schemars(with = "String")]
    pub start: Spanned<String>,
    /// Steps by name.
    pub steps: BTreeMap<String, Step>,
    /// Causes that this runbook ranks. Empty: all.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub causes: Vec<Spanned<String>>,
    /// Its own tests.
    #[serde(default)]
    pub tests: Vec<Test>,
}

/// Sources without which a runbook calls nothing healthy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Needs {
    /// The server's own pages.
    #[default]
    Metrics,
    /// The endpoint of SageMaker.
    Sagemaker,
}

/// One step: a check and where each answer leads.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Id of the check asked.
    #[schemars(with = "String")]
    pub check: Spanned<String>,
    /// Where a Yes leads.
    pub then: Next,
    /// Where a No leads.
    #[serde(rename = "else")]
    pub otherwise: Next,
    /// Where an Unknown leads.
    pub unknown: Next,
}

/// Where an answer leads. Exactly one field is set.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Next {
    /// Another step.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub goto: Option<Spanned<String>>,
    /// A cause.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub cause: Option<Spanned<String>>,
    /// The end, with a sentence.
    #[serde(default)]
    pub done: Option<String>,
}

/// A test inside a runbook: given readings, the expected path and causes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// What is tested.
    pub name: String,
    /// The release of vLLM that runs.
    #[serde(default)]
    pub version: Option<String>,
    /// The release that ran before the symptom.
    #[serde(default)]
    pub version_before: Option<String>,
    /// Codes of Xid errors in the kernel's log.
    #[serde(default)]
    pub xids: Vec<u32>,
    /// Variables as CEL sees them (`x`, `x_baseline`, `x_change`). All else is missing.
    pub given: BTreeMap<String, f64>,
    /// What must come out.
    pub expect: Expect,
}

/// Expectations of a test; absent ones are not checked.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Steps walked.
    #[serde(default)]
    pub path: Option<Vec<String>>,
    /// The first cause, supported.
    #[serde(default)]
    pub cause: Option<String>,
    /// Causes that must not be supported.
    #[serde(default)]
    pub not: Vec<String>,
}

/// A known change or fault of a range of versions.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KnownChange {
    /// Stable id.
    #[schemars(with = "String")]
    pub id: Spanned<String>,
    /// The first version concerned.
    #[schemars(with = "String")]
    pub from: Spanned<String>,
    /// The first later version that is not; without it none is known.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub until: Option<Spanned<String>>,
    /// How it is known.
    pub kind: ChangeKind,
    /// What is seen, in words.
    pub symptom: String,
    /// The checks that see the symptom together, all with a yes. Empty: none can.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub checks: Vec<Spanned<String>>,
    /// When the symptom shows.
    #[serde(default)]
    pub strikes: Strikes,
    /// Where to look for it.
    pub see: String,
    /// What helps.
    pub remedy: String,
    /// Where it stands written.
    pub source: String,
}

/// When what is known of a version shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strikes {
    /// From the upgrade on: it explains a change only where the version changed too.
    #[default]
    SinceUpgrade,
    /// Also on a server that ran the same version well for days.
    AtAnyTime,
}

/// How a change is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// Proven in the source.
    BehaviourChange,
    /// What people saw; the reason need not be established.
    UserReport,
    /// What people saw, with a change in the source behind it.
    BehaviourChangeAndUserReport,
}

/// Everything that judges.
#[derive(Debug, Clone, Default)]
pub struct Library {
    /// Runbooks by id.
    pub runbooks: BTreeMap<String, Runbook>,
    /// Checks by id.
    pub checks: BTreeMap<String, Check>,
    /// Causes by id.
    pub causes: BTreeMap<String, Cause>,
    /// Thresholds by name.
    pub policy: BTreeMap<String, PolicyEntry>,
    /// The conditions of the checks, compiled when they were loaded.
    pub programs: BTreeMap<String, Arc<expr::Program>>,
    /// Known changes of vLLM by version, by id.
    pub versions: BTreeMap<String, KnownChange>,
    /// The catalogue of Xid errors, by id, e.g. `xid-79`.
    pub xids: BTreeMap<String, XidRow>,
    /// How often the judge was right on labelled cases, and the numbers fitted on them.
    pub track_record: TrackRecord,
    /// The files read, in order of loading.
    pub files: Vec<Arc<SourceFile>>,
    /// Where each item stands.
    pub origins: BTreeMap<(Kind, String), Origin>,
    /// Ids that stand twice in one directory, with the earlier place.
    pub duplicates: Vec<((Kind, String), Origin)>,
}

/// Kinds of item in a library; the folder of a file tells which it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `<runbook>.yaml`: one runbook.
    Runbook,
    /// `checks/<family>.yaml`: a list of checks.
    Check,
    /// `causes/<family>.yaml`: a list of causes.
    Cause,
    /// `policy.yaml`: thresholds by name.
    Policy,
    /// `versions.yaml`: known changes of vLLM by version.
    Versions,
    /// `xid.yaml`: the catalogue of Xid errors.
    Xid,
    /// `track-record.yaml`: how often each cause was named rightly.
    TrackRecord,
}

/// Where an item stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Origin {
    /// The file.
    pub file: Arc<SourceFile>,
    /// Bytes of its id.
    pub span: Range<usize>,
}

/// `track-record.yaml`: written by the score, read by the ranking and the report.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TrackRecord {
    /// Divides all scores before the softmax; above 0. Fitted.
    pub temperature: f64,
    /// Score of "something outside the catalogue", in nats. Fitted.
    pub outside_score: f64,
    /// Labelled cases in which nothing is wrong.
    pub healthy: u32,
    /// By cause.
    pub causes: BTreeMap<String, CauseRecord>,
}

impl Default for TrackRecord {
    /// Nothing was ever labelled: plain softmax.
    fn default() -> Self {
        Self { temperature: 1.0, outside_score: 0.0, healthy: 0, causes: BTreeMap::new() }
    }
}

/// How often a cause was named rightly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct CauseRecord {
    /// On recordings of real servers.
    #[serde(skip_serializing_if = "Tally::is_empty")]
    pub recorded: Tally,
    /// On simulated servers.
    #[serde(skip_serializing_if = "Tally::is_empty")]
    pub simulated: Tally,
    /// Simulated incidents beside these, on which the fitted numbers were fitted.
    #[serde(skip_serializing_if = "is_zero")]
    pub tuned: u32,
    /// Cases with nothing wrong in which it was named all the same.
    pub false_alarms: u32,
}

impl CauseRecord {
    /// All labelled incidents of the cause.
    pub fn of(self) -> u32 {
        self.recorded.of + self.simulated.of + self.tuned
    }
}

/// Labelled incidents of one cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// Those in which it stood first.
    pub right: u32,
    /// All.
    pub of: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Tally {
    fn is_empty(&self) -> bool {
        self.of == 0
    }
}

/// A threshold, with who set it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyEntry {
    /// The number, in the base unit of its signal.
    pub value: f64,
    /// What it is for and where it comes from.
    pub about: String,
    /// Whether the user set it (the shipped file never does).
    #[serde(skip)]
    pub by_user: bool,
}

//! Conditions: CEL behind one door, three-valued.
//!
//! A missing number makes an answer Unknown unless the condition holds or fails without it. An
//! interval is evaluated at its ends; if they disagree, the answer is Unknown too.

use std::collections::BTreeMap;

use cel::common::types::CelDouble;
use cel::common::value::CowVal;
use cel::context::VariableResolver;
use cel::parser::PrattParser;
use cel::{Context, ExecutionError, IdedExpr, Value as CelValue};

use crate::signals::{Estimate, Missing, MissingKind, Readings, Value};

use super::PolicyEntry;

/// Observations that a No needs behind it: with fewer, not seeing is not knowing.
const POWER: f64 = 30.0;

/// Intervals whose ends are tried in all combinations; further ones are taken at their point.
const MAX_INTERVALS: usize = 6;

/// Largest condition, bytes.
const LONGEST: usize = 2000;

/// Deepest nesting: the parser calls itself, and a stack that overflows ends the program.
const DEEPEST: usize = 12;

/// A compiled condition.
#[derive(Debug)]
pub struct Program {
    expression: IdedExpr,
    variables: Vec<String>,
}

/// The answer to a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Truth {
    /// It holds.
    Yes,
    /// It does not hold.
    No,
    /// It cannot be said: variable → why.
    Unknown(BTreeMap<String, Missing>),
}

/// An answer with what it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Yes, No or Unknown.
    pub truth: Truth,
    /// Whether it rests on the process's lifetime as the baseline, or on a symptom that other
    /// causes have too: one word weaker.
    pub weaker: bool,
    /// Ids of the rows of the version table that show, where it was asked.
    pub rows: Vec<String>,
}

impl Answer {
    /// Whether the condition holds.
    pub fn is_yes(&self) -> bool {
        self.truth == Truth::Yes
    }

    /// Whether the condition is known not to hold.
    pub fn is_no(&self) -> bool {
        self.truth == Truth::No
    }
}

/// What the names in a condition stand for.
pub trait Names {
    /// The value of a variable, or why there is none.
    fn value(&self, name: &str) -> Value;
    /// Whether the variable compares with the process's lifetime.
    fn long_run(&self, name: &str) -> bool;
}

/// Readings and policy as the names of conditions.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The readings.
    pub readings: &'a Readings,
    /// The thresholds.
    pub policy: &'a BTreeMap<String, PolicyEntry>,
}

/// The views of a signal that a variable's ending names.
const VIEWS: [&str; 2] = ["_baseline", "_change"];

/// The signal behind a variable, without the view.
pub fn signal_of(variable: &str) -> &str {
    VIEWS.iter().find_map(|view| variable.strip_suffix(view)).unwrap_or(variable)
}

impl Names for Facts<'_> {
    fn value(&self, name: &str) -> Value {
        if let Some(entry) = name.strip_prefix("policy_") {
            let entry = self.policy.get(entry);
            return entry
                .map(|entry| Estimate::exact(entry.value, None))
                .ok_or_else(|| unknown_name(name));
        }
        let reading = self.readings.get(signal_of(name)).ok_or_else(|| unknown_name(name))?;
        let value = match name {
            _ if name.ends_with("_change") => &reading.change,
            _ if name.ends_with("_baseline") => &reading.baseline,
            _ => &reading.now,
        };
        value.clone().and_then(comparable)
    }

    fn long_run(&self, name: &str) -> bool {
        let reading = self.readings.get(signal_of(name));
        let compares = |pair: bool| pair || signal_of(name) != name;
        reading.is_some_and(|reading| {
            reading.long_run_baseline && compares(reading.compares_by_itself)
        })
    }
}

/// NaN compares as false with everything, which would pass for a "no".
fn comparable(estimate: Estimate) -> Value {
    if estimate.lo.is_nan() || estimate.hi.is_nan() || estimate.point.is_nan() {
        return Err(Missing::new(MissingKind::Absent, "the values read give no number"));
    }
    Ok(estimate)
}

fn unknown_name(name: &str) -> Missing {
    Missing::new(MissingKind::Absent, format!("there is no signal {name}"))
}

/// The CEL functions, set up once for many conditions.
#[derive(Default)]
pub struct Scope {
    root: Context<'static, 'static>,
}

impl std::fmt::Debug for Scope {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Scope")
    }
}

impl Program {
    /// Compiles CEL. The error is a sentence fragment for people.
    pub fn compile(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST || depth(text) > DEEPEST {
            return Err(format!(
                "it is longer than {LONGEST} bytes, or nested deeper than {DEEPEST} brackets"
            ));
        }
        // The crate's other parser takes longer to start than all conditions take this one.
        let expression = PrattParser::new().parse(text).map_err(|errors| {
            errors.to_string().lines().next().unwrap_or("it cannot be parsed").to_string()
        })?;
        let mut variables: Vec<String> =
            expression.references().variables().into_iter().map(String::from).collect();
        variables.sort();
        variables.dedup();
        Ok(Self { expression, variables })
    }

    /// Names of the variables it reads, sorted.
    pub fn variables(&self) -> &[String] {
        &self.variables
    }

    /// Runs the condition once with every variable at 1: a type error shows here.
    pub fn dry_run(&self, scope: &Scope) -> Result<(), String> {
        let ones = self.variables.iter().map(|name| (name.as_str(), CelDouble::from(1.0)));
        let outcome = self.run(scope, &Numbers(ones.collect()));
        outcome.map(|_| ()).map_err(|error| error.to_string())
    }

    /// Answers the condition.
    pub fn evaluate(&self, scope: &Scope, names: &dyn Names) -> Answer {
        let weaker = self.variables.iter().any(|name| names.long_run(name));
        let values = self.variables.iter().map(|name| (name.as_str(), names.value(name)));
        Answer { truth: self.truth(scope, values.collect()), weaker, rows: Vec::new() }
    }

    fn truth(&self, scope: &Scope, values: Vec<(&str, Value)>) -> Truth {
        let known: Vec<(&str, Estimate)> = values
            .iter()
            .filter_map(|(name, value)| Some((*name, *value.as_ref().ok()?)))
            .collect();
        let mut outcomes = corners(&known).map(|corner| self.run(scope, &corner));
        let first = outcomes.next().unwrap_or(Err(ExecutionError::NoSuchKey(String::new().into())));
        if outcomes.any(|other| other != first) {
            return Truth::Unknown(undecided(&known));
        }
        match first {
            Ok(true) => Truth::Yes,
            Ok(false) => self.with_power(&known),
            Err(_) => Truth::Unknown(
                values
                    .into_iter()
                    .filter_map(|(name, value)| Some((name.to_string(), value.err()?)))
                    .collect(),
            ),
        }
    }

    fn with_power(&self, known: &[(&str, Estimate)]) -> Truth {
        let few: BTreeMap<String, Missing> = known
            .iter()
            .filter_map(|(name, value)| Some((*name, value.n.filter(|n| *n < POWER)?)))
            .map(|(name, n)| {
                let why = format!("{n:.0} observations are too few to say no ({POWER:.0} needed)");
                (name.to_string(), Missing::new(MissingKind::TooFew, why))
            })
            .collect();
        if few.is_empty() { Truth::No } else { Truth::Unknown(few) }
    }

    fn run(&self, scope: &Scope, numbers: &Numbers<'_>) -> Result<bool, ExecutionError> {
        let root: &Context<'_, '_> = &scope.root;
        let mut context = root.new_inner_scope();
        context.set_variable_resolver(numbers);
        match CelValue::resolve(&self.expression, &context)? {
            CelValue::Bool(answer) => Ok(answer),
            other => Err(ExecutionError::UnexpectedType {
                got: other.type_of().to_string(),
                want: "bool".to_string(),
            }),
        }
    }
}

/// Numbers by their names: so few that a search is fastest.
struct Numbers<'n>(Vec<(&'n str, CelDouble)>);

impl VariableResolver for Numbers<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let (_, number) = self.0.iter().find(|(name, _)| *name == variable)?;
        Some(CowVal::Borrowed(number))
    }
}

/// Brackets that are open at once, and choices, each of which the parser enters anew.
fn depth(text: &str) -> usize {
    let (mut open, mut most) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' | b'?' => open += 1,
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        most = most.max(open);
    }
    most
}

/// Every combination of the ends of the intervals.
fn corners<'n>(known: &[(&'n str, Estimate)]) -> impl Iterator<Item = Numbers<'n>> {
    let wide: Vec<usize> = (0..known.len())
        .filter(|&index| known[index].1.lo < known[index].1.hi)
        .take(MAX_INTERVALS)
        .collect();
    (0..1_usize << wide.len()).map(move |bits| {
        let end = |index: usize, value: &Estimate| match wide.iter().position(|&w| w == index) {
            Some(bit) if bits >> bit & 1 == 1 => value.hi,
            Some(_) => value.lo,
            None => value.point,
        };
        let number = |(index, (name, value)): (usize, &(&'n str, Estimate))| {
            (*name, CelDouble::from(end(index, value)))
        };
        Numbers(known.iter().enumerate().map(number).collect())
    })
}

fn undecided(known: &[(&str, Estimate)]) -> BTreeMap<String, Missing> {
    let wide = known.iter().filter(|(_, value)| value.lo < value.hi);
    wide.map(|(name, value)| {
        let unit =
            crate::signals::find(signal_of(name)).map_or(crate::unit::Unit::Count, |s| s.unit);
        let unit = if name.ends_with("_change") { crate::unit::Unit::Factor } else { unit };
        let range = unit.show_interval(value.lo, value.hi);
        let cause = if value.bucket { "by buckets this wide" } else { "by so few observations" };
        let why = format!("not decidable {cause}, which say only: {range}");
        (name.to_string(), Missing::new(MissingKind::Undecided, why))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Given(BTreeMap<&'static str, Estimate>);

    impl Names for Given {
        fn value(&self, name: &str) -> Value {
            self.0.get(name).copied().ok_or_else(|| Missing::no_samples(name))
        }
        fn long_run(&self, _: &str) -> bool {
            false
        }
    }

    fn ask(text: &str, given: &[(&'static str, Estimate)]) -> Truth {
        let names = Given(given.iter().copied().collect());
        Program::compile(text).unwrap().evaluate(&Scope::default(), &names).truth
    }

    #[test]
    fn a_number_that_is_none_answers_nothing() {
        assert!(comparable(Estimate::exact(f64::NAN, None)).is_err());
        assert!(comparable(Estimate::bucket(0.25, f64::INFINITY, 9.0)).is_ok());
    }

    #[test]
    fn a_condition_nested_without_end_is_refused() {
        for deep in ["(".repeat(5000), "x ? 1 : ".repeat(200), "[".repeat(100) + &"]".repeat(100)] {
            assert!(Program::compile(&deep).unwrap_err().contains("nested"), "{deep}");
        }
        assert!(Program::compile(&format!("{}x > 1.0{}", "(".repeat(8), ")".repeat(8))).is_ok());
    }

    #[test]
    fn an_interval_that_holds_the_threshold_is_undecided() {
        let p95 = Estimate::bucket(0.25, 0.5, 100.0);
        assert_eq!(ask("p95 > 0.2", &[("p95", p95)]), Truth::Yes);
        assert_eq!(ask("p95 > 1", &[("p95", p95)]), Truth::No);
        assert!(matches!(ask("p95 > 0.3", &[("p95", p95)]), Truth::Unknown(_)));
    }

    #[test]
    fn a_missing_signal_is_unknown_unless_it_does_not_matter() {
        let one = ("here", Estimate::exact(1.0, None));
        assert!(
            matches!(ask("gone > 1.0", &[one]), Truth::Unknown(why) if why.contains_key("gone"))
        );
        assert_eq!(ask("gone > 1.0 || here > 0.5", &[one]), Truth::Yes);
        assert_eq!(ask("gone > 1.0 && here > 2.0", &[one]), Truth::No);
    }

    #[test]
    fn a_no_needs_power_and_a_yes_does_not() {
        let few = Estimate::exact(0.0, Some(8.0));
        assert!(matches!(ask("x > 0.5", &[("x", few)]), Truth::Unknown(_)));
        assert_eq!(ask("x < 0.5", &[("x", few)]), Truth::Yes);
    }
}

//! What has to be changed in an account so that what is rendered stands there: compared, owned, told.
//!
//! Things are owned by their tags. What has none of this tool, or those of another scope, is never
//! changed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::report::json::escape_hazards;

/// The tag of everything that this tool puts.
const MANAGED_BY: (&str, &str) = ("managed-by", "diagnose");

/// The tag that tells one setup from another in the same account.
const SCOPE: &str = "diagnose-scope";

/// Characters of a value that are shown.
const SHOWN: usize = 100;

/// Something that shall stand there: an alarm or a dashboard.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// What it is made of, in the spelling of the API.
    pub fields: Value,
}

/// Something that stands there.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// What it is made of, in the spelling of the API.
    pub fields: Value,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// What happens to one thing.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// It is not there yet.
    Create,
    /// It differs in these fields.
    Update(Vec<Field>),
    /// It is as it should be.
    Keep,
    /// It is ours and not wanted any more.
    Delete,
}

/// A field that differs; `None` where it is not there.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Where it is, e.g. `Metrics[bad].MetricStat.Period`.
    pub path: String,
    /// As it stands there.
    pub old: Option<Value>,
    /// As it shall be.
    pub new: Option<Value>,
}

/// One thing of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// What it is made of; of what is deleted, as it stands there.
    pub fields: Value,
    /// What happens to it.
    pub change: Change,
}

/// What an application would do.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// In the order in which it has to be done.
    pub steps: Vec<Step>,
    /// Names that are taken by what is not ours, with the reason.
    pub foreign: Vec<(String, String)>,
}

/// The tags of a scope.
pub fn tags(scope: &str) -> BTreeMap<String, String> {
    let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    [MANAGED_BY, (SCOPE, scope)].map(owned).into()
}

/// Compares what is wanted with what stands there.
pub fn plan(wanted: &[Wanted], standing: &[Standing], scope: &str) -> Plan {
    let mut plan = Plan::default();
    let mut names = BTreeSet::new();
    for want in wanted {
        let found = standing.iter().find(|it| it.name == want.name);
        let fault = match found.map(|it| not_ours(it, scope)) {
            _ if !names.insert(&want.name) => Some("two sets of dimensions make this name".into()),
            Some(Some(why)) => Some(why),
            _ => None,
        };
        match fault {
            Some(why) => plan.foreign.push((want.name.clone(), why)),
            None => plan.steps.push(step(want, found)),
        }
    }
    let mut gone: Vec<&Standing> = standing
        .iter()
        .filter(|it| not_ours(it, scope).is_none() && !names.contains(&it.name))
        .collect();
    // An alarm that another one names cannot be deleted before it.
    gone.sort_by_key(|it| it.fields.get("AlarmRule").is_none());
    plan.steps.extend(gone.into_iter().map(|it| Step {
        name: it.name.clone(),
        fields: it.fields.clone(),
        change: Change::Delete,
    }));
    plan
}

fn step(want: &Wanted, found: Option<&Standing>) -> Step {
    let change = match found.map(|it| differences(&it.fields, &want.fields)) {
        None => Change::Create,
        Some(fields) if fields.is_empty() => Change::Keep,
        Some(fields) => Change::Update(fields),
    };
    Step { name: want.name.clone(), fields: want.fields.clone(), change }
}

/// Why something is not this scope's; `None` where it is.
fn not_ours(it: &Standing, scope: &str) -> Option<String> {
    let (key, value) = MANAGED_BY;
    if it.tags.get(key).map(String::as_str) != Some(value) {
        return Some(format!(
            "it stands there without the tag {key}={value}; if it shall be taken over: aws \
             cloudwatch tag-resource --resource-arn {} --tags Key={key},Value={value} \
             Key={SCOPE},Value={scope}",
            it.arn
        ));
    }
    match it.tags.get(SCOPE) {
        Some(other) if other == scope => None,
        Some(other) => Some(format!("it is of the scope `{other}`")),
        None => Some(format!("it has no tag {SCOPE}")),
    }
}

/// The fields in which two things differ. What an API fills in by itself is no difference.
pub fn differences(old: &Value, new: &Value) -> Vec<Field> {
    let mut fields = Vec::new();
    compare("", Some(&usual(old)), Some(&usual(new)), &mut fields);
    fields
}

/// Without what is as it is where nothing is said.
fn usual(it: &Value) -> Value {
    let Value::Object(fields) = it else { return it.clone() };
    let said = |(name, value): &(&String, &Value)| match (name.as_str(), value) {
        (_, Value::Null) | ("ActionsEnabled", Value::Bool(true)) => false,
        (_, Value::Array(items)) => !items.is_empty(),
        ("DatapointsToAlarm", all) => Some(*all) != fields.get("EvaluationPeriods"),
        _ => true,
    };
    let kept = fields.iter().filter(said);
    Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
}

fn compare(path: &str, old: Option<&Value>, new: Option<&Value>, out: &mut Vec<Field>) {
    let (Some(was), Some(is)) = (old, new) else {
        let (old, new) = (old.cloned(), new.cloned());
        return out.push(Field { path: path.to_owned(), old, new });
    };
    if same(was, is) {
        return;
    }
    let pairs = named(was).zip(named(is));
    let Some((was, is)) = pairs else {
        let (old, new) = (Some(was.clone()), Some(is.clone()));
        return out.push(Field { path: path.to_owned(), old, new });
    };
    let names: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    for name in names {
        let dot = if path.is_empty() || name.starts_with('[') { "" } else { "." };
        compare(&format!("{path}{dot}{name}"), was.get(name), is.get(name), out);
    }
}

/// Equal, but for how a number is spelled.
fn same(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

/// What a value holds, by name: fields, or members of a list that can be told apart.
fn named(value: &Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(fields) => Some(fields.clone()),
        Value::Array(items) => {
            let mut seen: BTreeMap<String, usize> = BTreeMap::new();
            let member = |item: &Value| {
                let name = called(item)?;
                let count = seen.entry(name.clone()).or_default();
                *count += 1;
                let again = if *count > 1 { format!(" {count}") } else { String::new() };
                Some((format!("[{name}{again}]"), item.clone()))
            };
            items.iter().map(member).collect()
        }
        _ => None,
    }
}

/// How a member of a list is told from others: a query, a dimension, or a widget by its title or the
/// first line of its text.
fn called(item: &Value) -> Option<String> {
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
    let inner = item.get("properties");
    let title = || inner?.get("title").and_then(text);
    let markdown = || inner?.get("markdown")?.as_str()?.lines().next().map(ToOwned::to_owned);
    let direct = ["Id", "Name"].iter().find_map(|name| item.get(name).and_then(text));
    direct.or_else(title).or_else(markdown).or_else(|| text(item))
}

impl Plan {
    /// Steps that an application takes; what is not wanted any more goes only with `prune`.
    pub fn pending(&self, prune: bool) -> Vec<&Step> {
        let takes = |it: &&Step| match it.change {
            Change::Create | Change::Update(_) => true,
            Change::Keep => false,
            Change::Delete => prune,
        };
        self.steps.iter().filter(takes).collect()
    }

    /// The plan for people.
    pub fn render(&self, prune: bool) -> String {
        let mut out = String::new();
        for step in &self.steps {
            out.push_str(&shown(step, prune));
        }
        for (name, why) in &self.foreign {
            out.push_str(&format!("! {}: {}\n", plain(name), plain(why)));
        }
        let count = |is: fn(&Change) -> bool| self.steps.iter().filter(|it| is(&it.change)).count();
        let gone = count(|it| *it == Change::Delete);
        let only = if gone > 0 && !prune { " (only with --prune)" } else { "" };
        out.push_str(&format!(
            "{} to create, {} to change, {} as they should be, {gone} to delete{only}, {} not \
             ours\n",
            count(|it| *it == Change::Create),
            count(|it| matches!(it, Change::Update(_))),
            count(|it| *it == Change::Keep),
            self.foreign.len()
        ));
        out
    }
}

fn shown(step: &Step, prune: bool) -> String {
    let name = plain(&step.name);
    match &step.change {
        Change::Create => format!("+ {name}\n"),
        Change::Keep => String::new(),
        Change::Delete if prune => format!("- {name}\n"),
        Change::Delete => format!("- {name}: not wanted any more, and kept without --prune\n"),
        Change::Update(fields) => {
            let lines = fields.iter().map(|field| {
                let (old, new) = (value(field.old.as_ref()), value(field.new.as_ref()));
                format!("    {}: {old} -> {new}\n", plain(&field.path))
            });
            format!("~ {name}\n{}", lines.collect::<String>())
        }
    }
}

fn value(value: Option<&Value>) -> String {
    let Some(value) = value else { return "none".into() };
    let text = plain(&value.to_string());
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// One line that cannot act on a terminal: names and texts are those of an account.
fn plain(text: &str) -> String {
    escape_hazards(&text.replace(['\n', '\r'], " "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wanted(name: &str, threshold: f64) -> Wanted {
        let fields = json!({"AlarmName": name, "Threshold": threshold, "EvaluationPeriods": 2,
            "Dimensions": [{"Name": "b", "Value": "2"}, {"Name": "a", "Value": "1"}]});
        Wanted { name: name.into(), fields }
    }

    fn standing(name: &str, threshold: f64, tags: BTreeMap<String, String>) -> Standing {
        // As CloudWatch tells it: with what it fills in, and in an order of its own.
        let fields = json!({"AlarmName": name, "Threshold": threshold, "ActionsEnabled": true,
            "OKActions": [], "EvaluationPeriods": 2, "DatapointsToAlarm": 2,
            "Dimensions": [{"Name": "a", "Value": "1"}, {"Name": "b", "Value": "2"}]});
        Standing { name: name.into(), arn: format!("arn:{name}"), fields, tags }
    }

    fn change(plan: &Plan, name: &str) -> Change {
        plan.steps.iter().find(|it| it.name == name).unwrap().change.clone()
    }

    #[test]
    fn what_differs_is_named_and_nothing_else() {
        let there = [standing("same", 80.0, tags("a")), standing("moved", 80.0, tags("a"))];
        let plan =
            plan(&[wanted("same", 80.0), wanted("moved", 100.0), wanted("new", 1.0)], &there, "a");
        assert_eq!(change(&plan, "same"), Change::Keep);
        let field =
            Field { path: "Threshold".into(), old: Some(json!(80.0)), new: Some(json!(100.0)) };
        assert_eq!(change(&plan, "moved"), Change::Update(vec![field]));
        assert_eq!(change(&plan, "new"), Change::Create);
        let text = plan.render(false);
        assert!(text.contains("~ moved\n    Threshold: 80.0 -> 100.0\n+ new\n"), "{text}");
        assert!(text.contains("1 to create, 1 to change, 1 as they should be"), "{text}");
    }

    /// Hands that added something would lose it, so it is a difference.
    #[test]
    fn what_people_set_by_hand_is_told_before_it_is_lost() {
        let mut there = standing("x", 80.0, tags("a"));
        there.fields["OKActions"] = json!(["arn:ok"]);
        there.fields["ActionsEnabled"] = json!(false);
        let plan = plan(&[wanted("x", 80.0)], &[there], "a");
        let text = plan.render(false);
        assert!(text.contains("OKActions: [\"arn:ok\"] -> none"), "{text}");
        assert!(text.contains("ActionsEnabled: false -> none"), "{text}");
    }

    #[test]
    fn what_is_not_ours_is_neither_changed_nor_deleted() {
        let untagged = BTreeMap::new();
        let there = [
            standing("hand-made", 1.0, untagged.clone()),
            standing("theirs", 1.0, tags("b")),
            standing("unrelated", 1.0, untagged),
            standing("other-scope", 1.0, tags("b")),
            standing("old", 1.0, tags("a")),
        ];
        let plan = plan(&[wanted("hand-made", 2.0), wanted("theirs", 2.0)], &there, "a");
        let refused: Vec<&str> = plan.foreign.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(refused, ["hand-made", "theirs"]);
        assert!(plan.foreign[0].1.contains("--resource-arn arn:hand-made"));
        assert!(plan.foreign[1].1.contains("scope `b`"));
        assert_eq!(plan.pending(false), Vec::<&Step>::new());
        let gone: Vec<&str> = plan.pending(true).iter().map(|it| it.name.as_str()).collect();
        assert_eq!(gone, ["old"]);
    }

    #[test]
    fn what_looks_at_others_goes_before_them() {
        let mut over = standing("z", 1.0, tags("a"));
        over.fields["AlarmRule"] = json!("ALARM(\"y\")");
        let plan = plan(&[], &[standing("y", 1.0, tags("a")), over], "a");
        let order: Vec<&str> = plan.steps.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(order, ["z", "y"]);
    }

    #[test]
    fn a_name_that_two_sets_make_is_refused() {
        let plan = plan(&[wanted("x-a-b", 1.0), wanted("x-a-b", 1.0)], &[], "a");
        assert_eq!((plan.steps.len(), plan.foreign.len()), (1, 1));
    }

    #[test]
    fn widgets_are_compared_by_their_titles() {
        let widget = |title: &str, period: u32| json!({"type": "metric", "properties": {"title": title, "period": period}});
        let old = json!({"widgets": [widget("A", 60), widget("B", 60)]});
        let new = json!({"widgets": [widget("C", 60), widget("A", 300)]});
        let told: Vec<String> = differences(&old, &new).into_iter().map(|it| it.path).collect();
        assert_eq!(told, ["widgets[A].properties.period", "widgets[B]", "widgets[C]"]);
    }

    #[test]
    fn names_of_an_account_do_not_act_on_a_terminal() {
        let plan = plan(&[], &[standing("x\u{1b}[2J\ny", 1.0, tags("a"))], "a");
        let text = plan.render(true);
        assert!(!text.contains('\u{1b}') && text.lines().count() == 2, "{text}");
    }
}

//! JSON as the AWS command line prints it.

use aws_smithy_types::{DateTime, date_time::Format};
use serde_json::{Map, Value, json};

use crate::evidence::Time;

/// An object of the fields that are there.
pub(super) fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let known = fields.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(known.map(|(name, value)| (name.to_owned(), value)).collect())
}

/// A list of what a type becomes.
pub(super) fn list<T>(items: &[T], each: impl Fn(&T) -> Value) -> Value {
    items.iter().map(each).collect()
}

/// A list, or nothing where it is empty.
pub(super) fn some<T>(items: &[T], each: impl Fn(&T) -> Value) -> Value {
    if items.is_empty() { Value::Null } else { list(items, each) }
}

/// A time as ISO 8601 in UTC.
pub(super) fn time(at: Option<&DateTime>) -> Value {
    json!(at.and_then(|at| at.fmt(Format::DateTime).ok()))
}

/// Unix seconds as a time of AWS.
pub(super) fn moment(at: Time) -> DateTime {
    DateTime::from_secs(at as i64)
}

/// Adds a further page: lists grow, entries with the same `Id` are one, and of all else the last
/// word counts.
pub(super) fn merge(into: &mut Value, page: Value) {
    match (into, page) {
        (Value::Object(into), Value::Object(page)) => {
            for (name, value) in page {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(page)) => {
            page.into_iter().enumerate().for_each(|(at, item)| add(into, at, item));
        }
        (into, page) => *into = page,
    }
}

/// Adds the item that stands at a place of its page: most pages have the same entries in one order.
fn add(items: &mut Vec<Value>, at: usize, item: Value) {
    let id = item.get("Id").filter(|id| id.is_string());
    let is_same = |other: &Value| id.is_some() && other.get("Id") == id;
    let here = items.get(at).is_some_and(is_same).then_some(at);
    let same = here.or_else(|| id.and_then(|_| items.iter().position(is_same)));
    match same.and_then(|at| items.get_mut(at)) {
        Some(other) => merge(other, item),
        None => items.push(item),
    }
}

/// Names and values of dimensions.
pub(super) fn dimensions<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Value {
    let pair = |(name, value): (&str, &str)| {
        Map::from_iter([("Name".into(), name.into()), ("Value".into(), value.into())])
    };
    pairs.into_iter().map(|it| Value::Object(pair(it))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_become_one_answer() {
        let mut all = json!({"R": [{"Id": "a", "Values": [1.0], "StatusCode": "PartialData"}]});
        merge(
            &mut all,
            json!({"R": [
                {"Id": "a", "Values": [2.0], "StatusCode": "Complete"}, {"Id": "b", "Values": []}
            ]}),
        );
        assert_eq!(
            all,
            json!({"R": [
                {"Id": "a", "Values": [1.0, 2.0], "StatusCode": "Complete"}, {"Id": "b", "Values": []}
            ]})
        );
    }

    #[test]
    fn what_is_unknown_is_absent_and_times_are_utc() {
        let at = DateTime::from_secs(1_795_305_517);
        let shown = object([("A", json!(None::<i32>)), ("B", json!(0)), ("C", time(Some(&at)))]);
        assert_eq!(shown, json!({"B": 0, "C": "2026-11-21T23:58:37Z"}));
    }
}

//! Mistakes in one PromQL expression.

use std::{borrow::Cow, collections::BTreeSet};

use promql_parser::{
    label::MatchOp,
    parser::{self, Expr, LabelModifier, VectorSelector, token},
};

use super::Said;
use crate::{
    monitor::target::{Place, Target, family_of, samples},
    runbook::problem::did_you_mean,
    signals::families::{self, Kind},
    unit::Unit,
};

/// Everything wrong with an expression, in the order of reading, each thing once.
pub(super) fn check(text: &str, target: Option<&Target>, recorded: &BTreeSet<String>) -> Vec<Said> {
    let (plain, filled) = without_variables(text);
    let parsed = match parser::parse(&plain) {
        Ok(parsed) => parsed,
        // What stands for a dashboard's variable may not fit there: nobody can tell.
        Err(_) if filled => return Vec::new(),
        Err(why) => return vec![Said::new(format!("this is no PromQL: {}", why.trim()))],
    };
    let mut checker = Checker { target, recorded, said: Vec::new() };
    checker.walk(&parsed);
    checker.said
}

struct Checker<'a> {
    target: Option<&'a Target>,
    recorded: &'a BTreeSet<String>,
    said: Vec<Said>,
}

impl Checker<'_> {
    fn say(&mut self, said: Said) {
        if !self.said.contains(&said) {
            self.said.push(said);
        }
    }

    fn walk(&mut self, expr: &Expr) {
        match expr {
            Expr::VectorSelector(selector) => self.selector(selector),
            Expr::MatrixSelector(selector) => self.selector(&selector.vs),
            Expr::Call(call) if call.func.name == "histogram_quantile" => {
                call.args.args.last().into_iter().for_each(|inside| self.quantile_of(inside));
            }
            Expr::Binary(binary) if binary.op.is_comparison_operator() => {
                self.compared(&binary.lhs, binary.op, &binary.rhs);
            }
            _ => {}
        }
        children(expr).into_iter().for_each(|child| self.walk(child));
    }

    /// A name that the server does not export, or that no release ever had.
    fn selector(&mut self, selector: &VectorSelector) {
        let Some(written) = &selector.name else { return };
        let name = canonical(written);
        if self.recorded.contains(written)
            || !(name.starts_with("vllm:") || family_of(&name).is_some())
        {
            return;
        }
        let Some((family, found)) = family_of(&name) else {
            return unknown(&name, self.target).into_iter().for_each(|said| self.say(said));
        };
        if let Some(target) = self.target {
            self.exported(target, family, found, &name);
        }
        self.bucket_bounds(family, selector);
    }

    fn exported(
        &mut self,
        target: &Target,
        family: &'static families::Family,
        found: &str,
        name: &str,
    ) {
        match target.dialect.name(family.id) {
            Ok(now) if now == found || is_exported(target, family.kind, found) => {}
            Ok(now) => {
                let suffix = name.strip_prefix(found).unwrap_or_default();
                let message = format!("{} does not export {name}", target.name);
                self.say(Said::new(message).with_help(format!("it is called {now}{suffix} there")));
            }
            Err(why) => self.say(Said::new(format!("{name} has no series there: {why}"))),
        }
    }

    /// `le` is matched as text, so it must be a bound, spelled as it is stored.
    fn bucket_bounds(&mut self, family: &families::Family, selector: &VectorSelector) {
        let equal = |matcher: &&promql_parser::label::Matcher| {
            matcher.name == "le" && matches!(matcher.op, MatchOp::Equal)
        };
        let Some(le) = selector.matchers.matchers.iter().find(equal) else { return };
        let Ok(bound) = le.value.parse::<f64>() else { return };
        let bounds = self.target.and_then(|target| target.bounds(family.id));
        if let Some(bounds) = bounds.filter(|_| bound.is_finite())
            && !bounds.contains(&bound)
        {
            let near = bounds.iter().find(|it| **it > bound).map(|it| format!("the next is {it}"));
            let message = format!("no bucket ends at le=\"{}\", so nothing matches it", le.value);
            self.say(Said { message, help: near });
        } else if bound.is_finite() && bound.fract() == 0.0 {
            let message = format!(
                "le=\"{}\" is spelled {bound} or {bound}.0, by the version of Prometheus",
                le.value
            );
            self.say(
                Said::new(message).with_help(format!("le=~\"{bound}(\\\\.0)?\" matches both")),
            );
        }
    }

    fn quantile_of(&mut self, inside: &Expr) {
        let inside = unwrapped(inside);
        if let Expr::Aggregate(aggregate) = inside
            && !keeps_le(aggregate.modifier.as_ref())
        {
            let message = "histogram_quantile without le: the sum below it drops the buckets";
            self.say(Said::new(message).with_help("sum by (le, …)"));
        }
        let base = selectors(inside).into_iter().find(|selector| {
            let name = selector.name.as_deref().map(canonical).unwrap_or_default();
            family_of(&name).is_some_and(|(family, _)| family.kind == Kind::Histogram)
                && !name.ends_with("_bucket")
        });
        if let Some(name) = base.and_then(|selector| selector.name.clone()) {
            self.say(Said::new(format!("histogram_quantile needs the _bucket series, not {name}")));
        }
    }

    /// A threshold that can never be crossed, or that the buckets cannot tell.
    fn compared(&mut self, left: &Expr, op: token::TokenType, right: &Expr) {
        let (value, bound, above) = match (unwrapped(left), unwrapped(right)) {
            (value, Expr::NumberLiteral(bound)) => {
                (value, bound.val, matches!(op.id(), token::T_GTR | token::T_GTE))
            }
            (Expr::NumberLiteral(bound), value) => {
                (value, bound.val, matches!(op.id(), token::T_LSS | token::T_LTE))
            }
            _ => return,
        };
        let families: Vec<&families::Family> = selectors(value)
            .iter()
            .filter_map(|selector| Some(family_of(&canonical(selector.name.as_deref()?))?.0))
            .collect();
        let Some(family) = families.first() else { return };
        match value {
            Expr::Call(call) if call.func.name == "histogram_quantile" => {
                self.quantile_bound(family, bound, above);
            }
            _ if family.kind == Kind::Gauge && family.unit == Unit::Ratio && bound > 1.0 => {
                let message = format!("{} is a ratio of 0 to 1, compared with {bound}", family.id);
                self.say(Said::new(message).with_help(format!("{} for {bound} %", bound / 100.0)));
            }
            _ => {}
        }
    }

    fn quantile_bound(&mut self, family: &families::Family, bound: f64, above: bool) {
        let Some(place) = self.target.and_then(|target| target.place(family.id, bound)) else {
            return;
        };
        let show = |value: f64| family.unit.show(value);
        match place {
            Place::First(first) => {
                let message = format!(
                    "{} lies inside the first bucket, which ends at {}: a quantile there is a guess",
                    show(bound),
                    show(first)
                );
                self.say(
                    Said::new(message)
                        .with_help("compare the mean: rate of _sum over rate of _count"),
                );
            }
            Place::Beyond(last) if above => {
                let ms = "the metric counts in seconds; is the threshold in milliseconds?";
                let message = format!(
                    "no quantile exceeds the last bucket, {}, so it never fires at {}",
                    show(last),
                    show(bound)
                );
                let seconds = family.unit == Unit::Seconds;
                self.say(Said { message, help: seconds.then(|| ms.into()) });
            }
            _ => {}
        }
    }
}

fn is_exported(target: &Target, kind: Kind, name: &str) -> bool {
    let exported = target.dialect.exported.as_ref();
    exported.is_some_and(|exported| exported.iter().any(|it| *it == kind.sample(name)))
}

/// A name of no family: a wrong ending, a slip, or one that the server's page does not have. Metrics
/// of connectors and other parts are not all known here, so only a whole page proves one missing.
fn unknown(name: &str, target: Option<&Target>) -> Option<Said> {
    let families = families::all().iter();
    let names =
        || families.clone().flat_map(|family| family.names.iter().map(move |n| (family, n.name)));
    if let Some((family, base)) = names().find(|(_, known)| *known == name) {
        let help = format!("it has {}", samples(family.kind, base).join(", "));
        return Some(Said::new(format!("{name} has no series of that name")).with_help(help));
    }
    let counter = names().find(|(_, known)| known.strip_suffix("_total") == Some(name));
    if let Some((_, counter)) = counter {
        let message = format!("{name} has no series of that name: it is a counter");
        return Some(Said::new(message).with_help(format!("it is stored as {counter}")));
    }
    let page = target.filter(|target| target.is_whole).and_then(|it| it.dialect.exported.as_ref());
    if page.is_some_and(|page| page.iter().any(|there| there == name)) {
        return None;
    }
    let all: Vec<String> = names().flat_map(|(family, base)| samples(family.kind, base)).collect();
    let help = did_you_mean(name, all.iter().map(String::as_str));
    let message = match page {
        Some(_) => format!("{name} has no series there"),
        None if help.is_some() => format!("{name} is no metric that is known"),
        None => return None,
    };
    Some(Said { message, help })
}

/// Colons do not survive Ray and OpenTelemetry.
fn canonical(name: &str) -> Cow<'_, str> {
    let rest = name.strip_prefix("ray_vllm_").or_else(|| name.strip_prefix("vllm_"));
    rest.map_or(Cow::Borrowed(name), |rest| Cow::Owned(format!("vllm:{rest}")))
}

fn unwrapped(expr: &Expr) -> &Expr {
    match expr {
        Expr::Paren(inside) => unwrapped(&inside.expr),
        other => other,
    }
}

fn keeps_le(modifier: Option<&LabelModifier>) -> bool {
    let is_le = |label: &String| label == "le";
    match modifier {
        Some(LabelModifier::Include(kept)) => kept.labels.iter().any(is_le),
        Some(LabelModifier::Exclude(dropped)) => !dropped.labels.iter().any(is_le),
        None => false,
    }
}

fn children(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Aggregate(it) => it.param.iter().map(|it| &**it).chain([&*it.expr]).collect(),
        Expr::Unary(it) => vec![&it.expr],
        Expr::Binary(it) => vec![&it.lhs, &it.rhs],
        Expr::Paren(it) => vec![&it.expr],
        Expr::Subquery(it) => vec![&it.expr],
        Expr::Call(it) => it.args.args.iter().map(|it| &**it).collect(),
        _ => Vec::new(),
    }
}

fn selectors(expr: &Expr) -> Vec<&VectorSelector> {
    match expr {
        Expr::VectorSelector(it) => vec![it],
        Expr::MatrixSelector(it) => vec![&it.vs],
        other => children(other).into_iter().flat_map(selectors).collect(),
    }
}

/// An expression with a dashboard's variables filled in, and whether there were any outside quotes:
/// 5m where a time stands, 1 elsewhere.
fn without_variables(text: &str) -> (String, bool) {
    let (mut out, mut quoted, mut filled) = (String::new(), false, false);
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        quoted ^= char == '"';
        let length = if quoted || char != '$' { 0 } else { variable(rest) };
        if length == 0 {
            out.push(char);
            rest = &rest[char.len_utf8()..];
            continue;
        }
        let is_time = out.ends_with(['[', ':']) || out.trim_end().ends_with("offset");
        out.push_str(if is_time { "5m" } else { "1" });
        filled = true;
        rest = &rest[length..];
    }
    (out, filled)
}

/// Length of `$name` or `${name}` at the start of a text; 0 where there is none.
fn variable(text: &str) -> usize {
    if text.starts_with("${") {
        return text.find('}').map_or(0, |end| end + 1);
    }
    let name = text[1..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    match name.unwrap_or(text.len() - 1) {
        0 => 0,
        length => length + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signals::families::Version;

    /// What is said of an expression at a release, each with its help.
    fn said(version: &str, text: &str) -> Vec<String> {
        let target = Target::of_version(Version::parse(version).unwrap(), &[]);
        let recorded = BTreeSet::from(["vllm:own:rate5m".to_owned()]);
        let said = check(text, Some(&target), &recorded);
        said.into_iter()
            .map(|it| format!("{} | {}", it.message, it.help.unwrap_or_default()))
            .collect()
    }

    #[track_caller]
    fn says(version: &str, text: &str, part: &str) {
        let said = said(version, text);
        assert!(said.len() == 1 && said[0].contains(part), "{text}: {said:?}");
    }

    #[test]
    fn good_expressions_have_no_mistake() {
        for good in [
            "histogram_quantile(0.95, sum by (le) (rate(vllm:time_to_first_token_seconds_bucket[5m]))) > 3",
            "sum without (pod) (vllm:kv_cache_usage_perc) > 0.95",
            "vllm:own:rate5m > 3",
            "up == 0",
            "sum(rate(vllm:request_queue_time_seconds_sum[5m])) / sum(rate(vllm:request_queue_time_seconds_count[5m])) > 0.2",
            "rate(vllm:prompt_tokens_total{model_name=~\"$model\"}[$__rate_interval])",
            "topk($n, vllm:num_requests_running)",
            "sum(increase(vllm:time_to_first_token_seconds_bucket{le=~\"1(\\\\.0)?\"}[1h]))",
            "ray_vllm_num_requests_running > 1",
            "rate(vllm:nixl_num_failed_transfers_total[5m]) > 0",
        ] {
            assert_eq!(said("0.23.0", good), [] as [&str; 0], "{good}");
        }
    }

    #[test]
    fn names_that_the_release_lacks_are_told_with_the_new_one() {
        let old = "vllm:gpu_cache_usage_perc > 0.95";
        says("0.23.0", old, "it is called vllm:kv_cache_usage_perc there");
        assert_eq!(said("0.8.5", old), [] as [&str; 0]);
        says("0.23.0", "vllm:num_requests_swapped > 0", "has no series there");
        says("0.23.0", "rate(vllm:num_preemptions[5m])", "vllm:num_preemptions_total");
        says("0.23.0", "vllm:num_requests_runing", "did you mean `vllm:num_requests_running`?");
        says("0.23.0", "vllm:time_to_first_token_seconds > 1", "_bucket, ");
    }

    #[test]
    fn quantiles_need_their_buckets() {
        let by = |labels: &str| {
            let buckets = "vllm:time_to_first_token_seconds_bucket[5m]";
            format!("histogram_quantile(0.95, sum{labels} (rate({buckets})))")
        };
        says("0.23.0", &by(" by (model_name)"), "without le");
        says("0.23.0", &by(""), "without le");
        says("0.23.0", &by(" without (le)"), "without le");
        let sum =
            "histogram_quantile(0.9, sum by (le) (rate(vllm:time_to_first_token_seconds_sum[5m])))";
        says("0.23.0", sum, "needs the _bucket series");
    }

    #[test]
    fn thresholds_are_placed_among_the_buckets() {
        let queue = |bound: &str| {
            let buckets = "vllm:request_queue_time_seconds_bucket[5m]";
            format!("histogram_quantile(0.95, sum by (le) (rate({buckets}))) > {bound}")
        };
        says("0.23.0", &queue("0.2"), "ends at 300 ms");
        says("0.23.0", &queue("20000"), "in milliseconds?");
        assert_eq!(said("0.23.0", &queue("2")), [] as [&str; 0]);
        says("0.23.0", "max(vllm:kv_cache_usage_perc) > 95", "0.95 for 95 %");
        says("0.23.0", "95 < vllm:kv_cache_usage_perc", "0.95 for 95 %");
    }

    #[test]
    fn bounds_are_matched_as_text() {
        let le = |le: &str| format!("vllm:time_to_first_token_seconds_bucket{{le=\"{le}\"}}");
        says("0.23.0", &le("2"), "no bucket ends at le=\"2\"");
        says("0.23.0", &le("5"), "matches both");
        assert_eq!(said("0.23.0", &le("2.5")), [] as [&str; 0]);
        assert_eq!(said("0.23.0", &le("+Inf")), [] as [&str; 0]);
    }

    #[test]
    fn what_is_no_promql_is_told_unless_a_variable_may_be_to_blame() {
        says("0.23.0", "sum(rate(", "no PromQL");
        assert_eq!(
            said("0.23.0", "sum by ($by) (vllm:num_requests_running) $op 3"),
            [] as [&str; 0]
        );
    }
}

//! Alerts, objectives and burn rates as one file of Prometheus rules.

use promql_parser::{
    parser::{self, Expr, Offset},
    util::visitor::{ExprVisitorMut, walk_expr_mut},
};

use super::{
    Alert, Condition, Measure, Query, Slo, SloRule, TierRule,
    burn::{Objective, Tier},
    duration,
    load::Rules,
    objective,
    promql::Dialect,
    rule::{Row, Rule, number, yaml},
    seconds,
    state::Policy,
    target::{Place, Target},
};
use crate::unit::Unit;

/// What a baseline is taken over, as Prometheus writes it.
const BASELINE: f64 = 86_400.0;

/// The file: all alerts, then all rules of objectives. What the target lacks stands there as a
/// comment that says why.
pub fn render(rules: &Rules, policy: &Policy, target: &Target) -> String {
    let writer = Writer { rules, policy, target };
    let alerts: Vec<Row> = rules.alerts.iter().map(|alert| writer.alert(alert)).collect();
    let slos: Vec<Row> = rules.slos.iter().flat_map(|slo| writer.slo(slo)).collect();
    yaml(target, &[("diagnose-alerts", alerts), ("diagnose-slo", slos)])
}

/// An expression with what must be said of it, and the labels of its results.
struct Asked {
    text: String,
    by: Vec<String>,
    notes: Vec<String>,
}

struct Writer<'a> {
    rules: &'a Rules,
    policy: &'a Policy,
    target: &'a Target,
}

impl Writer<'_> {
    fn alert(&self, alert: &Alert) -> Row {
        let asked: Result<Vec<Asked>, String> =
            alert.all.iter().map(|condition| self.condition(alert, condition)).collect();
        let asked = match asked {
            Ok(asked) => asked,
            Err(why) => return Row::Left { id: alert.id.clone(), why },
        };
        let first = alert.all.first().and_then(|it| self.rules.measures.get(&it.measure));
        Row::Rule(Rule {
            id: alert.id.clone(),
            expr: together(&asked),
            lasting: Some(alert.lasting.clone()),
            severity: alert.severity,
            labels: Vec::new(),
            summary: alert.title.clone(),
            description: first.map(|measure| self.value(measure, &asked)).unwrap_or_default(),
            command: self.command(&alert.runbook),
            runbook: Some(alert.runbook.clone()),
            action: alert.action.clone(),
            notes: asked.into_iter().flat_map(|it| it.notes).collect(),
        })
    }

    fn condition(&self, alert: &Alert, condition: &Condition) -> Result<Asked, String> {
        let measure = self.measure(&condition.measure)?;
        let window = condition.window.as_ref().unwrap_or(&alert.window);
        let window = seconds(window).ok_or("its window is no time")?;
        if !measure.probe.is_empty() {
            return self.answers();
        }
        let bound = |it: &Option<super::Threshold>| it.as_ref()?.value(self.policy);
        match (bound(&condition.above), bound(&condition.below), condition.above_baseline) {
            (Some(bound), ..) => self.above(measure, bound, window),
            (None, Some(bound), _) => self.compared(measure, "<", bound, window),
            (None, None, Some(factor)) => {
                let lasting = seconds(&alert.lasting).unwrap_or(0.0);
                self.above_baseline(measure, factor, window, lasting)
            }
            (None, None, None) => Err("its threshold is not in the policy".into()),
        }
    }

    fn measure(&self, id: &str) -> Result<&Measure, String> {
        self.rules.measures.get(id).ok_or_else(|| format!("there is no measure `{id}`"))
    }

    /// Series of the HTTP server know no model.
    fn dialect(&self, measure: &Measure) -> Dialect {
        let family = measure.metrics.as_ref().map(super::read::family);
        match family.is_some_and(|family| family.starts_with("http_")) {
            true => self.target.without_model(),
            false => self.target.dialect.clone(),
        }
    }

    fn compared(&self, of: &Measure, op: &str, bound: f64, over: f64) -> Result<Asked, String> {
        let dialect = self.dialect(of);
        let text = format!("{} {op} {}", dialect.expression(of, over)?, number(bound));
        Ok(Asked { text, by: dialect.by, notes: Vec::new() })
    }

    /// A quantile is compared as far as its buckets can tell it.
    fn above(&self, measure: &Measure, bound: f64, window: f64) -> Result<Asked, String> {
        let Some(Query::Quantile { of, .. }) = &measure.metrics else {
            return self.compared(measure, ">", bound, window);
        };
        let show = |value: f64| measure.unit.show(value);
        let at = show(bound);
        match self.target.place(of, bound) {
            Some(Place::First(first)) => {
                let mean =
                    Measure { metrics: Some(Query::Mean { of: of.clone() }), ..measure.clone() };
                let mut asked = self.compared(&mean, ">", bound, window)?;
                asked.notes.push(format!(
                    "{at} lies inside the first bucket, which ends at {}: a quantile there is a \
                     guess, so the mean is compared, which is exact.",
                    show(first)
                ));
                Ok(asked)
            }
            Some(Place::Beyond(last)) => Err(format!(
                "no quantile exceeds the last bucket, {}, and it asks for more than {at}",
                show(last)
            )),
            Some(Place::Between(lower, upper)) => {
                let mut asked = self.compared(measure, ">", bound, window)?;
                asked.notes.push(format!(
                    "{at} lies between the buckets {} and {}: Prometheus interpolates there.",
                    show(lower),
                    show(upper)
                ));
                Ok(asked)
            }
            Some(Place::Bound) | None => self.compared(measure, ">", bound, window),
        }
    }

    fn above_baseline(
        &self,
        measure: &Measure,
        factor: f64,
        window: f64,
        lasting: f64,
    ) -> Result<Asked, String> {
        let dialect = self.dialect(measure);
        let now = dialect.expression(measure, window)?;
        let before = shifted(&dialect.expression(measure, BASELINE)?, lasting + window)?;
        let note = format!(
            "The baseline is that of the {} before the alert's own time.",
            duration(BASELINE)
        );
        let text = format!("{now} > {} * ({before})", number(factor));
        Ok(Asked { text, by: dialect.by, notes: vec![note] })
    }

    /// Prometheus sees whether /metrics answers, not /ping.
    fn answers(&self) -> Result<Asked, String> {
        let dialect = self.target.without_model();
        let note =
            "Prometheus knows whether /metrics answers; a blackbox probe of /ping sees more.";
        if !dialect.selector.is_empty() {
            let up = format!("up{{{}}}", dialect.selector);
            let text = format!("({up} == 0) or absent({up})");
            return Ok(Asked { text, by: dialect.by, notes: vec![note.into()] });
        }
        let running = self.target.dialect.name("running")?;
        let text = format!(
            "up == 0 and on (job, instance) max_over_time({running}[{}])",
            duration(BASELINE)
        );
        let by = vec!["job".into(), "instance".into()];
        let more = "Without a selector, only targets that have served vLLM's metrics are known, and \
                    one that is no longer scraped is not missed.";
        Ok(Asked { text, by, notes: vec![note.into(), more.into()] })
    }

    fn slo(&self, slo: &Slo) -> Vec<Row> {
        let tiers = slo.burn.as_ref().and_then(|name| self.rules.tiers.get(name));
        let tiers = tiers.into_iter().flatten().map(|tier| self.tier(slo, tier));
        tiers.chain(slo.rules.iter().map(|rule| self.slo_rule(slo, rule))).collect()
    }

    fn tier(&self, slo: &Slo, rule: &TierRule) -> Row {
        let id = format!("{}-{}", slo.id, rule.id);
        let burning = objective::tier(rule)
            .ok_or_else(|| "its windows are no times".to_owned())
            .and_then(|tier| self.burning(slo, tier));
        let Asked { text, notes, .. } = match burning {
            Ok(asked) => asked,
            Err(why) => return Row::Left { id, why },
        };
        Row::Rule(Rule {
            expr: text,
            lasting: None,
            severity: rule.severity,
            labels: vec![("slo", slo.id.clone()), ("tier", rule.id.clone())],
            summary: format!("{}: the error budget burns ({})", slo.title, rule.id),
            description: format!(
                "{{{{ $value | humanizePercentage }}}} of the events of {} were bad{}; {} spend {} \
                 of the budget of {}.",
                rule.long,
                self.where_it_is(),
                rule.long,
                Unit::Ratio.show(rule.spends),
                slo.period
            ),
            command: self.command(&format!("slo {}", slo.id)),
            runbook: None,
            action: said(slo),
            notes,
            id,
        })
    }

    /// Both windows burn, and the long one holds enough events.
    fn burning(&self, slo: &Slo, tier: Tier) -> Result<Asked, String> {
        let objective = objective_of(slo)?;
        if let Some(why) = objective::never(objective, tier) {
            return Err(format!("it can never fire: it {why}"));
        }
        let (long, mut notes) = self.bad(slo, tier.long)?;
        let (short, _) = self.bad(slo, tier.short)?;
        let (least, bound) = (objective.least_events(tier), number(objective.threshold(tier)));
        notes.push(format!(
            "Fires at {} times the budget, from {} events on.",
            number(objective.factor(tier)),
            number(least)
        ));
        let mut parts = vec![format!("({}) >= {bound}", long.ratio)];
        if tier.short < tier.long {
            parts.push(format!("({}) >= {bound}", short.ratio));
        }
        parts.push(format!("{} >= {}", long.total, number(least)));
        Ok(Asked { text: parts.join("\nand\n"), by: Vec::new(), notes })
    }

    /// The share of bad events over a window, as a ratio of sums over all of it.
    fn bad(&self, slo: &Slo, window: f64) -> Result<(Bad, Vec<String>), String> {
        let measure =
            objective::measure(slo, self.rules).ok_or("it counts no events that are known")?;
        let (dialect, range) = (self.dialect(measure), duration(window));
        match (&measure.metrics, &slo.latency) {
            (Some(Query::Ratio { to, .. }), _) => {
                let ratio = dialect.expression(measure, window)?;
                Ok((Bad { ratio, total: dialect.part(to, &range)? }, Vec::new()))
            }
            (Some(Query::Quantile { of, .. }), Some(latency)) => {
                let name = dialect.name(of)?;
                let (bound, notes) = self.snapped(measure, of, latency.good_under)?;
                let matcher = format!("le=~\"{}\"", spelled(bound));
                let good = dialect.growth(&format!("{name}_bucket"), &range, &[matcher]);
                let total = dialect.growth(&format!("{name}_count"), &range, &[]);
                let ratio = format!("1 - {good} / ({total} > 0)");
                Ok((Bad { ratio, total }, notes))
            }
            _ => Err("its measure counts no events".into()),
        }
    }

    /// The bound of a bucket that stands for the one asked for.
    fn snapped(
        &self,
        measure: &Measure,
        family: &str,
        asked: f64,
    ) -> Result<(f64, Vec<String>), String> {
        let bounds = self.target.bounds(family);
        let bounds = bounds.ok_or("the buckets of its histogram are not known here")?;
        let show = |value: f64| measure.unit.show(value);
        let bound = bounds.into_iter().find(|bound| *bound >= asked);
        let bound = bound.ok_or_else(|| format!("no bucket reaches {}", show(asked)))?;
        let note = format!(
            "Good are events up to {}, the next bucket: {} is the bound of none.",
            show(bound),
            show(asked)
        );
        Ok((bound, if bound == asked { Vec::new() } else { vec![note] }))
    }

    fn slo_rule(&self, slo: &Slo, rule: &SloRule) -> Row {
        let asked = match self.slo_expression(slo, rule) {
            Ok(asked) => asked,
            Err(why) => return Row::Left { id: rule.id.clone(), why },
        };
        let measure = objective::measure(slo, self.rules);
        Row::Rule(Rule {
            id: rule.id.clone(),
            expr: asked.text.clone(),
            lasting: rule.lasting.clone(),
            severity: rule.severity,
            labels: vec![("slo", slo.id.clone())],
            summary: rule.title.clone(),
            description: measure
                .map(|it| self.value(it, std::slice::from_ref(&asked)))
                .unwrap_or_default(),
            command: self.command(&format!("slo {}", slo.id)),
            runbook: None,
            action: said(slo),
            notes: asked.notes,
        })
    }

    fn slo_expression(&self, slo: &Slo, rule: &SloRule) -> Result<Asked, String> {
        let within = rule.within.as_deref().and_then(seconds);
        match (rule.spends, rule.ratio_above, rule.above, within) {
            (Some(spends), _, _, Some(window)) => {
                self.burning(slo, Tier { spends, long: window, short: window })
            }
            (_, Some(bound), _, Some(window)) => {
                let (bad, notes) = self.bad(slo, window)?;
                let text = format!("({}) > {}", bad.ratio, number(bound));
                Ok(Asked { text, by: Vec::new(), notes })
            }
            (.., Some(bound), _) => {
                let measure = objective::measure(slo, self.rules);
                self.above(measure.ok_or("its measure is not known")?, bound, objective::RECENT)
            }
            _ => Err("it has no threshold".into()),
        }
    }

    /// What the value of a rule is, in words.
    fn value(&self, measure: &Measure, asked: &[Asked]) -> String {
        if !measure.probe.is_empty() {
            return "{{ $labels.job }} {{ $labels.instance }} does not answer.".into();
        }
        let mean = asked.first().is_some_and(|it| it.text.contains("_sum"));
        let what = if mean { measure.title.replace("P95", "Mean") } else { measure.title.clone() };
        let how = match measure.unit {
            Unit::Seconds => "humanizeDuration",
            Unit::Ratio => "humanizePercentage",
            _ => "humanize",
        };
        format!("{what}: {{{{ $value | {how} }}}}{}.", self.where_it_is())
    }

    /// Of what the value is, by the labels that results keep.
    fn where_it_is(&self) -> String {
        let labels = self.target.dialect.by.iter().map(|label| {
            format!("{{{{ with $labels.{label} }}}} {label}={{{{ . }}}}{{{{ end }}}}")
        });
        labels.collect()
    }

    /// The command to run when it fires, for the moment that it was judged at last.
    fn command(&self, what: &str) -> String {
        let selector = &self.target.dialect.selector;
        let selector =
            if selector.is_empty() { String::new() } else { format!(" --selector '{selector}'") };
        let now =
            "{{ (query \"time()\" | first | value | toTime).UTC.Format \"2006-01-02T15:04:05Z\" }}";
        format!("diagnose {what} --prometheus {{{{ $externalURL }}}}{selector} --at {now}")
    }
}

/// Expressions for the bad events of a window.
struct Bad {
    ratio: String,
    total: String,
}

/// All conditions hold, of the same model.
fn together(asked: &[Asked]) -> String {
    let same = asked.windows(2).all(|pair| pair[0].by == pair[1].by);
    let shared = asked.first().map(|first| {
        let everywhere = |label: &&String| asked.iter().all(|it| it.by.contains(label));
        first.by.iter().filter(everywhere).cloned().collect::<Vec<_>>().join(", ")
    });
    let and = match same {
        true => "\nand\n".to_owned(),
        false => format!("\nand on ({})\n", shared.unwrap_or_default()),
    };
    let texts: Vec<&str> = asked.iter().map(|it| it.text.as_str()).collect();
    texts.join(&and)
}

fn objective_of(slo: &Slo) -> Result<Objective, String> {
    let period = seconds(&slo.period).ok_or("its period is no time")?;
    Ok(Objective { share: slo.objective, period })
}

fn said(slo: &Slo) -> String {
    format!("Users say: \"{}\" {}", slo.users, slo.business)
}

/// A bound as `le` has it: Prometheus 3 writes 1 as 1.0.
fn spelled(bound: f64) -> String {
    let text = bound.to_string().replace('.', "\\\\.");
    if bound.fract() == 0.0 { format!("{text}(\\\\.0)?") } else { text }
}

/// An expression as it was so many seconds ago.
fn shifted(expression: &str, by: f64) -> Result<String, String> {
    let mut parsed = parser::parse(expression)?;
    let mut shift = Shift(std::time::Duration::from_secs_f64(by.max(0.0)));
    match walk_expr_mut(&mut shift, &mut parsed) {
        Ok(_) => Ok(parsed.to_string()),
        Err(never) => match never {},
    }
}

struct Shift(std::time::Duration);

impl ExprVisitorMut for Shift {
    type Error = std::convert::Infallible;

    fn pre_visit(&mut self, expr: &mut Expr) -> Result<bool, Self::Error> {
        match expr {
            Expr::VectorSelector(selector) => selector.offset = Some(Offset::Pos(self.0)),
            Expr::MatrixSelector(selector) => selector.vs.offset = Some(Offset::Pos(self.0)),
            _ => {}
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{monitor::target::matchers, runbook::Library, signals::families::Version};

    fn rendered(version: &str) -> String {
        let target = Target::of_version(
            Version::parse(version).unwrap(),
            &matchers("job=\"vllm\"").unwrap(),
        );
        let policy = Library::embedded().unwrap().policy;
        render(&Rules::embedded().unwrap(), &policy, &target)
    }

    #[test]
    fn a_threshold_inside_the_first_bucket_compares_the_mean() {
        let text = rendered("0.23.0");
        let creep = text.split("- alert: queue-wait-creep").next().unwrap();
        assert!(creep.rsplit("- alert").next().unwrap().contains("ends at 300 ms"), "{creep}");
        let rule = text.split("- alert: queue-wait-creep").nth(1).unwrap();
        let rule = rule.split("- alert:").next().unwrap();
        assert!(rule.contains("request_queue_time_seconds_sum"), "{rule}");
        assert!(!rule.contains("histogram_quantile"), "{rule}");
    }

    #[test]
    fn what_the_release_lacks_is_a_comment_with_its_reason() {
        let text = rendered("0.23.0");
        assert!(
            text.contains("# oom-detected is left out: vLLM exports nothing like it"),
            "{text}"
        );
        assert!(text.contains("# ttft-p50-fast is left out: it can never fire"), "{text}");
        assert!(!text.contains("alert: oom-detected") && !text.contains("alert: ttft-p50-fast"));
        assert!(rendered("0.8.5").contains("vllm:gpu_cache_usage_perc"));
    }

    #[test]
    fn a_baseline_is_asked_of_the_past() {
        let before = shifted("sum by (a) (rate(x{b=\"c\"}[1d])) / y", 1200.0).unwrap();
        assert!(before.contains("x{b=\"c\"}[1d] offset 20m"), "{before}");
        assert!(before.ends_with("y offset 20m"), "{before}");
    }

    #[test]
    fn whole_bounds_match_both_spellings() {
        assert_eq!((spelled(1.0).as_str(), spelled(2.5).as_str()), ("1(\\\\.0)?", "2\\\\.5"));
    }

    #[test]
    fn conditions_on_different_labels_meet_on_the_shared_ones() {
        let asked = |text: &str, by: &[&str]| Asked {
            text: text.into(),
            by: by.iter().map(|label| label.to_string()).collect(),
            notes: Vec::new(),
        };
        let (a, b) = (asked("a > 1", &["model_name", "job"]), asked("b > 1", &["job"]));
        assert_eq!(together(&[a, b]), "a > 1\nand on (job)\nb > 1");
    }
}

//! Reading measures, alerts, objectives, tiers and dashboards: the embedded ones, then the user's own.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use serde::de::DeserializeOwned;

use super::{Alert, Measure, Slo, Threshold, TierRule, dashboard::Row, sound};
use crate::runbook::{
    PolicyEntry,
    load::{Embedded, LoadError, files_of, parse},
    problem::{Problem, SourceFile},
};

/// The files in the binary, by path.
pub static EMBEDDED: &[Embedded] = include!(concat!(env!("OUT_DIR"), "/monitoring.rs"));

/// Everything that is watched.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rules {
    /// Measures, by id.
    pub measures: BTreeMap<String, Measure>,
    /// Alerts, in the order of the files.
    pub alerts: Vec<Alert>,
    /// Objectives, in the order of the files.
    pub slos: Vec<Slo>,
    /// Sets of burn-rate tiers, by name.
    pub tiers: BTreeMap<String, Vec<TierRule>>,
    /// Rows of the dashboard, from the most urgent to the least.
    pub rows: Vec<Row>,
}

impl Rules {
    /// What ships in the binary.
    pub fn embedded() -> Result<Self, LoadError> {
        Self::load(&[])
    }

    /// What ships in the binary, overridden id by id by `monitoring/` in each of `dirs`.
    pub fn load(dirs: &[PathBuf]) -> Result<Self, LoadError> {
        let mut files: Vec<SourceFile> = EMBEDDED.iter().map(Embedded::compiled).collect();
        let mut unreadable = Vec::new();
        for (index, dir) in dirs.iter().enumerate() {
            match files_of(dir, "monitoring", index + 1) {
                Ok(found) => files.extend(found),
                Err(failure) => unreadable.push(failure),
            }
        }
        let mut rules = Self::default();
        let files: Vec<Arc<SourceFile>> = files.into_iter().map(Arc::new).collect();
        let added = files.iter().map(|file| rules.add(file));
        let mut problems: Vec<Problem> = added.filter_map(|it| it.err().map(|it| *it)).collect();
        if problems.is_empty() && !dirs.is_empty() {
            problems = sound::problems(&rules, &files);
        }
        if unreadable.is_empty() && problems.is_empty() {
            return Ok(rules);
        }
        Err(LoadError { unreadable, problems })
    }

    fn add(&mut self, file: &Arc<SourceFile>) -> Result<(), Box<Problem>> {
        let name = file.path.rsplit(['/', '\\']).next().unwrap_or_default();
        match name.split('.').next().unwrap_or_default() {
            "measures" => {
                let measures: Vec<Measure> = parse(file)?;
                self.measures.extend(measures.into_iter().map(|it| (it.id.clone(), it)));
            }
            "alerts" => override_by(&mut self.alerts, file, |alert: &Alert| &alert.id)?,
            "slos" => override_by(&mut self.slos, file, |slo: &Slo| &slo.id)?,
            "tiers" => self.tiers.extend(parse::<BTreeMap<String, Vec<TierRule>>>(file)?),
            "dashboards" => override_by(&mut self.rows, file, |row: &Row| &row.id)?,
            _ => {
                let known = "measures.yaml, alerts.yaml, slos.yaml, tiers.yaml, dashboards.yaml";
                let message = format!("nothing reads `{name}` here; files are called {known}");
                return Err(Box::new(Problem::error(file, 0..0, message)));
            }
        }
        Ok(())
    }
}

/// A later item takes the place of the earlier one with its id.
fn override_by<T: DeserializeOwned>(
    items: &mut Vec<T>,
    file: &Arc<SourceFile>,
    id: fn(&T) -> &String,
) -> Result<(), Box<Problem>> {
    for item in parse::<Vec<T>>(file)? {
        match items.iter_mut().find(|known| id(known) == id(&item)) {
            Some(known) => *known = item,
            None => items.push(item),
        }
    }
    Ok(())
}

impl Threshold {
    /// The number; `None` where policy.yaml has no such entry.
    pub fn value(&self, policy: &BTreeMap<String, PolicyEntry>) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Policy(name) => policy.get(name).map(|entry| entry.value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        monitor::{Query, seconds},
        runbook::Library,
        signals::{self, families},
    };

    #[test]
    fn what_ships_is_sound() {
        let files: Vec<_> = EMBEDDED.iter().map(|file| Arc::new(file.compiled())).collect();
        assert_eq!(sound::problems(&Rules::embedded().unwrap(), &files), []);
    }

    #[test]
    fn everything_that_is_named_exists() {
        let (rules, library) = (Rules::embedded().unwrap(), Library::embedded().unwrap());
        let measured = |id: &String| assert!(rules.measures.contains_key(id), "no measure {id}");
        for alert in &rules.alerts {
            assert!(library.runbooks.contains_key(&alert.runbook), "{}", alert.id);
            assert!(seconds(&alert.window).is_some() && seconds(&alert.lasting).is_some());
            for condition in &alert.all {
                measured(&condition.measure);
                let bounds = [&condition.above, &condition.below];
                let bounds: Vec<&Threshold> = bounds.into_iter().flatten().collect();
                assert_eq!(bounds.len() + condition.above_baseline.iter().len(), 1, "{}", alert.id);
                assert!(
                    bounds.iter().all(|it| it.value(&library.policy).is_some()),
                    "{}",
                    alert.id
                );
            }
        }
        for slo in &rules.slos {
            let one = slo.errors.iter().map(|it| &it.measure);
            let measures: Vec<_> = one.chain(slo.latency.iter().map(|it| &it.measure)).collect();
            assert_eq!(measures.len(), 1, "{}", slo.id);
            measures.into_iter().for_each(measured);
            assert!(slo.burn.iter().all(|set| rules.tiers.contains_key(set)), "{}", slo.id);
        }
    }

    #[test]
    fn every_panel_names_what_exists() {
        let (rules, library) = (Rules::embedded().unwrap(), Library::embedded().unwrap());
        let mut ids = std::collections::BTreeSet::new();
        for row in &rules.rows {
            assert!(seconds(&row.period).is_some(), "{}", row.id);
            for panel in &row.panels {
                assert!(ids.insert(&panel.id), "{} stands twice", panel.id);
                assert!(!panel.measures.is_empty() && !panel.why.is_empty(), "{}", panel.id);
                for measure in &panel.measures {
                    assert!(rules.measures.contains_key(measure), "{}: {measure}", panel.id);
                }
                let alert = panel.alert.as_ref();
                assert!(alert.is_none_or(|id| rules.alerts.iter().any(|it| it.id == *id)));
                let slo = panel.slo.as_ref();
                assert!(slo.is_none_or(|id| rules.slos.iter().any(|it| it.id == *id)));
                let lines = [&panel.target, &panel.red_above].into_iter().flatten();
                let mut values = lines.map(|line| line.value(&library.policy));
                assert!(values.all(|value| value.is_some()), "{}", panel.id);
            }
        }
    }

    #[test]
    fn measures_name_families_and_agree_with_signals_on_units() {
        for measure in Rules::embedded().unwrap().measures.values() {
            let families: Vec<&str> = match &measure.metrics {
                Some(Query::Quantile { of, .. } | Query::Mean { of } | Query::Gauge { of, .. }) => {
                    vec![of]
                }
                Some(Query::Rate { of, .. }) => of.iter().map(String::as_str).collect(),
                Some(Query::Ratio { of, to }) => vec![&of.family, &to.family],
                None => Vec::new(),
            };
            for family in families {
                assert!(families::family(family).is_some(), "{}: {family}", measure.id);
            }
            if let Some(signal) = signals::find(&measure.id) {
                assert_eq!(signal.unit, measure.unit, "{}", measure.id);
            }
        }
    }
}

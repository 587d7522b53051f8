//! `diagnose alerts handle`: from a page to the report of its runbook.

use std::path::Path;

use super::{
    Failure,
    run::{self, Scope},
    write,
};
use crate::{
    cli::{At, HandleArgs},
    config::{self, Environment, Settings},
    exit::Exit,
    input,
    monitor::{
        load::Rules,
        page::{self, Page},
    },
};

/// Largest page, bytes.
pub(super) const MAX_PAGE: u64 = 1 << 20;

/// Labels of an alert that tell which server it is about, as Prometheus has them too.
const TELLING: [&str; 7] =
    ["cluster", "namespace", "service", "job", "pod", "instance", "model_name"];

/// Reads the page, picks runbook, time and target from it, and writes the report.
pub fn run(args: &HandleArgs, env: &Environment) -> anyhow::Result<Exit> {
    let dirs = config::directories(&args.run.judge.runbooks, &args.run.config, env)?;
    let rules = Rules::load(&dirs)?;
    let text = input::bytes(&args.page, MAX_PAGE)
        .map_err(|error| unusable(&args.page, &error.to_string()))?;
    let page = page::read(&text, &rules).map_err(|why| unusable(&args.page, &why))?;
    let mut settings = config::settings(&args.run, env)?;
    aim(&mut settings, &page);
    let scope = page.runbook.clone().map_or(Scope::Sweep, Scope::Runbook);
    if scope == Scope::Sweep {
        let nearest = page::nearest(&page.alert, &rules).unwrap_or_default();
        write::note(&format!("no rule is called `{}`, so all is judged. {nearest}", page.alert));
    }
    run::run_with(&scope, &settings)
}

/// Looks at the time and the server that the page is about, as far as the settings leave them open.
fn aim(settings: &mut Settings, page: &Page) {
    if settings.history.is_asked() && settings.at.is_none() {
        settings.at = page.ended.map(At::Time);
        settings.history.at = settings.at;
    }
    let Some(prometheus) = &mut settings.history.prometheus else { return };
    let matchers = TELLING.iter().filter_map(|name| {
        let value = page.labels.get(*name)?;
        Some(format!("{name}={}", serde_json::Value::from(value.as_str())))
    });
    let own = prometheus.selector.clone().filter(|own| !own.is_empty());
    let all: Vec<String> = own.into_iter().chain(matchers).collect();
    prometheus.selector = Some(all.join(",")).filter(|all| !all.is_empty());
}

fn unusable(path: &Path, why: &str) -> Failure {
    Failure {
        tried: format!("read the page in {}", path.display()),
        happened: why.into(),
        next: "the body of an Alertmanager's webhook, or an alarm of CloudWatch as SNS or \
               EventBridge deliver it"
            .into(),
        exit: Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::HistoryArgs, cli::RunArgs};

    #[test]
    fn a_page_aims_at_its_server_and_its_end() {
        let history = HistoryArgs { prometheus: Some("http://p".into()), ..HistoryArgs::default() };
        let args = RunArgs { history, ..RunArgs::default() };
        let mut settings = config::settings(&args, &Environment::default()).unwrap();
        let labels = [("instance", "a\"b:8000"), ("severity", "critical")];
        let labels = labels.into_iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let page = Page {
            alert: "high-ttft".into(),
            runbook: Some("high-ttft".into()),
            since: Some(10.0),
            ended: Some(20.0),
            labels,
            group: "g".into(),
        };
        aim(&mut settings, &page);
        let selector = settings.history.prometheus.unwrap().selector.unwrap();
        assert_eq!(selector, r#"instance="a\"b:8000""#);
        assert_eq!(settings.history.at, Some(At::Time(20.0)));
    }
}

//! Pages as they come: what an Alertmanager's webhook or an alarm of CloudWatch asks to look at.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{evidence::Time, runbook::problem::did_you_mean};

use super::load::Rules;

/// What a page asks for: one runbook, for one time and target.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The alert's own name.
    pub alert: String,
    /// The runbook to run; `None` for a sweep, where no rule is known by that name.
    pub runbook: Option<String>,
    /// When it began to fire.
    pub since: Option<Time>,
    /// When it ended; `None` while it fires.
    pub ended: Option<Time>,
    /// What it was told apart by: labels, or dimensions.
    pub labels: BTreeMap<String, String>,
    /// Pages with the same key are one incident.
    pub group: String,
}

/// Reads a page; `Err` says what it is not.
pub fn read(text: &[u8], rules: &Rules) -> Result<Page, String> {
    let body: Value =
        serde_json::from_slice(text).map_err(|error| format!("it is no JSON: {error}"))?;
    // SNS wraps the alarm as a text.
    let inner = body["Message"].as_str().and_then(|text| serde_json::from_str(text).ok());
    let body = inner.unwrap_or(body);
    if body["alerts"].is_array() {
        return of_alertmanager(&body, rules);
    }
    of_alarm(&body, rules).ok_or_else(|| {
        "it is neither the body of an Alertmanager's webhook nor an alarm of CloudWatch".into()
    })
}

/// <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>, version 4.
fn of_alertmanager(body: &Value, rules: &Rules) -> Result<Page, String> {
    let alerts = body["alerts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let firing = alerts.iter().filter(|alert| alert["status"] == "firing");
    // The earliest one that still fires: the others came after it.
    let first = firing.min_by_key(|alert| text(&alert["startsAt"]).to_owned());
    let alert = first.or(alerts.first()).ok_or("it holds no alert")?;
    let labels = map(&alert["labels"]);
    let name = labels.get("alertname").cloned().unwrap_or_default();
    let named = text(&alert["annotations"]["diagnose_runbook"]);
    let named = labels.get("diagnose_runbook").map_or(named, String::as_str);
    Ok(Page {
        runbook: runbook(named, &name, rules),
        since: time(&alert["startsAt"]),
        ended: time(&alert["endsAt"]).filter(|_| alert["status"] == "resolved"),
        group: text(&body["groupKey"]).to_owned(),
        alert: name,
        labels,
    })
}

/// The message of an alarm by SNS, or its event by EventBridge.
fn of_alarm(body: &Value, rules: &Rules) -> Option<Page> {
    let detail = &body["detail"];
    let (name, state, since) = match body["AlarmName"].as_str() {
        Some(name) => (name, text(&body["NewStateValue"]), &body["StateChangeTime"]),
        None => {
            let state = &detail["state"];
            (detail["alarmName"].as_str()?, text(&state["value"]), &state["timestamp"])
        }
    };
    let since = time(since);
    Some(Page {
        alert: name.to_owned(),
        runbook: runbook("", name, rules),
        since,
        ended: since.filter(|_| state == "OK"),
        labels: dimensions(&body["Trigger"]["Dimensions"]),
        group: name.to_owned(),
    })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn map(value: &Value) -> BTreeMap<String, String> {
    let entries = value.as_object().into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

fn dimensions(value: &Value) -> BTreeMap<String, String> {
    let pairs = value.as_array().into_iter().flatten();
    pairs
        .filter_map(|it| Some((it["name"].as_str()?.into(), it["value"].as_str()?.into())))
        .collect()
}

/// RFC 3339, also in the spelling of CloudWatch (`+0000`); the year 1 means "not yet".
fn time(value: &Value) -> Option<Time> {
    let written = value.as_str()?;
    let fixed = written.strip_suffix("+0000").map(|start| format!("{start}Z"));
    let at: jiff::Timestamp = fixed.as_deref().unwrap_or(written).parse().ok()?;
    Some(at.as_millisecond() as f64 / 1e3).filter(|at| *at > 0.0)
}

/// The runbook that an alert names, or that the rule of this name has. Names are compared without
/// case and punctuation, as `VLLMHighTTFT`, `high-ttft` and `team-vllm-high-ttft` are one.
fn runbook(named: &str, alert: &str, rules: &Rules) -> Option<String> {
    if !named.is_empty() {
        return Some(named.to_owned());
    }
    let plain = |text: &str| -> String {
        text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
    };
    let alert = plain(alert);
    let of_alerts = rules.alerts.iter().map(|rule| (plain(&rule.id), rule.runbook.clone()));
    let longest =
        of_alerts.filter(|(id, _)| alert.ends_with(id.as_str())).max_by_key(|it| it.0.len());
    longest.map(|(_, runbook)| runbook)
}

/// The rule meant by a name that none has, for people.
pub fn nearest(alert: &str, rules: &Rules) -> Option<String> {
    did_you_mean(alert, rules.alerts.iter().map(|rule| rule.id.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(body: &str) -> Result<Page, String> {
        read(body.as_bytes(), &Rules::embedded().unwrap())
    }

    #[test]
    fn an_alertmanager_asks_for_its_earliest_firing_alert() {
        let body = r#"{"version":"4","groupKey":"{}:{x}","status":"firing","alerts":[
          {"status":"resolved","labels":{"alertname":"queue-overflow"},
           "startsAt":"2026-11-21T00:00:00Z","endsAt":"2026-11-21T00:10:00Z"},
          {"status":"firing","labels":{"alertname":"VLLMHighTTFT","model_name":"m"},
           "startsAt":"2026-11-21T03:14:00.5Z","endsAt":"0001-01-01T00:00:00Z"}]}"#;
        let page = page(body).unwrap();
        assert_eq!(page.runbook.as_deref(), Some("high-ttft"));
        assert_eq!((page.since, page.ended), (Some(1_795_230_840.5), None));
        assert_eq!(page.labels["model_name"], "m");
    }

    #[test]
    fn an_alarm_comes_by_sns_or_by_eventbridge() {
        let message = r#"{"AlarmName":"mangaassist-vllm-oom-detected","NewStateValue":"ALARM",
          "StateChangeTime":"2026-11-21T03:14:00.000+0000",
          "Trigger":{"Dimensions":[{"name":"AdapterId","value":"a"}]}}"#;
        let wrapped = serde_json::json!({"Type": "Notification", "Message": message});
        let by_sns = page(&wrapped.to_string()).unwrap();
        assert_eq!(by_sns.runbook.as_deref(), Some("oom"));
        assert_eq!(
            (by_sns.since, by_sns.labels["AdapterId"].as_str()),
            (Some(1_795_230_840.0), "a")
        );
        let event = r#"{"detail-type":"CloudWatch Alarm State Change","detail":{
          "alarmName":"mangaassist-vllm-high-ttft",
          "state":{"value":"OK","timestamp":"2026-11-21T03:14:00.000+0000"}}}"#;
        let by_event = page(event).unwrap();
        assert_eq!(
            (by_event.runbook.as_deref(), by_event.ended),
            (Some("high-ttft"), by_event.since)
        );
    }

    #[test]
    fn what_is_no_page_says_so_and_an_unknown_alert_leads_to_a_sweep() {
        assert!(page("oops").unwrap_err().contains("no JSON"));
        assert!(page("{}").unwrap_err().contains("neither"));
        assert!(page(r#"{"alerts":[]}"#).unwrap_err().contains("no alert"));
        let other = r#"{"alerts":[{"status":"firing","labels":{"alertname":"DiskFull"}}]}"#;
        assert_eq!(page(other).unwrap().runbook, None);
    }
}

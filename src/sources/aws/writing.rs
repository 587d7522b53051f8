//! The only place of this tool that changes anything outside: alarms and dashboards of CloudWatch.
//!
//! Tags are given where something is created, as AWS ignores them on a change.

use std::{collections::BTreeMap, error::Error};

use aws_sdk_cloudwatch::{
    Client,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    types::{AlarmType, Tag},
};
use serde_json::Value;

use super::{
    Options,
    bounded::bounded,
    client,
    failure::{About, Failure},
    permissions::{
        Ask, DELETE_ALARMS, DESCRIBE_ALARMS, GET_DASHBOARD, LIST_TAGS, PUT_COMPOSITE_ALARM,
        PUT_DASHBOARD, PUT_METRIC_ALARM,
    },
    spelling,
};
use crate::evidence::SourceState;

/// Alarms of one page, the most that there may be.
const PAGE: i32 = 100;

/// Something that stands in the account.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// What it is made of, in the spelling of the API.
    pub fields: Value,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// A request that was not done, in words that say what to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    /// What went wrong.
    pub text: String,
    /// Whether a further request would fail for the same reason.
    pub is_final: bool,
}

/// CloudWatch of one account in one region.
#[derive(Debug)]
pub struct Account {
    client: Client,
    about: About,
}

impl Refused {
    fn of(failure: Failure) -> Self {
        Self { is_final: failure.state != SourceState::BadData, text: failure.text }
    }
}

impl Account {
    /// Finds region and credentials of this machine.
    pub async fn open(options: &Options) -> Result<Self, Refused> {
        let config = client::config(options).await.map_err(Refused::of)?;
        let region = config.region().map(ToString::to_string).unwrap_or_default();
        let about = About { region, thing: "such thing".into(), timeout: options.timeout };
        Ok(Self { client: bounded!(aws_sdk_cloudwatch, &config, options), about })
    }

    /// The region.
    pub fn region(&self) -> &str {
        &self.about.region
    }

    /// All alarms whose names begin so, with their tags.
    pub async fn alarms(&self, prefix: &str) -> Result<Vec<Found>, Refused> {
        let mut pages = self
            .client
            .describe_alarms()
            .alarm_name_prefix(prefix)
            .alarm_types(AlarmType::MetricAlarm)
            .alarm_types(AlarmType::CompositeAlarm)
            .max_records(PAGE)
            .into_paginator()
            .send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.refused(&DESCRIBE_ALARMS, &error))?;
            let alarms = page.metric_alarms().iter();
            let alarms = alarms.map(|it| (it.alarm_arn(), spelling::metric_alarm(it)));
            let over = page.composite_alarms().iter();
            let over = over.map(|it| (it.alarm_arn(), spelling::composite_alarm(it)));
            found.extend(alarms.chain(over).map(|(arn, fields)| Found {
                name: fields["AlarmName"].as_str().unwrap_or_default().to_owned(),
                arn: arn.unwrap_or_default().to_owned(),
                fields,
                tags: BTreeMap::new(),
            }));
        }
        for alarm in &mut found {
            alarm.tags = self.tags(&alarm.arn).await?;
        }
        Ok(found)
    }

    /// Creates or replaces an alarm; one with an `AlarmRule` is over others.
    pub async fn put_alarm(
        &self,
        alarm: &Value,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), Refused> {
        let tags = Some(spelled(tags));
        if alarm.get("AlarmRule").is_some() {
            let put = spelling::with_composite(self.client.put_composite_alarm(), alarm);
            let sent = put.set_tags(tags).send().await;
            return sent.map(drop).map_err(|error| self.refused(&PUT_COMPOSITE_ALARM, &error));
        }
        let put = spelling::with_alarm(self.client.put_metric_alarm(), alarm);
        let sent = put.set_tags(tags).send().await;
        sent.map(drop).map_err(|error| self.refused(&PUT_METRIC_ALARM, &error))
    }

    /// Deletes an alarm.
    pub async fn delete_alarm(&self, name: &str) -> Result<(), Refused> {
        let sent = self.client.delete_alarms().alarm_names(name).send().await;
        sent.map(drop).map_err(|error| self.refused(&DELETE_ALARMS, &error))
    }

    /// A dashboard with its tags; `None` where there is none.
    pub async fn dashboard(&self, name: &str) -> Result<Option<Found>, Refused> {
        let sent = self.client.get_dashboard().dashboard_name(name).send().await;
        let told = match sent {
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(self.refused(&GET_DASHBOARD, &error)),
            Ok(told) => told,
        };
        let arn = told.dashboard_arn().unwrap_or_default().to_owned();
        let body = told.dashboard_body().unwrap_or_default();
        let fields = serde_json::from_str(body).unwrap_or_else(|_| Value::from(body));
        let tags = self.tags(&arn).await?;
        Ok(Some(Found { name: name.to_owned(), arn, fields, tags }))
    }

    /// Creates or replaces a dashboard; gives what CloudWatch has to say against it.
    pub async fn put_dashboard(
        &self,
        name: &str,
        body: &Value,
        tags: &BTreeMap<String, String>,
    ) -> Result<Vec<String>, Refused> {
        let put = self.client.put_dashboard().dashboard_name(name);
        let put = put.dashboard_body(body.to_string()).set_tags(Some(spelled(tags)));
        let said = put.send().await.map_err(|error| self.refused(&PUT_DASHBOARD, &error))?;
        let messages = said.dashboard_validation_messages().iter().map(|it| {
            let (at, message) = (it.data_path(), it.message().unwrap_or_default());
            at.map_or(message.to_owned(), |at| format!("{at}: {message}"))
        });
        Ok(messages.collect())
    }

    async fn tags(&self, arn: &str) -> Result<BTreeMap<String, String>, Refused> {
        let sent = self.client.list_tags_for_resource().resource_arn(arn).send().await;
        let told = sent.map_err(|error| self.refused(&LIST_TAGS, &error))?;
        let pair = |it: &Tag| Some((it.key()?.to_owned(), it.value()?.to_owned()));
        Ok(told.tags().iter().filter_map(pair).collect())
    }

    fn refused<E: ProvideErrorMetadata + Error + 'static>(
        &self,
        ask: &Ask,
        error: &SdkError<E, HttpResponse>,
    ) -> Refused {
        let mut failure = Failure::of(ask, error, &self.about);
        failure.text = format!("{}: {}", ask.operation, failure.text);
        Refused::of(failure)
    }
}

fn is_absent<E: ProvideErrorMetadata + Error + 'static>(error: &SdkError<E, HttpResponse>) -> bool {
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
    code.is_some_and(|code| code.contains("NotFound"))
}

fn spelled(tags: &BTreeMap<String, String>) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

//! The list of targets: a file of Prometheus' file_sd, one a line, or what Prometheus scrapes.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde::Deserialize;

use crate::{
    cli::SweepArgs,
    commands::{Failure, history, write},
    config::Settings,
    evidence::bundle::url_without_credentials,
    exit::Exit,
    input,
    sources::{http, prometheus},
    unit::counted,
};

/// What stands before a selector.
const DISCOVER: &str = "prometheus:";

/// A target and what the list says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    /// As people read it, without credentials.
    pub(super) name: String,
    /// Its URL.
    pub(super) url: String,
    /// Its labels; those that begin with `__` are Prometheus' own, and left out.
    pub(super) labels: BTreeMap<String, String>,
}

/// Refuses flags that would do nothing with this list.
pub(super) fn check(from: &str, args: &SweepArgs) -> anyhow::Result<()> {
    let history = &args.run.history;
    if !from.starts_with(DISCOVER) && history.prometheus.is_some() {
        anyhow::bail!("--prometheus has no effect with a file of --targets: give one of them");
    }
    Ok(())
}

/// Reads the list. A target that stands in it twice is asked once.
pub(super) fn read(from: &str, settings: &Settings) -> Result<Vec<Listed>, Failure> {
    let listed = match from.strip_prefix(DISCOVER) {
        Some(selector) => discovered(selector, settings),
        None => input::text(Path::new(from), settings.live.max_body)
            .map_err(|error| error.to_string())
            .and_then(|text| parse(&text)),
    };
    let listed = listed.and_then(unique).map_err(|why| unusable(from, &why))?;
    match listed.is_empty() {
        true => Err(unusable(from, "it names no target")),
        false => Ok(listed),
    }
}

/// Targets that share labels.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    targets: Vec<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// Reads a list in any of its forms.
fn parse(text: &str) -> Result<Vec<Listed>, String> {
    let rest = text.trim_start_matches('\u{feff}');
    let code = rest.lines().map(str::trim_start).find(|it| !it.is_empty() && !it.starts_with('#'));
    let first = code.unwrap_or_default();
    let is_json = first.strip_prefix('[').is_some_and(|it| {
        let it = it.trim_start();
        it.is_empty() || it.starts_with(['{', ']'])
    });
    let groups: Vec<Group> = if is_json {
        serde_json::from_str(rest).map_err(|error| error.to_string())?
    } else if first.starts_with("- ") || matches!(first.trim_end(), "-" | "---") {
        serde_saphyr::from_str(rest).map_err(|error| error.to_string())?
    } else {
        return Ok(lines(rest));
    };
    Ok(groups.iter().flat_map(of_group).collect())
}

fn lines(text: &str) -> Vec<Listed> {
    let targets = text.lines().map(|line| line.split('#').next().unwrap_or(line).trim());
    let listed = |target: &str| Listed {
        name: url_without_credentials(target),
        url: target.into(),
        labels: BTreeMap::new(),
    };
    targets.filter(|target| !target.is_empty()).map(listed).collect()
}

/// Scheme and path come from the labels that Prometheus itself reads.
fn of_group(group: &Group) -> Vec<Listed> {
    let own =
        |name: &str, default: &str| group.labels.get(name).map_or(default, |it| it).to_owned();
    let (scheme, path) = (own("__scheme__", "http"), own("__metrics_path__", "/metrics"));
    let mut labels = group.labels.clone();
    labels.retain(|name, _| !name.starts_with("__"));
    let listed = |target: &String| Listed {
        name: url_without_credentials(target),
        url: match target.contains("://") {
            true => target.clone(),
            false => format!("{scheme}://{target}{path}"),
        },
        labels: labels.clone(),
    };
    group.targets.iter().map(listed).collect()
}

fn discovered(selector: &str, settings: &Settings) -> Result<Vec<Listed>, String> {
    if selector.trim().is_empty() {
        return Err("a selector is needed, e.g. prometheus:job=\"vllm\"".into());
    }
    let mut past = settings.history.clone();
    if let Some(prometheus) = &mut past.prometheus {
        prometheus.selector = Some(selector.into());
    }
    let options = history::prometheus(&past, &settings.live)
        .ok_or("nothing says where Prometheus is: give --prometheus URL")?;
    let found = http::block_on(prometheus::targets(&options, history::now()));
    let found = found.map_err(|error| error.to_string())??;
    let listed = |it: prometheus::Scraped| Listed {
        name: it.labels.get("instance").cloned().unwrap_or_else(|| it.url.clone()),
        url: it.url,
        labels: it.labels,
    };
    Ok(found.into_iter().map(listed).collect())
}

/// Each target once. What is no target is a mistake of the list.
fn unique(listed: Vec<Listed>) -> Result<Vec<Listed>, String> {
    let count = listed.len();
    let mut seen = BTreeSet::new();
    let mut kept = Vec::new();
    for target in listed {
        if seen.insert(http::parse_target(&target.url)?) {
            kept.push(target);
        }
    }
    if kept.len() < count {
        let twice = counted(count - kept.len(), "target");
        write::note(&format!("{twice} stood in the list twice, and is asked once"));
    }
    Ok(kept)
}

fn unusable(from: &str, why: &str) -> Failure {
    Failure {
        tried: format!("read the targets in {from}"),
        happened: why.into(),
        next:
            "a file like [{\"targets\": [\"10.0.0.7:8000\"], \"labels\": {\"zone\": \"a\"}}], or \
               with one host:port a line"
                .into(),
        exit: Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(text: &str) -> Vec<String> {
        parse(text).unwrap().into_iter().map(|it| it.url).collect()
    }

    #[test]
    fn a_list_is_read_in_every_form() {
        let json =
            r#"[{"targets": ["a:1", "b:1"], "labels": {"zone": "x", "__scheme__": "https"}}]"#;
        assert_eq!(urls(json), ["https://a:1/metrics", "https://b:1/metrics"]);
        let yaml =
            "# ours\n- targets: [a:1]\n  labels:\n    zone: x\n    rack: 7\n- targets:\n  - b:1\n";
        let read = parse(yaml).unwrap();
        assert_eq!(read[0].labels["rack"], "7");
        assert_eq!((read[0].labels.len(), read[1].labels.len()), (2, 0));
        assert_eq!(
            urls("a:1 # first\n\n[::1]:8000\nhttps://u:p@c\n"),
            ["a:1", "[::1]:8000", "https://u:p@c"]
        );
        assert_eq!(parse("https://u:p@c").unwrap()[0].name, "https://***@c");
        assert!(parse("").unwrap().is_empty() && parse("[]").unwrap().is_empty());
    }

    #[test]
    fn a_list_that_is_none_says_where() {
        let error = parse("- targets: [a:1]\n  lables: {}\n").unwrap_err();
        assert!(error.contains("lables"), "{error}");
        assert!(unique(lines("ftp://x")).is_err());
        assert_eq!(unique(lines("a:1\nhttp://a:1/metrics")).unwrap().len(), 1);
    }
}

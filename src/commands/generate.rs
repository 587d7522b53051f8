//! What is generated from the code and the runbooks: completions, the manual page, JSON Schemas,
//! and the generated parts of the repository, which a test keeps up to date.

mod runbooks;
mod tree;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap_complete::Shell;
use schemars::{Schema, schema_for};
use serde_json::json;

use super::{coverage, eval, faults, write};
use crate::{
    cli::{self, GenerateArgs, SchemaOf},
    compare,
    config::FileConfig,
    eval::{published::Published, render},
    evidence::bundle::{Bundle, Limits},
    exit::{self, Exit},
    load::{self, result::LoadResult, scenario::Loads},
    monitor::{
        dashboard::{Panel, Row},
        emf,
        load::Rules,
        tables,
    },
    report,
    runbook::{Cause, Check, Library, Runbook},
    sources::{
        self,
        aws::permissions::{APPLIED, ASKED, Ask, DESCRIBE_ALARMS},
    },
    verify,
};
use runbooks::{RECORDINGS, Recording, Registry};

/// Prints the completion script of a shell.
pub fn completions(shell: Shell) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli::command(), "diagnose", &mut script);
    write::print(&String::from_utf8(script).context("the script is not UTF-8")?)?;
    Ok(Exit::Clean)
}

/// Prints the manual page, or writes a page for each command into a folder.
pub fn man(dir: Option<&Path>) -> anyhow::Result<Exit> {
    if let Some(dir) = dir {
        clap_mangen::generate_to(cli::command(), dir)
            .with_context(|| format!("failed to write pages into --dir {}", dir.display()))?;
        return Ok(Exit::Clean);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(cli::command()).render(&mut page).context("failed to render the page")?;
    write::print(&String::from_utf8(page).context("the page is not UTF-8")?)?;
    Ok(Exit::Clean)
}

/// Prints a JSON Schema.
pub fn schema(of: SchemaOf) -> anyhow::Result<Exit> {
    write::print(&schema_text(of)?)?;
    Ok(Exit::Clean)
}

fn schema_text(of: SchemaOf) -> anyhow::Result<String> {
    let schema: Schema = match of {
        SchemaOf::Report => return Ok(report::json::schema()),
        SchemaOf::Fleet => return Ok(report::fleet::Fleet::schema()),
        SchemaOf::Runbook => schema_for!(Runbook),
        SchemaOf::Checks => schema_for!(Vec<Check>),
        SchemaOf::Causes => schema_for!(Vec<Cause>),
        SchemaOf::Config => schema_for!(FileConfig),
        SchemaOf::Load => schema_for!(LoadResult),
        SchemaOf::Comparison => return Ok(compare::schema()),
        SchemaOf::Verification => return Ok(verify::schema()),
    };
    Ok(serde_json::to_string_pretty(&schema)? + "\n")
}

/// Checks or writes the generated parts of the repository in the current folder.
pub fn run(args: &GenerateArgs) -> anyhow::Result<Exit> {
    let root = Path::new(".");
    let stale = stale(root)?;
    for (path, text) in &stale {
        if args.write {
            write::file(&root.join(path), text)?;
        }
        let word = if args.write { "wrote" } else { "stale" };
        write::note(&format!("{word}: {}", path.display()));
    }
    let failed = args.check && !stale.is_empty();
    if failed {
        write::note("`cargo run -- generate --write` brings them up to date");
    }
    Ok(if failed { Exit::Finding } else { Exit::Clean })
}

/// The generated files that differ from what the code says, with the text they should have.
pub fn stale(root: &Path) -> anyhow::Result<BTreeMap<PathBuf, String>> {
    let mut expected = BTreeMap::new();
    for (name, of) in [
        ("report", SchemaOf::Report),
        ("fleet", SchemaOf::Fleet),
        ("runbook", SchemaOf::Runbook),
        ("checks", SchemaOf::Checks),
        ("causes", SchemaOf::Causes),
        ("config", SchemaOf::Config),
        ("load", SchemaOf::Load),
        ("comparison", SchemaOf::Comparison),
        ("verification", SchemaOf::Verification),
    ] {
        let path = PathBuf::from(format!("fixtures/schemas/{name}-v1.json"));
        expected.insert(path, schema_text(of)?);
    }
    let score = published(root)?;
    let rules = Rules::embedded()?;
    let loads = Loads::load(&[])?;
    let matrix = faults::read(root)?;
    let library = Library::embedded()?;
    let parts = [
        ("README.md", "exit codes", exit::markdown_table()),
        ("README.md", "causes", causes_table(&library)),
        ("README.md", "accuracy", score.summary()),
        (ACCURACY, "simulated", format!("```\n{}```\n", render::terminal(&score.simulated))),
        (ACCURACY, "left out", score.without_table()),
        (AWS, "aws operations", operations_table()),
        (AWS, "aws policy", policy(&ASKED)?),
        (AWS, "aws apply policy", policy(&changing())?),
        (MONITORING, "alerts", tables::alerts(&rules, &library.policy)),
        (MONITORING, "objectives", tables::objectives(&rules)),
        (MONITORING, "tiers", tables::tiers(&rules)),
        (LOAD, "scenarios", load::tables::scenarios(&loads)),
        (LOAD, "gate", load::tables::gate(&loads)),
        (LOAD, "client", load::tables::client(&loads)),
        (RELIABILITY, "faults of servers", matrix.network.markdown()),
        (RELIABILITY, "faults of AWS", matrix.cloud.markdown()),
        (RELIABILITY, "faults of files", matrix.files.markdown()),
        (DASHBOARDS, "panels", panels_table(&rules)),
        (DASHBOARDS, "gateway metrics", gateway_table()),
    ];
    for (page, part, text) in parts {
        let page = PathBuf::from(page);
        let present = match expected.remove(&page) {
            Some(filled) => filled,
            None => read(&root.join(&page))?,
        };
        expected.insert(page, fill(&present, part, &text)?);
    }
    let recordings = recordings(root)?;
    let registry = Registry { library: &library, rules: &rules, recordings: &recordings };
    expected.extend(runbooks::pages(&registry));
    expected.insert(coverage::PAGE.into(), coverage::page(&coverage::read(root)?));
    expected.retain(|path, text| read(&root.join(path)).ok().as_ref() != Some(text));
    Ok(expected)
}

/// The recorded incidents that ship.
fn recordings(root: &Path) -> anyhow::Result<Vec<Recording>> {
    let folder = root.join(RECORDINGS);
    let labels = eval::labels(&folder)?.into_iter();
    let incidents = labels.filter_map(|(name, it)| Some((name, it.causes.into_iter().next()?)));
    incidents
        .map(|(name, cause)| {
            let bundle = Bundle::load(&[folder.join(&name)], &Limits::default())?;
            Ok(Recording { name, cause, evidence: sources::read(&bundle) })
        })
        .collect()
}

/// The page that holds the score.
const ACCURACY: &str = "docs/accuracy.md";

/// The page about AWS.
const AWS: &str = "docs/aws.md";

/// Each operation of AWS that is called, in Markdown.
fn operations_table() -> String {
    let row = |it: &&Ask, only: &str| format!("| `{}` | {}{only} |\n", it.action(), it.why);
    let asked: String = ASKED.iter().map(|it| row(it, "")).collect();
    let applied: String = APPLIED.iter().map(|it| row(it, " (only for `apply`)")).collect();
    format!("| action | for |\n|---|---|\n{asked}{applied}")
}

/// What `apply` calls.
fn changing() -> Vec<&'static Ask> {
    [&DESCRIBE_ALARMS].into_iter().chain(APPLIED).collect()
}

/// The policy of IAM that allows these operations and nothing else, in Markdown.
fn policy(asks: &[&Ask]) -> anyhow::Result<String> {
    let mut resources: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for ask in asks {
        resources.entry(ask.resource).or_default().push(ask.action());
    }
    let statement = |(resource, actions): (&str, Vec<String>)| json!({ "Effect": "Allow", "Action": actions, "Resource": resource });
    let statements: Vec<_> = resources.into_iter().map(statement).collect();
    let policy = json!({ "Version": "2012-10-17", "Statement": statements });
    Ok(format!("```json\n{}\n```\n", serde_json::to_string_pretty(&policy)?))
}
/// The page about alerts and objectives.
const MONITORING: &str = "docs/monitoring.md";
/// The page about load tests.
const LOAD: &str = "docs/load.md";
/// The page about faults.
const RELIABILITY: &str = "docs/reliability.md";
/// The page that holds the panels.
const DASHBOARDS: &str = "docs/dashboards.md";

/// The score that was published last.
fn published(root: &Path) -> anyhow::Result<Published> {
    let path = root.join("fixtures/accuracy.json");
    serde_json::from_str(&read(&path)?).with_context(|| format!("{} is stale", path.display()))
}

#[expect(clippy::disallowed_methods, reason = "reads files of the repository, for developers")]
fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))
}

/// Puts `text` between the markers of a generated part.
fn fill(page: &str, part: &str, text: &str) -> anyhow::Result<String> {
    let begin = format!("<!-- begin generated: {part} -->\n");
    let end = format!("<!-- end generated: {part} -->");
    let Some((before, rest)) = page.split_once(&begin) else {
        bail!("the page has no line `{}`", begin.trim_end());
    };
    let Some((_, after)) = rest.split_once(&end) else {
        bail!("the page has no line `{end}`");
    };
    Ok(format!("{before}{begin}{text}{end}{after}"))
}

/// All panels by row, in Markdown.
fn panels_table(rules: &Rules) -> String {
    let rows = rules.rows.iter().flat_map(|row| row.panels.iter().map(move |panel| (row, panel)));
    let line = |(row, panel): (&Row, &Panel)| {
        let shown: Vec<String> = panel.measures.iter().map(|id| format!("`{id}`")).collect();
        let alert = panel.alert.as_ref().map(|id| format!("`{id}`")).unwrap_or_default();
        let (row, period, title) = (&row.title, &row.period, &panel.title);
        format!("| {row}, {period} | {title} | {} | {alert} |\n", shown.join(", "))
    };
    let lines: String = rows.map(line).collect();
    format!("| row, period | panel | measures | alert |\n|---|---|---|---|\n{lines}")
}

/// The metrics that gateway records become, in Markdown.
fn gateway_table() -> String {
    let line =
        |it: &emf::Metric| format!("| `{}` | {} | {} |\n", it.name, it.unit, it.by.join(", "));
    let lines: String = emf::CATALOGUE.iter().map(line).collect();
    format!("| metric | unit | dimensions |\n|---|---|---|\n{lines}")
}

/// All causes by family, in Markdown.
fn causes_table(library: &Library) -> String {
    let mut families: BTreeMap<&str, Vec<&Cause>> = BTreeMap::new();
    for cause in library.causes.values() {
        families.entry(&cause.family).or_default().push(cause);
    }
    let rows = families
        .into_values()
        .flatten()
        .map(|cause| format!("| {} | `{}` | {} |\n", cause.family, cause.id.value, cause.title));
    format!("| family | cause | what it means |\n|---|---|---|\n{}", rows.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_replaced_between_its_markers_only() {
        let page = "a\n<!-- begin generated: x -->\nold\n<!-- end generated: x -->\nb\n";
        let filled = fill(page, "x", "new\n").unwrap();
        assert_eq!(filled, page.replace("old", "new"));
        assert!(fill("no markers", "x", "new\n").is_err());
    }

    #[test]
    fn every_shell_has_a_script_and_it_knows_the_runbooks() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut cli::command(), "diagnose", &mut script);
            assert!(String::from_utf8(script).unwrap().contains("high-ttft"), "{shell}");
        }
    }
}

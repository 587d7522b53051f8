//! `diagnose explain`: what an id means, and a command that uses it.

mod library;
mod watched;

use super::{
    Failure,
    examples::{self, Example},
    load,
    page::Page,
    write,
};
use crate::{
    cli::ExplainArgs,
    config::{self, Environment},
    exit::{self, Exit},
    load::scenario::Loads,
    monitor::{TierRule, load::Rules},
    runbook::{Library, problem::did_you_mean},
    signals,
};

/// Everything that has an id.
struct Known {
    library: Library,
    rules: Rules,
    loads: Loads,
}

/// Ids of one kind, each with what it is in short.
struct Kind {
    name: &'static str,
    ids: Vec<(String, String)>,
}

/// Prints the page of an id, the ids of a kind, or the kinds.
pub fn run(args: &ExplainArgs, env: &Environment) -> anyhow::Result<Exit> {
    let dirs = config::directories(&args.library.runbooks, &args.library.config, env)?;
    let known = Known {
        library: Library::load(&dirs)?,
        rules: Rules::load(&dirs)?,
        loads: Loads::load(&dirs)?,
    };
    let id = args.id.join("-");
    let text = match id.as_str() {
        "" => Some(overview(&known)),
        _ => page(&id, &known)
            .or_else(|| kinds(&known).iter().find(|kind| kind.name == id).map(of_kind)),
    };
    write::print(&text.ok_or_else(|| unknown(&id, &known))?)?;
    Ok(Exit::Clean)
}

/// The page of an id; everything that carries the id is on it.
fn page(id: &str, known: &Known) -> Option<String> {
    if matches!(id, "exit-code" | "exit-codes" | "exit") {
        let mut page = Page::default();
        page.line("", exit::help_table().trim_end());
        return Some(tried(page, &examples::of_exit(Exit::Finding)));
    }
    if let Some(exit) = Exit::from_code(id) {
        return Some(of_exit(exit));
    }
    let mut pages = library::pages(id, known);
    pages.extend(watched::pages(id, &known.rules, &known.library));
    pages.extend(load::explain::page(id, &known.loads));
    (!pages.is_empty()).then(|| pages.join("\n"))
}

fn of_exit(exit: Exit) -> String {
    let mut page = Page::default();
    page.text("", &format!("{} (exit code)", exit.code()));
    page.text("  ", &format!("{}.", exit.meaning().replace('`', "")));
    tried(page, &examples::of_exit(exit))
}

/// The page with its examples at the end.
pub(super) fn tried(mut page: Page, examples: &[Example]) -> String {
    page.gap().text("  ", "Try:");
    for example in examples {
        page.comment(&example.says).line("    ", &example.command);
    }
    page.finish()
}

/// Every kind of id.
fn kinds(known: &Known) -> Vec<Kind> {
    let Known { library, rules, loads } = known;
    let kind = |name, ids: Vec<(&str, &str)>| Kind {
        name,
        ids: ids.into_iter().map(|(id, about)| (id.to_owned(), about.to_owned())).collect(),
    };
    let windows = |it: &TierRule| format!("Burns over {} and over {}", it.long, it.short);
    let tiers: Vec<_> =
        rules.tiers.values().flatten().map(|it| (it.id.as_str(), windows(it))).collect();
    let panels = rules.rows.iter().flat_map(|row| &row.panels);
    let codes: Vec<_> = Exit::ALL.map(|exit| (exit.code().to_string(), exit.meaning())).into();
    vec![
        kind("runbooks", library.runbooks.iter().map(|(id, it)| (&**id, &*it.title)).collect()),
        kind("causes", library.causes.iter().map(|(id, it)| (&**id, &*it.title)).collect()),
        kind("checks", library.checks.iter().map(|(id, it)| (&**id, &*it.question)).collect()),
        kind("signals", signals::registry().map(|it| (it.name, it.about)).collect()),
        kind("thresholds", library.policy.iter().map(|(id, it)| (&**id, &*it.about)).collect()),
        kind("alerts", rules.alerts.iter().map(|it| (&*it.id, &*it.title)).collect()),
        kind("objectives", rules.slos.iter().map(|it| (&*it.id, &*it.title)).collect()),
        kind("tiers", tiers.iter().map(|(id, about)| (*id, &**about)).collect()),
        kind("measures", rules.measures.iter().map(|(id, it)| (&**id, &*it.title)).collect()),
        kind("panels", panels.map(|it| (&*it.id, &*it.why)).collect()),
        kind("load-tests", loads.scenarios.iter().map(|(id, it)| (&**id, &*it.title)).collect()),
        kind("gate-rows", loads.gate.iter().map(|it| (&*it.id, &*it.title)).collect()),
        kind("versions", library.versions.iter().map(|(id, it)| (&**id, &*it.symptom)).collect()),
        kind("xids", library.xids.iter().map(|(id, it)| (&**id, &*it.meaning)).collect()),
        kind("codes", codes.iter().map(|(id, it)| (&**id, *it)).collect()),
    ]
}

/// The kinds with how many ids each has, and the first of them.
fn overview(known: &Known) -> String {
    let mut page = Page::default();
    page.text("", "diagnose explain ID says what an id means; diagnose explain KIND lists a kind:");
    page.gap();
    for Kind { name, ids } in kinds(known) {
        let first = ids.first().map_or("", |(id, _)| id);
        page.line("  ", &format!("{name:<11} {:>4}   for example {first}", ids.len()));
    }
    page.finish()
}

fn of_kind(kind: &Kind) -> String {
    let mut page = Page::default();
    let widest = kind.ids.iter().map(|(id, _)| id.len()).max().unwrap_or(0).min(34);
    for (id, about) in &kind.ids {
        page.text(&format!("{id:<widest$}  "), &about.replace('`', ""));
    }
    page.finish()
}

fn unknown(id: &str, known: &Known) -> Failure {
    let kinds = kinds(known);
    let ids = kinds.iter().flat_map(|kind| kind.ids.iter().map(|(id, _)| id.as_str()));
    let names: Vec<&str> =
        ids.chain(kinds.iter().map(|kind| kind.name)).chain(["exit-code"]).collect();
    let start: String = id.chars().take(3).collect();
    let alike = |name: &&str| name.contains(id) || (start.len() > 2 && name.starts_with(&start));
    let close: Vec<_> = names.iter().copied().filter(alike).take(6).collect();
    let near = did_you_mean(id, names).or_else(|| match &close[..] {
        [] => None,
        [one] => Some(format!("did you mean `{one}`?")),
        several => Some(format!("one of {}", several.join(", "))),
    });
    Failure {
        tried: format!("explain `{id}`"),
        happened: "nothing has this id".into(),
        next: near.unwrap_or_else(|| "`diagnose explain` lists the kinds of ids".into()),
        exit: Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;

    fn known() -> Known {
        Known {
            library: Library::embedded().unwrap(),
            rules: Rules::embedded().unwrap(),
            loads: Loads::load(&[]).unwrap(),
        }
    }

    fn examples_of(page: &str) -> Vec<&str> {
        let block = page.split("\n  Try:\n").skip(1).flat_map(str::lines);
        block.filter_map(|line| line.strip_prefix("    diagnose ")).collect()
    }

    #[test]
    fn every_id_of_every_kind_has_a_page_that_ends_with_a_command_the_program_takes() {
        let known = known();
        for kind in kinds(&known) {
            assert!(!kind.ids.is_empty(), "{}", kind.name);
            for (id, about) in &kind.ids {
                let page = page(id, &known).unwrap_or_else(|| panic!("{} {id}", kind.name));
                assert!(!about.is_empty() && page.starts_with(id.as_str()), "{page}");
                assert!(page.lines().all(|line| line.chars().count() <= 80), "{page}");
                let examples = examples_of(&page);
                assert!(!examples.is_empty(), "{page}");
                let last = page.trim_end().lines().last().unwrap();
                assert!(last.starts_with("    diagnose "), "{page}");
                for line in examples {
                    let words = ["diagnose"].into_iter().chain(line.split(' '));
                    let parsed = cli::parse(words.map(Into::into));
                    assert!(parsed.is_ok(), "{id}: {line}\n{}", parsed.unwrap_err());
                }
            }
        }
    }

    #[test]
    fn an_example_names_the_id_or_a_thing_that_uses_it() {
        let known = known();
        let last = |id: &str| examples_of(&page(id, &known).unwrap()).join("; ");
        assert!(last("volatile-prompt-prefix").starts_with("high-ttft"), "a runbook that ranks it");
        assert!(last("scaling_alarm_seconds").contains("scaling-failure --sagemaker"));
        assert!(last("queue-overflow").contains("alerts check queue-overflow"));
        assert!(last("availability").contains("slo availability"));
    }

    #[test]
    fn no_kind_is_called_like_an_id() {
        let known = known();
        let kinds = kinds(&known);
        for kind in &kinds {
            let taken = kinds.iter().any(|other| other.ids.iter().any(|(id, _)| id == kind.name));
            assert!(!taken, "{}", kind.name);
        }
    }

    #[test]
    fn an_unknown_id_names_the_nearest_one_of_any_kind() {
        let known = known();
        for (typed, meant) in [
            ("volatile-prompt-prefx", "volatile-prompt-prefix"),
            ("ttft_p95_second", "ttft_p95_seconds"),
            ("queue-overflw", "queue-overflow"),
            ("long-conversation", "long-conversations"),
        ] {
            let failure = unknown(typed, &known);
            assert!(failure.next.contains(meant), "{failure}");
        }
        assert!(unknown("qqqq", &known).next.contains("`diagnose explain`"));
    }

    #[test]
    fn without_an_id_the_kinds_are_listed_with_their_numbers() {
        let known = known();
        let text = overview(&known);
        for kind in kinds(&known) {
            let line = text.lines().find(|line| line.trim_start().starts_with(kind.name)).unwrap();
            assert!(line.contains(&kind.ids.len().to_string()), "{line}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn a_kind_lists_all_its_ids() {
        let known = known();
        let all = kinds(&known);
        let text = of_kind(all.iter().find(|kind| kind.name == "causes").unwrap());
        assert!(known.library.causes.keys().all(|id| text.contains(id.as_str())), "{text}");
    }
}

//! The fleet on a screen, and as Markdown for a ticket.

use super::{Common, CommonAnswer, Counts, Fleet, Replica};
use crate::{
    report::{
        Verdict, markdown,
        terminal::Style,
        text::{clean, pad, sentence, shorten_end, shorten_middle, width, wrap},
        words,
    },
    unit::counted,
};

/// Lines on a screen.
const SCREEN_LINES: usize = 25;
/// Narrower terminals than this are written to as if they had this width.
const MIN_WIDTH: usize = 40;
/// Columns of a verdict, and of the space after it.
const GUTTER: usize = 14;
/// Largest page of Markdown, in bytes: a comment of GitHub takes 65,536 characters.
const PAGE: usize = 60_000;

/// Writes the fleet for a terminal: one screen, or every replica where more is asked for.
pub fn terminal(fleet: &Fleet, style: &Style) -> String {
    let columns = style.width.max(MIN_WIDTH);
    let head = head(fleet, columns);
    if style.quiet {
        return head[0].clone() + "\n";
    }
    let room = match style.verbose {
        0 => SCREEN_LINES.saturating_sub(head.len() + 1),
        _ => usize::MAX,
    };
    let (shown, folded) = folded(&fleet.replicas, room);
    let names = shown.iter().map(|it| width(&clean(&it.name))).max().unwrap_or(0);
    let names = names.min(columns / 3);
    let mut lines = head;
    lines.push(String::new());
    lines.extend(shown.iter().map(|replica| row(replica, names, columns, style.color)));
    lines.extend(folded.map(|text| shorten_end(&text, columns)));
    lines.iter().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// Verdict and counts, then what the replicas not well have in common.
fn head(fleet: &Fleet, columns: usize) -> Vec<String> {
    let verdict = words::verdict(fleet.verdict);
    let mut lines = vec![shorten_end(
        &format!("{} {}", pad(verdict, GUTTER - 1), counts(fleet.counts)),
        columns,
    )];
    if fleet.common.answer != CommonAnswer::NoneUnwell {
        let told = wrap(&clean(&fleet.common.statement), columns - GUTTER);
        let label = |row| if row == 0 { "In common" } else { "" };
        let told = told.into_iter().enumerate();
        lines.extend(told.map(|(row, text)| pad(label(row), GUTTER) + &text));
    }
    lines
}

fn counts(counts: Counts) -> String {
    let named = [
        (counts.critical, "critical"),
        (counts.degraded, "degraded"),
        (counts.inconclusive, "inconclusive"),
        (counts.healthy, "healthy"),
    ];
    let named = named.into_iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}"));
    let silent = match counts.silent {
        0 => String::new(),
        n => format!("; {n} silent"),
    };
    let of = counted(counts.replicas as usize, "replica");
    format!("{of}: {}{silent}", named.collect::<Vec<_>>().join(", "))
}

/// The replicas that have room, and the rest as a line: healthy ones go first.
fn folded(replicas: &[Replica], room: usize) -> (&[Replica], Option<String>) {
    if replicas.len() <= room {
        return (replicas, None);
    }
    let unwell = replicas.iter().take_while(|it| it.verdict != Verdict::Healthy).count();
    let shown = unwell.min(room.saturating_sub(1));
    let healthy = replicas.len() - unwell;
    let more = unwell - shown;
    let told = match (more, healthy) {
        (0, healthy) => format!("and {healthy} healthy"),
        (more, 0) => format!("and {more} more; -v shows all"),
        (more, healthy) => format!("and {more} more, and {healthy} healthy; -v shows all"),
    };
    (&replicas[..shown], Some(told))
}

fn row(replica: &Replica, names: usize, columns: usize, color: bool) -> String {
    let name = pad(&shorten_middle(&clean(&replica.name), names), names);
    let room = columns.saturating_sub(GUTTER + names + 2);
    let told = shorten_end(&told(replica), room);
    let verdict = pad(word(replica), GUTTER);
    let verdict = if color { painted(replica, &verdict) } else { verdict };
    format!("{verdict}{name}  {told}")
}

fn word(replica: &Replica) -> &'static str {
    match replica.verdict {
        Verdict::Inconclusive if !replica.answered => "NO ANSWER",
        verdict => words::verdict(verdict),
    }
}

fn painted(replica: &Replica, text: &str) -> String {
    let code = match replica.verdict {
        Verdict::Critical => "1;31",
        Verdict::Degraded => "1;33",
        Verdict::Inconclusive => "1;35",
        Verdict::Healthy => "1;32",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// The reason for a verdict, most telling first.
fn told(replica: &Replica) -> String {
    if let Some(happened) = &replica.happened {
        // What to try stands behind the colon, in the JSON.
        let happened = clean(happened);
        return happened.split_once(": ").map_or(happened.clone(), |(what, _)| what.into());
    }
    let version = replica.attributes.get("version").map(|it| clean(it)).unwrap_or_default();
    match (replica.verdict, replica.causes.first(), replica.symptoms.first()) {
        (Verdict::Healthy, ..) => match version.is_empty() {
            true => String::new(),
            false => format!("vLLM {version}"),
        },
        (Verdict::Inconclusive, ..) => {
            format!("{} of {} checks answered", replica.answered_checks, replica.asked_checks)
        }
        (_, Some(cause), _) => {
            format!("{}: {}", words::percent(cause.probability), clean(&cause.title))
        }
        (_, None, Some(symptom)) => format!("not in the catalogue: {}", clean(&symptom.statement)),
        (_, None, None) => String::new(),
    }
}

/// Writes the fleet for a ticket; a row that has no room is counted.
pub fn page(fleet: &Fleet) -> String {
    let mut page = format!(
        "# {}: {} over {}\n\n{}\n\n",
        words::verdict(fleet.verdict),
        cell(&fleet.command),
        counted(fleet.replicas.len(), "replica"),
        sentence(&counts(fleet.counts)),
    );
    page += &in_common(&fleet.common);
    page += "| verdict | replica | what | checks |\n|---|---|---|---|\n";
    let unwell = fleet.replicas.iter().take_while(|it| it.verdict != Verdict::Healthy);
    let mut left = 0;
    for replica in unwell {
        let row = format!(
            "| {} | {} | {} | {} of {} |\n",
            word(replica),
            cell(&replica.name),
            cell(&told(replica)),
            replica.answered_checks,
            replica.asked_checks,
        );
        match page.len() + row.len() < PAGE {
            true => page += &row,
            false => left += 1,
        }
    }
    if left > 0 {
        page += &format!("\n_{left} more left out for length; the JSON has all._\n");
    }
    let version = fleet.tool.version.as_str();
    page + &format!("\nAnd {} healthy. Written by diagnose {version}.\n", fleet.counts.healthy)
}

fn in_common(common: &Common) -> String {
    if common.answer == CommonAnswer::NoneUnwell {
        return String::new();
    }
    let mut out = format!("**In common**: {}\n\n", cell(&common.statement));
    if common.separators.len() < 2 {
        return out;
    }
    out += "| trouble | value | with it | elsewhere | p, corrected |\n|---|---|---|---|---|\n";
    for it in common.separators.iter().take(10) {
        out += &format!(
            "| {} | {} | {} of {} | {} of {} | {:.1e} |\n",
            cell(&it.trouble),
            cell(&format!("{}={}", it.attribute, it.value)),
            it.troubled_with,
            it.with,
            it.troubled_without,
            it.without,
            it.p_corrected,
        );
    }
    out + "\n"
}

/// Outside text in a cell: it can open no tag, link, mention or further cell.
fn cell(text: &str) -> String {
    markdown::text(text)
}

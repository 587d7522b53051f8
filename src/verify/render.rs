//! The answer for people and for programs.

use crate::{
    report::{
        json::escape_hazards,
        text::{clean, pad, shorten_end, wrap},
    },
    unit::Unit,
};

use super::{Item, Outcome, Role, State, Verification};

/// Lines of one screen.
const SCREEN: usize = 25;

/// Columns of a label.
const LABEL: usize = 10;

/// The answer as JSON: indented, deterministic, one line feed at the end.
pub fn json(it: &Verification) -> String {
    escape_hazards(&serde_json::to_string_pretty(it).unwrap_or_default()) + "\n"
}

/// One screen of at most 25 lines.
pub fn terminal(it: &Verification, columns: usize) -> String {
    let columns = columns.clamp(60, 100);
    let mut lines = vec![outcome(it.outcome).to_owned()];
    let labelled = |label: &str, text: &str, most: usize| {
        let mut rows = wrap(&clean(text), columns - LABEL);
        if rows.len() > most {
            let rest = rows.split_off(most - 1).join(" ");
            rows.push(shorten_end(&rest, columns - LABEL));
        }
        let rows = rows.into_iter().enumerate();
        rows.map(|(row, text)| format!("{}{text}", pad(if row == 0 { label } else { "" }, LABEL)))
            .collect::<Vec<_>>()
    };
    lines.extend(labelled("Answer", &it.statement, 3));
    for symptom in it.new_symptoms.iter().take(2) {
        lines.extend(labelled("New", symptom, 2));
    }
    lines.extend(labelled("Before", &earlier(it), 2));
    lines.extend(labelled("Looked at", &looked_at(it), 2));
    lines.extend(labelled("Healthy", &it.baseline, 2));
    lines.push(String::new());
    for item in &it.items {
        lines.push(shorten_end(&row(item), columns));
    }
    for row in it.load.iter().filter(|row| row.share.is_some()) {
        lines.push(shorten_end(&format!("{}{}", pad("load", LABEL), row.words()), columns));
    }
    for note in &it.notes {
        lines.extend(labelled("Note", note, 2));
    }
    lines.truncate(SCREEN);
    lines.iter().map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Fixed => "FIXED",
        Outcome::NotFixed => "NOT FIXED",
        Outcome::TooEarly => "TOO EARLY",
        Outcome::Idle => "CANNOT TELL: IDLE",
        Outcome::LowerLoad => "CANNOT TELL: LOWER LOAD",
        Outcome::CannotTell => "CANNOT TELL",
    }
}

fn earlier(it: &Verification) -> String {
    let causes =
        if it.of.causes.is_empty() { "no known cause".into() } else { it.of.causes.join(", ") };
    format!("{} on {}: {causes}", it.of.command, it.of.target)
}

fn looked_at(it: &Verification) -> String {
    format!("{} to {}, {}", it.from, it.to, Unit::Requests.show(it.requests))
}

fn word(state: State) -> &'static str {
    match state {
        State::Gone => "gone",
        State::Holds => "holds",
        State::Undecided => "open",
        State::Unknown => "unknown",
    }
}

fn row(item: &Item) -> String {
    let role = if item.role == Role::Driver { " (load)" } else { "" };
    format!("{}{}{role}: {}", pad(word(item.state), LABEL), item.check, clean(&item.because))
}

/// All of it, for a ticket.
pub fn markdown(it: &Verification) -> String {
    let cell = |text: &str| clean(text).replace('|', "\\|").replace('<', "&lt;");
    let mut out = format!("# {}\n\n{}\n\n", outcome(it.outcome), cell(&it.statement));
    for (label, text) in
        [("Before", earlier(it)), ("Looked at", looked_at(it)), ("Healthy", it.baseline.clone())]
    {
        out += &format!("- {label}: {}\n", cell(&text));
    }
    for symptom in &it.new_symptoms {
        out += &format!("- New: {}\n", cell(symptom));
    }
    out += "\n| asked again | now | values |\n|---|---|---|\n";
    for item in &it.items {
        out += &format!(
            "| {} | {} | {} |\n",
            cell(&item.question),
            word(item.state),
            cell(&item.because)
        );
    }
    out += "\n| load | then | now |\n|---|---|---|\n";
    for row in &it.load {
        let show = |value: Option<f64>| value.map_or("unknown".into(), |it| row.unit.show(it));
        out += &format!("| {} | {} | {} |\n", row.title, show(row.then), show(row.now));
    }
    let notes: String = it.notes.iter().map(|note| format!("- {}\n", cell(note))).collect();
    if notes.is_empty() { out } else { format!("{out}\n{notes}") }
}

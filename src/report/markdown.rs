//! The report as Markdown, for a ticket.
//!
//! Outside text is escaped: it can open no tag, link, table cell, heading or mention.

use super::{
    CauseFound, Evidenced, Gap, Number, Part, ReadingRow, Report, Status, SymptomFound,
    text::{clean, sentence, shorten_end},
    words,
};

/// Largest page: GitHub refuses comments of 65,536 characters and more.
const LIMIT: usize = 60_000;
/// Kept free for the notes on what was left out.
const RESERVE: usize = 1_500;
/// Longest outside text in one place, in columns.
const MAX_TEXT: usize = 400;

/// Writes the report for a ticket.
pub fn render(report: &Report) -> String {
    let mut page = Page { out: head(report) };
    page.section("Causes", &cause_table(report));
    for cause in words::supported(report) {
        page.section(&format!("Cause: {}", text(&cause.title)), &evidence(cause));
    }
    page.section("What to do", &fixes(report));
    let waived = words::waivers(report).into_iter().map(|it| format!("- {}\n", text(&it)));
    page.section("Waived", &waived.collect::<Vec<_>>());
    page.section("Whom it hurt, by model", &per_model(report));
    page.section("Symptoms", &report.symptoms.iter().map(symptom).collect::<Vec<_>>());
    page.section("Path walked", &path(report));
    page.section("Where the time goes", &decomposition(report));
    page.section("Timeline", &timeline(report));
    page.section("Not known", &words::gaps(report).into_iter().map(gap).collect::<Vec<_>>());
    page.section("Sources", &sources(report));
    page.readings(report);
    page.out
}

/// A page that never grows past its limit: what does not fit is counted instead.
struct Page {
    out: String,
}

impl Page {
    fn fits(&self, block: &str) -> bool {
        self.out.len() + block.len() + RESERVE <= LIMIT
    }

    /// A heading and its blocks; a block is written whole or not at all.
    fn section(&mut self, title: &str, blocks: &[String]) {
        if blocks.is_empty() {
            return;
        }
        let heading = format!("\n## {title}\n\n");
        if !self.fits(&heading) {
            return;
        }
        self.out += &heading;
        self.blocks(blocks);
    }

    fn blocks(&mut self, blocks: &[String]) {
        for (index, block) in blocks.iter().enumerate() {
            if !self.fits(block) {
                let left = blocks.len() - index;
                if self.out.len() + 200 < LIMIT {
                    self.out +=
                        &format!("\n_{left} more left out for length; the JSON has all._\n");
                }
                return;
            }
            self.out += block;
        }
    }

    /// The readings, folded away.
    fn readings(&mut self, report: &Report) {
        if report.readings.is_empty() {
            return;
        }
        let head = "| signal | now | before | change | n | source |\n|---|---|---|---|---|---|\n";
        let title = format!(
            "\n<details>\n<summary>All readings ({})</summary>\n\n{head}",
            report.readings.len()
        );
        if !self.fits(&title) {
            return;
        }
        self.out += &title;
        let rows: Vec<String> = report.readings.iter().map(reading).collect();
        self.blocks(&rows);
        self.out += "\n</details>\n";
    }
}

/// Impact, verdict, coverage and onset.
fn head(report: &Report) -> String {
    let model = words::model_and_version(report, 200);
    let mut out = format!(
        "# {}: {} on {}\n\n",
        words::verdict(report.verdict),
        code(&report.command),
        code(&report.target.name),
    );
    if let Some(impact) = report.impact.as_ref().filter(|impact| words::hurts(impact)) {
        out += &format!("**{}**\n\n", text(&words::impact(report, impact)));
    }
    out += &coverage(report);
    out += &summary(report);
    out += &format!("- Target: {}\n", text(&model));
    if let Some(onset) = &report.onset {
        let within = crate::unit::Unit::Seconds.show(onset.plus_minus_seconds);
        out += &format!("- Began: {} ± {within}\n", text(&words::date_and_time(&onset.at)));
    }
    if let (Some(from), Some(to)) = (&report.window.from, &report.window.to) {
        let (from, to) = (words::date_and_time(from), words::date_and_time(to));
        out += &format!("- Judged: {} to {}\n", text(&from), text(&to));
    }
    out += &format!("- Written by {} {}\n", text(&report.tool.name), text(&report.tool.version));
    out
}

/// How much was looked at, said before any verdict.
fn coverage(report: &Report) -> String {
    let gaps = words::gaps(report);
    let named: Vec<String> =
        gaps.iter().take(4).map(|gap| text(&shorten_end(&clean(&gap.what), 60))).collect();
    let mut out = format!(
        "Coverage: {} of {} checks answered.",
        report.coverage.answered, report.coverage.asked
    );
    if !named.is_empty() {
        out += &format!(" Not known: {}", named.join(", "));
        if gaps.len() > named.len() {
            out += &format!(" and {} more", gaps.len() - named.len());
        }
        out += ".";
    }
    out + "\n\n"
}

/// The verdict in one sentence.
fn summary(report: &Report) -> String {
    let likely = |cause: &CauseFound| {
        format!(
            "{} likely: {} {}",
            words::percent(cause.probability),
            sentence(&text(&cause.title)),
            sentence(&text(&cause.claim)),
        )
    };
    let told = words::without_cause(report).or_else(|| words::top_cause(report).map(likely));
    format!("{}\n\n", told.unwrap_or_default())
}

fn cause_table(report: &Report) -> Vec<String> {
    if report.causes.is_empty() {
        return Vec::new();
    }
    let mut rows = vec!["| cause | likely | result | severity |\n|---|---|---|---|\n".to_string()];
    rows.extend(report.causes.iter().map(|cause| {
        let under = if cause.consequence_of.is_some() { "→ " } else { "" };
        format!(
            "| {under}{} ({}) | {} | {} | {} |\n",
            text(&cause.title),
            code(&cause.id),
            words::likely(cause).unwrap_or_else(|| "–".into()),
            words::status(cause.status),
            words::severity(cause.severity),
        )
    }));
    rows
}

/// Evidence for and against one cause, what is missing, and what would decide.
fn evidence(cause: &CauseFound) -> Vec<String> {
    let mut blocks = vec![format!("{}\n\n", sentence(&text(&cause.claim)))];
    if let Some(root) = &cause.consequence_of {
        blocks.push(format!("- A consequence of {}.\n", code(root)));
    }
    if !cause.not_told_from.is_empty() {
        let kin: Vec<String> = cause.not_told_from.iter().map(|id| code(id)).collect();
        blocks.push(format!("- Not told from {} by this evidence.\n", kin.join(", ")));
    }
    blocks.extend(cause.in_favour.iter().map(|fact| evidenced("For", fact)));
    blocks.extend(cause.against.iter().map(|fact| evidenced("Against", fact)));
    let missing = |gap| format!("- **Missing**: {}\n", text(&words::gap(gap)));
    blocks.extend(cause.missing.iter().map(missing));
    blocks.extend(words::decided(cause).map(|by| format!("- **Decides**: {}\n", text(&by))));
    blocks.extend(
        cause.track_record.iter().map(|kept| format!("- **Track record**: {}\n", text(kept))),
    );
    blocks.extend(cause.not_advised.iter().map(|rejected| {
        let told = words::fact(&rejected.text, &rejected.because);
        format!("- **Not advised**: {}\n", text(&told))
    }));
    blocks.extend(cause.replicas.iter().map(|replicas| {
        format!("- **Would more replicas help?** {}\n", text(&words::replicas(replicas)))
    }));
    blocks
}

fn evidenced(label: &str, fact: &Evidenced) -> String {
    format!("- **{label}**: {}\n", text(&words::fact(&fact.text, &fact.because)))
}

fn fixes(report: &Report) -> Vec<String> {
    let roots = report
        .causes
        .iter()
        .filter(|cause| cause.status == Status::Supported && cause.consequence_of.is_none());
    let fixes = roots.flat_map(|cause| &cause.fixes);
    fixes
        .enumerate()
        .map(|(index, fix)| {
            let mut out = format!("{}. {}\n", index + 1, sentence(&text(&fix.text)));
            if let Some(command) = &fix.command {
                out += &fenced(command);
            }
            out += &format!("   - Risk: {}\n", words::risk(fix.risk));
            out += &format!("   - Expect: {}\n", text(&fix.effect));
            out + &format!("   - Undo: {}\n", text(&fix.undo))
        })
        .collect()
}

fn per_model(report: &Report) -> Vec<String> {
    let models = report.impact.iter().flat_map(|impact| &impact.per_model);
    models
        .map(|model| {
            let share = words::share_of_requests(model.requests_over_objective, model.requests);
            format!("- {}: {share} over the objective\n", code(&model.model))
        })
        .collect()
}

fn symptom(symptom: &SymptomFound) -> String {
    let readings = symptom.readings.iter().map(|reading| {
        format!("  - {}: {}\n", words::answer(reading.answer), text(&words::reading(reading)))
    });
    let head = format!(
        "- {} ({}, {})\n",
        text(&symptom.statement),
        code(&symptom.signal),
        words::severity(symptom.severity)
    );
    readings.fold(head, |page, line| page + &line)
}

fn path(report: &Report) -> Vec<String> {
    let steps = report.path.iter().enumerate();
    steps
        .map(|(index, step)| {
            let mut out = format!("{}. {}\n", index + 1, text(&words::step(step)));
            if let Some(end) = &step.conclusion {
                out += &format!("   - → {}\n", sentence(&text(end)));
            }
            out
        })
        .collect()
}

fn decomposition(report: &Report) -> Vec<String> {
    if report.decomposition.is_empty() {
        return Vec::new();
    }
    let mut rows = vec!["| part | mean | requests |\n|---|---:|---:|\n".to_string()];
    let row = |part: &Part| {
        let n = crate::unit::Unit::Count.show(part.n);
        format!("| {} | {:.1} ms | {n} |\n", text(&part.part), part.ms)
    };
    rows.extend(report.decomposition.iter().filter(|part| part.ms.is_finite()).map(row));
    rows
}

fn timeline(report: &Report) -> Vec<String> {
    let entries = report.timeline.iter();
    let clocks = report.clocks.iter().filter_map(words::clock_skew);
    let clocks = clocks.map(|skew| format!("- {}\n", sentence(&text(&skew))));
    entries
        .map(|entry| {
            let at = text(&words::date_and_time(&entry.at));
            let relation = match entry.kind.as_str() {
                "onset" => "onset".into(),
                _ => text(&words::lead(entry)),
            };
            let told = sentence(&text(&entry.text));
            let told = if entry.struck { format!("~~{told}~~") } else { told };
            format!("- {at} ({relation}): {told}\n")
        })
        .chain(clocks)
        .collect()
}

fn gap(gap: &Gap) -> String {
    format!("- {}\n", text(&words::gap(gap)))
}

fn sources(report: &Report) -> Vec<String> {
    let sources = report.sources.iter();
    sources
        .map(|source| {
            let state = words::source_state(source.status);
            format!("- {}: {state}. {}\n", code(&source.id), sentence(&text(&source.detail)))
        })
        .collect()
}

fn reading(row: &ReadingRow) -> String {
    let show = |value: Option<Number>| {
        value.map_or_else(|| "–".to_string(), |value| words::number(value, row.unit))
    };
    let now = match (&row.now, &row.missing) {
        (None, Some(why)) => format!("missing: {}", text(why)),
        _ => show(row.now),
    };
    format!(
        "| {} | {now} | {} | {} | {} | {} |\n",
        code(&row.signal),
        show(row.baseline),
        row.change.map_or_else(|| "–".to_string(), words::change),
        row.n.map_or_else(|| "–".to_string(), crate::unit::significant),
        text(&row.source),
    )
}

/// Outside text in running text: harmless, bounded, and without any Markdown or HTML of its own.
pub(super) fn text(raw: &str) -> String {
    let clean = shorten_end(&clean(raw), MAX_TEXT);
    let mut out = String::with_capacity(clean.len());
    let mut before = ' ';
    let mut chars = clean.chars().peekable();
    while let Some(c) = chars.next() {
        let inside_word =
            before.is_alphanumeric() && chars.peek().is_some_and(|c| c.is_alphanumeric());
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '_' if inside_word => out.push(c),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' | '!' | '{' | '}' => {
                out.push('\\');
                out.push(c);
            }
            // A word joiner keeps names from being notified and numbers from being linked.
            '@' | '#' => {
                out.push(c);
                out.push('\u{2060}');
            }
            _ => out.push(c),
        }
        before = c;
    }
    escape_start(out)
}

/// A list or heading mark at the start would change the structure around it.
fn escape_start(text: String) -> String {
    if text.starts_with(['-', '+', '=', '#']) {
        return format!("\\{text}");
    }
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let rest = &text[digits..];
    let mark = rest.starts_with(['.', ')']) && !rest[1..].starts_with(|c: char| c != ' ');
    if digits > 0 && mark {
        return format!("{}\\{}", &text[..digits], &text[digits..]);
    }
    text
}

/// Outside text as code: a name, an address. Backticks and table bars cannot end it early.
fn code(raw: &str) -> String {
    let clean = shorten_end(&clean(raw), 200).replace('`', "'").replace('|', "¦");
    if clean.is_empty() { "–".into() } else { format!("`{clean}`") }
}

/// A command in a block of its own, with a fence longer than any run of backticks in it.
fn fenced(command: &str) -> String {
    let command = clean(command);
    let longest = command.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("\n   {fence}\n   {command}\n   {fence}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_text_keeps_its_words_and_loses_its_powers() {
        assert_eq!(text("a|b <img> [x](y) `c`"), "a\\|b &lt;img&gt; \\[x\\](y) \\`c\\`");
        assert_eq!(text("kv_cache_usage _em_"), "kv_cache_usage \\_em\\_");
        assert_eq!(text("line\n# heading"), "line #\u{2060} heading");
        assert_eq!(text("- item"), "\\- item");
        assert_eq!(text("12. item"), "12\\. item");
        assert_eq!(text("0.33.0"), "0.33.0");
        assert_eq!(code("a`b|c"), "`a'b¦c`");
        assert!(fenced("echo ```x").starts_with("\n   ````\n"));
    }
}

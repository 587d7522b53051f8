//! The first screen: what hurts, why, how sure, and what to do.

use super::{Block, GUTTER, Line, SCREEN_LINES, Style, Tone, labelled};
use crate::report::{
    CauseFound, Report, Verdict,
    text::{clean, sentence, shorten_end, shorten_middle, width},
    words,
};

/// Everything on the first screen, in order.
pub(super) fn blocks(report: &Report, style: &Style) -> Vec<Block> {
    let page = Page { report, columns: style.columns() };
    let mut blocks = page.head();
    match (report.verdict, words::top_cause(report)) {
        (Verdict::Healthy, cause) => blocks.extend(page.healthy(cause)),
        (Verdict::Inconclusive, _) => blocks.extend(page.inconclusive()),
        (_, Some(cause)) => {
            blocks.extend(page.seen());
            blocks.extend(page.why(cause));
            blocks.extend(page.what_to_do(cause));
            blocks.extend(page.replicas(cause));
        }
        (_, None) => {
            blocks.extend(page.seen());
            blocks.extend(page.not_in_the_catalogue());
        }
    }
    blocks.extend(page.waivers());
    if style.verbose == 0 {
        let used = blocks.iter().map(|block| block.lines.len()).sum();
        blocks.extend(page.path(used));
        blocks.extend(page.footer());
    }
    blocks.retain(|block| !block.lines.is_empty());
    blocks
}

/// The first screen in the making.
pub(super) struct Page<'a> {
    pub(super) report: &'a Report,
    columns: usize,
}

impl Page<'_> {
    /// A block that is kept whole.
    pub(super) fn whole(&self, label: &str, text: &str, tone: Tone) -> Block {
        let lines = labelled(label, text, tone, self.columns);
        Block { rank: 0, keep: lines.len(), lines }
    }

    /// A block that may be cut to `keep` lines; high ranks are cut first.
    pub(super) fn cuttable(&self, rank: u8, keep: usize, label: &str, text: &str) -> Block {
        Block { rank, keep, lines: labelled(label, text, Tone::Plain, self.columns) }
    }

    /// Space between groups, given up only when lines of text would have to go otherwise.
    pub(super) fn blank(&self) -> Block {
        Block { rank: 5, keep: 0, lines: vec![Line::bare("", Tone::Plain)] }
    }

    /// Impact first, then the verdict, then what could not be looked at.
    fn head(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let hurt = self.report.impact.as_ref().filter(|impact| words::hurts(impact));
        if let Some(impact) = hurt.filter(|_| self.report.verdict != Verdict::Healthy) {
            let text = words::impact(self.report, impact);
            let lines = crate::report::text::wrap(&text, self.columns);
            let lines: Vec<Line> =
                lines.into_iter().map(|line| Line::bare(line, Tone::Strong)).collect();
            blocks.push(Block { rank: 0, keep: lines.len(), lines });
        }
        blocks.push(self.verdict());
        blocks.push(self.coverage());
        let kept = self.report.window.kept_baseline.as_ref();
        blocks.extend(kept.map(|it| self.cuttable(3, 1, "Baseline", &words::kept(it))));
        blocks
    }

    fn verdict(&self) -> Block {
        let tone = Tone::Verdict(self.report.verdict);
        let word = words::verdict(self.report.verdict);
        let label = if word.len() < GUTTER { word.to_string() } else { format!("{word}  ") };
        let indent = label.len().max(GUTTER);
        let room = self.columns - indent;
        let target = clean(&self.report.target.name);
        let together = format!("{target}, {}", words::model_and_version(self.report, usize::MAX));
        let texts = if width(&together) <= room {
            vec![together]
        } else {
            let model = words::model_and_version(self.report, room);
            vec![shorten_middle(&target, room), shorten_end(&model, room)]
        };
        let lines: Vec<Line> = texts
            .into_iter()
            .enumerate()
            .map(|(row, text)| match row {
                0 => Line { label: format!("{label:<indent$}"), text, tone },
                _ => Line { label: " ".repeat(indent), text, tone: Tone::Plain },
            })
            .collect();
        Block { rank: 0, keep: lines.len(), lines }
    }

    /// How much was looked at. Where nothing was, what is missing is told at length instead.
    fn coverage(&self) -> Block {
        let coverage = &self.report.coverage;
        let answered = format!("{} of {} checks answered", coverage.answered, coverage.asked);
        let gaps = words::gaps(self.report);
        if gaps.is_empty() {
            return self.whole(
                "Coverage",
                &format!("{answered}. Nothing is missing."),
                Tone::Plain,
            );
        }
        if self.report.verdict == Verdict::Inconclusive {
            return self.whole("Coverage", &format!("{answered}."), Tone::Plain);
        }
        // The first reason and as many names as two lines hold: a list cut in the middle would hide
        // how much is missing.
        let names: Vec<String> = gaps.iter().take(4).map(|gap| short(&gap.what, 50)).collect();
        let mut explained = names.clone();
        explained[0] += &format!(" ({})", short(&gaps[0].why, 100));
        let told = |names: &[String]| {
            let more = match gaps.len() - names.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let text = format!("{answered}. Not known: {}{more}.", names.join(", "));
            labelled("Coverage", &text, Tone::Plain, self.columns)
        };
        let shorter = (1..=names.len()).rev().map(|count| &names[..count]);
        let mut candidates = std::iter::once(&explained[..]).chain(shorter).map(told);
        let lines = candidates.find(|lines| lines.len() <= 2).unwrap_or_else(|| told(&names[..1]));
        Block { rank: 0, keep: lines.len(), lines }
    }

    /// The worst symptom and the onset.
    pub(super) fn seen(&self) -> Vec<Block> {
        let symptoms = words::symptoms(self.report);
        let mut blocks = Vec::new();
        if let Some((first, rest)) = symptoms.split_first() {
            let more = match rest.len() {
                0 => String::new(),
                1 => " One more symptom holds.".into(),
                n => format!(" {n} more symptoms hold."),
            };
            let text = sentence(&clean(&first.statement)) + &more;
            blocks.push(self.cuttable(11, 1, "Symptom", &text));
        }
        blocks.extend(self.meanings());
        blocks.extend(self.onset());
        blocks
    }

    /// What a symptom with several readings means here.
    pub(super) fn meanings(&self) -> impl Iterator<Item = Block> {
        let symptoms = self.report.symptoms.iter().filter_map(words::meaning);
        symptoms.map(|text| self.cuttable(16, 2, "Note", &text))
    }

    /// When it began, and the last thing that happened before.
    fn onset(&self) -> Vec<Block> {
        let Some(onset) = &self.report.onset else {
            return Vec::new();
        };
        let within = crate::unit::Unit::Seconds.show(onset.plus_minus_seconds);
        let began = format!("{} ± {within}.", words::date_and_time(&onset.at));
        let mut blocks = vec![self.whole("Began", &began, Tone::Plain)];
        if let Some(event) = words::prior(self.report) {
            let (text, at) = (short(&event.text, 100), self.time(&event.at));
            let text = sentence(&format!("{text} at {at}, {}", words::lead(event)));
            blocks.push(self.cuttable(10, 0, "Before", &text));
        }
        blocks
    }

    /// The cause, the facts for it, what speaks against it, and what would decide.
    fn why(&self, cause: &CauseFound) -> Vec<Block> {
        let mut blocks = vec![self.blank()];
        blocks.push(self.title("Cause", cause));
        blocks.push(self.cuttable(15, 1, "", &sentence(&clean(&cause.claim))));
        blocks.push(self.leads_to(cause));
        for (index, fact) in cause.in_favour.iter().take(3).enumerate() {
            let label = if index == 0 { "For" } else { "" };
            let text = words::fact(&fact.text, &fact.because);
            blocks.push(self.cuttable(9, 1, label, &format!("{}. {text}", index + 1)));
        }
        if let Some(fact) = cause.against.first() {
            let text = words::fact(&fact.text, &fact.because);
            blocks.push(self.cuttable(12, 1, "Against", &text));
        }
        blocks.extend(words::second_root(self.report, cause).map(|other| self.also(cause, other)));
        blocks.extend(words::rival(self.report).map(|rival| self.rival(rival)));
        let decides = words::decided(cause);
        blocks.extend(decides.map(|check| self.cuttable(14, 1, "Decides", &check)));
        blocks
    }

    fn title(&self, label: &str, cause: &CauseFound) -> Block {
        let likely = words::percent(cause.probability);
        let text = format!("{likely} likely: {}", clean(&cause.title));
        let lines = labelled(label, &text, Tone::Strong, self.columns);
        Block { rank: 8, keep: 1, lines }
    }

    /// Consequences, indented under their root.
    fn leads_to(&self, cause: &CauseFound) -> Block {
        let room = self.columns - GUTTER;
        let lines: Vec<Line> = words::consequences(self.report, cause)
            .map(|next| {
                let likely = format!(", {} likely", words::percent(next.probability));
                let title = short(&next.title, room.saturating_sub(13 + width(&likely)));
                let text = format!("  → leads to {title}{likely}");
                Line { label: " ".repeat(GUTTER), text, tone: Tone::Plain }
            })
            .take(3)
            .collect();
        Block { rank: 9, keep: 1, lines }
    }

    /// What is at work besides.
    fn also(&self, top: &CauseFound, other: &CauseFound) -> Block {
        let family = if other.family == top.family { ", same first fix" } else { "" };
        let likely = words::percent(other.probability);
        let text = format!("{}, {likely} likely{family}.", short(&other.title, 60));
        self.cuttable(16, 1, "Also", &text)
    }

    /// What the evidence could not tell apart, and why not.
    fn rival(&self, rival: &CauseFound) -> Block {
        let likely = words::percent(rival.probability);
        let why = rival
            .missing
            .first()
            .map_or_else(String::new, |gap| format!("; not examined: {}", short(&gap.what, 60)));
        let text = format!("{}, {likely} likely{why}.", short(&rival.title, 60));
        self.cuttable(16, 1, "Or else", &text)
    }

    /// The safest fix, with its risk and the way back.
    fn what_to_do(&self, cause: &CauseFound) -> Vec<Block> {
        let Some(fix) = cause.fixes.first() else {
            return Vec::new();
        };
        let mut blocks = vec![self.blank()];
        blocks.push(self.cuttable(4, 1, "Do now", &sentence(&clean(&fix.text))));
        if let Some(command) = &fix.command {
            blocks.push(self.command(command));
        }
        let effect = sentence(&clean(&fix.effect));
        let risk = format!("{}. Expect: {effect}", words::risk(fix.risk));
        blocks.push(self.cuttable(17, 1, "Risk", &risk));
        blocks.push(self.cuttable(17, 1, "Undo", &clean(&fix.undo)));
        blocks
    }

    /// The question that is asked next.
    fn replicas(&self, cause: &CauseFound) -> Option<Block> {
        let told = words::replicas_in_short(cause.replicas.as_ref()?);
        Some(self.cuttable(18, 1, "Replicas", &told))
    }

    /// Findings that somebody answers for.
    fn waivers(&self) -> impl Iterator<Item = Block> {
        words::waivers(self.report).into_iter().map(|text| self.cuttable(3, 1, "Waived", &text))
    }

    /// A command is shown whole or not at all: half a command is dangerous.
    fn command(&self, command: &str) -> Block {
        let lines = labelled("", &clean(command), Tone::Command, self.columns);
        if lines.len() <= 2 {
            return Block { rank: 0, keep: lines.len(), lines };
        }
        self.whole("", "The command is long; -v shows it whole.", Tone::Plain)
    }

    pub(super) fn time(&self, at: &str) -> String {
        words::clock(self.report, at)
    }

    /// The steps walked, where all of them fit on what is left of the screen.
    fn path(&self, used: usize) -> Option<Block> {
        const FOOTER: usize = 2;
        let steps = self.report.path.iter().enumerate().flat_map(|(index, step)| {
            let label = if index == 0 { "Path" } else { "" };
            labelled(
                label,
                &format!("{}. {}", index + 1, words::step(step)),
                Tone::Plain,
                self.columns,
            )
        });
        let mut lines = vec![Line::bare("", Tone::Plain)];
        lines.extend(steps);
        let fits = lines.len() > 1 && used + lines.len() + FOOTER <= SCREEN_LINES;
        fits.then_some(Block { rank: 0, keep: lines.len(), lines })
    }

    /// Where the rest is.
    fn footer(&self) -> Vec<Block> {
        let mut rest = Vec::new();
        if !self.report.causes.is_empty() {
            rest.push("all causes");
        }
        if !self.report.path.is_empty() {
            rest.push("steps");
        }
        rest.push("readings");
        let mut text = format!("-v shows {}.", rest.join(", "));
        if let Some(cause) = words::top_cause(self.report) {
            let id = format!(" Cause id: {}", clean(&cause.id));
            if width(&text) + width(&id) <= self.columns {
                text += &id;
            }
        }
        let line = Line::bare(shorten_end(&text, self.columns), Tone::Faint);
        let blank = Block { rank: 20, ..self.blank() };
        vec![blank, Block { rank: 0, keep: 1, lines: vec![line] }]
    }
}

/// Outside text in a sentence: harmless, short, and without its full stop.
pub(super) fn short(text: &str, max: usize) -> String {
    shorten_end(clean(text).trim_end_matches('.'), max)
}

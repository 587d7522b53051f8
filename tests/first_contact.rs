//! What a newcomer reads and types: the runbooks' pages, the walk through a runbook of one's own, and
//! the picture in the README.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use diagnose::runbook::Library;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn diagnose() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_diagnose"));
    let nowhere = std::env::temp_dir().join("diagnose-no-settings");
    command.env_clear().env("XDG_CONFIG_HOME", nowhere).stdin(Stdio::null());
    command
}

/// The pages of the runbooks, without their index.
fn pages() -> BTreeMap<String, String> {
    let files = fs::read_dir(root().join("docs/runbooks")).unwrap().map(|it| it.unwrap().path());
    let stem = |path: &PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
    let pages = files.map(|path| (stem(&path), fs::read_to_string(&path).unwrap()));
    pages.filter(|(name, _)| name != "README").collect()
}

/// Lines of the fenced blocks of a language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn every_runbook_has_a_page_and_no_page_is_left_of_one_that_went() {
    let library = Library::embedded().unwrap();
    let books: Vec<_> = library.runbooks.keys().cloned().collect();
    assert_eq!(pages().into_keys().collect::<Vec<_>>(), books);
}

#[test]
fn every_flowchart_is_one_that_mermaid_can_draw() {
    for (name, page) in pages() {
        let charts = blocks(&page, "mermaid");
        assert_eq!(charts.len(), 1, "{name}");
        let faults = faults(&charts[0]);
        assert!(faults.is_empty(), "{name}: {faults:#?}");
    }
}

#[test]
fn the_look_at_flowcharts_sees_what_would_not_be_drawn() {
    let sound = "flowchart TD\n  s1[\"a?\"]\n  c2([\"b\"])\n  s1 -->|yes or no| c2\n  \
                 s1 -->|unknown| c2\n";
    assert_eq!(faults(sound), Vec::<String>::new());
    for (good, bad) in [
        ("c2([\"b\"])", "c2([\"b\"])\n  c2([\"b\"])"),
        ("s1 -->|unknown| c2", "s1 -->|unknown| c3"),
        ("s1 -->|unknown| c2", "s1 -->|yes| c2"),
        ("a?", "a \"b\"?"),
        ("a?", "a <b>?"),
        ("a?", "a # b?"),
    ] {
        assert_ne!(faults(&sound.replace(good, bad)), Vec::<String>::new(), "{bad}");
    }
}

/// What is wrong with a flowchart: nodes that are defined twice or not at all, characters that
/// Mermaid reads as its own, and steps whose answers do not lead on.
fn faults(chart: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut nodes = BTreeSet::new();
    let mut edges: Vec<(&str, &str, &str)> = Vec::new();
    let mut lines = chart.lines();
    if lines.next() != Some("flowchart TD") {
        faults.push("no flowchart".to_owned());
    }
    for line in lines.map(str::trim) {
        if let Some((from, rest)) = line.split_once(" -->|") {
            let (answers, to) = rest.split_once("| ").unwrap();
            edges.push((from, answers, to));
        } else if let Some((id, text)) = line.split_once('"') {
            let id = id.trim_end_matches(['[', '(']);
            let text = text.trim_end_matches([']', ')']).trim_end_matches('"');
            if !nodes.insert(id) {
                faults.push(format!("{id} is defined twice"));
            }
            let entities = ["#35;", "#quot;", "#96;", "#lt;", "#gt;"];
            let bare = entities.iter().fold(text.to_owned(), |text, it| text.replace(it, ""));
            if bare.is_empty() || bare.contains(['"', '<', '>', '`', '#']) {
                faults.push(format!("{id} holds what is not spelt: {text}"));
            }
        } else if !line.starts_with("class") {
            faults.push(format!("not read: {line}"));
        }
    }
    for (from, _, to) in &edges {
        let unknown = [from, to].into_iter().filter(|id| !nodes.contains(*id));
        faults.extend(unknown.map(|id| format!("{id} is not defined")));
    }
    for node in nodes.iter().filter(|id| id.starts_with('s')) {
        let own = edges.iter().filter(|(from, ..)| from == node);
        let mut answers: Vec<_> = own.flat_map(|(_, answers, _)| answers.split(" or ")).collect();
        answers.sort_unstable();
        if answers != ["no", "unknown", "yes"] {
            faults.push(format!("{node} leads on by {answers:?}"));
        }
    }
    faults
}

#[test]
fn every_link_of_the_pages_leads_somewhere() {
    let own = ["docs/adding-a-runbook.md", "docs/install.md", "docs/runbooks/README.md"];
    let books = pages().into_keys().map(|name| format!("docs/runbooks/{name}.md"));
    for path in own.into_iter().map(str::to_owned).chain(books) {
        let page = read(&path);
        let headings: BTreeSet<_> =
            page.lines().filter_map(|line| line.strip_prefix("### ")).collect();
        for link in page.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            let (file, part) = link.split_once('#').unwrap_or((link, ""));
            if link.starts_with("http") {
                continue;
            }
            let target = root().join(&path).parent().unwrap().join(file);
            assert!(file.is_empty() || target.exists(), "{path}: {link}");
            assert!(!file.is_empty() || headings.contains(part), "{path}: {link}");
        }
    }
}

/// The first sentences of the pages: what a recording that ships is said to show.
#[test]
fn a_recording_on_a_page_names_the_cause_that_the_page_says() {
    let mut told = 0;
    for (name, page) in pages() {
        let block = &blocks(&page, "sh")[0];
        let lines: Vec<&str> = block.lines().collect();
        for pair in lines.windows(2) {
            let Some(cause) = pair[0].strip_prefix("# a recording that ships; it names ") else {
                continue;
            };
            let words = pair[1].strip_prefix("diagnose ").unwrap().split(' ');
            let output = diagnose().current_dir(root()).args(words).arg("-q").output().unwrap();
            let line = String::from_utf8(output.stdout).unwrap();
            assert!(line.contains(&format!("  {cause} ")), "{name}: {}\n{line}", pair[1]);
            told += 1;
        }
    }
    assert!(told >= 8, "{told} recordings stand on the pages");
}

#[test]
fn the_walk_through_a_runbook_of_ones_own_does_what_it_says() {
    let page = read("docs/adding-a-runbook.md");
    let yaml = &blocks(&page, "yaml")[0];
    assert!(yaml.lines().count() <= 10, "ten lines are promised:\n{yaml}");
    let name = page.split("Write this to `").nth(1).unwrap().split('`').next().unwrap();
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("mine")).unwrap();
    fs::write(dir.path().join(name), yaml).unwrap();
    std::os::unix::fs::symlink(root().join("fixtures"), dir.path().join("fixtures")).unwrap();
    let walks = blocks(&page, "console");
    assert_eq!(walks.len(), 4, "lint, test, show, run");
    for walk in walks {
        let (command, expected) = walk.split_once('\n').unwrap();
        let words = command.strip_prefix("$ diagnose ").unwrap().split(' ');
        let output = diagnose().current_dir(dir.path()).args(words).output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{command}\n{told}");
        assert!(shows(&told, expected), "{command}\n{told}\ninstead of\n{expected}");
    }
}

/// Whether a text is what a page shows of it; `…` there stands for anything.
fn shows(told: &str, expected: &str) -> bool {
    let mut rest = told;
    for part in expected.split('…').map(|part| part.trim_matches('\n')) {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    expected.trim_end().ends_with('…') || rest.trim().is_empty()
}

/// `DIAGNOSE_WRITE_DEMO=1 cargo test --test first_contact` makes it anew.
#[test]
fn the_picture_in_the_readme_is_what_the_program_prints_on_a_terminal() {
    let command = "high-ttft --replay fixtures/incidents/prefix-broken";
    let picture = picture(&format!("$ diagnose {command}\n{}", on_a_terminal(command)));
    assert!(picture.len() <= 60_000, "{} bytes", picture.len());
    assert!(!picture.contains("http://www.w3.org/1999/xlink"), "self-contained");
    assert!(read("README.md").contains("](docs/demo.svg)"));
    let path = root().join("docs/demo.svg");
    if std::env::var_os("DIAGNOSE_WRITE_DEMO").is_some() {
        fs::write(&path, &picture).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == picture, "it prints something else now; see above how to make it anew");
}

/// Text as real text, dark on light, which reads on a dark page as well.
fn picture(ansi: &str) -> String {
    let color = |r, g, b| anstyle::Color::Rgb(anstyle::RgbColor(r, g, b));
    let term = anstyle_svg::Term::new()
        .fg_color(color(36, 41, 47))
        .bg_color(color(246, 248, 250))
        .min_width_px(672);
    // Its own way to dim leaves labels too pale to read.
    let svg = term.render_svg(ansi).replace("opacity: 0.4", "opacity: 0.7");
    // Without a view box it is cut off where the page is narrower, not made smaller.
    let size = |name: &str| {
        svg.split(&format!(" {name}=\"")).nth(1).unwrap().split("px").next().unwrap().to_owned()
    };
    let (width, height) = (size("width"), size("height"));
    svg.replacen("<svg ", &format!("<svg viewBox=\"0 0 {width} {height}\" "), 1)
}

/// What a command prints to a terminal of 80 columns, with its colours.
fn on_a_terminal(command: &str) -> String {
    use std::io::Read;
    let size = nix::pty::Winsize { ws_row: 40, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    let ends = nix::pty::openpty(&size, None).unwrap();
    let mut child = diagnose()
        .current_dir(root())
        .args(command.split(' '))
        .stdout(Stdio::from(ends.slave))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut told = Vec::new();
    // The end of a terminal whose last writer went is an error.
    let _ = fs::File::from(ends.master).read_to_end(&mut told);
    child.wait().unwrap();
    String::from_utf8(told).unwrap().replace("\r\n", "\n").trim_end().to_owned()
}

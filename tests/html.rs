//! The report as a page: complete, bounded, harmless, and legible in a real browser.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "support/browser.rs"]
mod browser;
#[allow(dead_code)]
#[path = "support/cli.rs"]
mod cli;
#[allow(dead_code)]
#[path = "support/judge.rs"]
mod judge;
#[path = "support/reports.rs"]
mod reports;
#[allow(dead_code)]
#[path = "support/mod.rs"]
mod server;
#[path = "support/tools.rs"]
mod tools;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::{Command, Stdio},
};

use browser::show;
use diagnose::{
    report::{Report, SeriesRow, html, json},
    runbook::Library,
    signals,
};
use serde_json::Value;

/// What an attacker writes into a name, where a page is all that he can reach.
const EVIL: &str = "</title></style></code><script>top.document.title='ran'</script>\
    <img src=http://evil/x onerror=\"top.document.title='ran'\"><svg onload=top.document.title='ran'>\
    \" onmouseover=\"top.document.title='ran'\" autofocus onfocus='top.document.title=1' x='\
    <a href=\"javascript:top.document.title='ran'\">x</a><base href=http://evil/>&lt;b&gt; \
    \u{202e}txt.exe \u{1b}[31m";

/// Keys whose values come from closed sets of words.
const WORDS: [&str; 9] =
    ["verdict", "baseline_kind", "severity", "status", "answer", "action", "risk", "helps", "unit"];

/// Every shipped recording by its runbook and by a sweep.
fn incidents() -> Vec<(String, Report)> {
    let library = Library::embedded().unwrap();
    let reports = judge::recordings().into_iter().flat_map(|recording| {
        let of = |runbook| judge::judge(&library, &recording.bundle, runbook);
        let name = recording.name.clone();
        [(format!("{name}-sweep"), of(None)), (format!("{name}-ttft"), of(Some("high-ttft")))]
    });
    reports.collect()
}

fn samples() -> Vec<(String, Report)> {
    let samples = reports::all().into_iter();
    samples.map(|(name, report)| (name.replace(' ', "-"), report)).collect()
}

/// A fleet with names as long as any.
fn fleet(replicas: usize) -> Report {
    let mut report = reports::overloaded();
    let part = |signal: &str, replica: usize| SeriesRow {
        signal: signal.into(),
        labels: BTreeMap::from([
            ("engine".to_string(), "0".to_string()),
            ("instance".into(), format!("{}-{replica}.prod.example:8000", "vllm-chat".repeat(12))),
        ]),
        points: (0..40).map(|at| (1.79e9 + f64::from(at), f64::from(at % 7))).collect(),
        buckets: vec![],
        gaps: vec![],
    };
    for signal in ["waiting_mean_requests", "kv_cache_usage_mean_ratio"] {
        report.by_part.extend((0..replicas).map(|replica| part(signal, replica)));
    }
    report.by_part_left_out = 3;
    report.target.models = vec!["org/".to_string() + &"a-very-long-model-name".repeat(20); 30];
    report.target.name = "http://".to_string() + &"host".repeat(60);
    report
}

/// The report with an attack in every text that comes from outside.
fn attacked(report: &Report) -> Report {
    let mut value: Value = serde_json::from_str(&json::render(report)).unwrap();
    attack(&mut value, "");
    serde_json::from_value(value).unwrap()
}

fn attack(value: &mut Value, key: &str) {
    match value {
        Value::String(text) if !WORDS.contains(&key) => *text = format!("{EVIL}{text}"),
        // The answers of sources have a closed set of states under the same key.
        Value::Array(list) => list.iter_mut().for_each(|it| attack(it, key)),
        Value::Object(map) => map.iter_mut().for_each(|(key, it)| attack(it, key)),
        _ => {}
    }
}

/// Names of opened elements, in order; panics where one is closed wrongly.
fn elements(page: &str) -> Vec<&str> {
    let mut open: Vec<&str> = Vec::new();
    let mut seen = Vec::new();
    for tag in page.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').unwrap_or_else(|| panic!("<{tag}"));
        let name = tag.split([' ', '\n']).next().unwrap().trim_end_matches('/');
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "</{name}>"),
            None if matches!(name, "!doctype" | "meta" | "br") || tag.ends_with('/') => {}
            None => open.push(name),
        }
        seen.push(name);
    }
    assert!(open.is_empty(), "{open:?} stay open");
    seen
}

fn allowed(value: &Value, allowed: &[&str], what: &str) {
    for name in value.as_array().unwrap() {
        assert!(allowed.contains(&name.as_str().unwrap()), "{what} `{name}` was made");
    }
}

const ELEMENTS: &[&str] = &[
    "a",
    "article",
    "body",
    "br",
    "caption",
    "circle",
    "code",
    "dd",
    "desc",
    "details",
    "div",
    "dl",
    "dt",
    "figcaption",
    "figure",
    "footer",
    "g",
    "h1",
    "h2",
    "h3",
    "h4",
    "head",
    "header",
    "html",
    "li",
    "main",
    "meta",
    "nav",
    "ol",
    "p",
    "path",
    "pre",
    "rect",
    "s",
    "section",
    "span",
    "strong",
    "style",
    "summary",
    "svg",
    "table",
    "tbody",
    "td",
    "text",
    "th",
    "thead",
    "title",
    "tr",
    "ul",
];
const ATTRIBUTES: &[&str] = &[
    "aria-hidden",
    "aria-label",
    "aria-labelledby",
    "charset",
    "class",
    "content",
    "cx",
    "cy",
    "d",
    "data-name",
    "height",
    "href",
    "http-equiv",
    "id",
    "lang",
    "name",
    "r",
    "role",
    "scope",
    "viewBox",
    "width",
    "x",
    "y",
];

#[test]
fn every_page_is_sound_in_a_browser() {
    let mut pages: BTreeMap<String, String> = incidents()
        .into_iter()
        .chain(samples())
        .map(|(name, it)| (name, html::render(&it)))
        .collect();
    pages.insert("fleet".into(), html::render(&fleet(200)));
    let count = pages.len();
    let seen = show(pages, &[400, 1300]);
    assert_eq!(seen.console, Vec::<String>::new());
    assert_eq!(seen.frames().len(), count * 2);
    for frame in seen.frames() {
        let name = format!("{} at {}", frame["path"], frame["client"]);
        assert!(
            frame["scroll"].as_u64() <= frame["client"].as_u64(),
            "{name} is too wide: {}",
            frame["wide"]
        );
        assert_eq!(frame["lang"], "en", "{name}");
        assert_eq!(frame["landmarks"], serde_json::json!([1, 1, 1, 1]), "{name}");
        assert_eq!(frame["unnamed"], 0, "{name}: a table or a chart says not what it is");
        assert_eq!(frame["dead"], serde_json::json!([]), "{name}");
        assert_eq!(frame["cut"], serde_json::json!([]), "{name}");
        allowed(&frame["elements"], ELEMENTS, "element");
        allowed(&frame["attributes"], ATTRIBUTES, "attribute");
    }
    let of = |name: &str| seen.frames().iter().find(|it| it["path"] == format!("/{name}")).unwrap();
    let headings = of("prefix-broken-ttft")["headings"].as_array().unwrap();
    for heading in ["Causes", "Over time", "Where the time goes", "The tree as walked", "Sources"] {
        assert!(headings.iter().any(|it| it == heading), "{heading}: {headings:?}");
    }
    // Each frame and the page around them, and nothing else.
    let asked: BTreeSet<&str> = seen.asked.iter().map(String::as_str).collect();
    assert_eq!(asked.len(), count + 1, "{asked:?}");
}

#[test]
fn nothing_from_outside_runs_or_becomes_an_element() {
    let library = Library::embedded().unwrap();
    let recordings = judge::recordings();
    let judged = |name: &str| {
        let recording = recordings.iter().find(|recording| recording.name == name).unwrap();
        judge::judge(&library, &recording.bundle, Some("high-ttft"))
    };
    let policy = "Content-Security-Policy";
    let reports = [judged("prefix-broken"), judged("load-exceeds-capacity"), fleet(3)];
    let pages: BTreeMap<String, String> = reports
        .iter()
        .enumerate()
        .map(|(index, report)| {
            let page = html::render(&attacked(report));
            assert!(page.contains(policy));
            // Without its policy the page has only its escapes.
            (format!("attacked-{index}"), page.replace(policy, "x-none"))
        })
        .collect();
    let seen = show(pages.clone(), &[400, 1000]);
    assert_eq!(seen.told["title"], "untouched");
    assert_eq!(seen.console, Vec::<String>::new());
    for frame in seen.frames() {
        let name = &frame["path"];
        assert!(
            frame["scroll"].as_u64() <= frame["client"].as_u64(),
            "{name} is too wide: {}",
            frame["wide"]
        );
        assert_eq!(frame["dead"], serde_json::json!([]), "{name}");
        allowed(&frame["elements"], ELEMENTS, "element");
        allowed(&frame["attributes"], ATTRIBUTES, "attribute");
    }
    let foreign = |path: &&String| !path.contains("attacked-") && path.as_str() != "/";
    assert_eq!(seen.asked.iter().find(foreign), None);
    for page in pages.values() {
        assert!(!page.chars().any(|c| c != '\n' && diagnose::report::text::is_hazard(c)));
    }
}

/// The browser would notice: the same attack, not escaped, runs.
#[test]
fn an_attack_that_is_not_escaped_is_seen() {
    let page = format!("<!doctype html><html lang=en><title>{EVIL}");
    let seen = show(BTreeMap::from([("bare".to_string(), page)]), &[400]);
    assert_eq!(seen.told["title"], "ran");
    assert!(seen.asked.iter().any(|path| path.ends_with("/x")), "{:?}", seen.asked);
    assert!(seen.frames()[0]["elements"].as_array().unwrap().iter().any(|name| name == "script"));
}

#[test]
fn a_page_is_the_same_for_the_same_report_and_loads_nothing() {
    for (name, report) in samples().into_iter().chain([("fleet".into(), fleet(200))]) {
        let page = html::render(&report);
        assert_eq!(page, html::render(&report), "{name}");
        elements(&page);
        for never in ["<script", "<link", "<img", "src=", "@import", "url(", "<iframe", "<form"] {
            assert!(!page.contains(never) || name == "hostile", "{name} has {never}");
        }
        let ids: Vec<&str> =
            page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let unique: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(ids.len(), unique.len(), "{name}: an id stands twice");
    }
}

#[test]
fn what_was_not_looked_at_is_said_before_any_finding() {
    let page = html::render(&reports::prefix_broken());
    let (gap, findings) = (page.find("Not looked at: ").unwrap(), page.find("<main").unwrap());
    assert!(gap < findings && page[gap..findings].contains("GPU clocks and ECC"));
    assert!(html::render(&reports::inconclusive()).contains("Too little could be looked at"));
}

#[test]
fn however_large_a_report_its_page_is_bounded_and_says_what_is_left_out() {
    let mut report = fleet(2_000);
    let many = |times: usize| 0..times;
    report.readings = many(5_000).map(|_| reports::healthy().readings.remove(0)).collect();
    report.causes = many(2_000).flat_map(|_| reports::overloaded().causes).collect();
    report.timeline = many(5_000).flat_map(|_| reports::prefix_broken().timeline).collect();
    report.series = vec![
        SeriesRow {
            signal: "ttft_mean_seconds".into(),
            labels: BTreeMap::new(),
            points: (0..200_000).map(|at| (f64::from(at), f64::from(at % 17))).collect(),
            buckets: vec![],
            gaps: (0..50_000).map(|at| (f64::from(at * 4), f64::from(at * 4 + 1))).collect(),
        };
        20
    ];
    let page = html::render(&report);
    assert!(page.len() < 1_700_000, "{}", page.len());
    assert!(page.contains("more left out for length; the JSON report has all."));
    elements(&page);
}

/// Outside of links, code and charts no signal is named: each leads to what it means.
#[test]
fn every_signal_that_a_finding_names_is_a_link_to_its_meaning() {
    for (name, report) in incidents() {
        let page = html::render(&report);
        let body = page
            .split("<main id=\"main\">")
            .nth(1)
            .unwrap()
            .split("<section class=\"glossary\"")
            .next()
            .unwrap();
        let mut inside: Vec<&str> = Vec::new();
        for piece in body.split('<').skip(1) {
            let (tag, text) = piece.split_once('>').unwrap();
            match tag.strip_prefix('/') {
                Some(_) => drop(inside.pop()),
                None if tag.ends_with('/') || tag.starts_with("br") => {}
                None => inside.push(tag.split(' ').next().unwrap()),
            }
            let quiet = ["a", "code", "title", "desc"];
            if inside.iter().any(|tag| quiet.contains(tag)) {
                continue;
            }
            let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            for word in words.filter(|word| word.contains('_')) {
                assert!(signals::find(word).is_none(), "{name}: {word} in {text}");
            }
        }
    }
}

fn colours(block: &str) -> BTreeMap<&str, [f64; 3]> {
    let declared = block.split("--").skip(1).filter_map(|rest| rest.split_once(": #"));
    declared
        .map(|(name, rest)| {
            let part = |at: usize| f64::from(u8::from_str_radix(&rest[at..at + 2], 16).unwrap());
            (name, [part(0), part(2), part(4)])
        })
        .collect()
}

/// Contrast of two colours, 1 to 21, by WCAG 2.2.
fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
    let linear = |part: f64| match part / 255.0 {
        share if share <= 0.04045 => share / 12.92,
        share => ((share + 0.055) / 1.055).powf(2.4),
    };
    let light =
        |[r, g, b]: [f64; 3]| 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b) + 0.05;
    let ratio = light(a) / light(b);
    ratio.max(1.0 / ratio)
}

#[test]
fn all_text_has_contrast_in_both_themes() {
    let blocks: Vec<&str> = html::STYLE.split(":root {").skip(1).collect();
    let themes = [colours(blocks[0]), colours(blocks[1])];
    for theme in themes {
        let on = |text: &str, ground: &str| contrast(theme[text], theme[ground]);
        for text in ["text", "muted", "link", "ok", "warning", "critical", "unknown"] {
            for ground in ["page", "card"] {
                assert!(on(text, ground) >= 4.5, "{text} on {ground}: {:.2}", on(text, ground));
            }
        }
        for ground in ["part0", "part1", "part2", "part3", "part4"] {
            assert!(on("text", ground) >= 4.5, "text on {ground}: {:.2}", on("text", ground));
        }
        for text in ["muted", "critical", "warning"] {
            assert!(on(text, "before") >= 4.5, "{text} before: {:.2}", on(text, "before"));
        }
        for line in ["series", "critical", "warning"] {
            assert!(on(line, "card") >= 3.0 && on(line, "range") >= 3.0, "{line} on its grounds");
        }
    }
}

#[test]
fn a_page_reads_like_this() {
    for (name, report) in [("overloaded", reports::overloaded()), ("healthy", reports::healthy())] {
        let page = html::render(&report).replace(html::STYLE, "");
        insta::assert_snapshot!(format!("html_{name}"), page);
    }
}

#[test]
fn a_page_is_written_to_a_file_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.html").display().to_string();
    let replay = cli::incident("prefix-broken");
    let args = ["high-ttft", "--replay", &replay, "--format", "html", "--output", &file];
    let ran = cli::run(args);
    ran.assert_code(0);
    assert_eq!(ran.stdout, "");
    let page = fs::read_to_string(&file).unwrap();
    assert!(page.starts_with("<!doctype html>\n<html lang=\"en\">"));
    elements(&page);
    let output = folder.path().join("report.pdf").display().to_string();
    let print = format!("--print-to-pdf={output}");
    browser::chromium(&["--no-pdf-header-footer", &print, &format!("file://{file}")]);
    let pdf = fs::read(&output).unwrap();
    let pages = pdf.windows(11).filter(|part| part == b"/Type /Page").count();
    assert!(pdf.starts_with(b"%PDF") && (2..25).contains(&pages), "{pages} pages");
}

/// The pictures in docs/screenshots show what the program writes today.
#[test]
fn no_screenshot_is_stale() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/screenshots");
    let list = fs::read_to_string(folder.join("pages.txt")).unwrap();
    for line in list.lines().filter(|line| !line.starts_with('#')) {
        let [name, hash, _, _, command @ ..] = &*cli::words(line) else { panic!("{line}") };
        let picture = fs::metadata(folder.join(format!("{name}.png"))).unwrap();
        assert!(picture.len() < 300_000, "{name}: {} bytes", picture.len());
        let root = env!("CARGO_MANIFEST_DIR");
        let page = cli::finish(cli::diagnose().current_dir(root).args(command)).stdout;
        let shown: String =
            page.split_inclusive('\n').take_while(|it| !it.contains("=\"readings\">")).collect();
        assert_eq!(sha256(&shown), *hash, "{name} is stale: run scripts/screenshots");
    }
}

fn sha256(text: &str) -> String {
    let mut command = Command::new("sha256sum");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
    cli::wait(child).stdout.split(' ').next().unwrap().into()
}

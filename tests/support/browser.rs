//! A real browser, a server for its pages, and what the browser made of them.
#![allow(dead_code)]

use std::{
    collections::BTreeMap,
    process::{Command, Output},
    sync::Arc,
};

use serde_json::Value;

use crate::{
    server::{Request, Server, respond, respond_with},
    tools::tool,
};

/// Puts each page into a frame of each width, then writes down in hex what came of it.
const HARNESS: &str = r#"<!doctype html><title>untouched</title><body>FRAMES<pre id="result"></pre>
<script>
addEventListener('load', () => {
  const seen = [...document.querySelectorAll('iframe')].map(frame => {
    const page = frame.contentDocument, root = page.documentElement;
    const all = [...page.querySelectorAll('*')];
    const names = list => [...new Set(list)].sort();
    return {
      path: frame.getAttribute('src'), lang: root.lang, title: page.title,
      client: root.clientWidth, scroll: root.scrollWidth,
      wide: names(all.filter(it => it.getBoundingClientRect().right > root.clientWidth + 1)
        .map(it => it.outerHTML.slice(0, 60))),
      elements: names(all.map(it => it.localName)),
      attributes: names(all.flatMap(it => it.getAttributeNames())),
      headings: [...page.querySelectorAll('h2')].map(it => it.textContent),
      landmarks: ['header', 'nav', 'main', 'footer'].map(it => page.querySelectorAll(it).length),
      unnamed: page.querySelectorAll('svg:not(:has(>title+desc)),table:not(:has(>caption))').length,
      dead: [...page.querySelectorAll('a')].map(it => it.getAttribute('href'))
        .filter(to => to[0] != '#' || !page.getElementById(to.slice(1))),
      cut: [...page.querySelectorAll('svg text')].filter(it => {
        const box = it.getBBox(), view = it.ownerSVGElement.viewBox.baseVal;
        return box.x < -1 || box.x + box.width > view.width + 1;
      }).map(it => it.textContent),
    };
  });
  const text = JSON.stringify({frames: seen, title: document.title});
  const bytes = [...new TextEncoder().encode(text)];
  document.getElementById('result').textContent =
    bytes.map(it => it.toString(16).padStart(2, '0')).join('');
});
</script>"#;

/// What the browser saw.
pub struct Seen {
    /// A value for each frame, and the title of the page around them.
    pub told: Value,
    /// What it wrote to its console.
    pub console: Vec<String>,
    /// Paths that the pages asked for.
    pub asked: Vec<String>,
}

impl Seen {
    pub fn frames(&self) -> &[Value] {
        self.told["frames"].as_array().unwrap()
    }
}

/// Shows each page in frames of these widths.
pub fn show(pages: BTreeMap<String, String>, widths: &[u32]) -> Seen {
    let frames: String = pages
        .keys()
        .flat_map(|name| widths.iter().map(move |width| (name, width)))
        .map(|(name, width)| format!("<iframe src=\"/{name}\" width={width} height=600></iframe>"))
        .collect();
    let harness = HARNESS.replace("FRAMES", &frames);
    let pages = Arc::new(pages);
    let server = Server::start("127.0.0.1:0", move |request, stream| {
        let html = "content-type: text/html; charset=utf-8\r\n";
        match (request.path.as_str(), pages.get(&request.path[1..])) {
            ("/", _) => respond_with(stream, "200 OK", html, harness.as_bytes()),
            (_, Some(page)) => respond_with(stream, "200 OK", html, page.as_bytes()),
            _ => respond(stream, "404 Not Found", b""),
        }
    })
    .unwrap();
    // Every host is this server, so that it sees whatever a page asks of anyone.
    let hosts = format!("--host-resolver-rules=MAP * {}", server.address);
    let output = chromium(&[
        "--enable-logging=stderr",
        "--virtual-time-budget=60000",
        "--dump-dom",
        &hosts,
        &server.url(),
    ]);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (dom, log) = (text(&output.stdout), text(&output.stderr));
    let hex = dom.split("<pre id=\"result\">").nth(1).and_then(|rest| rest.split('<').next());
    let hex = hex.filter(|hex| !hex.is_empty()).unwrap_or_else(|| panic!("{log}\n{dom}"));
    let bytes: Vec<u8> = hex
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    Seen {
        told: serde_json::from_slice(&bytes).unwrap(),
        console: log.lines().filter(|line| line.contains("CONSOLE")).map(Into::into).collect(),
        asked: server.requests().into_iter().filter(of_a_page).map(|it| it.path).collect(),
    }
}

/// Whether a page asks, and not the browser for itself.
fn of_a_page(request: &Request) -> bool {
    request.path != "/favicon.ico" && !request.head.contains(".google")
}

/// Runs the browser without a window.
pub fn chromium(args: &[&str]) -> Output {
    Command::new(tool("chromium")).args(args).output().unwrap()
}

//! Changes to a bundle that change nothing of what happened to the server, or only what is known
//! of it.

use diagnose::evidence::bundle::Bundle;
use jiff::civil::DateTime;

/// A page with its text replaced by what `change` makes of it; `index` counts the pages.
fn pages(bundle: &Bundle, change: impl Fn(&str, usize) -> String) -> Bundle {
    let mut new = bundle.clone();
    for (index, page) in new.scrapes.values_mut().enumerate() {
        let text = std::str::from_utf8(page).unwrap();
        *page = change(text, index).into_bytes();
    }
    new
}

/// A page sample by sample; comments stay.
fn samples(bundle: &Bundle, change: impl Fn(&str, &str, f64) -> String) -> Bundle {
    pages(bundle, |page, _| {
        let line = |line: &str| match line.rsplit_once(' ').filter(|_| !line.starts_with('#')) {
            Some((key, value)) => {
                let name = key.split('{').next().unwrap_or(key);
                change(name, key, value.parse().unwrap())
            }
            None => format!("{line}\n"),
        };
        page.lines().map(line).collect()
    })
}

fn logged(bundle: &Bundle, change: impl Fn(&str, usize) -> String) -> Bundle {
    let mut new = bundle.clone();
    new.log = bundle.log.as_ref().map(|log| {
        let text = String::from_utf8_lossy(log);
        let lines = text.lines().enumerate();
        lines.map(|(index, line)| change(line, index)).collect::<String>().into_bytes()
    });
    new
}

/// Metrics of other things on the same page, with wild values.
pub fn loud_strangers(bundle: &Bundle) -> Bundle {
    pages(bundle, |page, index| {
        let wild = (index * index * 977 % 1013) as f64 * 1e6;
        let steady = index as f64 * 1e4;
        format!(
            "{page}\
             # TYPE nginx_ingress_controller_requests_total counter\n\
             nginx_ingress_controller_requests_total{{status=\"502\"}} {steady}\n\
             # TYPE node_load1 gauge\nnode_load1 {wild}\n\
             # TYPE app_requests_waiting gauge\napp_requests_waiting{{model_name=\"m\"}} {wild}\n\
             # TYPE app_queue_seconds histogram\n\
             app_queue_seconds_bucket{{le=\"1.0\"}} 0.0\napp_queue_seconds_bucket{{le=\"+Inf\"}} {steady}\n\
             app_queue_seconds_sum {steady}\napp_queue_seconds_count {steady}\n\
             # TYPE vllm:kv_offload_surprise gauge\nvllm:kv_offload_surprise{{engine=\"0\"}} NaN\n\
             # TYPE vllm:num_requests_lost_total counter\n\
             vllm:num_requests_lost_total{{engine=\"0\",model_name=\"m\"}} {steady}\n\
             # TYPE python_gc_pause_seconds_total counter\npython_gc_pause_seconds_total {steady}\n\
             process_start_time_seconds{{service=\"sidecar\"}} {wild}\n\
             process_cpu_seconds_total{{service=\"sidecar\"}} {steady}\n\
             http_requests_total{{handler=\"/docs\",method=\"GET\",status=\"4xx\"}} {steady}\n\
             http_requests_total{{handler=\"/metrics\",method=\"GET\",status=\"2xx\"}} {steady}\n\
             http_requests_total{{handler=\"/health\",method=\"GET\",status=\"5xx\"}} {steady}\n\
             http_requests_total{{handler=\"/tokenize\",method=\"POST\",status=\"2xx\"}} {steady}\n"
        )
    })
}

/// Lines in the log that tell nothing of serving, or quote words that sound as if they did.
pub fn chatty_log(bundle: &Bundle) -> Bundle {
    logged(bundle, |line, index| {
        let noise = match index % 4 {
            0 => "UserWarning: this function is deprecated and will be removed\n",
            1 => "INFO:     10.0.0.9:1 - \"GET /favicon.ico HTTP/1.1\" 404 Not Found\n",
            2 => "INFO:     10.0.0.9:1 - \"GET /metrics HTTP/1.1\" 200 OK\n",
            _ => "  warnings.warn('tokenizers were forked; disabling parallelism')\n",
        };
        format!("{line}\n{noise}")
    })
}

/// Another name for the model, with all that a label value may hold, and other engine ids.
pub fn renamed(bundle: &Bundle) -> Bundle {
    let Some(page) = bundle.scrapes.values().next() else { return bundle.clone() };
    let page = String::from_utf8_lossy(page);
    let quoted = page.split("model_name=\"").nth(1).and_then(|rest| rest.split('"').next());
    let name = quoted.unwrap_or("no model").to_owned();
    let odd = "Org\\\\models, {v2} \\\"é\\\" =1";
    let mut new = pages(bundle, |page, _| {
        page.replace(&format!("model_name=\"{name}\""), &format!("model_name=\"{odd}\""))
            .replace("engine=\"1\"", "engine=\"12\"")
            .replace("engine=\"0\"", "engine=\"7\"")
    });
    for probe in new.probes.values_mut().flat_map(|round| round.values_mut()) {
        probe.body = probe.body.take().map(|body| body.replace(&name, "Org/models v2"));
    }
    for arg in &mut new.meta.server_args {
        *arg = arg.replace(&name, "Org/models v2");
    }
    new
}

/// Families in another order on every page, and samples within them too.
pub fn shuffled(bundle: &Bundle) -> Bundle {
    pages(bundle, |page, index| {
        let mut families: Vec<String> = page.split("# HELP").map(String::from).collect();
        let last = families.len() - 1;
        families[1..].rotate_left(index * 31 % last);
        families[1..].iter_mut().step_by(2).for_each(|family| *family = reversed(family));
        families.join("# HELP")
    })
}

/// A family with its samples from last to first.
fn reversed(family: &str) -> String {
    let (head, rows): (Vec<&str>, Vec<&str>) = family
        .lines()
        .enumerate()
        .map(|(n, line)| (n == 0 || line.starts_with('#'), line))
        .fold((Vec::new(), Vec::new()), |(mut head, mut rows), (is_head, line)| {
            if is_head {
                head.push(line)
            } else {
                rows.push(line)
            }
            (head, rows)
        });
    let rows = rows.into_iter().rev();
    head.into_iter().chain(rows).map(|line| format!("{line}\n")).collect()
}

/// Everything happened this many milliseconds later.
pub fn later(bundle: &Bundle, ms: i64) -> Bundle {
    let seconds = ms as f64 / 1e3;
    let is_time = |name: &str| name.ends_with("_created") || name == "process_start_time_seconds";
    let mut new = samples(bundle, |name, key, value| {
        let value = if is_time(name) { value + seconds } else { value };
        format!("{key} {value:?}\n")
    });
    new.scrapes = new.scrapes.into_iter().map(|(at, page)| (moved(at, ms), page)).collect();
    new.probes = new.probes.into_iter().map(|(at, round)| (moved(at, ms), round)).collect();
    new.meta.started = new.meta.started.map(|at| at + seconds);
    new.meta.ended = new.meta.ended.map(|at| at + seconds);
    logged(&new, |line, _| format!("{}\n", redated(line, ms / 1000)))
}

fn moved(at: u64, ms: i64) -> u64 {
    at.checked_add_signed(ms).unwrap()
}

/// A log line with its clock, such as `11-21 23:58:37`, moved on. The year is that of the
/// recordings, 2026.
fn redated(line: &str, seconds: i64) -> String {
    let date = |at: usize| {
        let stamp = line.get(at..at + 14)?;
        let then = DateTime::strptime("%Y-%m-%d %H:%M:%S", format!("2026-{stamp}")).ok()?;
        let now = then.checked_add(jiff::SignedDuration::from_secs(seconds)).ok()?;
        Some(format!("{}{}{}", &line[..at], now.strftime("%m-%d %H:%M:%S"), &line[at + 14..]))
    };
    ["INFO ", "WARNING ", "ERROR "]
        .iter()
        .filter_map(|level| line.find(level).map(|at| at + level.len()))
        .find_map(date)
        .unwrap_or_else(|| line.into())
}

/// Milliseconds that put the middle of a bundle on the turn of the year.
pub fn to_new_year(bundle: &Bundle) -> i64 {
    let (from, to) = bundle.span_ms().unwrap();
    // 2027-01-01T00:00:00Z; whole seconds, as the log knows no finer.
    (1_798_761_600 - ((from + to) / 2000) as i64) * 1000
}

/// Counters and the batch of a server this many times as large, with the same use of its memory.
pub fn larger(bundle: &Bundle, factor: f64) -> Bundle {
    let grows = |name: &str| {
        let of_server = ["vllm:", "http_"].iter().any(|start| name.starts_with(start));
        let counts = ["_total", "_bucket", "_sum", "_count"].iter().any(|end| name.ends_with(end));
        of_server && (counts || name.starts_with("vllm:num_requests_"))
    };
    let mut new = samples(bundle, |name, key, value| {
        let value = if grows(name) { value * factor } else { value };
        format!("{key} {value:?}\n")
    });
    new.meta.server_args.clear();
    new
}

/// A second server of the same kind under the same load: its engines stand on the same page.
pub fn doubled(bundle: &Bundle) -> Bundle {
    samples(bundle, |name, key, value| {
        if name.starts_with("http_") {
            return format!("{key} {:?}\n", value * 2.0);
        }
        let twin = key.replace("engine=\"", "engine=\"1");
        if twin == key {
            return format!("{key} {value:?}\n");
        }
        format!("{key} {value:?}\n{twin} {value:?}\n")
    })
}

/// Without the server's log.
pub fn without_log(bundle: &Bundle) -> Bundle {
    Bundle { log: None, ..bundle.clone() }
}

/// Without probes of its endpoints.
pub fn without_probes(bundle: &Bundle) -> Bundle {
    Bundle { probes: Default::default(), ..bundle.clone() }
}

/// Without its command line.
pub fn without_flags(bundle: &Bundle) -> Bundle {
    let mut new = bundle.clone();
    new.meta.server_args.clear();
    new
}

/// With every other page only.
pub fn every_second_page(bundle: &Bundle) -> Bundle {
    let mut new = bundle.clone();
    new.scrapes = new.scrapes.into_iter().step_by(2).collect();
    new
}

/// The engine makes no step after the last page, which shows requests in flight, for a minute. Their
/// callers have cancelled all of them at once, or wait on.
pub fn standing_still(bundle: &Bundle, cancelled: bool) -> Bundle {
    const HELD: f64 = 3.0;
    let mut new = bundle.clone();
    let last = bundle.scrapes.keys().next_back().copied().unwrap();
    let mut end = Bundle::default();
    end.scrapes.insert(last, bundle.scrapes[&last].clone());
    let with = |ended: f64| {
        let page = samples(&end, |name, key, value| match name {
            "vllm:num_requests_running" => format!("{key} {HELD:?}\n"),
            "http_requests_total" if key.contains("POST") && key.contains("2xx") => {
                format!("{key} {:?}\n", value + ended)
            }
            _ => format!("{key} {value:?}\n"),
        });
        page.scrapes[&last].clone()
    };
    new.scrapes.insert(last, with(0.0));
    for step in 1..=12 {
        let ended = if cancelled { HELD } else { 0.0 };
        new.scrapes.insert(last + step * 5000, with(ended));
        if let Some(round) = bundle.probes.values().next_back() {
            new.probes.insert(last + step * 5000, round.clone());
        }
    }
    new.meta.ended = Some((last + 60_000) as f64 / 1e3);
    new
}

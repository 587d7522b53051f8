//! How exact the load test's clock is, and how many streams a core carries.
//!
//! `cargo bench --bench load` runs all; `cargo bench --bench load -- serve 127.0.0.1:9000 20 20 200`
//! is the server alone (milliseconds to the first token and between two, tokens), for other tools.
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]

#[path = "../tests/support/openai/mod.rs"]
mod openai;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use diagnose::evidence::exchange::{Exchange, Order, Outcome};
use diagnose::sources::http::{Client, Options, block_on};
use diagnose::sources::openai::{Driven, Plan, Work, drive};
use openai::{Behaviour, Server};

/// Tokens per second of each stream: what one user of a busy server sees.
const RATE: f64 = 50.0;

/// Seconds between two tokens that divide no interval between requests, so that streams speak one
/// after the other. In step, as after each step of one engine, all speak in the same moment.
const OUT_OF_STEP: f64 = 0.019_31;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|arg| arg == "serve") {
        serve(&args[at + 1..]);
    }
    println!("time to first token, client against server, microseconds; both on this machine");
    println!("{:>8} {:>9} {:>9} {:>9} {:>9} {:>9}", "streams", "n", "p50", "p90", "p99", "max");
    for streams in [10, 100, 1000] {
        accuracy(streams, 1.0 / RATE, "in step");
        accuracy(streams, OUT_OF_STEP, "out of step");
    }
    println!("\nstreams of {RATE} tokens/s; the server is a process of its own");
    println!(
        "{:>8} {:>10} {:>9} {:>12} {:>14} {:>16}",
        "streams", "chunks/s", "failed", "% of a core", "us a chunk", "streams a core"
    );
    for streams in [10, 100, 500, 1000] {
        throughput(streams);
    }
}

fn serve(args: &[String]) -> ! {
    let number = |at: usize, usual: u64| args.get(at).map_or(usual, |arg| arg.parse().unwrap());
    let behaviour = Behaviour {
        ttft: Duration::from_millis(number(1, 20)),
        gap: Duration::from_millis(number(2, 20)),
        tokens: number(3, 200) as usize,
        slots: 100_000,
        ..Behaviour::default()
    };
    let address = args.first().map_or("127.0.0.1:0", String::as_str);
    let server = Server::start_on(address, behaviour);
    println!("{}", server.address);
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// Sends the same request again and again, and keeps the answers where their stamps are wanted.
struct Same {
    body: Vec<u8>,
    answers: Option<Vec<Option<String>>>,
}

impl Same {
    fn new(tokens: usize, kept: bool) -> Self {
        let body = format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],"max_tokens":{tokens},"stream":true,"stream_options":{{"include_usage":true}}}}"#
        );
        Self { body: body.into_bytes(), answers: kept.then(Vec::new) }
    }
}

impl Work for Same {
    fn next(&mut self, index: usize) -> Order {
        let conversation = self.answers.as_mut().map(|answers| {
            answers.push(None);
            index as u64
        });
        let (path, body) = ("/v1/chat/completions", self.body.clone());
        Order { path, body, conversation, ..Order::default() }
    }

    fn answered(&mut self, conversation: u64, answer: Option<String>) {
        if let Some(answers) = &mut self.answers {
            answers[conversation as usize] = answer;
        }
    }

    fn over(&mut self, _: &[Exchange], _: f64) -> bool {
        false
    }
}

/// Runs so many streams at once for some seconds: each lasts 2 s, and another follows it.
fn run(url: &str, streams: usize, seconds: f64, work: &mut Same) -> Driven {
    let client = Client::new(url, &Options::default()).unwrap();
    let rate = streams as f64 / 2.0;
    let due = (0..(rate * seconds) as usize).map(|it| it as f64 / rate).collect();
    let timeout = Duration::from_secs(60);
    let plan = Plan { due, warmup: 0.0, concurrency: streams * 4, timeout };
    block_on(drive(client, &plan, work, std::future::pending())).unwrap().unwrap()
}

fn accuracy(streams: usize, gap: f64, what: &str) {
    let gap = Duration::from_secs_f64(gap);
    let how = Behaviour { gap, tokens: 100, slots: 100_000, ..Behaviour::default() };
    let server = Server::start(how);
    let mut work = Same::new(100, true);
    let driven = run(&server.url(), streams, 6.0, &mut work);
    let began = (driven.began.unwrap() - server.base).as_secs_f64();
    let answers = work.answers.unwrap();
    let mut errors: Vec<f64> = driven
        .records
        .iter()
        .zip(&answers)
        .filter_map(|(it, answer)| {
            let written: f64 = answer.as_ref()?.split(' ').next()?.parse().ok()?;
            Some((began + it.sent? + it.ttft? - written / 1e9) * 1e6)
        })
        .collect();
    errors.sort_by(f64::total_cmp);
    let at = |share: f64| errors[((errors.len() - 1) as f64 * share) as usize];
    println!(
        "{streams:>8} {:>9} {:>9.0} {:>9.0} {:>9.0} {:>9.0}  {what}",
        errors.len(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0)
    );
}

fn throughput(streams: usize) {
    let (mut child, url) = spawn();
    let driven = run(&url, streams, 8.0, &mut Same::new(100, false));
    child.kill().unwrap();
    child.wait().unwrap();
    let chunks: u64 = driven.records.iter().map(|it| u64::from(it.chunks)).sum();
    let failed = driven.records.iter().filter(|it| it.outcome != Outcome::Ok).count();
    let share = driven.cpu_share.unwrap_or(f64::NAN);
    let each = share * driven.seconds / chunks as f64;
    println!(
        "{streams:>8} {:>10.0} {failed:>9} {:>12.1} {:>14.2} {:>16.0}",
        chunks as f64 / driven.seconds,
        share * 100.0,
        each * 1e6,
        1.0 / (each * RATE)
    );
}

fn spawn() -> (Child, String) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["serve", "127.0.0.1:0", "20", "20", "100"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, format!("http://{}", line.trim()))
}

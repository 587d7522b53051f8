//! Connections of a load test: used again while the server holds them, and tunnelled through a proxy.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "support/cli.rs"]
#[allow(dead_code)]
mod cli;
#[path = "support/openai/mod.rs"]
mod openai;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use diagnose::evidence::exchange::{Exchange, Order, Outcome};
use diagnose::load::result::LoadResult;
use diagnose::sources::http::{Client, Options, block_on};
use diagnose::sources::openai::{Driven, Plan, Work, drive};
use openai::{Behaviour, Server};

const ANSWER: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const TOKEN: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

/// Reads a request; false where the connection has ended.
fn request(reader: &mut BufReader<TcpStream>) -> bool {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return false;
        }
        if let Some(given) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = given.trim().parse().unwrap();
        }
        if line == "\r\n" {
            return reader.read_exact(&mut vec![0; length]).is_ok();
        }
    }
}

/// A server that answers `each` requests on a connection and closes it then, without announcing it.
fn server(each: usize, answer: String) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    thread::spawn(move || {
        for stream in listener.incoming().map(Result::unwrap) {
            counted.fetch_add(1, Ordering::Relaxed);
            let answer = answer.clone();
            thread::spawn(move || {
                let mut writer = stream.try_clone().unwrap();
                let mut reader = BufReader::new(stream);
                for _ in 0..each {
                    if !request(&mut reader) {
                        return;
                    }
                    writer.write_all(answer.as_bytes()).unwrap();
                }
            });
        }
    });
    (address, connections)
}

struct Same;

impl Work for Same {
    fn next(&mut self, _: usize) -> Order {
        Order { path: "/v1/chat/completions", body: b"{}".to_vec(), ..Order::default() }
    }

    fn answered(&mut self, _: u64, _: Option<String>) {}

    fn over(&mut self, _: &[Exchange], _: f64) -> bool {
        false
    }
}

/// Six requests, one after the other.
fn six(address: SocketAddr) -> Driven {
    let client = Client::new(&format!("http://{address}"), &Options::default()).unwrap();
    let due = (0..6).map(|it| f64::from(it) * 0.1).collect();
    let plan = Plan { due, warmup: 0.0, concurrency: 4, timeout: Duration::from_secs(20) };
    let driven =
        block_on(drive(client, &plan, &mut Same, std::future::pending())).unwrap().unwrap();
    assert_eq!(driven.records.len(), 6);
    driven
}

/// How many connections six requests took, all of which were answered.
fn connections(each: usize) -> usize {
    let stream = format!("{ANSWER}{:x}\r\n{TOKEN}\r\n0\r\n\r\n", TOKEN.len());
    let (address, connections) = server(each, stream);
    let driven = six(address);
    for it in &driven.records {
        assert_eq!((it.outcome, it.status, it.chunks), (Outcome::Ok, Some(200), 1), "{driven:?}");
    }
    connections.load(Ordering::Relaxed)
}

#[test]
fn a_redirect_is_a_refusal_that_names_the_place() {
    let place = "https://other.test/v1/chat/completions";
    let head = "HTTP/1.1 307 Temporary Redirect\r\ncontent-length: 0\r\n";
    let (address, _) = server(usize::MAX, format!("{head}location: {place}\r\n\r\n"));
    let driven = six(address);
    let refused = |it: &Exchange| (it.outcome, it.status) == (Outcome::Refused, Some(307));
    assert!(driven.records.iter().all(refused), "{driven:?}");
    assert!(driven.examples[&Outcome::Refused].contains(place), "{driven:?}");
}

#[test]
fn a_connection_is_used_again_as_long_as_the_server_holds_it() {
    assert_eq!(connections(usize::MAX), 1);
    assert_eq!(connections(2), 3);
    assert_eq!(connections(1), 6);
}

/// A proxy that knows one host: it leads each tunnel there. With the lines that asked for them.
fn proxy(to: SocketAddr) -> (SocketAddr, Arc<std::sync::Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    thread::spawn(move || {
        for client in listener.incoming().map(Result::unwrap) {
            let mut reader = BufReader::new(client.try_clone().unwrap());
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let tunnel = line.starts_with("CONNECT ");
            noted.lock().unwrap().push(line);
            if !tunnel {
                continue;
            }
            let mut rest = String::new();
            while reader.read_line(&mut rest).unwrap() > 2 {}
            let server = TcpStream::connect(to).unwrap();
            let mut back = client.try_clone().unwrap();
            back.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let (mut there, mut here) = (server.try_clone().unwrap(), server);
            thread::spawn(move || std::io::copy(&mut reader, &mut there));
            thread::spawn(move || std::io::copy(&mut here, &mut back));
        }
    });
    (address, asked)
}

#[test]
fn a_proxy_of_the_environment_is_tunnelled_through() {
    let server = Server::start(Behaviour::default());
    let (address, asked) = proxy(server.address);
    let arguments = "load baseline --url http://gpu-host.test:8000 --yes --model m --rate 20 --duration 3s \
                     --skip metrics,host,nvml,kernel --format json --quiet";
    let mut command = cli::diagnose();
    command.args(arguments.split_whitespace()).env("HTTP_PROXY", format!("http://{address}"));
    let ran = cli::finish(command.env("http_proxy", format!("http://{address}")));
    let result: LoadResult = serde_json::from_value(ran.json()).unwrap();
    let answered = result.records.iter().filter(|it| it.outcome == Outcome::Ok).count();
    assert!(answered > 30, "{}", ran.said());
    let asked = asked.lock().unwrap();
    assert!(asked.iter().any(|line| line.starts_with("CONNECT gpu-host.test:8000 ")), "{asked:?}");
}

#[test]
fn a_proxy_that_no_tunnel_leads_through_is_refused_by_name() {
    let arguments = "load baseline --url http://gpu-host.test:8000 --yes --model m --duration 2s";
    let mut command = cli::diagnose();
    command.args(arguments.split_whitespace()).env("http_proxy", "socks5://proxy.test:1080");
    let ran = cli::finish(&mut command);
    ran.assert_code(2);
    ran.assert_says("NO_PROXY");
}

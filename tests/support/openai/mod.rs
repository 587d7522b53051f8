//! A server that speaks OpenAI's API over real sockets, with timings as told: it knows the moment at
//! which it wrote each token, and writes it into the token.
#![allow(dead_code)]

mod page;
mod tls;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant as At, sleep, sleep_until};

use page::Tally;
pub use tls::Tls;

type Input = BufReader<Box<dyn AsyncRead + Unpin>>;
type Output = Box<dyn AsyncWrite + Unpin>;

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// This status with an error as its body.
    Status(u16),
    /// The connection breaks after the second token.
    Reset,
    /// The answer ends well-formed after the second token, without saying that it is over.
    Cut,
    /// An error event after the second token.
    ErrorInStream,
    /// A line that is no JSON.
    Garbage,
    /// A whole JSON answer in place of a stream.
    NoStream,
    /// An answer without a token.
    NoToken,
    /// No answer at all.
    Hang,
}

/// How the server behaves.
#[derive(Clone)]
pub struct Behaviour {
    /// Until the first token, and between two.
    pub ttft: Duration,
    pub gap: Duration,
    /// Most tokens of an answer, whatever is asked for.
    pub tokens: usize,
    /// Requests that it works on at once; others wait.
    pub slots: usize,
    /// The fault of the n-th request.
    pub fault: fn(usize) -> Fault,
    /// Whether it counts tokens when asked to.
    pub usage: bool,
    /// From when to when it stands still, since its start of the first request.
    pub stall: Option<(Duration, Duration)>,
    pub adapters: Vec<String>,
    /// Seconds that switching to another adapter takes.
    pub switch: Duration,
    /// Whether it finds prefixes that it has seen.
    pub caching: bool,
    pub metrics: bool,
    /// Share of the KV cache that each finished request does not give back.
    pub leak: f64,
    /// Speaks TLS with this certificate.
    pub tls: Option<Tls>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            ttft: Duration::from_millis(20),
            gap: Duration::from_millis(2),
            tokens: 5,
            slots: 64,
            fault: |_| Fault::None,
            usage: true,
            stall: None,
            adapters: Vec::new(),
            switch: Duration::ZERO,
            caching: true,
            metrics: true,
            leak: 0.0,
            tls: None,
        }
    }
}

/// What is kept of a request for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub path: String,
    /// The value of its `Authorization`.
    pub login: Option<String>,
    /// When all of it was read, since the server's start.
    pub at: Duration,
}

/// A running server.
pub struct Server {
    scheme: &'static str,
    pub address: SocketAddr,
    /// Time stamps in tokens are nanoseconds since then.
    pub base: Instant,
    pub served: Arc<AtomicUsize>,
    pub connections: Arc<AtomicUsize>,
    /// Bodies of the requests, where they are kept.
    pub bodies: Arc<std::sync::Mutex<Vec<Value>>>,
    /// The requests, in the order in which they came, where they are kept.
    pub asked: Arc<std::sync::Mutex<Vec<Asked>>>,
    stop: Arc<AtomicBool>,
}

impl Server {
    /// Starts one on a thread of its own.
    pub fn start(behaviour: Behaviour) -> Self {
        Self::start_on("127.0.0.1:0", behaviour)
    }

    pub fn start_on(address: &str, behaviour: Behaviour) -> Self {
        let listener = StdListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let server = Self {
            scheme: if behaviour.tls.is_some() { "https" } else { "http" },
            address: listener.local_addr().unwrap(),
            base: Instant::now(),
            served: Arc::default(),
            connections: Arc::default(),
            bodies: Arc::default(),
            asked: Arc::default(),
            stop: Arc::default(),
        };
        let (base, stop) = (server.base, server.stop.clone());
        let (served, connections) = (server.served.clone(), server.connections.clone());
        let (bodies, asked) = (server.bodies.clone(), server.asked.clone());
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let local = tokio::task::LocalSet::new();
            let state = State {
                slots: Rc::new(Semaphore::new(behaviour.slots)),
                base,
                first: Rc::default(),
                tally: Rc::new(RefCell::new(Tally::new())),
                seen: Rc::default(),
                loaded: Rc::default(),
                served,
                connections,
                bodies,
                asked,
                behaviour: Rc::new(behaviour),
            };
            runtime.block_on(local.run_until(accept(listener, state, stop)));
        });
        server
    }

    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Requests that are kept.
const MOST_KEPT: usize = 2000;

#[derive(Clone)]
struct State {
    slots: Rc<Semaphore>,
    base: Instant,
    /// When the first request came.
    first: Rc<RefCell<Option<Instant>>>,
    tally: Rc<RefCell<Tally>>,
    seen: Rc<RefCell<HashSet<String>>>,
    loaded: Rc<RefCell<HashMap<String, u64>>>,
    served: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
    bodies: Arc<std::sync::Mutex<Vec<Value>>>,
    asked: Arc<std::sync::Mutex<Vec<Asked>>>,
    behaviour: Rc<Behaviour>,
}

async fn accept(listener: StdListener, state: State, stop: Arc<AtomicBool>) {
    let listener = TcpListener::from_std(listener).unwrap();
    while !stop.load(Ordering::Relaxed) {
        let next = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
        let Ok(Ok((stream, _))) = next else { continue };
        state.connections.fetch_add(1, Ordering::Relaxed);
        tokio::task::spawn_local(serve(stream, state.clone()));
    }
}

async fn serve(stream: TcpStream, state: State) {
    stream.set_nodelay(true).unwrap();
    let (mut read, mut write): (Input, Output) = match &state.behaviour.tls {
        None => {
            let (read, write) = stream.into_split();
            (BufReader::new(Box::new(read)), Box::new(write))
        }
        Some(tls) => {
            let Ok(stream) = tls.acceptor.accept(stream).await else { return };
            let (read, write) = tokio::io::split(stream);
            (BufReader::new(Box::new(read)), Box::new(write))
        }
    };
    while let Some((path, login, body)) = request(&mut read).await {
        let kept = match path.as_str() {
            "/v1/chat/completions" | "/v1/completions" => {
                state.keep(path, login);
                generate(&state, &body, &mut write).await
            }
            path => page(&state, path, &mut write).await,
        };
        if kept.is_none() {
            return;
        }
    }
}

impl State {
    fn keep(&self, path: String, login: Option<String>) {
        let mut asked = self.asked.lock().unwrap();
        if asked.len() < MOST_KEPT {
            asked.push(Asked { path, login, at: self.base.elapsed() });
        }
    }
}

/// A request's path, its login and its body.
async fn request(read: &mut Input) -> Option<(String, Option<String>, Vec<u8>)> {
    let (mut line, mut path, mut login, mut length) = (String::new(), String::new(), None, 0);
    loop {
        line.clear();
        if read.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let text = line.trim_end();
        if text.is_empty() {
            break;
        }
        if path.is_empty() {
            path = text.split(' ').nth(1)?.to_owned();
            continue;
        }
        let Some((name, value)) = text.split_once(':') else { continue };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "authorization" => login = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    read.read_exact(&mut body).await.ok()?;
    Some((path, login, body))
}

async fn page(state: &State, path: &str, write: &mut Output) -> Option<()> {
    let body = match path {
        "/metrics" if state.behaviour.metrics => {
            state.tally.borrow().page(state.behaviour.slots as f64, state.behaviour.leak)
        }
        "/version" => r#"{"version":"0.23.0"}"#.into(),
        "/health" | "/ping" => String::new(),
        "/v1/models" => {
            let base = json!({"id": "m", "parent": null});
            let adapters =
                state.behaviour.adapters.iter().map(|id| json!({"id": id, "parent": "m"}));
            json!({"data": std::iter::once(base).chain(adapters).collect::<Vec<_>>()}).to_string()
        }
        _ => return whole(write, "404 Not Found", "{}").await,
    };
    whole(write, "200 OK", &body).await
}

async fn whole(write: &mut Output, status: &str, body: &str) -> Option<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n");
    put(write, (head + body).as_bytes()).await
}

/// Stands still while the server does.
async fn stand(state: &State) {
    let Some((from, to)) = state.behaviour.stall else { return };
    let Some(first) = *state.first.borrow() else { return };
    if (from..to).contains(&first.elapsed()) {
        sleep_until(At::from_std(first + to)).await;
    }
}

async fn generate(state: &State, body: &[u8], write: &mut Output) -> Option<()> {
    let number = state.served.fetch_add(1, Ordering::Relaxed);
    state.first.borrow_mut().get_or_insert_with(Instant::now);
    let asked: Value = serde_json::from_slice(body).unwrap();
    if number < MOST_KEPT {
        state.bodies.lock().unwrap().push(asked.clone());
    }
    let arrived = Instant::now();
    let fault = (state.behaviour.fault)(number);
    match fault {
        Fault::Status(code) => {
            let words = r#"{"error":{"message":"no, with key sk-secret-0123456789"}}"#;
            return whole(write, &format!("{code} No"), words).await;
        }
        Fault::NoStream => return whole(write, "200 OK", r#"{"choices":[]}"#).await,
        Fault::Hang => return std::future::pending().await,
        _ => {}
    }
    state.tally.borrow_mut().waiting += 1.0;
    let slot = state.slots.acquire().await.unwrap();
    state.tally.borrow_mut().waiting -= 1.0;
    state.tally.borrow_mut().running += 1.0;
    let queued = arrived.elapsed();
    switch(state, &asked).await;
    let told = answer(state, &asked, (fault, arrived, queued), write).await;
    state.tally.borrow_mut().running -= 1.0;
    drop(slot);
    told
}

/// Loads the adapter that is asked for, where another one was in use.
async fn switch(state: &State, asked: &Value) {
    let model = asked["model"].as_str().unwrap_or_default().to_owned();
    let current = state.loaded.borrow().contains_key(&model);
    if !current && state.behaviour.adapters.contains(&model) {
        sleep(state.behaviour.switch).await;
        let mut loaded = state.loaded.borrow_mut();
        loaded.clear();
        loaded.insert(model, 0);
    }
}

async fn answer(
    state: &State,
    asked: &Value,
    (fault, arrived, queued): (Fault, Instant, Duration),
    write: &mut Output,
) -> Option<()> {
    let how = &state.behaviour;
    let start = Instant::now();
    let chat = asked.get("messages").is_some();
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    put(write, head.as_bytes()).await?;
    if chat {
        // A role alone, long before the first token: it is none.
        event(write, r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#)
            .await?;
    }
    let most = asked["max_tokens"].as_u64().or_else(|| asked["max_completion_tokens"].as_u64());
    let most = most.unwrap_or(16) as usize;
    let tokens = if fault == Fault::NoToken { 0 } else { most.min(how.tokens) };
    let mut first = None;
    for index in 0..tokens {
        sleep_until(At::from_std(start + how.ttft + how.gap * index as u32)).await;
        stand(state).await;
        let now = state.base.elapsed();
        first.get_or_insert_with(|| arrived.elapsed());
        let text = format!("{} ", now.as_nanos());
        let delta = if chat {
            format!(
                r#"{{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{{"index":0,"delta":{{"content":"{text}"}},"logprobs":null,"finish_reason":null}}]}}"#
            )
        } else {
            format!(r#"{{"choices":[{{"index":0,"text":"{text}","finish_reason":null}}]}}"#)
        };
        event(write, &delta).await?;
        match fault {
            Fault::Reset if index == 1 => return None,
            Fault::Cut if index == 1 => return finish(write).await,
            Fault::Garbage if index == 1 => return event(write, "{\"choices\":[{").await,
            Fault::ErrorInStream if index == 1 => {
                event(write, r#"{"error":{"message":"the engine died","code":500}}"#).await?;
                return finish(write).await;
            }
            _ => {}
        }
    }
    event(write, r#"{"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}"#).await?;
    let (prompt, cached) = prompt_tokens(state, asked);
    if how.usage && asked["stream_options"]["include_usage"] == true {
        let usage = json!({"choices": [], "usage": {
            "prompt_tokens": prompt, "completion_tokens": tokens,
            "prompt_tokens_details": {"cached_tokens": cached}
        }});
        event(write, &usage.to_string()).await?;
    }
    let ttft = first.unwrap_or_default().as_secs_f64();
    let total = arrived.elapsed().as_secs_f64();
    state.tally.borrow_mut().done(queued.as_secs_f64(), ttft, total, (prompt, cached, tokens));
    event(write, "[DONE]").await?;
    finish(write).await
}

/// Words of the prompt, and how many of them belong to a first message that was seen before.
fn prompt_tokens(state: &State, asked: &Value) -> (usize, usize) {
    let words = |value: &Value| value.as_str().map_or(0, |text| text.split(' ').count());
    let Some(messages) = asked["messages"].as_array() else { return (words(&asked["prompt"]), 0) };
    let all = messages.iter().map(|it| words(&it["content"])).sum();
    let system = messages[0]["content"].as_str().unwrap_or_default().to_owned();
    let shared = words(&messages[0]["content"]);
    let seen = !state.seen.borrow_mut().insert(system);
    let hit = seen && state.behaviour.caching && messages[0]["role"] == "system";
    (all, if hit { shared } else { 0 })
}

/// One event in one chunk, in one write: as it goes out, so it arrives.
async fn event(write: &mut Output, data: &str) -> Option<()> {
    let text = format!("data: {data}\n\n");
    let chunk = format!("{:x}\r\n{text}\r\n", text.len());
    put(write, chunk.as_bytes()).await
}

async fn finish(write: &mut Output) -> Option<()> {
    put(write, b"0\r\n\r\n").await
}

/// Writes, and keeps nothing back to encrypt it with what comes next.
async fn put(write: &mut Output, bytes: &[u8]) -> Option<()> {
    write.write_all(bytes).await.ok()?;
    write.flush().await.ok()
}

//! One request: sent, timed as its chunks arrive, and sorted by how it ended.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::evidence::exchange::{Exchange, Order, Outcome};
use crate::sources::http::{Broken, FailureKind, Stream, Wire};
use crate::sources::openai::sse::{self, Event, Lines, Usage};
use crate::stats::spread::Spread;

/// Bytes read of an answer that is an error.
const MAX_ERROR: usize = 4096;

/// Characters kept of an error's words.
const MAX_WORDS: usize = 200;

/// What all requests write to. One thread drives them, so nothing is locked.
pub(super) struct Shared {
    pub(super) began: Instant,
    pub(super) wire: Wire,
    pub(super) records: RefCell<Vec<Exchange>>,
    pub(super) gaps: RefCell<Spread>,
    pub(super) examples: RefCell<BTreeMap<Outcome, String>>,
}

/// A conversation's turn that has ended, with the answer's text where it ended well.
pub(super) type Answered = Option<(u64, Option<String>)>;

/// How far the answer has come.
#[derive(Default)]
struct Reading {
    status: Option<u16>,
    lines: Lines,
    first: Option<Instant>,
    last: Option<Instant>,
    chunks: u32,
    usage: Option<Usage>,
    finish: Option<String>,
    done: bool,
    text: Option<String>,
}

type Ended = (Outcome, Option<String>);

/// Sends a request and writes what became of it into its record.
pub(super) async fn send(
    shared: Rc<Shared>,
    order: Order,
    index: usize,
    timeout: Duration,
) -> Answered {
    let conversation = order.conversation;
    let text = conversation.map(|_| String::new());
    let mut reading = Reading { text, ..Reading::default() };
    let sent = Instant::now();
    shared.records.borrow_mut()[index].sent = Some((sent - shared.began).as_secs_f64());
    let work = talk(&shared, order, index, &mut reading);
    let (outcome, words) = match tokio::time::timeout(timeout, work).await {
        Ok(ended) => ended,
        Err(_) => (Outcome::Timeout, Some(format!("no whole answer in {} s", timeout.as_secs()))),
    };
    let ended = Instant::now();
    if let Some(words) = words {
        let words = shared.wire.client().text(words.as_bytes()).chars().take(MAX_WORDS).collect();
        shared.examples.borrow_mut().entry(outcome).or_insert(words);
    }
    let since = |at: Instant| (at - sent).as_secs_f64();
    let it = &mut shared.records.borrow_mut()[index];
    it.outcome = outcome;
    it.status = reading.status;
    it.ttft = reading.first.map(since);
    it.last_token = reading.last.map(since);
    it.total = Some(since(ended));
    it.chunks = reading.chunks;
    it.finish = reading.finish;
    let counted = reading.usage.and_then(|usage| usage.completion_tokens);
    it.counted = counted.is_none() && reading.chunks > 0;
    it.output_tokens = counted.or((reading.chunks > 0).then_some(u64::from(reading.chunks)));
    it.prompt_tokens = reading.usage.and_then(|usage| usage.prompt_tokens);
    it.cached_tokens = reading.usage.and_then(|usage| usage.cached());
    let answer = reading.text.filter(|_| outcome == Outcome::Ok);
    conversation.map(|id| (id, answer))
}

async fn talk(shared: &Shared, order: Order, index: usize, reading: &mut Reading) -> Ended {
    let mut stream = match shared.wire.post(order.path, order.body).await {
        Ok(stream) => stream,
        Err(broken) => return not_answered(broken),
    };
    let status = stream.status();
    reading.status = Some(status);
    if status != 200 {
        return refused(status, &mut stream).await;
    }
    loop {
        let chunk = stream.chunk().await;
        // Before anything is looked at: this moment is what is measured. What came for others in the
        // same moment is read, and timed, before this is looked at.
        let at = Instant::now();
        tokio::task::yield_now().await;
        match chunk {
            Ok(Some(chunk)) => {
                if let Some(ended) = reading.take(&chunk, at, shared, index) {
                    return ended;
                }
            }
            Ok(None) => {
                shared.wire.keep(stream);
                return reading.at_end();
            }
            // All was said before the connection broke.
            Err(_) if reading.done => return reading.at_end(),
            Err(broken) => return (Outcome::Reset, Some(broken.words)),
        }
    }
}

/// An answer that is none, in the server's own words.
async fn refused(status: u16, stream: &mut Stream) -> Ended {
    let place = stream.location().map(|place| format!(": it redirects to {place}, not followed"));
    if let Some(place) = place.filter(|_| (300..400).contains(&status)) {
        return (Outcome::Refused, Some(format!("status {status}{place}")));
    }
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = stream.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ERROR {
            break;
        }
    }
    let outcome = if status >= 500 { Outcome::ServerStatus } else { Outcome::Refused };
    (outcome, Some(format!("status {status}: {}", sse::error_text(&body))))
}

impl Reading {
    /// Takes what arrived; says so where nothing more is to be expected.
    fn take(&mut self, chunk: &[u8], at: Instant, shared: &Shared, index: usize) -> Option<Ended> {
        let mut lines = std::mem::take(&mut self.lines);
        let mut ended = None;
        let short = lines.feed(chunk, |line| {
            if ended.is_none() {
                ended = self.line(line, at, shared, index);
            }
        });
        self.lines = lines;
        match short {
            true => ended,
            false => Some((Outcome::BadStream, Some("a line has no end".into()))),
        }
    }

    fn line(&mut self, line: &[u8], at: Instant, shared: &Shared, index: usize) -> Option<Ended> {
        match sse::event(line) {
            Event::Nothing => {}
            Event::Done => self.done = true,
            Event::Error(words) => return Some((Outcome::ServerError, Some(words))),
            Event::Garbage => {
                let words = String::from_utf8_lossy(line).into_owned();
                return Some((Outcome::BadStream, Some(words)));
            }
            Event::Chunk(chunk) => {
                if chunk.has_text() {
                    self.token(at, shared, index);
                    if let Some(text) = &mut self.text {
                        text.push_str(chunk.answer());
                    }
                }
                if let Some(finish) = chunk.finish() {
                    self.finish = Some(finish.chars().take(40).collect());
                }
                self.usage = chunk.usage.or(self.usage);
            }
        }
        None
    }

    fn token(&mut self, at: Instant, shared: &Shared, index: usize) {
        self.chunks += 1;
        if let Some(last) = self.last.replace(at) {
            let warmup = shared.records.borrow()[index].warmup;
            if !warmup {
                shared.gaps.borrow_mut().record((at - last).as_secs_f64());
            }
            return;
        }
        self.first = Some(at);
        // Seen at once, so that a test that is cut short or over-saturated knows it.
        let it = &mut shared.records.borrow_mut()[index];
        it.ttft = it.sent.map(|sent| (at - shared.began).as_secs_f64() - sent);
    }

    fn at_end(&self) -> Ended {
        match () {
            () if !self.done && self.finish.is_none() && self.chunks == 0 => {
                (Outcome::BadStream, Some("the answer is no stream of events".into()))
            }
            () if !self.done && self.finish.is_none() => {
                (Outcome::Reset, Some("the stream ended before the answer did".into()))
            }
            () if self.chunks == 0 => (Outcome::NoToken, None),
            () => (Outcome::Ok, None),
        }
    }
}

/// A request without the head of an answer.
fn not_answered(broken: Broken) -> Ended {
    let own = [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL, Errno::NOBUFS, Errno::NOMEM];
    let outcome = match broken.kind {
        _ if broken.os.is_some_and(|it| own.iter().any(|own| own.raw_os_error() == it)) => {
            Outcome::Client
        }
        FailureKind::TimedOut => Outcome::Timeout,
        FailureKind::NotHttp => Outcome::BadStream,
        kind if kind.is_connect() => Outcome::Connect,
        _ => Outcome::Reset,
    };
    (outcome, Some(broken.words))
}

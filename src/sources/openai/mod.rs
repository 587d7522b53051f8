//! Load on a server that speaks OpenAI's API: an open loop on one thread.
//!
//! Requests are sent when they are due, however slow the answers are; only the limit of requests at
//! once holds them back, and that wait is told apart. A time is taken the moment a chunk arrives.

mod send;
mod sse;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::{JoinSet, LocalSet};

use super::http::{Client, Wire};
use crate::evidence::exchange::{Exchange, Order, Outcome};
use crate::stats::spread::Spread;
use send::{Answered, Shared};

/// How often the client's own timer is looked at.
const TICK: Duration = Duration::from_millis(10);

/// How often it is asked whether to go on.
const CHECK: Duration = Duration::from_secs(1);

/// Requests that must all have found no server, or been refused, for the test to end.
const HOPELESS: usize = 20;

/// What to send, and when.
#[derive(Debug)]
pub struct Plan {
    /// Seconds from the start at which requests are due, sorted.
    pub due: Vec<f64>,
    /// Seconds before which requests belong to the warm-up.
    pub warmup: f64,
    /// Most requests at once.
    pub concurrency: usize,
    /// Time after which a request counts as timed out.
    pub timeout: Duration,
}

/// Who makes the requests, and looks at them.
pub trait Work {
    /// The next request, the `index`-th from 0.
    fn next(&mut self, index: usize) -> Order;
    /// A conversation's turn has ended; with the answer's text where it ended well.
    fn answered(&mut self, conversation: u64, answer: Option<String>);
    /// Asked every second, with the requests sent so far: whether to end the test.
    fn over(&mut self, sent: &[Exchange], now: f64) -> bool;
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Driven {
    /// Every request in the order of sending.
    pub records: Vec<Exchange>,
    /// Gaps between chunks, the warm-up left out.
    pub gaps: Spread,
    /// Lateness of the client's own timer.
    pub lag: Spread,
    /// Share of a core that the thread used; `None` where the system does not tell.
    pub cpu_share: Option<f64>,
    /// Words of the first error of each class.
    pub examples: BTreeMap<Outcome, String>,
    /// Requests due within the time that it lasted.
    pub due: u64,
    /// Seconds from the start to the end.
    pub seconds: f64,
    /// Why it ended.
    pub end: End,
    /// The moment that offsets count from.
    pub began: Option<Instant>,
}

/// Why it ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum End {
    /// Everything was sent and has ended.
    #[default]
    Done,
    /// It was told to stop.
    Stopped,
    /// The work said that it is over.
    Over,
    /// The server was never there, or refused everything.
    Hopeless,
}

/// Sends everything that is due, until all has ended or `stop` is done.
///
/// # Errors
///
/// A proxy of the environment that no connection can be tunnelled through.
pub async fn drive(
    client: Client,
    plan: &Plan,
    work: &mut dyn Work,
    stop: impl Future<Output = ()>,
) -> Result<Driven, String> {
    let wire = Wire::new(client, plan.concurrency)?;
    let shared = Rc::new(Shared {
        began: Instant::now(),
        wire,
        records: RefCell::default(),
        gaps: RefCell::default(),
        examples: RefCell::default(),
    });
    let cpu = on_cpu();
    let lag = Rc::new(RefCell::new(Spread::default()));
    let local = LocalSet::new();
    let ticker = local.spawn_local(tick(Rc::clone(&lag)));
    let mut pace =
        Pace { plan, shared: Rc::clone(&shared), tasks: JoinSet::new(), next: 0, freed: 0.0 };
    let end = local.run_until(pace.run(work, stop)).await;
    let seconds = pace.now();
    pace.tasks.abort_all();
    ticker.abort();
    let used = on_cpu().zip(cpu).map(|(after, before)| (after - before) / seconds.max(1e-9));
    Ok(Driven {
        records: shared.records.take(),
        gaps: shared.gaps.take(),
        lag: lag.take(),
        cpu_share: used,
        examples: shared.examples.take(),
        due: plan.due.partition_point(|due| *due <= seconds) as u64,
        seconds,
        end,
        began: Some(shared.began),
    })
}

struct Pace<'a> {
    plan: &'a Plan,
    shared: Rc<Shared>,
    tasks: JoinSet<Answered>,
    next: usize,
    /// When a slot was freed last while all were taken.
    freed: f64,
}

impl Pace<'_> {
    fn now(&self) -> f64 {
        self.shared.began.elapsed().as_secs_f64()
    }

    async fn run(&mut self, work: &mut dyn Work, stop: impl Future<Output = ()>) -> End {
        let mut stop = pin!(stop);
        let mut check = tokio::time::interval(CHECK);
        loop {
            while self.is_due() {
                self.send(work);
            }
            let left = self.plan.due.get(self.next).copied();
            if left.is_none() && self.tasks.is_empty() {
                return End::Done;
            }
            let free = self.tasks.len() < self.plan.concurrency;
            let due = self.shared.began + Duration::from_secs_f64(left.unwrap_or(0.0));
            tokio::select! {
                biased;
                () = &mut stop => return End::Stopped,
                Some(ended) = self.tasks.join_next() => self.ended(ended.ok().flatten(), work),
                () = tokio::time::sleep_until(due.into()), if free && left.is_some() => {}
                _ = check.tick() => {
                    let now = self.now();
                    if work.over(&self.shared.records.borrow(), now) {
                        return End::Over;
                    }
                    if hopeless(&self.shared.records.borrow()) {
                        return End::Hopeless;
                    }
                }
            }
        }
    }

    fn is_due(&self) -> bool {
        let due = self.plan.due.get(self.next);
        self.tasks.len() < self.plan.concurrency && due.is_some_and(|due| *due <= self.now())
    }

    fn send(&mut self, work: &mut dyn Work) {
        let intended = self.plan.due[self.next];
        let order = work.next(self.next);
        self.next += 1;
        let waited = self.freed - intended;
        let index = {
            let mut records = self.shared.records.borrow_mut();
            records.push(Exchange {
                intended,
                slot_wait: (waited > 0.0).then_some(waited),
                model: order.model,
                kind: order.kind,
                turn: order.turn,
                warmup: intended < self.plan.warmup,
                ..Exchange::default()
            });
            records.len() - 1
        };
        let shared = Rc::clone(&self.shared);
        self.tasks.spawn_local(send::send(shared, order, index, self.plan.timeout));
    }

    fn ended(&mut self, answered: Answered, work: &mut dyn Work) {
        // The one that ended has left the set.
        if self.tasks.len() + 1 == self.plan.concurrency {
            self.freed = self.now();
        }
        if let Some((conversation, answer)) = answered {
            work.answered(conversation, answer);
        }
    }
}

/// Whether every request so far found no server, or was refused.
fn hopeless(sent: &[Exchange]) -> bool {
    let ended: Vec<&Exchange> =
        sent.iter().filter(|it| it.total.is_some()).take(HOPELESS).collect();
    let none = |it: &&Exchange| matches!(it.outcome, Outcome::Connect | Outcome::Refused);
    ended.len() == HOPELESS && sent.iter().filter(|it| it.total.is_some()).all(|it| none(&it))
}

/// Notes how late a timer fires. A long stall counts for every tick that it swallowed.
async fn tick(lag: Rc<RefCell<Spread>>) {
    loop {
        let due = Instant::now() + TICK;
        tokio::time::sleep_until(due.into()).await;
        let mut late = Instant::now().saturating_duration_since(due);
        let mut lag = lag.borrow_mut();
        loop {
            lag.record(late.as_secs_f64());
            match late.checked_sub(TICK) {
                Some(rest) => late = rest,
                None => break,
            }
        }
    }
}

/// Seconds that this thread has been on a CPU.
fn on_cpu() -> Option<f64> {
    let text = std::fs::read_to_string(Path::new("/proc/thread-self/schedstat")).ok()?;
    Some(text.split(' ').next()?.parse::<f64>().ok()? / 1e9)
}

/// The base model and the adapters that `/v1/models` names.
pub async fn models(client: &Client) -> Result<(Vec<String>, Vec<String>), String> {
    let answer = client.get("/v1/models", "application/json", 4 << 20).await;
    let answer =
        answer.map_err(|failure| format!("{}: {}", failure.kind.word(), failure.detail))?;
    if answer.status != 200 {
        return Err(format!("/v1/models answers with status {}", answer.status));
    }
    let json: serde_json::Value = serde_json::from_slice(&answer.body)
        .map_err(|_| "/v1/models answers with something that is no JSON".to_owned())?;
    let cards = json["data"].as_array().cloned().unwrap_or_default();
    let (adapters, bases): (Vec<_>, Vec<_>) =
        cards.iter().partition(|card| card["parent"].as_str().is_some());
    let ids = |cards: Vec<&serde_json::Value>| -> Vec<String> {
        cards.iter().filter_map(|card| card["id"].as_str().map(Into::into)).collect()
    };
    Ok((ids(bases), ids(adapters)))
}

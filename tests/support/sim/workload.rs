//! What clients send: when, whose, how long, and how patient they are.

use super::{kv::Content, rng::Rng};

/// One request as a client sends it.
#[derive(Debug, Clone)]
pub struct Request {
    pub id: u64,
    pub at: f64,
    pub content: Content,
    pub prompt: u32,
    /// Tokens it will answer with, at most `max_tokens`.
    pub output: u32,
    pub max_tokens: u32,
    /// Seconds without a first token after which the client hangs up.
    pub patience: f64,
    pub retries: u32,
    /// Seconds for which the engine may not schedule it yet: something outside is not ready.
    pub held: f64,
    /// Adapter it asks for; 0 is the base model.
    pub adapter: usize,
    /// What the log says when it is refused.
    pub complaint: Option<&'static str>,
    /// Status with which the front-end refuses it.
    pub refused: Option<u16>,
}

/// How requests look during one phase.
#[derive(Debug, Clone)]
pub struct Shape {
    pub tenants: usize,
    /// Exponent of the tenants' popularity; 0 is uniform.
    pub skew: f64,
    /// Tokens that all requests of a tenant begin with.
    pub prefix: f64,
    pub own: (f64, f64),
    pub output: (f64, f64),
    pub max_tokens: u32,
    /// Share of requests with a prompt of this many own tokens.
    pub oversize: (f64, f64),
    /// Share of tenants whose prompts carry something volatile.
    pub volatile: f64,
    /// Tokens before the volatile field.
    pub volatile_at: u32,
    /// Share of requests refused, and with which statuses.
    pub refused: (f64, &'static [u16]),
    pub patience: f64,
    /// Share of clients that have no more patience than this; all if 0.
    pub hasty: f64,
    /// Chance that a client that hung up tries again.
    pub retry: f64,
    /// Share of requests that something outside the engine holds up, and for how many seconds.
    pub held: (f64, f64),
    /// Adapters among which tenants are spread; 0 is none.
    pub adapters: usize,
    /// Which version of the prefixes is sent.
    pub edition: u64,
    /// What the log says of a refused request.
    pub complaint: Option<&'static str>,
}

impl Shape {
    pub fn mean_prompt(&self) -> f64 {
        self.prefix + self.own.0 + self.oversize.0 * self.oversize.1
    }

    /// Prompt tokens computed for a request whose prefix is cached.
    pub fn mean_computed(&self) -> f64 {
        self.own.0 + self.oversize.0 * self.oversize.1 + 8.0
    }
}

/// Rate of arrivals over time, straight between points.
#[derive(Debug, Clone)]
pub struct Curve(pub Vec<(f64, f64)>);

impl Curve {
    pub fn at(&self, time: f64) -> f64 {
        let points = &self.0;
        let next = points.partition_point(|point| point.0 <= time);
        if next == 0 {
            return points[0].1;
        }
        let Some(&(to, b)) = points.get(next) else { return points[next - 1].1 };
        let (from, a) = points[next - 1];
        a + (b - a) * (time - from) / (to - from)
    }

    /// Multiplies the rate from a moment on.
    pub fn scale_from(&mut self, at: f64, factor: f64) {
        let usual = self.at(at);
        let (mut points, later): (Vec<_>, Vec<_>) =
            self.0.iter().copied().partition(|point| point.0 <= at);
        points.extend([(at, usual), (at + 0.001, usual * factor)]);
        points.extend(later.iter().map(|point| (point.0 + 0.001, point.1 * factor)));
        self.0 = points;
    }

    fn peak(&self) -> f64 {
        self.0.iter().map(|point| point.1).fold(0.0, f64::max)
    }
}

/// Everything that arrives in a run.
#[derive(Debug, Clone)]
pub struct Workload {
    pub rate: Curve,
    /// Mean seconds between bursts, and requests in one.
    pub bursts: Option<(f64, usize)>,
    /// Phases with their start, in order.
    pub phases: Vec<(f64, Shape)>,
}

impl Workload {
    pub fn shape(&self, at: f64) -> &Shape {
        let next = self.phases.partition_point(|phase| phase.0 <= at);
        &self.phases[next.max(1) - 1].1
    }

    /// All first requests up to `end`, in order of arrival.
    pub fn requests(&self, end: f64, max_len: u32, rng: &mut Rng) -> Vec<Request> {
        let mut times = self.arrivals(end, rng);
        times.sort_by(f64::total_cmp);
        let salt = rng.bits();
        times
            .into_iter()
            .enumerate()
            .map(|(id, at)| draw(id as u64, at, self.shape(at), max_len, salt, rng))
            .collect()
    }

    fn arrivals(&self, end: f64, rng: &mut Rng) -> Vec<f64> {
        let mut times = Vec::new();
        let peak = self.rate.peak().max(1e-9);
        let mut at = rng.exponential(1.0 / peak);
        while at < end {
            if rng.chance(self.rate.at(at) / peak) {
                times.push(at);
            }
            at += rng.exponential(1.0 / peak);
        }
        if let Some((every, size)) = self.bursts {
            let mut at = rng.exponential(every);
            while at < end {
                let n = 1 + rng.below(2 * size);
                times.extend((0..n).map(|_| at + rng.between(0.0, 0.3)));
                at += rng.exponential(every);
            }
        }
        times.retain(|at| *at < end);
        times
    }
}

fn tenant(shape: &Shape, rng: &mut Rng) -> usize {
    // A power of a uniform number favours the first ones.
    let power = 1.0 + shape.skew;
    ((rng.unit().powf(power) * shape.tenants as f64) as usize).min(shape.tenants - 1)
}

fn draw(id: u64, at: f64, shape: &Shape, max_len: u32, salt: u64, rng: &mut Rng) -> Request {
    let tenant = tenant(shape, rng);
    let own_id = salt ^ (id + 1).wrapping_mul(0x9E37_79B9);
    let mut own = rng.lognormal(shape.own.0, shape.own.1).max(4.0);
    if rng.chance(shape.oversize.0) {
        own = shape.oversize.1 * rng.between(0.7, 1.3);
    }
    let output = rng.lognormal(shape.output.0, shape.output.1).max(1.0) as u32;
    let max_tokens = shape.max_tokens;
    let room = max_len - max_tokens.min(max_len / 2);
    // Prefixes of tenants differ a little in length.
    let prefix = shape.prefix * (0.8 + 0.4 * ((tenant * 7 % 11) as f64 / 10.0));
    let prompt = ((prefix + own) as u32).clamp(4, room);
    let volatile = (tenant as f64 + 0.5) < shape.volatile * shape.tenants as f64;
    let shared_tokens = if volatile { shape.volatile_at } else { prefix as u32 };
    let content = Content {
        shared: (salt ^ (tenant as u64 + 1) << 32).wrapping_add(shape.edition),
        shared_tokens: shared_tokens.min(prompt),
        own: own_id,
    };
    let refused = rng.chance(shape.refused.0).then(|| rng.pick(shape.refused.1));
    let mut patience = shape.patience * rng.between(0.7, 1.3);
    if shape.hasty > 0.0 && !rng.chance(shape.hasty) {
        patience = f64::INFINITY;
    }
    let retries = if rng.chance(shape.retry) { 2 } else { 0 };
    let held = if shape.held.0 > 0.0 && rng.chance(shape.held.0) {
        rng.lognormal(shape.held.1, 0.4)
    } else {
        0.0
    };
    Request {
        id,
        at,
        content,
        prompt,
        output: output.min(max_tokens).max(1),
        max_tokens,
        patience,
        retries,
        held,
        adapter: tenant.checked_rem(shape.adapters).map_or(0, |adapter| adapter + 1),
        complaint: shape.complaint,
        refused,
    }
}

//! Many requests: how much of a prefix they share, which volatile field ends it most often, and
//! what hit ratio could be reached at best.

use std::collections::HashMap;

use serde::Serialize;

use super::{
    Chars, Interval, Prompt, Scale, common, pair,
    render::excerpt,
    volatile::{Field, Kind, end_of},
};

/// Smallest share of requests at which a volatile field counts.
const MIN_SHARE: f64 = 0.1;

/// What many requests share.
#[derive(Debug, Clone, Serialize)]
pub struct Many {
    /// Whether a volatile field breaks the prefix.
    pub broken: bool,
    /// Requests compared.
    pub requests: usize,
    /// Shared bytes of a request with the one most like it: least, quarters, most.
    pub shared_bytes: [usize; 5],
    /// Requests by whole blocks shared, from the low estimate: 0, 1 to 3, 4 to 15, 16 to 63, more.
    pub by_blocks: [usize; 5],
    /// Best hit ratio as it is: shared blocks of all tokens.
    pub hit_ratio: Interval,
    /// The field that stands first in most requests.
    pub first: Option<First>,
}

/// The most common first volatile position.
#[derive(Debug, Clone, Serialize)]
pub struct First {
    /// What stands there.
    pub kind: Kind,
    /// What it was known by.
    pub because: String,
    /// The message that holds it.
    pub part: String,
    /// Where it begins.
    pub byte: usize,
    /// Requests that have it there.
    pub requests: usize,
    /// Their share of all.
    pub share: f64,
    /// Volatile fields behind it.
    pub then: Vec<Kind>,
    /// Best hit ratio with these fields at the end of the prompt.
    pub hit_ratio_if_moved: Interval,
    /// The text of one request around it, redacted.
    pub example: String,
    /// What to do.
    pub advice: String,
}

/// Compares all requests with each other, over their sorted order: in it, a request stands beside
/// the one it shares most with.
pub fn compare(prompts: &[Prompt], scale: &Scale) -> Many {
    let mut order: Vec<usize> = (0..prompts.len()).collect();
    order.sort_unstable_by(|a, b| key(&prompts[*a]).cmp(&key(&prompts[*b])));
    let beside = beside(prompts, &order);
    let hit_ratio = hits(prompts, &order, &beside, scale).ratio();
    let mut shared: Vec<usize> = (0..order.len()).map(|i| best(&beside, i).1).collect();
    let by_blocks = by_blocks(prompts, &order, &beside, scale);
    shared.sort_unstable();
    let quarter = |of: usize| shared.get((shared.len().saturating_sub(1)) * of / 4).copied();
    let first = first(prompts, &order, &beside, scale).map(|mut first| {
        first.hit_ratio_if_moved.lo = first.hit_ratio_if_moved.lo.max(hit_ratio.lo);
        first.hit_ratio_if_moved.hi = first.hit_ratio_if_moved.hi.max(hit_ratio.hi);
        first
    });
    Many {
        broken: first.is_some(),
        requests: prompts.len(),
        shared_bytes: [0, 1, 2, 3, 4].map(|of| quarter(of).unwrap_or(0)),
        by_blocks,
        hit_ratio,
        first,
    }
}

fn key(prompt: &Prompt) -> (&str, &[u8]) {
    (&prompt.scope, &prompt.bytes)
}

/// Bytes in common with the request before, in sorted order.
fn beside(prompts: &[Prompt], order: &[usize]) -> Vec<usize> {
    let pairs = order.windows(2).map(|pair| {
        let (a, b) = (&prompts[pair[0]], &prompts[pair[1]]);
        if a.scope == b.scope { common(&a.bytes, &b.bytes) } else { 0 }
    });
    std::iter::once(0).chain(pairs).collect()
}

/// The neighbour that a request shares most with, and how much.
fn best(beside: &[usize], i: usize) -> (usize, usize) {
    let right = beside.get(i + 1).copied().unwrap_or(0);
    if i == 0 || right > beside[i] { (i + 1, right) } else { (i - 1, beside[i]) }
}

/// Tokens hit and asked, at both ends of the estimate.
#[derive(Debug, Clone, Copy, Default)]
struct Hits {
    hit: Interval,
    asked: Interval,
}

impl Hits {
    fn add(&mut self, shared: Chars, all: Chars, scale: &Scale) {
        let (blocks, tokens) = (scale.cacheable(shared, all), scale.tokens(all));
        self.hit.lo += blocks.lo * f64::from(scale.block_size);
        self.hit.hi += blocks.hi * f64::from(scale.block_size);
        self.asked.lo += tokens.lo;
        self.asked.hi += tokens.hi;
    }

    fn ratio(&self) -> Interval {
        let ratio = |hit: f64, asked: f64| if asked > 0.0 { (hit / asked).min(1.0) } else { 0.0 };
        Interval::sorted(ratio(self.hit.lo, self.asked.lo), ratio(self.hit.hi, self.asked.hi))
    }
}

/// With a cache that forgets nothing, each block is computed once. So the hits are what each
/// request shares with the one before it in sorted order, whatever order they arrived in.
fn hits(prompts: &[Prompt], order: &[usize], beside: &[usize], scale: &Scale) -> Hits {
    let mut hits = Hits::default();
    for (index, shared) in order.iter().zip(beside) {
        let prompt = &prompts[*index];
        hits.add(Chars::of(&prompt.bytes[..*shared]), prompt.chars, scale);
    }
    hits
}

fn by_blocks(prompts: &[Prompt], order: &[usize], beside: &[usize], scale: &Scale) -> [usize; 5] {
    let mut counts = [0; 5];
    for (i, index) in order.iter().enumerate() {
        let prompt = &prompts[*index];
        let shared = best(beside, i).1;
        let blocks = scale.cacheable(Chars::of(&prompt.bytes[..shared]), prompt.chars).lo;
        let class = [1.0, 4.0, 16.0, 64.0].iter().filter(|bound| blocks >= **bound).count();
        counts[class] += 1;
    }
    counts
}

/// The volatile position whose move gains most. Requests that share one field, such as a time in
/// minutes, stand side by side in sorted order and hide it; those farther away show it. So each
/// request is compared with its best neighbour and with some at a distance.
fn first(prompts: &[Prompt], order: &[usize], beside: &[usize], scale: &Scale) -> Option<First> {
    let n = order.len();
    let near: Vec<usize> = (0..n).map(|i| best(beside, i).0).collect();
    let far = |part: usize| (0..n).map(|i| (i + n.div_ceil(part)) % n).collect();
    let partners: [Vec<usize>; 4] = [near, far(16), far(4), far(2)];
    let found = partners.iter().filter_map(|partners| most(prompts, order, partners, scale));
    found.reduce(|best, other| {
        let gains = other.hit_ratio_if_moved.lo > best.hit_ratio_if_moved.lo;
        if gains { other } else { best }
    })
}

/// The first volatile position that most requests have in common with these partners.
fn most(prompts: &[Prompt], order: &[usize], partners: &[usize], scale: &Scale) -> Option<First> {
    let mut tally: HashMap<(Kind, usize), (usize, usize, usize)> = HashMap::new();
    for (index, partner) in order.iter().zip(partners) {
        let Some(other) = order.get(*partner) else { continue };
        let (old, new) = (&prompts[*index], &prompts[*other]);
        if old.scope != new.scope {
            continue;
        }
        let Some(field) = volatile(old, new, scale) else { continue };
        tally.entry((field.kind, field.old.start)).or_insert((0, *index, *other)).0 += 1;
    }
    let count = |a: &(&(Kind, usize), &(usize, usize, usize))| (a.1.0, std::cmp::Reverse(*a.0));
    let (_, (_, old, new)) = tally.iter().max_by_key(count)?;
    describe(prompts, &prompts[*old], &prompts[*new], scale)
}

/// The field between two requests, where a block or more is shared behind it.
fn volatile(old: &Prompt, new: &Prompt, scale: &Scale) -> Option<Field> {
    let walk = pair::walk(old, new);
    let shared: Vec<u8> =
        walk.behind.iter().flat_map(|range| &old.bytes[range.clone()]).copied().collect();
    let field = walk.fields.into_iter().next()?;
    (field.kind.is_volatile() && scale.fills_block(&shared)).then_some(field)
}

/// Looks for the fields of one pair in all requests, and takes them out.
fn describe(prompts: &[Prompt], old: &Prompt, new: &Prompt, scale: &Scale) -> Option<First> {
    let walk = pair::walk(old, new);
    let fields: Vec<&Field> = walk.fields.iter().filter(|field| field.kind.is_volatile()).collect();
    let field = *fields.first()?;
    let start = field.old.start;
    let head = &old.bytes[..start];
    let mut tails: Vec<(&[u8], &Prompt, Chars)> = Vec::new();
    let mut others = Vec::new();
    for prompt in prompts {
        match without(prompt, old, &fields) {
            Some((between, tail))
                if prompt.bytes.starts_with(head) && prompt.scope == old.scope =>
            {
                tails.push((tail, prompt, between));
            }
            _ => others.push(prompt),
        }
    }
    let share = tails.len() as f64 / prompts.len().max(1) as f64;
    if share < MIN_SHARE {
        return None;
    }
    let end = walk.behind.last().map_or(start, |range| range.end);
    Some(First {
        kind: field.kind,
        because: field.because.clone(),
        part: old.part(start).map_or_else(|| "text".into(), |part| part.label.clone()),
        byte: start,
        requests: tails.len(),
        share,
        then: fields.iter().skip(1).map(|field| field.kind).collect(),
        example: excerpt(&old.bytes, &field.old, start, field.kind),
        advice: field.kind.advice(&format!(
            "from byte {start} to behind what is common after it, about byte {end}"
        )),
        hit_ratio_if_moved: moved(head, tails, &others, scale),
    })
}

/// What stands between the fields, and what follows the last one that could be found.
fn without<'a>(prompt: &'a Prompt, like: &Prompt, fields: &[&Field]) -> Option<(Chars, &'a [u8])> {
    let bytes = &prompt.bytes;
    let mut at = fields.first()?.old.start;
    let mut between = Chars::default();
    for (index, field) in fields.iter().enumerate() {
        let Some(end) = end_of(field.kind, bytes, at, prompt.floor(at)) else {
            return (index > 0).then_some((between, &bytes[at..]));
        };
        at = end;
        let Some(next) = fields.get(index + 1) else { break };
        let gap = &like.bytes[field.old.end..next.old.start.max(field.old.end)];
        if !bytes[at..].starts_with(gap) {
            break;
        }
        let chars = Chars::of(gap);
        between = Chars { ascii: between.ascii + chars.ascii, other: between.other + chars.other };
        at += gap.len();
    }
    Some((between, &bytes[at..]))
}

fn moved(
    head: &[u8],
    mut tails: Vec<(&[u8], &Prompt, Chars)>,
    others: &[&Prompt],
    scale: &Scale,
) -> Interval {
    tails.sort_unstable_by_key(|(tail, _, between)| (*between, *tail));
    let mut hits = Hits::default();
    let base = Chars::of(head);
    for (i, (tail, prompt, between)) in tails.iter().enumerate() {
        let before = i.checked_sub(1).map(|before| &tails[before]);
        let shared =
            before.filter(|before| before.2 == *between).map_or_else(Chars::default, |before| {
                let tail = Chars::of(&tail[..common(tail, before.0)]);
                Chars {
                    ascii: base.ascii + between.ascii + tail.ascii,
                    other: base.other + between.other + tail.other,
                }
            });
        hits.add(shared, prompt.chars, scale);
    }
    let mut rest = others.to_vec();
    rest.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
    for (i, prompt) in rest.iter().enumerate() {
        let before = i.checked_sub(1).map(|before| rest[before]);
        let before = before.filter(|before| before.scope == prompt.scope);
        let shared = before.map_or(0, |before| common(&before.bytes, &prompt.bytes));
        hits.add(Chars::of(&prompt.bytes[..shared]), prompt.chars, scale);
    }
    hits.ratio()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCALE: Scale = Scale { block_size: 16, chars_per_token: 4.0 };

    fn prompts(make: impl Fn(usize) -> String) -> Vec<Prompt> {
        let prompt = |i| {
            let bytes = make(i).into_bytes();
            Prompt { chars: Chars::of(&bytes), bytes, ..Prompt::default() }
        };
        (0..60).map(prompt).collect()
    }

    fn rest() -> String {
        "You answer questions about books in whole sentences. ".repeat(20)
    }

    #[test]
    fn a_timestamp_on_top_is_found_and_moving_it_gives_the_hits_back() {
        let text = |i| format!("Now: 10:{i:02}:0{}\n{}Question {i}", i % 10, rest());
        let many = compare(&prompts(text), &SCALE);
        let first = many.first.unwrap();
        assert_eq!((first.kind, first.byte, first.requests), (Kind::Timestamp, 5, 60));
        assert!(many.hit_ratio.hi < 0.05, "{:?}", many.hit_ratio);
        assert!(first.hit_ratio_if_moved.lo > 0.85, "{first:?}");
    }

    #[test]
    fn a_shared_prefix_with_questions_behind_it_is_no_finding() {
        let many = compare(&prompts(|i| format!("{}Question {}", rest(), i * 7919)), &SCALE);
        assert!(many.first.is_none() && many.hit_ratio.lo > 0.85, "{many:?}");
        assert_eq!(many.by_blocks.iter().sum::<usize>(), 60);
    }

    #[test]
    fn the_hits_do_not_depend_on_the_order_of_requests() {
        let mut list = prompts(|i| format!("{}{}{}", i % 3, rest(), i % 7));
        let there = compare(&list, &SCALE).hit_ratio;
        list.reverse();
        assert_eq!(compare(&list, &SCALE).hit_ratio, there);
    }
}

//! The KV cache: blocks with reference counts, and a prefix cache that evicts by least recent use.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::rng::mix;

const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Block {
    key: u64,
    refs: u32,
    prev: u32,
    next: u32,
}

/// All blocks of one engine. Free blocks form a list in the order in which they were given back;
/// those that still hold a known prefix can be had again until they are taken for something else.
#[derive(Debug)]
pub struct Pool {
    pub block_size: u32,
    pub caching: bool,
    blocks: Vec<Block>,
    cached: HashMap<u64, u32, FixedState>,
    head: u32,
    tail: u32,
    free: usize,
}

/// What the blocks of a prompt are hashed by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Content {
    /// Whose beginning it is.
    pub shared: u64,
    /// Tokens in that beginning.
    pub shared_tokens: u32,
    /// What follows is the request's own.
    pub own: u64,
}

impl Content {
    fn key(&self, index: u32, block_size: u32) -> u64 {
        let shared = (index + 1) * block_size <= self.shared_tokens;
        let id = if shared { self.shared } else { mix(self.own ^ 0xABCD) };
        mix(id.wrapping_mul(0x1_0000_01B3).wrapping_add(u64::from(index))).max(1)
    }
}

impl Pool {
    pub fn new(blocks: usize, block_size: u32, caching: bool) -> Self {
        let empty = Block { key: 0, refs: 0, prev: NONE, next: NONE };
        let mut pool = Self {
            block_size,
            caching,
            blocks: vec![empty; blocks],
            cached: HashMap::default(),
            head: NONE,
            tail: NONE,
            free: 0,
        };
        (0..blocks as u32).for_each(|id| pool.push(id));
        pool
    }

    /// Share of blocks in use by running requests.
    pub fn usage(&self) -> f64 {
        1.0 - self.free as f64 / self.blocks.len() as f64
    }

    fn push(&mut self, id: u32) {
        let tail = self.tail;
        let block = &mut self.blocks[id as usize];
        (block.prev, block.next) = (tail, NONE);
        if tail == NONE {
            self.head = id;
        } else {
            self.blocks[tail as usize].next = id;
        }
        self.tail = id;
        self.free += 1;
    }

    fn unlink(&mut self, id: u32) {
        let Block { prev, next, .. } = self.blocks[id as usize];
        if prev == NONE {
            self.head = next;
        } else {
            self.blocks[prev as usize].next = next;
        }
        if next == NONE {
            self.tail = prev;
        } else {
            self.blocks[next as usize].prev = prev;
        }
        self.free -= 1;
    }

    /// The cached blocks with which a prompt of `tokens` begins. The last token is never cached,
    /// because it must be computed.
    pub fn lookup(&self, content: &Content, tokens: u32) -> Vec<u32> {
        if !self.caching {
            return Vec::new();
        }
        let whole = tokens.saturating_sub(1) / self.block_size;
        let found = |index| self.cached.get(&content.key(index, self.block_size)).copied();
        (0..whole).map_while(found).collect()
    }

    /// Takes the cached blocks and as many new ones as `tokens` need in all; nothing if there are
    /// too few.
    pub fn admit(&mut self, hit: &[u32], tokens: u32) -> Option<Vec<u32>> {
        let idle = hit.iter().filter(|id| self.blocks[**id as usize].refs == 0).count();
        let more = (tokens.div_ceil(self.block_size) as usize).saturating_sub(hit.len());
        if more + idle > self.free {
            return None;
        }
        for &id in hit {
            if self.blocks[id as usize].refs == 0 {
                self.unlink(id);
            }
            self.blocks[id as usize].refs += 1;
        }
        let mut held = hit.to_vec();
        (0..more).for_each(|_| held.push(self.take()));
        Some(held)
    }

    /// Grows what a request holds to `tokens`; false if there are too few free blocks.
    pub fn grow(&mut self, held: &mut Vec<u32>, tokens: u32) -> bool {
        let need = tokens.div_ceil(self.block_size) as usize;
        if need <= held.len() {
            return true;
        }
        if need - held.len() > self.free {
            return false;
        }
        while held.len() < need {
            let id = self.take();
            held.push(id);
        }
        true
    }

    fn take(&mut self) -> u32 {
        let id = self.head;
        self.unlink(id);
        let block = &mut self.blocks[id as usize];
        block.refs = 1;
        let key = std::mem::take(&mut block.key);
        if key != 0 && self.cached.get(&key) == Some(&id) {
            self.cached.remove(&key);
        }
        id
    }

    /// Makes the blocks between two token counts known to the prefix cache once they are full.
    pub fn fill(&mut self, content: &Content, held: &[u32], from: u32, to: u32) {
        if !self.caching {
            return;
        }
        for index in from / self.block_size..to / self.block_size {
            let id = held[index as usize];
            let key = content.key(index, self.block_size);
            if self.blocks[id as usize].key == 0 && !self.cached.contains_key(&key) {
                self.blocks[id as usize].key = key;
                self.cached.insert(key, id);
            }
        }
    }

    /// Gives blocks back, last ones first, so that the ends of prompts are evicted first.
    pub fn release(&mut self, held: &mut Vec<u32>) {
        for id in held.drain(..).rev() {
            self.blocks[id as usize].refs -= 1;
            if self.blocks[id as usize].refs == 0 {
                self.push(id);
            }
        }
    }
}

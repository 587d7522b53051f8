//! Who runs in the next step: slots, blocks, adapters, and what holds a request up.

use std::collections::BTreeSet;

use super::{Engine, Sequence};

impl Engine {
    pub(super) fn schedule(&mut self, now: f64) {
        let mut budget = self.config.max_batched;
        let preempted = self.schedule_running(&mut budget);
        let mut live = self.live_adapters();
        let mut next = 0;
        while !preempted && budget > 0 && self.running.len() < self.config.max_num_seqs {
            let Some(sequence) = self.waiting.get_mut(next) else { break };
            let adapter = sequence.request.adapter;
            let slotless =
                adapter > 0 && !live.contains(&adapter) && live.len() >= self.config.max_loras;
            sequence.deferred = slotless || sequence.held_until > now;
            if sequence.deferred {
                next += 1;
                continue;
            }
            let Some(mut sequence) = self.waiting.remove(next) else { break };
            if now < self.next_admission || !self.admit(&mut sequence, &mut budget, now) {
                self.waiting.insert(next, sequence);
                break;
            }
            self.next_admission = now + self.trickle;
            if adapter > 0 {
                live.insert(adapter);
                self.give_slot(adapter, &live);
            }
            self.running.push(sequence);
        }
    }

    fn live_adapters(&self) -> BTreeSet<usize> {
        if self.config.max_loras == 0 {
            return BTreeSet::new();
        }
        let adapters = self.running.iter().map(|sequence| sequence.request.adapter);
        adapters.filter(|adapter| *adapter > 0).collect()
    }

    /// Puts an adapter into a slot, and out the one that rested longest.
    fn give_slot(&mut self, adapter: usize, live: &BTreeSet<usize>) {
        if let Some(place) = self.resident.iter().position(|known| *known == adapter) {
            self.resident.remove(place);
        } else {
            self.loading += self.config.adapter_load;
            if self.resident.len() >= self.config.max_loras
                && let Some(idle) = self.resident.iter().position(|known| !live.contains(known))
            {
                self.resident.remove(idle);
            }
        }
        self.resident.push(adapter);
    }

    /// Notes which adapters run and which wait; from 0.11.1 both lists hold all of them.
    pub fn note_adapters(&mut self, now: f64) {
        if self.config.max_loras == 0 {
            return;
        }
        let mut running = self.live_adapters();
        let waits = self.waiting.iter().map(|sequence| sequence.request.adapter);
        let mut waiting: BTreeSet<usize> = waits.filter(|adapter| *adapter > 0).collect();
        if self.config.preempted_apart {
            running.extend(&waiting);
            waiting.clone_from(&running);
        }
        self.stats.adapters.insert((running, waiting), now);
    }

    /// Lets the running ones go on; who finds no block takes those of the last one.
    fn schedule_running(&mut self, budget: &mut u32) -> bool {
        let mut preempted = false;
        let mut index = 0;
        while index < self.running.len() {
            let sequence = &mut self.running[index];
            let want = (sequence.tokens() - sequence.computed).min(*budget);
            let need = sequence.computed + want;
            let ahead = if sequence.generated > 0 { self.config.drafts } else { 0 };
            if want == 0 || self.pool.grow(&mut sequence.held, need + ahead) {
                sequence.want = want;
                *budget -= want;
                index += 1;
                continue;
            }
            preempted = true;
            let Some(mut victim) = self.running.pop() else { break };
            self.pool.release(&mut victim.held);
            (victim.computed, victim.want) = (0, 0);
            victim.preempted += 1;
            self.stats.preemptions += 1.0;
            self.waiting.push_front(victim);
        }
        preempted
    }

    fn admit(&mut self, sequence: &mut Sequence, budget: &mut u32, now: f64) -> bool {
        let size = self.config.block_size;
        let tokens = sequence.tokens();
        let hit = self.pool.lookup(&sequence.request.content, tokens);
        let known = hit.len() as u32 * size;
        if self.config.caching && (sequence.preempted == 0 || !self.config.preempted_apart) {
            self.stats.queries += f64::from(tokens);
            self.stats.hits += f64::from(known);
            self.stats.query_blocks += f64::from(tokens / size);
            self.stats.hit_blocks += hit.len() as f64;
        }
        let want = (tokens - known).min(*budget);
        let Some(held) = self.pool.admit(&hit, known + want) else { return false };
        sequence.held = held;
        sequence.computed = known;
        sequence.want = want;
        sequence.cached.get_or_insert(known);
        sequence.scheduled.get_or_insert(now);
        *budget -= want;
        true
    }
}

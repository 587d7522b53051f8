//! The end of a step: tokens come out, requests leave, all is counted.

use super::{Done, Engine, FrontEnd, Outcome, Sequence};
use crate::sim::rng::{Rng, mix};

/// How many drafted tokens a decoding sequence may keep: up to the first wrong one.
fn accepted(sequence: &Sequence, drafts: u32, acceptance: f64) -> u32 {
    if drafts == 0 || sequence.generated == 0 {
        return 0;
    }
    let seed = sequence.request.id << 20 ^ u64::from(sequence.generated);
    let mut rng = Rng::new(mix(seed));
    let most = drafts.min(sequence.left().saturating_sub(1));
    (0..most).take_while(|_| rng.chance(acceptance)).count() as u32
}

impl Engine {
    /// Ends the step: tokens come out, requests finish, gauges are set.
    pub fn finish(&mut self, end: f64, front: &mut FrontEnd, per_token: f64) -> Outcome {
        let mut outcome = Outcome::default();
        let mut gaps: Vec<(f64, f64)> = Vec::new();
        let mut prompts = 0.0;
        for sequence in &mut self.running {
            let before = sequence.computed;
            sequence.computed += sequence.want;
            let out = sequence.want > 0 && sequence.computed == sequence.tokens();
            let ahead =
                if out { accepted(sequence, self.config.drafts, self.acceptance) } else { 0 };
            if out && self.config.drafts > 0 && sequence.generated > 0 {
                self.stats.drafted(self.config.drafts, ahead);
            }
            sequence.computed += ahead;
            let known = &sequence.request.content;
            self.pool.fill(known, &sequence.held, before, sequence.computed);
            sequence.want = 0;
            if !out {
                continue;
            }
            sequence.generated += 1 + ahead;
            outcome.outputs += 1.0;
            outcome.tokens += f64::from(1 + ahead);
            if sequence.generated == 1 {
                sequence.first = end;
                let (all, cached) = (sequence.request.prompt, sequence.cached.unwrap_or(0));
                self.stats.prompt_tokens += f64::from(all);
                self.stats.cached_tokens += f64::from(cached.min(all));
                let computed = all - cached.min(all);
                prompts += f64::from(if self.config.computed_only { computed } else { all });
            } else {
                let gap = end - sequence.last;
                match gaps.last_mut() {
                    Some(last) if last.0 == gap => last.1 += 1.0,
                    _ => gaps.push((gap, 1.0)),
                }
            }
            sequence.last = end;
        }
        let seen = front.work(end, per_token * outcome.outputs) + self.link;
        self.count_step(&gaps, prompts, &mut outcome);
        self.first_tokens(end, seen, &mut outcome);
        self.leave(seen, &mut outcome);
        self.stats.running = self.running.len() as f64;
        self.stats.waiting = self.waiting.len() as f64;
        self.stats.deferred = self.waiting.iter().filter(|waits| waits.deferred).count() as f64;
        self.stats.kv_usage = self.pool.usage();
        outcome
    }

    fn count_step(&mut self, gaps: &[(f64, f64)], prompts: f64, outcome: &mut Outcome) {
        if outcome.outputs == 0.0 {
            return;
        }
        self.stats.generation_tokens += outcome.tokens;
        self.stats.hist("iteration_tokens_total").add(prompts + outcome.tokens);
        let hist = self.stats.hist("inter_token_latency_seconds");
        for &(gap, n) in gaps {
            hist.add_many(gap, n);
            outcome.itl = (outcome.itl.0 + gap * n, outcome.itl.1 + n);
            let shape = outcome.itl_shape;
            outcome.itl_shape = (shape.0 + gap.ln() * n, shape.1 + gap * gap * n);
        }
    }

    fn first_tokens(&mut self, end: f64, seen: f64, outcome: &mut Outcome) {
        for sequence in &self.running {
            if sequence.generated == 1 && sequence.last == end {
                let ttft = seen - sequence.request.at;
                self.stats.hist("time_to_first_token_seconds").add(ttft);
                outcome.firsts.push((sequence.request.id, sequence.request.at, ttft));
            }
        }
    }

    /// Takes out the finished ones and counts them.
    fn leave(&mut self, seen: f64, outcome: &mut Outcome) {
        let finished = |sequence: &Sequence| sequence.left() == 0;
        if !self.running.iter().any(finished) {
            return;
        }
        let (done, stay) = std::mem::take(&mut self.running).into_iter().partition(finished);
        self.running = stay;
        let done: Vec<Sequence> = done;
        for mut sequence in done {
            let kept = sequence.held.len() as f64 * (1.0 - self.leak);
            sequence.held.truncate(kept.ceil() as usize);
            self.pool.release(&mut sequence.held);
            outcome.done.push(self.count_finish(&sequence, seen));
        }
    }

    fn count_finish(&mut self, sequence: &Sequence, seen: f64) -> Done {
        let request = &sequence.request;
        let scheduled = sequence.scheduled.unwrap_or(sequence.queued);
        let queue = scheduled - sequence.queued;
        let e2e = seen - request.at;
        let decode = sequence.last - sequence.first;
        let per_token = decode / f64::from(sequence.generated.max(2) - 1);
        let prompt = f64::from(request.prompt);
        let cached = f64::from(sequence.cached.unwrap_or(0));
        let values = [
            ("request_prompt_tokens", prompt),
            ("request_generation_tokens", f64::from(sequence.generated)),
            ("request_max_num_generation_tokens", f64::from(sequence.generated)),
            ("request_params_max_tokens", f64::from(request.max_tokens)),
            ("request_prefill_kv_computed_tokens", (prompt - cached).max(0.0)),
            ("request_params_n", 1.0),
            ("request_time_per_output_token_seconds", per_token),
            ("e2e_request_latency_seconds", e2e),
            ("request_queue_time_seconds", queue),
            ("request_inference_time_seconds", sequence.last - scheduled),
            ("request_prefill_time_seconds", sequence.first - scheduled),
            ("request_decode_time_seconds", decode),
            ("request_num_preemptions", f64::from(sequence.preempted)),
        ];
        for (name, value) in values {
            self.stats.hist(name).add(value);
        }
        if request.output >= request.max_tokens {
            self.stats.length += 1.0;
        } else {
            self.stats.stop += 1.0;
        }
        Done { id: request.id, arrived: request.at, queue, e2e, per_token }
    }
}

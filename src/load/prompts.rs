//! What is sent: the mix, conversations with their history, given prompts, and recorded lengths.

use std::collections::{BTreeMap, VecDeque};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    rng::Rng,
    scenario::{Api, Kind, Scenario},
    words,
};
use crate::evidence::exchange::Order;

/// What can be asked of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Models {
    /// The base model.
    pub base: String,
    /// Adapters, by name.
    pub adapters: Vec<String>,
}

/// A prompt that the user gave: a line of a file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Given {
    /// The prompt.
    #[serde(default)]
    pub prompt: Option<String>,
    /// A chat.
    #[serde(default)]
    pub messages: Option<Vec<Value>>,
    /// Most tokens of its answer.
    #[serde(default)]
    pub max_tokens: Option<u32>,
    /// The model asked.
    #[serde(default)]
    pub model: Option<String>,
}

/// A recorded request: when it came, and how long it and its answer were.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recorded {
    /// Seconds after the first one.
    pub at: f64,
    /// Tokens of the prompt.
    pub prompt_tokens: Option<u32>,
    /// Tokens of the answer.
    pub output_tokens: Option<u32>,
    /// The adapter asked.
    pub adapter: Option<String>,
}

/// Where prompts come from.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Prompts {
    /// The scenario's mix.
    #[default]
    Mix,
    /// A file's, in turn.
    Given(Vec<Given>),
    /// As long as the recorded ones were.
    Recorded(Vec<Recorded>),
}

/// Makes one request after the other.
pub struct Planner {
    scenario: Scenario,
    prompts: Prompts,
    models: Vec<String>,
    adapters: Vec<u32>,
    shape: Rng,
    content: Rng,
    prefix: String,
    weights: f64,
    open: BTreeMap<u64, Conversation>,
    idle: VecDeque<u64>,
    begun: u64,
}

struct Conversation {
    messages: Vec<Value>,
    kind: u32,
    model: u32,
    turn: u32,
    turns: u32,
}

impl Planner {
    /// A planner. Kinds, lengths and adapters follow from `seed` alone; words differ with `salt`, as
    /// the server's prefix cache would know those of an earlier test.
    pub fn new(
        scenario: Scenario,
        prompts: Prompts,
        models: &Models,
        seed: u64,
        salt: u64,
    ) -> Self {
        let mut content = Rng::new(seed ^ salt, 3);
        let prefix = words::text(&mut content, scenario.prefix_tokens);
        let names = std::iter::once(&models.base).chain(&models.adapters).cloned().collect();
        let mut planner = Self {
            weights: scenario.mix.iter().map(|kind| kind.weight).sum(),
            scenario,
            models: names,
            adapters: (1..=models.adapters.len() as u32).collect(),
            shape: Rng::new(seed, 2),
            content,
            prefix,
            open: BTreeMap::new(),
            idle: VecDeque::new(),
            begun: 0,
            prompts: Prompts::Mix,
        };
        planner.name_models(&prompts);
        planner.prompts = prompts;
        planner
    }

    /// Models and adapters, by the index that orders have.
    pub fn models(&self) -> &[String] {
        &self.models
    }

    /// Names that the mix, a file or a recording asks for beside those of the server.
    fn name_models(&mut self, prompts: &Prompts) {
        let keywords = ["none", "first", "second", "random"];
        let named = self.scenario.mix.iter().map(|kind| kind.adapter.clone());
        let mut names: Vec<String> =
            named.filter(|name| !keywords.contains(&name.as_str())).collect();
        match prompts {
            Prompts::Mix => {}
            Prompts::Given(all) => names.extend(all.iter().filter_map(|it| it.model.clone())),
            Prompts::Recorded(all) => names.extend(all.iter().filter_map(|it| it.adapter.clone())),
        }
        for name in names {
            if !self.models.contains(&name) {
                self.models.push(name);
            }
        }
    }

    /// The next request, the `index`-th from 0.
    pub fn next(&mut self, index: usize) -> Order {
        match &self.prompts {
            Prompts::Mix => self.of_mix(),
            Prompts::Given(all) => {
                let given = all[index % all.len()].clone();
                self.of_given(&given)
            }
            Prompts::Recorded(all) => {
                let recorded = all[index % all.len()].clone();
                self.of_recorded(&recorded)
            }
        }
    }

    /// What became of a conversation's turn: its answer, or none where it failed.
    pub fn answered(&mut self, conversation: u64, answer: Option<String>) {
        let Some(it) = self.open.get_mut(&conversation) else { return };
        match answer {
            Some(text) if it.turn < it.turns => {
                it.messages.push(json!({"role": "assistant", "content": text}));
                self.idle.push_back(conversation);
            }
            _ => drop(self.open.remove(&conversation)),
        }
    }

    fn of_mix(&mut self) -> Order {
        let Some((from, to)) = self.scenario.turns else {
            let (kind, model) = self.draw();
            let messages = self.opening(kind);
            return self.order(kind, model, 1, None, &messages);
        };
        let id = self.idle.pop_front().unwrap_or_else(|| self.begin(from, to));
        self.turn(id)
    }

    fn begin(&mut self, from: u32, to: u32) -> u64 {
        let turns = self.shape.between(from, to);
        let (kind, model) = self.draw();
        self.begun += 1;
        let conversation = Conversation { messages: Vec::new(), kind, model, turn: 0, turns };
        self.open.insert(self.begun, conversation);
        self.begun
    }

    fn turn(&mut self, id: u64) -> Order {
        let Some(mut it) = self.open.remove(&id) else { return Order::default() };
        if it.turn == 0 {
            it.messages = self.opening(it.kind);
        } else {
            let text = self.user_text(it.kind);
            it.messages.push(json!({"role": "user", "content": text}));
        }
        it.turn += 1;
        let order = self.order(it.kind, it.model, it.turn, Some(id), &it.messages);
        self.open.insert(id, it);
        order
    }

    fn draw(&mut self) -> (u32, u32) {
        let mut left = self.shape.share() * self.weights;
        let mix = &self.scenario.mix;
        let chosen = mix.iter().position(|kind| {
            left -= kind.weight;
            left < 0.0
        });
        let kind = chosen.unwrap_or(mix.len() - 1);
        let adapter = mix[kind].adapter.clone();
        (kind as u32, self.model(&adapter))
    }

    fn model(&mut self, adapter: &str) -> u32 {
        let last = self.adapters.len().saturating_sub(1);
        match adapter {
            "none" => 0,
            "first" => self.adapters.first().copied().unwrap_or(0),
            "second" => self.adapters.get(1.min(last)).copied().unwrap_or(0),
            "random" if self.adapters.is_empty() => 0,
            "random" => self.adapters[self.shape.between(0, last as u32) as usize],
            name => self.named(Some(name)),
        }
    }

    fn named(&self, name: Option<&str>) -> u32 {
        let at = name.and_then(|name| self.models.iter().position(|known| known == name));
        at.unwrap_or(0) as u32
    }

    fn opening(&mut self, kind: u32) -> Vec<Value> {
        let user = json!({"role": "user", "content": self.user_text(kind)});
        if self.prefix.is_empty() {
            return vec![user];
        }
        vec![json!({"role": "system", "content": self.prefix}), user]
    }

    fn user_text(&mut self, kind: u32) -> String {
        let Kind { text, prompt_tokens: (from, to), .. } = &self.scenario.mix[kind as usize];
        let (text, count) = (text.clone(), self.shape.between(*from, *to));
        let words = words::text(&mut self.content, count);
        [text, words].iter().filter(|it| !it.is_empty()).cloned().collect::<Vec<_>>().join(" ")
    }

    fn order(
        &mut self,
        kind: u32,
        model: u32,
        turn: u32,
        conversation: Option<u64>,
        messages: &[Value],
    ) -> Order {
        let most = self.scenario.mix[kind as usize].max_tokens;
        let body = self.body(model, most, messages);
        Order { path: self.scenario.api.path(), body, model, kind, turn, conversation }
    }

    fn of_given(&mut self, given: &Given) -> Order {
        let plain = || {
            let prompt = given.prompt.clone().unwrap_or_default();
            vec![json!({"role": "user", "content": prompt})]
        };
        let messages = given.messages.clone().unwrap_or_else(plain);
        let model = self.named(given.model.as_deref());
        let longest = self.scenario.mix.iter().map(|kind| kind.max_tokens).max().unwrap_or(1);
        let body = self.body(model, given.max_tokens.unwrap_or(longest), &messages);
        Order { path: self.scenario.api.path(), body, model, kind: 0, turn: 1, conversation: None }
    }

    /// Lengths that were not recorded are those of the mix.
    fn of_recorded(&mut self, recorded: &Recorded) -> Order {
        let (kind, drawn) = self.draw();
        let model = match &recorded.adapter {
            Some(name) => self.named(Some(name)),
            None => drawn,
        };
        let text = match recorded.prompt_tokens {
            Some(tokens) => words::text(&mut self.content, tokens.max(1)),
            None => self.user_text(kind),
        };
        let most = recorded.output_tokens.unwrap_or(self.scenario.mix[kind as usize].max_tokens);
        let body = self.body(model, most.max(1), &[json!({"role": "user", "content": text})]);
        Order { path: self.scenario.api.path(), body, model, kind, turn: 1, conversation: None }
    }

    fn body(&self, model: u32, max_tokens: u32, messages: &[Value]) -> Vec<u8> {
        let mut body = Map::new();
        body.insert("model".into(), self.models[model as usize].clone().into());
        match self.scenario.api {
            Api::Chat => body.insert("messages".into(), messages.into()),
            Api::Completions => body.insert("prompt".into(), flat(messages).into()),
        };
        body.insert("max_tokens".into(), max_tokens.into());
        body.insert("stream".into(), true.into());
        body.insert("stream_options".into(), json!({"include_usage": true}));
        body.extend(self.scenario.body.clone());
        Value::Object(body).to_string().into_bytes()
    }
}

fn flat(messages: &[Value]) -> String {
    let texts = messages.iter().filter_map(|message| message["content"].as_str());
    texts.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::scenario::Loads;

    fn models() -> Models {
        Models { base: "m".into(), adapters: vec!["a".into(), "b".into()] }
    }

    fn planner(id: &str, seed: u64, salt: u64) -> Planner {
        let scenario = Loads::load(&[]).unwrap().scenarios.remove(id).unwrap();
        Planner::new(scenario, Prompts::Mix, &models(), seed, salt)
    }

    fn body(order: &Order) -> Value {
        serde_json::from_slice(&order.body).unwrap()
    }

    #[test]
    fn the_mix_keeps_its_weights_and_its_adapters() {
        let mut planner = planner("baseline", 1, 1);
        let mut kinds = [0; 4];
        for index in 0..2000 {
            let order = planner.next(index);
            kinds[order.kind as usize] += 1;
            let second = order.kind == 3;
            assert_eq!(body(&order)["model"], if second { "b" } else { "a" });
            assert_eq!(body(&order)["stream_options"]["include_usage"], true);
        }
        for (count, share) in kinds.into_iter().zip([0.3, 0.4, 0.2, 0.1]) {
            assert!((f64::from(count) / 2000.0 - share).abs() < 0.04, "{kinds:?}");
        }
    }

    #[test]
    fn a_seed_repeats_the_shape_and_a_salt_changes_the_words() {
        let lengths = |seed, salt| {
            let mut planner = planner("baseline", seed, salt);
            let orders: Vec<Order> = (0..50).map(|index| planner.next(index)).collect();
            let words = |order: &Order| body(order).to_string().split(' ').count();
            (orders.iter().map(|it| (it.kind, words(it))).collect::<Vec<_>>(), orders)
        };
        let ((shape, orders), (same_shape, others)) = (lengths(5, 1), lengths(5, 2));
        assert_eq!(shape, same_shape);
        assert_ne!(orders, others);
        assert_ne!(shape, lengths(6, 1).0);
        assert_eq!(orders, lengths(5, 1).1);
    }

    #[test]
    fn a_conversation_carries_its_history_for_eight_turns_and_more() {
        let mut planner = planner("long-conversations", 1, 1);
        let mut last = 0;
        for turn in 1..=8 {
            let order = planner.next(0);
            assert_eq!((order.turn, order.conversation), (turn, Some(1)));
            let messages = body(&order)["messages"].as_array().unwrap().len();
            assert_eq!(messages as u32, 2 * turn, "system, then user and assistant in turn");
            assert!(order.body.len() > last);
            last = order.body.len();
            planner.answered(1, Some(format!("answer {turn}")));
        }
    }

    #[test]
    fn a_conversation_that_failed_is_not_gone_on_with() {
        let mut planner = planner("long-conversations", 1, 1);
        assert_eq!(planner.next(0).conversation, Some(1));
        planner.answered(1, None);
        assert_eq!(planner.next(1).conversation, Some(2));
    }

    #[test]
    fn a_turn_waits_for_the_answer_before() {
        let mut planner = planner("long-conversations", 1, 1);
        assert_eq!(planner.next(0).conversation, Some(1));
        assert_eq!(planner.next(1).conversation, Some(2));
        planner.answered(1, Some("x".into()));
        let third = planner.next(2);
        assert_eq!((third.conversation, third.turn), (Some(1), 2));
        assert!(String::from_utf8(third.body).unwrap().contains(r#""content":"x""#));
    }

    #[test]
    fn one_prefix_is_shared_and_what_follows_is_not() {
        let mut planner = planner("cache-validation", 1, 1);
        let (one, two) = (body(&planner.next(0)), body(&planner.next(1)));
        assert_eq!(one["messages"][0], two["messages"][0]);
        assert_ne!(one["messages"][1], two["messages"][1]);
        assert!(one["messages"][0]["content"].as_str().unwrap().split(' ').count() >= 1024);
    }

    #[test]
    fn adapters_are_drawn_from_all() {
        let mut planner = planner("adapter-switching", 1, 1);
        let drawn: std::collections::BTreeSet<_> =
            (0..50).map(|it| planner.next(it).model).collect();
        assert_eq!(drawn, [1, 2].into());
    }

    #[test]
    fn given_and_recorded_requests_are_sent_as_they_are() {
        let scenario = Loads::load(&[]).unwrap().scenarios.remove("baseline").unwrap();
        let given: Given =
            serde_json::from_value(json!({"prompt": "hi", "max_tokens": 7, "model": "z"})).unwrap();
        let prompts = Prompts::Given(vec![given]);
        let mut planner = Planner::new(scenario.clone(), prompts, &models(), 1, 1);
        let sent = body(&planner.next(9));
        assert_eq!((&sent["model"], &sent["max_tokens"]), (&json!("z"), &json!(7)));
        assert_eq!(sent["messages"][0]["content"], "hi");
        let recorded =
            Recorded { prompt_tokens: Some(30), output_tokens: Some(4), ..Recorded::default() };
        let mut planner =
            Planner::new(scenario, Prompts::Recorded(vec![recorded]), &models(), 1, 1);
        let sent = body(&planner.next(0));
        assert_eq!(sent["max_tokens"], 4);
        assert_eq!(sent["messages"][0]["content"].as_str().unwrap().split(' ').count(), 30);
    }
}

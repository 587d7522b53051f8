//! Secrets are replaced before anything is written or shown.
//!
//! A recording run puts a token such as `<secret:1f3a9c02>` in place of each secret: a hash under a
//! key that is drawn at random for the run and kept nowhere. Equal secrets stay equal within one
//! bundle, and nobody can try candidates against the hash later. What is shown of a bundle that
//! somebody else made gets the token without a hash, so that a replay gives the same bytes.

mod find;
mod json;

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use super::Bundle;
use find::{Found, secrets};

/// Stands in place of the credentials of a target, which is the same in every run.
pub const HIDDEN: &str = "***";

/// Flags of vLLM whose values are secrets.
const SECRET_FLAGS: [&str; 4] =
    ["--api-key", "--hf-token", "--admin-api-key", "--ssl-keyfile-password"];

/// What a token begins with, by what it hides.
const TOKENS: [&str; 4] = ["<secret", "<mail", "<address", "<text"];

/// What is hidden beside secrets, e-mail addresses, prompts and completions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Redact {
    /// IP addresses other than those of this machine itself.
    pub addresses: bool,
}

/// The URL with `***` in place of a user name and password, and without its query, which may hold
/// a key too.
pub fn url_without_credentials(url: &str) -> String {
    let start = url.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = url.split_at(start);
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let end = rest.find('/').unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}{HIDDEN}{}", &rest[at..]),
        None => format!("{scheme}{rest}"),
    }
}

/// A command line with tokens in place of secrets. `--api-key` takes any number of values.
pub fn args_without_secrets(args: &[String]) -> Vec<String> {
    hide_args(args, Redact::default())
}

fn hide_args(args: &[String], redact: Redact) -> Vec<String> {
    let mut hiding = false;
    args.iter()
        .map(|arg| {
            if !arg.starts_with("--") {
                return if hiding { keyed("secret", arg) } else { text(arg, redact).into_owned() };
            }
            let (flag, value) = arg.split_once('=').unwrap_or((arg, ""));
            hiding = SECRET_FLAGS.contains(&flag.replace('_', "-").as_str());
            match (hiding, value) {
                (true, "") => arg.clone(),
                (true, value) => format!("{flag}={}", keyed("secret", value)),
                (false, _) => text(arg, redact).into_owned(),
            }
        })
        .collect()
}

/// A text as it may be shown: tokens that are there stay, and other secrets get one without a hash.
pub fn shown(line: &str) -> Cow<'_, str> {
    replaced(line, Redact::default(), &|kind, _| format!("<{kind}>"))
}

/// A line with tokens in place of secrets.
fn text(line: &str, redact: Redact) -> Cow<'_, str> {
    replaced(line, redact, &keyed)
}

/// Many lines with tokens in place of secrets.
fn lines(log: &[u8], redact: Redact) -> Vec<u8> {
    let mut kept = Vec::with_capacity(log.len());
    for raw in log.split_inclusive(|&byte| byte == b'\n') {
        // What holds no secret stays byte for byte, text or not.
        match text(&String::from_utf8_lossy(raw), redact) {
            Cow::Owned(hidden) => kept.extend_from_slice(hidden.as_bytes()),
            Cow::Borrowed(_) => kept.extend_from_slice(raw),
        }
    }
    kept
}

fn replaced<'a>(
    line: &'a str,
    redact: Redact,
    token: &dyn Fn(&str, &str) -> String,
) -> Cow<'a, str> {
    let found = secrets(line, redact.addresses);
    if found.is_empty() {
        return line.into();
    }
    let (mut kept, mut from) = (String::with_capacity(line.len()), 0);
    for Found { kind, start, end } in found {
        kept.push_str(&line[from..start]);
        kept.push_str(&token(kind, &line[start..end]));
        from = end;
    }
    kept.push_str(&line[from..]);
    kept.into()
}

/// The token of a secret in this run; a token stays what it is.
fn keyed(kind: &str, secret: &str) -> String {
    static KEY: OnceLock<RandomState> = OnceLock::new();
    if is_token(secret) {
        return secret.to_owned();
    }
    let hash = KEY.get_or_init(RandomState::new).hash_one(secret);
    format!("<{kind}:{:08x}>", hash as u32)
}

/// Whether a text is a token already, or the mark that older bundles hold.
fn is_token(text: &str) -> bool {
    text == HIDDEN || (text.ends_with('>') && TOKENS.iter().any(|begin| text.starts_with(begin)))
}

impl Bundle {
    /// Replaces the secrets in everything that was gathered. What was replaced before stays.
    pub fn redact(&mut self, redact: Redact) {
        let each = |body: &mut Vec<u8>| *body = lines(body, redact);
        self.meta.target = self.meta.target.as_deref().map(url_without_credentials);
        self.meta.server_args = hide_args(&self.meta.server_args, redact);
        let statuses = self.meta.sources.iter_mut().chain(&mut self.notes);
        statuses.for_each(|status| status.detail = text(&status.detail, redact).into_owned());
        self.scrapes.values_mut().for_each(each);
        let logs = self.log.iter_mut().chain(&mut self.kernel_log).chain(&mut self.gateway);
        logs.for_each(each);
        self.records.values_mut().flat_map(|it| it.values_mut()).for_each(|body| {
            json::redact(body, redact);
        });
        for probe in self.probes.values_mut().flat_map(|round| round.values_mut()) {
            for said in probe.body.iter_mut().chain(&mut probe.error) {
                *said = text(said, redact).into_owned();
            }
        }
        self.adapters.values_mut().flatten().for_each(|folder| json::redact_as(folder, redact));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> String {
        shown(line).into_owned()
    }

    #[test]
    fn credentials_of_a_url_are_hidden_and_nothing_else() {
        assert_eq!(url_without_credentials("http://u:p@w@h:1/x@y"), "http://***@h:1/x@y");
        assert_eq!(url_without_credentials("u:p@h:1"), "***@h:1");
        assert_eq!(url_without_credentials("http://h/a@b"), "http://h/a@b");
        assert_eq!(url_without_credentials("http://h:1/x?api_key=k#k"), "http://h:1/x");
    }

    #[test]
    fn keys_on_a_command_line_are_hidden_and_equal_ones_stay_equal() {
        let line = "serve m --api-key k1 k2 --port 1 --hf_token=k1".split(' ').map(Into::into);
        let args = args_without_secrets(&line.collect::<Vec<String>>());
        assert_eq!((args[1].as_str(), args[6].as_str()), ("m", "1"));
        assert!(args[3].starts_with("<secret:") && args[3] != args[4], "{args:?}");
        assert_eq!(args[7], format!("--hf_token={}", args[3]));
        assert_eq!(args_without_secrets(&args), args, "what is hidden stays");
    }

    #[test]
    fn every_kind_of_secret_is_found_in_a_line() {
        for (line, wanted) in [
            (
                "args: {'api_key': ['k1', 'k2'], 'port': 1}\nx",
                "args: {'api_key': [<secret>], 'port': 1}\nx",
            ),
            ("N(api_key='k', hf_token=t, a=1)", "N(api_key='<secret>', hf_token=<secret>, a=1)"),
            ("vllm serve m --api-key k1 --port 1", "vllm serve m --api-key <secret> --port 1"),
            ("AWS_SECRET_ACCESS_KEY=abc/def+1", "AWS_SECRET_ACCESS_KEY=<secret>"),
            ("Authorization: Bearer abc.def-1", "Authorization: Bearer <secret>"),
            ("redis://u:p@host:1/0 x", "redis://<secret>@host:1/0 x"),
            ("login hf_abcdefghijABCDEFGHIJ0123 ok", "login <secret> ok"),
            ("AKIAABCDEFGHIJKLMNOP", "<secret>"),
            ("sk-proj-abcdefghijklmnop_1234", "<secret>"),
            ("ghp_abcdefghijABCDEFGHIJ0123456789abcd", "<secret>"),
            ("by jane.doe+x@corp.example.com.", "by <mail>."),
            (
                "Received request c-1: prompt: 'it\\'s me', params: S(n=1), prompt_token_ids: [1, 2], lora",
                "Received request c-1: prompt: '<text>', params: S(n=1), prompt_token_ids: [<text>], lora",
            ),
            (
                "Generated response c-1: output: \"I'm\", output_token_ids: [3]",
                "Generated response c-1: output: \"<text>\", output_token_ids: [<text>]",
            ),
            ("body {\"prompt\": \"who\", \"n\": 1}", "body {\"prompt\": \"<text>\", \"n\": 1}"),
            ("[{'role': 'user', 'content': 'who'}]", "[{'role': 'user', 'content': '<text>'}]"),
        ] {
            assert_eq!(said(line), wanted);
            assert_eq!(said(wanted), wanted, "what is hidden stays");
        }
    }

    #[test]
    fn plain_lines_stay_as_they_are() {
        for line in [
            "N(api_key=None)",
            "api_key is missing",
            "api_key='***'",
            "api_key='<secret:0a1b2c3d>'",
            "api_key",
            "\n\n",
            "Avg prompt throughput: 1.0 tokens/s, Avg generation throughput: 2.0 tokens/s",
            "max_num_batched_tokens=2048, tokenizer_mode=auto, tokenizer='m', task-sk-1",
            "Input prompt (9 tokens) is too long and exceeds limit of 8",
            "vllm:prompt_tokens_total{engine=\"0\",model_name=\"m\"} 3.0",
            "INFO 11-21 23:58:37 10.0.0.7:3 - \"POST /v1 HTTP/1.1\" 200",
            "torch@2.1.0 http://host:8000/a@b",
        ] {
            assert_eq!(said(line), line);
        }
    }

    #[test]
    fn addresses_are_hidden_where_that_is_asked_for() {
        let redact = Redact { addresses: true };
        let line = text("INFO:     10.0.0.7:30001 - fe80::1 127.0.0.1 23:58:37 1.2.3", redact);
        assert!(line.starts_with("INFO:     <address:") && line.contains(">:30001 - <address:"));
        assert!(line.ends_with("> 127.0.0.1 23:58:37 1.2.3"), "{line}");
        assert_eq!(text(&line, redact), line);
    }
}

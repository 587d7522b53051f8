//! Secrets in JSON: in the texts, in values under a telling name, and in command lines.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Redact, hide_args, keyed, lines, text};

/// Parts of names under which a value is a secret, in lower case.
const NAMES: [&str; 7] =
    ["password", "secret", "api_key", "apikey", "token", "credential", "authorization"];

/// Replaces the secrets of a record. What is no JSON is read as lines of text.
pub(super) fn redact(body: &mut Vec<u8>, redact: Redact) {
    let Ok(mut value) = serde_json::from_slice::<Value>(body) else {
        *body = lines(body, redact);
        return;
    };
    let before = value.clone();
    hide(&mut value, redact);
    if value != before
        && let Ok(bytes) = serde_json::to_vec(&value)
    {
        *body = bytes;
    }
}

/// Replaces the secrets of plain data.
pub(super) fn redact_as<T: Serialize + DeserializeOwned>(data: &mut T, redact: Redact) {
    let Ok(mut value) = serde_json::to_value(&*data) else { return };
    hide(&mut value, redact);
    if let Ok(hidden) = serde_json::from_value(value) {
        *data = hidden;
    }
}

fn hide(value: &mut Value, redact: Redact) {
    match value {
        Value::String(said) => *said = text(said, redact).into_owned(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let words: Vec<String> =
                items.iter().filter_map(|item| item.as_str().map(Into::into)).collect();
            *items = hide_args(&words, redact).into_iter().map(Value::String).collect();
        }
        Value::Array(items) => items.iter_mut().for_each(|item| hide(item, redact)),
        Value::Object(entries) => {
            // An environment is a list of names and values.
            let named = entries.get("name").and_then(Value::as_str).is_some_and(is_secret);
            for (name, entry) in entries {
                match entry {
                    Value::String(said) if is_secret(name) || (named && name == "value") => {
                        *said = keyed("secret", said);
                    }
                    entry => hide(entry, redact),
                }
            }
        }
        _ => {}
    }
}

/// Whether a name tells a secret. Counts of tokens and names of objects are none.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let plain = ["tokens", "tokenizer", "secretname", "secretref", "secretkeyref", "automount"];
    NAMES.iter().any(|word| name.contains(word)) && !plain.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_values_and_command_lines_are_hidden_and_counts_are_not() {
        let mut body = br#"{"env":[{"name":"HF_TOKEN","value":"k"},{"name":"A","value":"b"}],
            "args":["--api-key","k","--port","1"],"tokens":"7","note":"by a@b.example"}"#
            .to_vec();
        redact(&mut body, Redact::default());
        let value: Value = serde_json::from_slice(&body).unwrap();
        let token = value["env"][0]["value"].as_str().unwrap();
        assert!(token.starts_with("<secret:"));
        assert_eq!(value["args"][1], token, "equal secrets stay equal");
        assert_eq!(
            (value["env"][1]["value"].as_str(), value["tokens"].as_str()),
            (Some("b"), Some("7"))
        );
        assert!(value["note"].as_str().unwrap().starts_with("by <mail:"));
        let once = body.clone();
        redact(&mut body, Redact::default());
        assert_eq!(body, once);
    }
}

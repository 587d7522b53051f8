//! Findings that somebody answers for until a day.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de::Error};

/// One `[[waive]]` of the settings file: a finding that is still shown, but does not close the gate.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// Id of the cause, or signal of the symptom.
    pub finding: String,
    /// Who answers for it.
    #[serde(deserialize_with = "filled")]
    pub owner: String,
    /// Why it may be so for now.
    #[serde(deserialize_with = "filled")]
    pub reason: String,
    /// Last day on which it holds (UTC), e.g. `2027-01-31`.
    #[serde(deserialize_with = "day")]
    pub expires: String,
}

fn filled<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    match text.trim().is_empty() {
        true => Err(D::Error::custom("it is empty; a waiver needs somebody who answers for it")),
        false => Ok(text),
    }
}

fn day<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    match text.parse::<jiff::civil::Date>() {
        Ok(_) => Ok(text),
        Err(error) => Err(D::Error::custom(format!("`{text}` is no day like 2027-01-31: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiver_without_owner_or_day_is_refused() {
        let read = |owner: &str, expires: &str| {
            let text =
                format!("finding = 'x'\nowner = '{owner}'\nreason = 'r'\nexpires = '{expires}'");
            toml::from_str::<Waiver>(&text).map_err(|error| error.to_string())
        };
        assert!(read("ops", "2027-01-31").is_ok());
        assert!(read(" ", "2027-01-31").unwrap_err().contains("answers for it"));
        assert!(read("ops", "soon").unwrap_err().contains("no day like"));
    }
}

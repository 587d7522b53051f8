//! Versions as vLLM spells them, in the order of PEP 440.

use std::{cmp::Ordering, fmt};

/// A version such as `0.9.0.1`, `0.6.6.post1` or `0.33.0rc1+cu12`. The part after `+` names a
/// build and is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    release: [u32; 4],
    stage: Stage,
}

/// Where a build stands relative to the release it is named after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Dev(u32),
    Alpha(u32),
    Beta(u32),
    Candidate(u32),
    Final,
    Post(u32),
}

impl Version {
    /// Reads a version; a leading `v` is allowed.
    pub fn parse(text: &str) -> Option<Self> {
        let public = text.trim().trim_start_matches('v').split('+').next()?;
        let end = public.find(|char: char| !char.is_ascii_digit() && char != '.');
        let (numbers, suffix) = public.split_at(end.unwrap_or(public.len()));
        let mut release = [0; 4];
        for (slot, part) in numbers.trim_end_matches('.').split('.').enumerate() {
            let number = part.parse().ok()?;
            if let Some(place) = release.get_mut(slot) {
                *place = number;
            }
        }
        Some(Self { release, stage: Stage::parse(suffix)? })
    }

    /// `major.minor` before this one, as `--show-hidden-metrics-for-version` wants it.
    pub fn previous_minor(self) -> String {
        format!("{}.{}", self.release[0], self.release[1].saturating_sub(1))
    }

    /// The release that this build is on the way to, or is. A candidate has its release's metrics.
    pub fn release(self) -> Self {
        match self.stage {
            Stage::Final | Stage::Post(_) => self,
            _ => Self { stage: Stage::Final, ..self },
        }
    }
}

impl Stage {
    /// `.post1.dev3` and `rc1.dev2` count as their first part.
    fn parse(suffix: &str) -> Option<Self> {
        if suffix.is_empty() {
            return Some(Self::Final);
        }
        let word_end = suffix.find(|char: char| !char.is_ascii_alphabetic());
        let (word, rest) = suffix.split_at(word_end.unwrap_or(suffix.len()));
        let digits = rest.find(|char: char| !char.is_ascii_digit()).unwrap_or(rest.len());
        let number = rest[..digits].parse().unwrap_or(0);
        Some(match word {
            "dev" => Self::Dev(number),
            "a" | "alpha" => Self::Alpha(number),
            "b" | "beta" => Self::Beta(number),
            "rc" | "c" => Self::Candidate(number),
            "post" => Self::Post(number),
            _ => return None,
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch, fix] = self.release;
        write!(f, "{major}.{minor}.{patch}")?;
        if fix > 0 {
            write!(f, ".{fix}")?;
        }
        match self.stage {
            Stage::Final => Ok(()),
            Stage::Dev(n) => write!(f, ".dev{n}"),
            Stage::Alpha(n) => write!(f, "a{n}"),
            Stage::Beta(n) => write!(f, "b{n}"),
            Stage::Candidate(n) => write!(f, "rc{n}"),
            Stage::Post(n) => write!(f, ".post{n}"),
        }
    }
}

/// Compares two spellings, where both are versions.
pub fn compare(left: &str, right: &str) -> Option<Ordering> {
    Some(Version::parse(left)?.cmp(&Version::parse(right)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap_or_else(|| panic!("{text} is a version"))
    }

    #[test]
    fn versions_are_ordered_as_they_were_released() {
        let order = [
            "0.4.0",
            "0.6.6",
            "0.6.6.post1",
            "0.9.0",
            "0.9.0.1",
            "0.9.2",
            "0.10.0.dev7",
            "0.10.0a1",
            "0.10.0b2",
            "0.10.0rc1",
            "0.10.0",
            "0.33.0rc1+cu12",
            "v0.33.0+cpu",
            "1.0",
        ];
        assert!(order.windows(2).all(|pair| version(pair[0]) < version(pair[1])));
        assert_eq!(compare("0.9.0", "0.9.0+cu128"), Some(Ordering::Equal));
    }

    #[test]
    fn what_is_no_version_is_not_read_as_one() {
        for text in ["", "latest", "0.x", "0.9-nightly", ".5"] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_candidate_counts_as_its_release_and_a_post_release_stays_itself() {
        assert_eq!(version("0.33.0rc1").release(), version("0.33.0"));
        assert_eq!(version("0.6.6.post1").release(), version("0.6.6.post1"));
        assert_eq!(version("0.12.0").previous_minor(), "0.11");
        assert_eq!(version("0.9.0.1.dev3+g12").to_string(), "0.9.0.1.dev3");
    }
}

//! Ways in which a request fails, told by what lies at the root of an error.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use crate::evidence::SourceState;

/// A request without a whole answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// What happened.
    pub kind: FailureKind,
    /// HTTP status, where the head of an answer came.
    pub status: Option<u16>,
    /// Milliseconds until it failed.
    pub ms: f64,
    /// More, where it is known.
    pub detail: String,
}

/// Ways in which a request fails, each with the word that evidence has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// Nothing listens there.
    Refused,
    /// The deadline passed.
    TimedOut,
    /// The connection was closed without an answer, or in the middle of one.
    Reset,
    /// The name does not resolve.
    Dns,
    /// No route, no network.
    Unreachable,
    /// The TLS handshake or the certificate failed.
    Tls,
    /// The body is larger than the limit.
    TooLarge,
    /// A redirect led elsewhere, or round and round.
    Redirect,
    /// The body ended before its announced end, or cannot be decompressed.
    Truncated,
    /// What answers does not speak HTTP.
    NotHttp,
    /// No credentials to sign the request with.
    Credentials,
}

impl FailureKind {
    /// The word in evidence.
    pub fn word(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::TimedOut => "timed out",
            Self::Reset => "reset",
            Self::Dns => "dns",
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::TooLarge => "too large",
            Self::Redirect => "redirect",
            Self::Truncated => "truncated",
            Self::NotHttp => "not http",
            Self::Credentials => "no credentials",
        }
    }

    /// What it means for a source as a whole.
    pub fn state(self) -> SourceState {
        match self {
            Self::Refused | Self::Reset | Self::Dns | Self::Unreachable | Self::Tls => {
                SourceState::Unreachable
            }
            Self::TimedOut => SourceState::TimedOut,
            Self::Credentials => SourceState::Unauthorized,
            Self::TooLarge | Self::Redirect | Self::Truncated | Self::NotHttp => {
                SourceState::BadData
            }
        }
    }

    /// Whether no connection came about, so that asking again at once is of no use.
    pub fn is_connect(self) -> bool {
        matches!(self, Self::Refused | Self::Dns | Self::Unreachable | Self::Tls)
    }
}

/// Why a redirect was not followed.
#[derive(Debug)]
pub(super) struct Astray(pub(super) String);

impl fmt::Display for Astray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Astray {}

/// How far a request had come when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The connection was being opened.
    Connecting {
        /// With TLS on it.
        tls: bool,
    },
    /// Nothing of an answer had come.
    Asking,
    /// The body of the answer was being read.
    Reading,
}

/// Sorts an error of the general client by what lies at its root. Its own text is not used, as it
/// has the URL.
pub(super) fn failure(error: &reqwest::Error) -> (FailureKind, String) {
    if let Some(Astray(why)) = chain(error).find_map(|it| it.downcast_ref()) {
        return (FailureKind::Redirect, why.clone());
    }
    let tls = error.url().is_some_and(|url| url.scheme() == "https");
    let stage = match () {
        () if error.is_connect() => Stage::Connecting { tls },
        () if error.is_body() || error.is_decode() => Stage::Reading,
        () => Stage::Asking,
    };
    match StdError::source(error) {
        _ if error.is_timeout() => (FailureKind::TimedOut, root(error)),
        Some(source) => sorted(source, stage),
        None => (by_stage(stage), root(error)),
    }
}

/// Sorts an error by what lies at its root, with the text of that.
pub(super) fn sorted(error: &(dyn StdError + 'static), stage: Stage) -> (FailureKind, String) {
    let io = chain(error).filter_map(|it| it.downcast_ref::<io::Error>()).last();
    let says = |text: &str| chain(error).any(|it| it.to_string().contains(text));
    let kind = match io.map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => FailureKind::Refused,
        Some(
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected,
        ) => FailureKind::Reset,
        Some(io::ErrorKind::TimedOut) => FailureKind::TimedOut,
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
            FailureKind::Unreachable
        }
        _ if says("dns error") => FailureKind::Dns,
        _ if stage == Stage::Asking && (says("invalid HTTP") || says("parsed")) => {
            FailureKind::NotHttp
        }
        _ => by_stage(stage),
    };
    (kind, chain(error).last().map_or_else(|| error.to_string(), ToString::to_string))
}

fn by_stage(stage: Stage) -> FailureKind {
    match stage {
        Stage::Connecting { tls: true } => FailureKind::Tls,
        Stage::Connecting { tls: false } => FailureKind::Unreachable,
        Stage::Asking => FailureKind::Reset,
        Stage::Reading => FailureKind::Truncated,
    }
}

/// The number of the operating system's error at the root, where there is one.
pub(super) fn os_error(error: &(dyn StdError + 'static)) -> Option<i32> {
    chain(error).filter_map(|it| it.downcast_ref::<io::Error>()?.raw_os_error()).last()
}

fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The text of the innermost error.
pub(super) fn root(error: &reqwest::Error) -> String {
    chain(error).skip(1).last().map_or_else(|| "it failed".to_owned(), ToString::to_string)
}

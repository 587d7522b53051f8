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

/// Sorts an error by what lies at its root. The client's own text is not used, as it has the URL.
pub(in crate::sources) fn failure(error: &reqwest::Error) -> (FailureKind, String) {
    if let Some(Astray(why)) = chain(error).find_map(|it| it.downcast_ref()) {
        return (FailureKind::Redirect, why.clone());
    }
    let io = chain(error).filter_map(|it| it.downcast_ref::<io::Error>()).last();
    let kind = match io.map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => Some(FailureKind::Refused),
        Some(
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected,
        ) => Some(FailureKind::Reset),
        Some(io::ErrorKind::TimedOut) => Some(FailureKind::TimedOut),
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
            Some(FailureKind::Unreachable)
        }
        _ => None,
    };
    let kind = kind.unwrap_or_else(|| kind_by_text(error));
    (kind, root(error))
}

/// The number of the operating system's error at the root, where there is one.
pub(in crate::sources) fn os_error(error: &reqwest::Error) -> Option<i32> {
    chain(error).filter_map(|it| it.downcast_ref::<io::Error>()?.raw_os_error()).last()
}

fn kind_by_text(error: &reqwest::Error) -> FailureKind {
    let says = |text: &str| chain(error).skip(1).any(|it| it.to_string().contains(text));
    match () {
        () if error.is_timeout() => FailureKind::TimedOut,
        () if says("dns error") => FailureKind::Dns,
        () if error.is_connect() && error.url().is_some_and(|url| url.scheme() == "https") => {
            FailureKind::Tls
        }
        () if error.is_connect() => FailureKind::Unreachable,
        () if error.is_body() || error.is_decode() => FailureKind::Truncated,
        () if says("invalid HTTP") || says("parsed") => FailureKind::NotHttp,
        () => FailureKind::Reset,
    }
}

fn chain<'a>(error: &'a reqwest::Error) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error as &(dyn StdError + 'static)), |&error| error.source())
}

/// The text of the innermost error.
pub(super) fn root(error: &reqwest::Error) -> String {
    chain(error).skip(1).last().map_or_else(|| "it failed".to_owned(), ToString::to_string)
}

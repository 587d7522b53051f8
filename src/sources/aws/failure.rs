//! How AWS refuses, in words that say what to do.

use std::{error::Error, io, time::Duration};

use aws_sdk_sagemaker::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};

use super::{
    bounded::{has, is_too_large},
    permissions::Ask,
};
use crate::evidence::SourceState;

/// Tries of one request, the first included.
pub(super) const TRIES: u32 = 3;

/// Characters kept of what a service says.
const EXCERPT: usize = 200;

/// One request that got no answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Failure {
    pub(super) state: SourceState,
    pub(super) text: String,
}

/// What a request was about.
#[derive(Debug, Clone)]
pub(super) struct About {
    /// The region asked.
    pub(super) region: String,
    /// What does not exist where a service says so, e.g. ``endpoint `chat` ``.
    pub(super) thing: String,
    /// Deadline of one request.
    pub(super) timeout: Duration,
}

impl Failure {
    pub(super) fn new(state: SourceState, text: impl Into<String>) -> Self {
        Self { state, text: text.into() }
    }

    /// Nothing came before the deadline.
    pub(super) fn late(deadline: Duration) -> Self {
        Self::new(SourceState::TimedOut, format!("no answer within {}", seconds(deadline)))
    }

    /// In the words of this tool.
    pub(super) fn of<E: ProvideErrorMetadata + Error + 'static>(
        ask: &Ask,
        error: &SdkError<E, HttpResponse>,
        about: &About,
    ) -> Self {
        match error {
            SdkError::ServiceError(refused) => {
                let status = refused.raw().status().as_u16();
                let (code, message) = (refused.err().code(), refused.err().message());
                refusal(ask, code.unwrap_or_default(), message.unwrap_or_default(), status, about)
            }
            SdkError::TimeoutError(_) => Self::new(
                SourceState::TimedOut,
                format!("no answer within {}", seconds(about.timeout)),
            ),
            SdkError::DispatchFailure(failed) if failed.is_timeout() => Self::new(
                SourceState::TimedOut,
                format!("no connection within {}", seconds(about.timeout)),
            ),
            SdkError::DispatchFailure(failed) if !failed.is_io() => {
                let why = failed.as_connector_error().map(|error| root(error)).unwrap_or_default();
                Self::new(SourceState::BadData, format!("no answer of AWS ({why})"))
            }
            SdkError::DispatchFailure(failed) => {
                let why = failed.as_connector_error().map(|error| root(error)).unwrap_or_default();
                Self::new(
                    SourceState::Unreachable,
                    format!("nothing answers for {} ({why}): check the region", about.region),
                )
            }
            SdkError::ResponseError(_) if is_too_large(error) => {
                Self::new(SourceState::BadData, "the answer is too large: see --max-body")
            }
            SdkError::ResponseError(_) if has::<io::Error>(error) => Self::new(
                SourceState::Unreachable,
                format!("the connection broke within an answer ({})", root(error)),
            ),
            SdkError::ResponseError(bad) => {
                refusal(ask, "", "", bad.raw().status().as_u16(), about)
            }
            _ => Self::new(SourceState::BadData, "the request could not be made"),
        }
    }
}

/// A service's own word for why not.
fn refusal(ask: &Ask, code: &str, message: &str, status: u16, about: &About) -> Failure {
    use SourceState::{BadData, TimedOut, Unauthorized, Unsupported};
    let region = &about.region;
    let (state, text) = match code {
        _ if is_missing(code, message) => {
            (Unsupported, format!("there is no {} in {region}: check name and region", about.thing))
        }
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" => {
            (Unauthorized, format!("refused ({code}): allow `{}`", ask.action()))
        }
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => {
            (Unauthorized, format!("the AWS session has expired ({code}): log in again"))
        }
        _ if message.contains("Signature expired") || code == "RequestTimeTooSkewed" => {
            (Unauthorized, format!("AWS has another time than this machine ({code})"))
        }
        _ if message.contains("scoped to a valid region") => {
            (Unauthorized, format!("the credentials are for another region than {region} ({code})"))
        }
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "InvalidAccessKeyId"
        | "AuthFailure"
        | "OptInRequired" => (
            Unauthorized,
            format!("AWS does not accept the credentials in {region} ({code}): is it enabled?"),
        ),
        _ if is_throttled(code) => {
            (TimedOut, format!("throttled ({code}) in each of {TRIES} tries: ask again later"))
        }
        "" if status == 429 => (TimedOut, "throttled (status 429): ask again later".into()),
        "" => {
            let state = if matches!(status, 401 | 403 | 407) { Unauthorized } else { BadData };
            (state, format!("status {status} without a word of AWS: is something between?"))
        }
        code => (BadData, format!("{code}: {}", excerpt(message))),
    };
    Failure::new(state, text)
}

fn is_missing(code: &str, message: &str) -> bool {
    matches!(code, "ResourceNotFoundException" | "ResourceNotFound" | "ObjectNotFoundException")
        || (code.starts_with("Validation") && message.contains("not find"))
        || (code.starts_with("Validation") && message.contains("not found"))
}

fn is_throttled(code: &str) -> bool {
    code.starts_with("Throttl")
        || ["TooManyRequestsException", "RequestLimitExceeded", "LimitExceededException"]
            .contains(&code)
}

/// A deadline, to a tenth of a second.
fn seconds(time: Duration) -> String {
    format!("{} s", (time.as_secs_f64() * 10.0).round() / 10.0)
}

fn excerpt(text: &str) -> &str {
    text.char_indices().nth(EXCERPT).map_or(text, |(end, _)| &text[..end])
}

/// The innermost reason of an error.
pub(super) fn root(error: &(dyn Error + 'static)) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

#[cfg(test)]
mod tests {
    use super::{super::permissions::DESCRIBE_ENDPOINT, *};

    fn said(code: &str, message: &str) -> (SourceState, String) {
        let about = About {
            region: "eu-west-1".into(),
            thing: "endpoint `chat`".into(),
            timeout: Duration::from_secs(5),
        };
        let failure = refusal(&DESCRIBE_ENDPOINT, code, message, 400, &about);
        (failure.state, failure.text)
    }

    #[test]
    fn each_refusal_is_named_with_what_to_do() {
        use SourceState::{BadData, TimedOut, Unauthorized, Unsupported};
        for (code, message, state, words) in [
            ("AccessDeniedException", "", Unauthorized, "allow `sagemaker:DescribeEndpoint`"),
            ("ExpiredTokenException", "", Unauthorized, "log in again"),
            ("ValidationException", "Could not find endpoint", Unsupported, "`chat` in eu-west-1"),
            ("ResourceNotFoundException", "", Unsupported, "there is no endpoint"),
            ("InvalidSignatureException", "Signature expired: 1", Unauthorized, "another time"),
            (
                "SignatureDoesNotMatch",
                "Credential should be scoped to a valid region.",
                Unauthorized,
                "another region than eu-west-1",
            ),
            ("UnrecognizedClientException", "", Unauthorized, "does not accept the credentials"),
            ("ThrottlingException", "Rate exceeded", TimedOut, "3 tries"),
            ("InternalFailure", "oops", BadData, "InternalFailure: oops"),
            ("", "", BadData, "status 400"),
        ] {
            let (was, text) = said(code, message);
            assert_eq!(was, state, "{code}");
            assert!(text.contains(words), "{code}: {text}");
        }
    }
}

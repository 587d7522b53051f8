//! Trackers of tickets that a report is put into. Nothing there is read or changed but by adding.

pub mod github;
pub mod jira;

use std::time::{Duration, Instant};

use super::http::{Client, Failure, FailureKind, Options, Request, Sent};
use crate::evidence::bundle::HIDDEN;

/// Times that a request is sent again where the server cannot take it now.
const RETRIES: u32 = 3;

/// Wait before the first of them, where the server names none; it doubles.
const WAIT: Duration = Duration::from_secs(1);

/// Longest excerpt of what a server said, in characters.
const EXCERPT: usize = 200;

/// All that is to be sent to one tracker.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// Base URL of its API, without user and password.
    pub base: String,
    /// How requests are made, with the login.
    pub http: Options,
    /// User and password, where it takes no bearer token.
    pub user: Option<(String, String)>,
    /// What is sent, in order.
    pub requests: Vec<Request>,
}

/// A file beside the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// Its name.
    pub name: String,
    /// What is in it.
    pub body: Vec<u8>,
}

/// Sends all requests within `deadline`, each again a few times where the server is busy. Gives how
/// many were taken and, where one was not, why.
pub async fn send(ticket: &Ticket, deadline: Duration) -> (usize, Result<(), String>) {
    let until = Instant::now() + deadline;
    let client = match client(ticket) {
        Ok(client) => client,
        Err(why) => return (0, Err(why)),
    };
    for (index, request) in ticket.requests.iter().enumerate() {
        if let Err(why) = post(&client, request, until).await {
            return (index, Err(without_secrets(ticket, &why)));
        }
    }
    (ticket.requests.len(), Ok(()))
}

fn client(ticket: &Ticket) -> Result<Client, String> {
    let mut base = super::http::parse_target(&ticket.base)?;
    if let Some((user, password)) = &ticket.user {
        let set = base.set_username(user).and_then(|()| base.set_password(Some(password)));
        set.map_err(|()| "its URL takes no user".to_owned())?;
    }
    Client::new(base.as_str(), &ticket.http)
}

async fn post(client: &Client, request: &Request, until: Instant) -> Result<(), String> {
    let mut wait = WAIT;
    for left in (0..=RETRIES).rev() {
        let outcome = client.send(request).await;
        let Some(pause) = pause(&outcome, wait).filter(|_| left > 0) else {
            return judged(client, request, outcome);
        };
        if Instant::now() + pause > until {
            let why = judged(client, request, outcome).err().unwrap_or_default();
            return Err(format!(
                "{why}; it wants to be asked again in {} s, which is too late",
                pause.as_secs()
            ));
        }
        tokio::time::sleep(pause).await;
        wait *= 2;
    }
    Ok(())
}

/// How long to wait before the same is sent again; `None` where that is of no use, or where it may
/// have been taken already.
fn pause(outcome: &Result<Sent, Failure>, wait: Duration) -> Option<Duration> {
    match outcome {
        Ok(sent) => match (sent.status, sent.retry_after) {
            (429 | 500..=599, asked) => Some(asked.unwrap_or(wait)),
            (403, Some(asked)) => Some(asked),
            _ => None,
        },
        Err(failure) => {
            matches!(failure.kind, FailureKind::Refused | FailureKind::Dns).then_some(wait)
        }
    }
}

/// A comment or file that is taken is answered by 200 or 201 and JSON; a page to log in is not.
fn judged(
    client: &Client,
    request: &Request,
    outcome: Result<Sent, Failure>,
) -> Result<(), String> {
    let url = client.shown(&request.path);
    let sent = outcome
        .map_err(|failure| format!("{url}: {} ({})", failure.kind.word(), failure.detail))?;
    let json = serde_json::from_slice::<serde_json::Value>(&sent.body);
    let said: String = client.text(&sent.body).chars().take(EXCERPT).collect();
    let next = match sent.status {
        200 | 201 if json.is_ok() => return Ok(()),
        200 | 201 => "it is no API: give its base URL",
        401 => "the token is not taken",
        403 => "the token may not write there, or it was used too often",
        404 => "there is no such issue, or the token may not see it",
        413 => "it takes no files of that size",
        _ => "nothing was added",
    };
    Err(format!("{url} answered {}: {next} ({})", sent.status, said.trim()))
}

fn without_secrets(ticket: &Ticket, text: &str) -> String {
    let password = ticket.user.as_ref().map(|(_, password)| password.as_str());
    let secrets = password.into_iter().chain(ticket.http.api_key.as_deref());
    secrets.filter(|it| !it.is_empty()).fold(text.to_owned(), |text, it| text.replace(it, HIDDEN))
}

/// Cuts a text to so many characters, as UTF-16 counts them, between two lines, and says so.
fn cut(text: &str, most: usize, told: &str) -> String {
    let length = |text: &str| text.encode_utf16().count();
    if length(text) <= most {
        return text.to_owned();
    }
    let mut kept = String::new();
    let room = most.saturating_sub(length(told) + 2);
    for line in text.split_inclusive('\n') {
        if length(&kept) + length(line) > room {
            break;
        }
        kept.push_str(line);
    }
    format!("{}\n{told}\n", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_lines_as_the_tracker_counts() {
        let line = "🦀🦀🦀\n";
        let text = cut(&line.repeat(100), 100, "cut");
        assert!(text.encode_utf16().count() <= 100 && text.ends_with("🦀🦀🦀\ncut\n"), "{text}");
        assert_eq!(cut("short", 5, "cut"), "short");
    }

    #[test]
    fn only_what_was_surely_not_taken_is_sent_again() {
        let sent = |status, retry_after| Ok(Sent { status, body: Vec::new(), retry_after });
        let long = Some(Duration::from_secs(7));
        assert_eq!(pause(&sent(429, long), WAIT), long);
        assert_eq!(pause(&sent(503, None), WAIT), Some(WAIT));
        assert_eq!(pause(&sent(403, long), WAIT), long);
        assert_eq!(pause(&sent(403, None), WAIT), None);
        assert_eq!(pause(&sent(201, None), WAIT), None);
        let failed = |kind| Err(Failure { kind, status: None, ms: 0.0, detail: String::new() });
        assert_eq!(pause(&failed(FailureKind::TimedOut), WAIT), None);
    }
}

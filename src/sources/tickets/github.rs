//! A comment on an issue or pull request of GitHub.
//!
//! <https://docs.github.com/en/rest/issues/comments#create-an-issue-comment>. The API takes no files.

use serde_json::json;

use super::{Ticket, cut};
use crate::sources::http::{Options, Request};

/// Most characters of a comment.
pub const MOST: usize = 65_536;

/// Base URL of the API, unless it is that of GitHub Enterprise.
pub const API: &str = "https://api.github.com";

/// What is said under each comment.
const NO_FILES: &str = "_The JSON report is not here: GitHub takes no files by its API._";

/// A comment in Markdown on issue `number` of `repo`, which is `owner/name`.
pub fn ticket(api: &str, repo: &str, number: u64, markdown: &str, http: Options) -> Ticket {
    let room = MOST - NO_FILES.len() - 2;
    let text = cut(markdown, room, "_Cut for length; the JSON has all._");
    let body = format!("{}\n\n{NO_FILES}", text.trim_end());
    let request = Request {
        path: format!("/repos/{repo}/issues/{number}/comments"),
        headers: vec![
            ("content-type", "application/json".into()),
            ("accept", "application/vnd.github+json".into()),
            ("x-github-api-version", "2022-11-28".into()),
        ],
        body: json!({ "body": body }).to_string().into_bytes(),
    };
    Ticket { base: api.to_owned(), http, user: None, requests: vec![request] }
}

//! A comment and files on an issue of Jira, Cloud or Data Center.
//!
//! <https://developer.atlassian.com/cloud/jira/platform/rest/v2/api-group-issue-comments/> and
//! <https://developer.atlassian.com/cloud/jira/platform/rest/v2/api-group-issue-attachments/>. Version
//! 2 takes wiki markup and is there in both; version 3 wants a document tree, and only Cloud has it.

use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Attached, Ticket, cut};
use crate::sources::http::{Options, Request};

/// Most characters of a comment, unless an administrator set `jira.text.field.character.limit`.
pub const MOST: usize = 32_767;

/// Most bytes of one file, unless an administrator set another limit.
pub const MOST_BYTES: usize = 10 << 20;

/// Where an issue is, and who writes.
#[derive(Debug, Clone)]
pub struct Issue {
    /// Base URL of Jira.
    pub url: String,
    /// Key of the issue.
    pub key: String,
    /// The user that the token belongs to; none for a personal access token.
    pub user: Option<String>,
    /// The token.
    pub token: String,
}

/// A comment with a heading over a text for a terminal, and files.
pub fn ticket(
    issue: &Issue,
    heading: &str,
    text: &str,
    files: &[Attached],
    http: Options,
) -> Ticket {
    let path = format!("/rest/api/2/issue/{}", issue.key);
    let mut requests = vec![Request {
        path: format!("{path}/comment"),
        headers: vec![
            ("content-type", "application/json".into()),
            ("accept", "application/json".into()),
        ],
        body: json!({ "body": comment(heading, text) }).to_string().into_bytes(),
    }];
    if !files.is_empty() {
        let boundary = boundary(files);
        requests.push(Request {
            path: format!("{path}/attachments"),
            headers: vec![
                ("content-type", format!("multipart/form-data; boundary={boundary}")),
                ("accept", "application/json".into()),
                ("x-atlassian-token", "no-check".into()),
            ],
            body: multipart(files, &boundary),
        });
    }
    let api_key = issue.user.is_none().then(|| issue.token.clone());
    let user = issue.user.clone().map(|user| (user, issue.token.clone()));
    Ticket { base: issue.url.clone(), http: Options { api_key, ..http }, user, requests }
}

/// Nothing inside is read as markup, and nothing inside can end that.
fn comment(heading: &str, text: &str) -> String {
    const FENCE: &str = "{noformat}";
    let plain = |text: &str| text.replace(FENCE, "{ noformat}");
    let heading = format!("{FENCE}\n{}\n", plain(heading));
    let room = MOST - heading.encode_utf16().count() - FENCE.len();
    heading + &cut(&plain(text), room, "(cut for length; the files have all)") + FENCE
}

/// A line that stands in none of the files.
fn boundary(files: &[Attached]) -> String {
    let hash = files.iter().fold(Sha256::new(), |hash, file| hash.chain_update(&file.body));
    let hex: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("diagnose-{hex}")
}

/// RFC 7578.
fn multipart(files: &[Attached], boundary: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for Attached { name, body: content } in files {
        let name = name.replace(['"', '\r', '\n'], "_");
        let head = format!(
            "--{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             content-type: application/octet-stream\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_fits_and_cannot_leave_its_fence() {
        let text = comment("x", &"{noformat}{color:red}line\n".repeat(5_000));
        assert!(text.encode_utf16().count() <= MOST, "{}", text.len());
        assert_eq!(text.matches("{noformat}").count(), 2);
        assert!(text.contains("(cut for length"), "{text}");
    }
}

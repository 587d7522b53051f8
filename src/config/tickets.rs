//! What the environment says of trackers of tickets.

use super::Secret;

/// Who writes into which tracker.
#[derive(Debug, Clone, Default)]
pub struct TicketLogins {
    /// `JIRA_URL`: base URL of Jira.
    pub jira_url: Option<String>,
    /// `JIRA_USER`: the user that an API token of Jira Cloud belongs to; without one, the token is a
    /// personal access token of Jira Data Center.
    pub jira_user: Option<String>,
    /// `JIRA_TOKEN`.
    pub jira_token: Option<Secret>,
    /// `GITHUB_TOKEN`.
    pub github_token: Option<Secret>,
    /// `GITHUB_API_URL`: base URL of the API, which GitHub Enterprise has elsewhere.
    pub github_api_url: Option<String>,
}

impl TicketLogins {
    /// Takes what `var` knows.
    pub(super) fn read(var: impl Fn(&str) -> Option<String>) -> Self {
        let secret = |name: &str| var(name).map(|text| Secret(text.trim().into()));
        Self {
            jira_url: var("JIRA_URL"),
            jira_user: var("JIRA_USER"),
            jira_token: secret("JIRA_TOKEN"),
            github_token: secret("GITHUB_TOKEN"),
            github_api_url: var("GITHUB_API_URL"),
        }
    }
}

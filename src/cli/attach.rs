//! Flags about where a report goes beside the screen.

use std::path::PathBuf;

use clap::Args;

/// Flags about tickets.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Attach")]
pub struct AttachArgs {
    /// Put the report into a ticket when it is written: jira:KEY [env: JIRA_URL, JIRA_USER,
    /// JIRA_TOKEN], github:OWNER/REPO#N [env: GITHUB_TOKEN, GITHUB_API_URL], file:DIR, or
    /// command:CMD, a shell command that reads the JSON (repeat for several)
    #[arg(long, value_name = "WHERE", value_parser = parse, conflicts_with = "watch")]
    pub attach: Vec<Attach>,
    /// Print on stderr what --attach would send, and send nothing
    #[arg(long, requires = "attach")]
    pub attach_dry_run: bool,
}

/// Where a report goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attach {
    /// An issue of Jira, by its key.
    Jira(String),
    /// An issue or pull request of GitHub.
    Github {
        /// `owner/repo`.
        repo: String,
        /// Its number.
        number: u64,
    },
    /// A folder.
    File(PathBuf),
    /// A shell command.
    Command(String),
}

fn parse(text: &str) -> Result<Attach, String> {
    let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
    match kind {
        "jira" if is_key(rest) => Ok(Attach::Jira(rest.into())),
        "jira" => Err(format!("`{rest}` is no key of an issue; give e.g. jira:OPS-123")),
        "github" => issue(rest)
            .ok_or_else(|| format!("`{rest}` is no issue; give e.g. github:acme/serving#123")),
        "file" | "command" if rest.trim().is_empty() => {
            Err(format!("nothing stands after {kind}:"))
        }
        "file" => Ok(Attach::File(rest.into())),
        "command" => Ok(Attach::Command(rest.into())),
        _ => Err("give jira:KEY, github:OWNER/REPO#N, file:DIR or command:CMD".into()),
    }
}

/// `OPS-123`.
fn is_key(text: &str) -> bool {
    let Some((project, number)) = text.rsplit_once('-') else { return false };
    let starts = project.starts_with(|c: char| c.is_ascii_alphabetic());
    starts
        && project.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !number.is_empty()
        && number.chars().all(|c| c.is_ascii_digit())
}

/// `owner/repo#123`.
fn issue(text: &str) -> Option<Attach> {
    let (repo, number) = text.rsplit_once('#')?;
    let (owner, name) = repo.split_once('/')?;
    let is_name = |part: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        !part.is_empty() && !part.chars().all(|c| c == '.') && part.chars().all(known)
    };
    let number = number.parse().ok().filter(|number| *number > 0)?;
    (is_name(owner) && is_name(name)).then(|| Attach::Github { repo: repo.into(), number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_taken_as_people_type_it_and_nothing_leads_elsewhere() {
        assert_eq!(parse("jira:OPS-12"), Ok(Attach::Jira("OPS-12".into())));
        let issue = Attach::Github { repo: "a/b.c".into(), number: 7 };
        assert_eq!(parse("github:a/b.c#7"), Ok(issue));
        assert_eq!(parse("file:/tmp/x:y"), Ok(Attach::File("/tmp/x:y".into())));
        let wrong = [
            "jira:OPS-1/../x",
            "jira:OPS",
            "github:a/../b#1",
            "github:../b#1",
            "github:a/b#0",
            "file:",
            "mail:x",
        ];
        for text in wrong {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}

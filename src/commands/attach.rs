//! `--attach`: the report into a ticket, once it is written. What fails here loses nothing.

use std::{
    io::{self, Read},
    path::Path,
    process::Stdio,
    time::Duration,
};

use tokio::{io::AsyncWriteExt, process::Command};

use super::{Failure, write};
use crate::{
    cli::Attach,
    config::{Secret, Settings},
    evidence::bundle::url_without_credentials,
    exit::Exit,
    sources::{
        http::{self, Options},
        tickets::{self, Attached, Ticket, github, jira},
    },
    unit::{Unit, counted},
};

/// Columns of a report on a screen that goes into a ticket.
pub(super) const COLUMNS: usize = 100;

/// Longest time for one place.
const DEADLINE: Duration = Duration::from_secs(60);

/// Longest time for one request: files take longer than questions.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A report in every form that places take.
pub(super) struct Pages {
    /// For programs.
    pub(super) json: String,
    /// For GitHub.
    pub(super) markdown: String,
    /// For a browser, where there is such a form.
    pub(super) html: Option<String>,
    /// As on a wide screen, for places that know no Markdown.
    pub(super) text: String,
}

/// Refuses a place without its login before anything is sampled for it.
pub(super) fn check(settings: &Settings) -> Result<(), Failure> {
    let logins = &settings.tickets;
    for place in &settings.attach {
        let lacks = match place {
            Attach::Jira(_) if logins.jira_url.is_none() => "JIRA_URL is not set".into(),
            Attach::Jira(_) if logins.jira_token.is_none() => "JIRA_TOKEN is not set".into(),
            Attach::Github { .. } if logins.github_token.is_none() => {
                "GITHUB_TOKEN is not set".into()
            }
            Attach::File(folder) => match folder.parent() {
                Some(above) if !above.as_os_str().is_empty() && !above.is_dir() => {
                    format!("there is no folder {}", above.display())
                }
                _ => continue,
            },
            _ => continue,
        };
        return Err(Failure {
            tried: format!("attach to {}", shown(place)),
            happened: lacks,
            next: "docs/gate.md, which says what each place needs".into(),
            exit: Exit::Failed,
        });
    }
    Ok(())
}

/// Puts the report into each place that was asked for. One that fails is told, and makes the run end
/// with the code of an error, as the reader of the ticket would miss it; the gate's own answer
/// stands in the report.
pub(super) fn all(
    settings: &Settings,
    pages: impl FnOnce() -> Pages,
    exit: Exit,
) -> anyhow::Result<Exit> {
    if settings.attach.is_empty() {
        return Ok(exit);
    }
    let pages = pages();
    let mut failed = false;
    for place in &settings.attach {
        match one(place, settings, &pages) {
            Ok(done) => write::note(&done),
            Err(why) => {
                failed = true;
                write::note(&format!("error: failed to attach to {}: {why}", shown(place)));
            }
        }
    }
    let stopped = matches!(exit, Exit::Interrupted | Exit::Terminated);
    Ok(if failed && !stopped { Exit::Failed } else { exit })
}

fn shown(place: &Attach) -> String {
    match place {
        Attach::Jira(key) => format!("jira:{key}"),
        Attach::Github { repo, number } => format!("github:{repo}#{number}"),
        Attach::File(folder) => format!("file:{}", folder.display()),
        // A command line may hold a secret.
        Attach::Command(_) => "command".into(),
    }
}

/// Gives what was done, or would be.
fn one(place: &Attach, settings: &Settings, pages: &Pages) -> Result<String, String> {
    match place {
        Attach::Jira(key) => posted(place, settings, &to_jira(key, settings, pages)?),
        Attach::Github { repo, number } => {
            let api = settings.tickets.github_api_url.as_deref().unwrap_or(github::API);
            let token = settings.tickets.github_token.as_ref().map(Secret::reveal);
            let http = Options { api_key: token.map(Into::into), ..options(settings) };
            posted(place, settings, &github::ticket(api, repo, *number, &pages.markdown, http))
        }
        Attach::File(folder) => into_folder(folder, settings, pages),
        Attach::Command(command) => to_command(command, settings, pages),
    }
}

fn options(settings: &Settings) -> Options {
    let extra_ca = settings.live.ca.iter().cloned().collect();
    Options { timeout: TIMEOUT, extra_ca, ..Options::default() }
}

fn to_jira(key: &str, settings: &Settings, pages: &Pages) -> Result<Ticket, String> {
    let logins = &settings.tickets;
    let issue = jira::Issue {
        url: logins.jira_url.clone().ok_or("JIRA_URL is not set")?,
        key: key.to_owned(),
        user: logins.jira_user.clone(),
        token: logins.jira_token.as_ref().map(Secret::reveal).unwrap_or_default().to_owned(),
    };
    let heading = concat!("diagnose ", env!("CARGO_PKG_VERSION"));
    let mut files = files(settings, pages).map_err(|error| error.to_string())?;
    files.retain(|file| {
        let fits = file.body.len() <= jira::MOST_BYTES;
        if !fits {
            let size = Unit::Bytes.show(file.body.len() as f64);
            write::note(&format!("{} is left out of {key}: it has {size}", file.name));
        }
        fits
    });
    Ok(jira::ticket(&issue, heading, &pages.text, &files, options(settings)))
}

/// The report in its forms, and the sealed recording where one was made as a file.
fn files(settings: &Settings, pages: &Pages) -> io::Result<Vec<Attached>> {
    let file = |name: &str, body: &str| Attached { name: name.into(), body: body.into() };
    let mut files = vec![file("report.json", &pages.json), file("report.md", &pages.markdown)];
    files.extend(pages.html.as_deref().map(|page| file("report.html", page)));
    let bundle = settings.bundle.as_deref().filter(|path| path.is_file());
    if let Some((path, name)) = bundle.and_then(|path| Some((path, path.file_name()?))) {
        files.push(Attached { name: name.to_string_lossy().into_owned(), body: read(path)? });
    }
    Ok(files)
}

#[expect(clippy::disallowed_methods, reason = "the recording that this run has just written")]
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    std::fs::File::open(path)?.read_to_end(&mut body)?;
    Ok(body)
}

fn posted(place: &Attach, settings: &Settings, ticket: &Ticket) -> Result<String, String> {
    if settings.attach_dry_run {
        return Ok(would_post(ticket));
    }
    let outcome =
        http::block_on(tickets::send(ticket, DEADLINE)).map_err(|error| error.to_string())?;
    match outcome {
        (_, Ok(())) => Ok(format!("attached to {}", shown(place))),
        (0, Err(why)) => Err(why),
        (_, Err(why)) => Err(format!("the comment is there, its files are not: {why}")),
    }
}

/// Every request as it would go out, but for the login.
fn would_post(ticket: &Ticket) -> String {
    let base = url_without_credentials(&ticket.base);
    let base = base.trim_end_matches('/');
    let login = if ticket.user.is_some() { "Basic" } else { "Bearer" };
    let one = |request: &http::Request| {
        let headers = request.headers.iter().map(|(name, value)| format!("{name}: {value}\n"));
        let body = match std::str::from_utf8(&request.body) {
            Ok(text) if !text.starts_with("--") => text.to_owned(),
            _ => format!("({} of files)", counted(request.body.len(), "byte")),
        };
        let headers: String = headers.collect();
        format!(
            "would send: POST {base}{}\nauthorization: {login} (hidden)\n{headers}\n{body}\n",
            request.path
        )
    };
    ticket.requests.iter().map(one).collect()
}

fn into_folder(folder: &Path, settings: &Settings, pages: &Pages) -> Result<String, String> {
    let files = files(settings, pages).map_err(|error| error.to_string())?;
    let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    let names = names.join(", ");
    if settings.attach_dry_run {
        return Ok(format!("would write into {}: {names}", folder.display()));
    }
    write::private_folder(folder).map_err(|error| error.to_string())?;
    for file in &files {
        write::private(&folder.join(&file.name), &file.body).map_err(|error| error.to_string())?;
    }
    Ok(format!("written into {}: {names}", folder.display()))
}

/// The report is on the command's standard input only: nothing of it becomes part of a command line.
fn to_command(command: &str, settings: &Settings, pages: &Pages) -> Result<String, String> {
    if settings.attach_dry_run {
        let size = counted(pages.json.len(), "byte");
        return Ok(format!("would run `{command}` with {size} of JSON on its standard input"));
    }
    let ended = async { tokio::time::timeout(DEADLINE, fed(command, &pages.json)).await };
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let status = http::block_on(ended).and_then(|it| it.map_err(late).flatten());
    match status {
        Ok(status) if status.success() => Ok("given to the command, which ended well".into()),
        Ok(status) => Err(format!("it ended with {status}")),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            Err(format!("it did not end within {} s, and was ended", DEADLINE.as_secs()))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// What it prints goes to stderr, as stdout is the report's.
async fn fed(command: &str, json: &str) -> io::Result<std::process::ExitStatus> {
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .stdout(io::stderr())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command may end without reading all of it.
        let _ = stdin.write_all(json.as_bytes()).await;
    }
    child.wait().await
}

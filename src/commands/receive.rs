//! `diagnose alerts receive`: an Alertmanager's webhooks in, one report for each incident out.
//!
//! Every page is judged by a process of its own (`alerts handle`), so that nothing which hangs or
//! dies there takes the receiver along.

use std::{
    collections::HashSet,
    io,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::post,
};
use tokio::{
    io::AsyncWriteExt,
    net::TcpListener,
    process::Command,
    sync::mpsc::{self, Receiver, Sender},
};

use super::{Failure, handle::MAX_PAGE, live::stop_signal, write};
use crate::{
    cli::ReceiveArgs,
    config::{Environment, Secret},
    exit::Exit,
    monitor::{load::Rules, page},
    sources::http,
};

/// Pages that may wait for their report.
const QUEUE: usize = 16;

/// Longest time for a page to arrive.
const ARRIVAL: Duration = Duration::from_secs(10);

/// Incidents whose reports are remembered.
const REMEMBERED: usize = 10_000;

/// Serves until it is stopped.
pub fn run(args: &ReceiveArgs, env: &Environment) -> anyhow::Result<Exit> {
    let token = env.receive_token.clone().ok_or_else(no_token)?;
    let rules = Rules::embedded()?;
    http::block_on(async {
        let listener = TcpListener::bind(args.listen)
            .await
            .with_context(|| format!("failed to listen on {}", args.listen))?;
        write::note(&format!("listening on http://{}/alerts", listener.local_addr()?));
        let (queue, waiting) = mpsc::channel(QUEUE);
        let shared = Arc::new(Shared { token, rules, queue, seen: Mutex::default() });
        let service = Router::new()
            .route("/alerts", post(take))
            .layer(DefaultBodyLimit::max(MAX_PAGE as usize))
            .route_layer(middleware::from_fn_with_state(shared.clone(), guard))
            .with_state(shared);
        tokio::select! {
            exit = stop_signal() => Ok(exit),
            () = report_each(waiting, args) => Ok(Exit::Clean),
            served = axum::serve(listener, service) => {
                served.context("failed to serve")?;
                Ok(Exit::Clean)
            }
        }
    })
    .context("failed to start the runtime")?
}

fn no_token() -> Failure {
    Failure {
        tried: "receive pages".into(),
        happened: "no token is set, so anyone could make it run".into(),
        next: "DIAGNOSE_RECEIVE_TOKEN=… diagnose alerts receive, and the same as `credentials` in \
               the Alertmanager's http_config"
            .into(),
        exit: Exit::Failed,
    }
}

struct Shared {
    token: Secret,
    rules: Rules,
    queue: Sender<Bytes>,
    /// Incidents that are reported, or about to be.
    seen: Mutex<HashSet<String>>,
}

/// Turns away who may not send pages before their body is read, and whose page never ends.
async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    if !is_allowed(request.headers(), &shared.token) {
        let words = "the token is not the one in force\n";
        return (StatusCode::UNAUTHORIZED, words).into_response();
    }
    let taken = tokio::time::timeout(ARRIVAL, next.run(request)).await;
    let late = |_| (StatusCode::REQUEST_TIMEOUT, "the page did not arrive in time\n");
    taken.map_err(late).into_response()
}

/// Takes a page: one report for each incident, and one more when it has ended.
async fn take(State(shared): State<Arc<Shared>>, body: Bytes) -> (StatusCode, String) {
    let page = match page::read(&body, &shared.rules) {
        Ok(page) => page,
        Err(why) => return (StatusCode::BAD_REQUEST, format!("{why}\n")),
    };
    let incident = format!("{}|{:?}|{}", page.group, page.since, page.ended.is_some());
    let mut seen = shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
    if seen.contains(&incident) {
        return (StatusCode::OK, "this incident is reported already\n".into());
    }
    if shared.queue.try_send(body).is_err() {
        // The Alertmanager sends it again later.
        return (StatusCode::SERVICE_UNAVAILABLE, "too many pages wait already\n".into());
    }
    if seen.len() >= REMEMBERED {
        seen.clear();
    }
    seen.insert(incident);
    (StatusCode::ACCEPTED, "a report follows\n".into())
}

/// Compares in a time that does not tell how much of the token was right.
fn is_allowed(headers: &HeaderMap, token: &Secret) -> bool {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let (given, token) = (given.trim().as_bytes(), token.reveal().trim().as_bytes());
    let differing = given.iter().zip(token).fold(0, |sum, (a, b)| sum | (a ^ b));
    given.len() == token.len() && differing == 0
}

/// Makes the reports, one after the other.
async fn report_each(mut waiting: Receiver<Bytes>, args: &ReceiveArgs) {
    while let Some(page) = waiting.recv().await {
        let outcome = match tokio::time::timeout(args.deadline, report(&page, args)).await {
            Ok(Ok(report)) => deliver(report, args).await,
            Ok(Err(error)) => Err(error),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no report within --deadline")),
        };
        if let Err(error) = outcome {
            write::note(&format!("a page has no report: {error}"));
        }
    }
}

/// What `alerts handle` writes for a page.
async fn report(page: &[u8], args: &ReceiveArgs) -> io::Result<Vec<u8>> {
    let mut handle = Command::new(std::env::current_exe()?);
    handle.args(["alerts", "handle", "-", "--quiet"]).args(&args.flags);
    let (output, status) = feed(handle, page).await?;
    if output.is_empty() {
        return Err(io::Error::other(format!("`alerts handle` ended with {status} and no report")));
    }
    Ok(output)
}

async fn deliver(report: Vec<u8>, args: &ReceiveArgs) -> io::Result<()> {
    let Some(command) = &args.on_report else {
        let text = String::from_utf8_lossy(&report);
        return write::print(&text).map_err(io::Error::other);
    };
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command);
    let (_, status) = feed(shell, &report).await?;
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("--on-report ended with {status}")))
}

/// Runs a command with `input` on its standard input; what it still runs is ended with it.
async fn feed(
    mut command: Command,
    input: &[u8],
) -> io::Result<(Vec<u8>, std::process::ExitStatus)> {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command may end without reading all of it.
        let _ = stdin.write_all(input).await;
    }
    let output = child.wait_with_output().await?;
    Ok((output.stdout, output.status))
}

//! Connections that the task of each request moves itself.
//!
//! A pooling client reads all sockets that have something before any reader sees a byte of it. Where
//! the moment of arrival is what is measured, nothing may stand between the socket and its reader.

use std::cell::RefCell;
use std::error::Error as StdError;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, LOCATION, USER_AGENT};
use hyper::{Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use reqwest::Method;
use tokio::net::TcpStream;
use tower_service::Service;

use super::failure::{Stage, os_error, sorted};
use super::{Client, FailureKind, header_map};

/// Time after which an idle connection is not used again: under the 5 s that vLLM's server keeps it.
const IDLE: Duration = Duration::from_secs(4);

type Io = MaybeHttpsStream<TokioIo<TcpStream>>;
type Body = Full<Bytes>;

/// A server to which many requests go at once from one thread.
pub(in crate::sources) struct Wire {
    client: Client,
    way: Way,
    to: Uri,
    headers: HeaderMap,
    idle: RefCell<Vec<(Line, Instant)>>,
    kept: usize,
}

/// Straight to the server, or through a proxy of the environment.
enum Way {
    Direct(HttpsConnector<HttpConnector>),
    Tunnel(HttpsConnector<Tunnel<HttpConnector>>),
}

/// A connection. It moves only while it is polled.
struct Line {
    sender: SendRequest<Body>,
    open: Option<Connection<Io, Body>>,
}

/// An answer that is being read.
pub(in crate::sources) struct Stream {
    line: Line,
    answer: Response<Incoming>,
}

/// A request that broke off.
#[derive(Debug)]
pub(in crate::sources) struct Broken {
    /// What happened.
    pub(in crate::sources) kind: FailureKind,
    /// The words of the error at its root.
    pub(in crate::sources) words: String,
    /// The operating system's number for it.
    pub(in crate::sources) os: Option<i32>,
    /// Whether the request was never written, and may go another way.
    unsent: bool,
}

impl Broken {
    fn at(stage: Stage, error: &(dyn StdError + 'static)) -> Self {
        let (kind, words) = sorted(error, stage);
        let unsent = error.downcast_ref().is_some_and(hyper::Error::is_canceled);
        Self { kind, words, os: os_error(error), unsent }
    }
}

impl Wire {
    /// Ready for requests to the client's server; `kept` idle connections are kept for the next ones.
    ///
    /// # Errors
    ///
    /// A proxy of the environment that no tunnel leads through.
    pub(in crate::sources) fn new(client: Client, kept: usize) -> Result<Self, String> {
        let way = Way::to(&client)?;
        let to = uri(client.base().as_str())?;
        let headers = headers(&client)?;
        Ok(Self { client, way, to, headers, idle: RefCell::default(), kept })
    }

    /// The client that it was made of.
    pub(in crate::sources) fn client(&self) -> &Client {
        &self.client
    }

    /// Posts JSON, and comes back with the head of the answer.
    pub(in crate::sources) async fn post(
        &self,
        path: &str,
        json: Vec<u8>,
    ) -> Result<Stream, Broken> {
        let json = Bytes::from(json);
        while let Some(mut line) = self.idle().await {
            match self.ask(&mut line, path, json.clone()).await {
                Ok(answer) => return Ok(Stream { line, answer }),
                // The server closed it while it was idle.
                Err(broken) if broken.unsent => {}
                Err(broken) => return Err(broken),
            }
        }
        let mut line = self.connect().await?;
        let answer = self.ask(&mut line, path, json).await?;
        Ok(Stream { line, answer })
    }

    /// Takes the connection of an answer that was read to its end, for the next request.
    pub(in crate::sources) fn keep(&self, read: Stream) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < self.kept && read.line.open.is_some() {
            idle.push((read.line, Instant::now()));
        }
    }

    /// The connection that was used last, as long as the server still holds it.
    async fn idle(&self) -> Option<Line> {
        loop {
            let (mut line, since) = self.idle.borrow_mut().pop()?;
            if since.elapsed() < IDLE && line.is_usable().await {
                return Some(line);
            }
        }
    }

    async fn connect(&self) -> Result<Line, Broken> {
        let stage = Stage::Connecting { tls: self.to.scheme_str() == Some("https") };
        let io = self.way.connect(self.to.clone()).await;
        let io = io.map_err(|error| Broken::at(stage, error.as_ref()))?;
        let (sender, open) = handshake(io).await.map_err(|error| Broken::at(stage, &error))?;
        Ok(Line { sender, open: Some(open) })
    }

    async fn ask(
        &self,
        line: &mut Line,
        path: &str,
        json: Bytes,
    ) -> Result<Response<Incoming>, Broken> {
        let url = self.client.url(path);
        let mut request = Request::post(url.path())
            .body(Full::new(json))
            .map_err(|error| Broken::at(Stage::Asking, &error))?;
        request.headers_mut().clone_from(&self.headers);
        let Line { sender, open } = line;
        let answer = moved(open, sender.send_request(request)).await;
        answer.map_err(|error| Broken::at(Stage::Asking, &error))
    }
}

impl Way {
    fn to(client: &Client) -> Result<Self, String> {
        let mut direct = HttpConnector::new();
        direct.enforce_http(false);
        direct.set_nodelay(true);
        let tls = HttpsConnectorBuilder::new()
            .with_tls_config(client.tls.clone())
            .https_or_http()
            .enable_http1();
        let server = uri(client.base().as_str())?;
        let proxy = (!client.is_loopback()).then(|| Matcher::from_env().intercept(&server));
        let Some(proxy) = proxy.flatten() else {
            return Ok(Self::Direct(tls.wrap_connector(direct)));
        };
        if proxy.uri().scheme_str() != Some("http") {
            let host = proxy.uri().host().unwrap_or_default();
            return Err(format!(
                "the proxy {host} of the environment is no plain HTTP proxy; name the server in NO_PROXY"
            ));
        }
        let mut tunnel = Tunnel::new(proxy.uri().clone(), direct);
        if let Some(login) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(login.clone());
        }
        Ok(Self::Tunnel(tls.wrap_connector(tunnel)))
    }

    async fn connect(&self, to: Uri) -> Result<Io, Box<dyn StdError + Send + Sync>> {
        match self {
            Self::Direct(connector) => connector.clone().call(to).await,
            Self::Tunnel(connector) => connector.clone().call(to).await,
        }
    }
}

impl Line {
    /// Looks whether the server has closed it. Waits for nothing.
    async fn is_usable(&mut self) -> bool {
        let looked = poll_fn(|_| Poll::Ready(()));
        moved(&mut self.open, looked).await;
        self.open.is_some() && self.sender.is_ready()
    }
}

impl Stream {
    pub(in crate::sources) fn status(&self) -> u16 {
        self.answer.status().as_u16()
    }

    /// Where the server would rather have the request sent.
    pub(in crate::sources) fn location(&self) -> Option<&str> {
        self.answer.headers().get(LOCATION)?.to_str().ok()
    }

    /// The next piece of the body; `None` at its end.
    pub(in crate::sources) async fn chunk(&mut self) -> Result<Option<Bytes>, Broken> {
        let body = self.answer.body_mut();
        while let Some(frame) = moved(&mut self.line.open, body.frame()).await {
            let frame = frame.map_err(|error| Broken::at(Stage::Reading, &error))?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}

/// Waits for something that comes by a connection, and moves the connection meanwhile. How that
/// ends is told by what is waited for.
async fn moved<T>(open: &mut Option<Connection<Io, Body>>, wanted: impl Future<Output = T>) -> T {
    let mut wanted = pin!(wanted);
    poll_fn(|context| {
        if let Some(connection) = open
            && Pin::new(connection).poll(context).is_ready()
        {
            *open = None;
        }
        wanted.as_mut().poll(context)
    })
    .await
}

fn uri(url: &str) -> Result<Uri, String> {
    url.parse().map_err(|_| "the server's address is no URI".to_owned())
}

/// What stands in each request's head: the login as the client has it, and the options' own headers.
fn headers(client: &Client) -> Result<HeaderMap, String> {
    let wrong = || "the server's address or key stands in no HTTP header".to_owned();
    let mut headers = HeaderMap::new();
    let uri = uri(client.base().as_str())?;
    let authority = uri.authority().ok_or_else(wrong)?.as_str();
    let host = authority.rsplit('@').next().unwrap_or(authority);
    headers.insert(HOST, HeaderValue::from_str(host).map_err(|_| wrong())?);
    headers.insert(USER_AGENT, HeaderValue::from_static(super::USER_AGENT));
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.extend(header_map(&client.options.headers)?);
    let login = client.request(Method::POST, "").build().map_err(|_| wrong())?;
    headers.extend(login.headers().clone());
    Ok(headers)
}

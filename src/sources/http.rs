//! A careful HTTP client: one origin, whole-request deadlines, bounded bodies, errors as words.

mod failure;
mod send;
#[cfg(feature = "aws")]
mod sign;
mod tls;
mod wire;

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Method, RequestBuilder, Response, Url};
use rustls::ClientConfig;

use failure::{Astray, failure, root};
pub use failure::{Failure, FailureKind};
pub use send::{Request, Sent};
pub(super) use wire::{Broken, Stream, Wire};

use crate::evidence::bundle;

/// Redirects followed on one request.
const MAX_REDIRECTS: usize = 3;

/// How we call ourselves.
const USER_AGENT: &str = concat!("diagnose/", env!("CARGO_PKG_VERSION"));

/// Port of a target that names neither scheme nor port: vLLM's own default.
const DEFAULT_PORT: u16 = 8000;

/// How a server is reached.
#[derive(Debug, Clone)]
pub struct Options {
    /// Deadline of one request, from the first packet to the last byte.
    pub timeout: Duration,
    /// Most bytes of one body, after decompression.
    pub max_body: usize,
    /// Sent as `Authorization: Bearer …`, to the given origin only.
    pub api_key: Option<String>,
    /// PEM files of further certificate authorities.
    pub extra_ca: Vec<PathBuf>,
    /// Accept any certificate.
    pub insecure: bool,
    /// Further headers of each request.
    pub headers: Vec<(String, String)>,
    /// PEM file with the client's certificate and its key.
    pub client_cert: Option<PathBuf>,
    /// Region of AWS that requests to Amazon Managed Prometheus are signed for.
    pub sigv4_region: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            max_body: 64 << 20,
            api_key: None,
            extra_ca: Vec::new(),
            insecure: false,
            headers: Vec::new(),
            client_cert: None,
            sigv4_region: None,
        }
    }
}

/// A client of one server.
#[derive(Clone)]
pub struct Client {
    inner: reqwest::Client,
    tls: ClientConfig,
    base: Url,
    options: Options,
    secrets: Vec<String>,
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The decoded body.
    pub body: Vec<u8>,
    /// Milliseconds until the whole answer was read.
    pub ms: f64,
    /// The server's own time, Unix seconds, where it told it.
    pub date: Option<f64>,
}

/// Reads a target as people type it: a URL, or a host with or without port. A path to one of the
/// server's own pages is cut off.
pub fn parse_target(text: &str) -> Result<Url, String> {
    let text = text.trim();
    let shown = bundle::url_without_credentials(text);
    let bare = !text.contains("://");
    let full = if bare { format!("http://{text}") } else { text.to_owned() };
    let mut url = Url::parse(&full).map_err(|error| {
        format!("`{shown}` is not a URL ({error}); give one like http://127.0.0.1:8000")
    })?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(format!("`{shown}` is not an http or https URL; try http://127.0.0.1:8000"));
    }
    if bare && url.port().is_none() && !full.ends_with(":80") {
        let _ = url.set_port(Some(DEFAULT_PORT));
    }
    let path = url.path().trim_end_matches('/');
    let path = ["/metrics", "/v1", "/health"]
        .iter()
        .find_map(|tail| path.strip_suffix(tail))
        .unwrap_or(path);
    let path = path.to_owned();
    url.set_path(&path);
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

/// Whether a server's address, as a bundle has it, is on this machine.
pub fn is_local(target: Option<&str>) -> bool {
    target.is_some_and(|target| parse_target(target).is_ok_and(|url| is_loopback(&url)))
}

/// Whether a URL's host is this machine itself.
pub fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || host.ends_with(".localhost") || ip.is_ok_and(|ip| ip.is_loopback())
}

/// Runs a future to its end. Lookups of names that still hang then are left behind.
pub fn block_on<F: Future>(future: F) -> io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let output = runtime.block_on(future);
    runtime.shutdown_background();
    Ok(output)
}

impl Client {
    /// A client of the server at `target`.
    pub fn new(target: &str, options: &Options) -> Result<Self, String> {
        let mut options = options.clone();
        if let Some(key) = &mut options.api_key {
            *key = key.trim().to_owned();
            if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err("the API key holds characters that no HTTP header may have".into());
            }
        }
        let base = base(target, &options)?;
        let secrets = secrets(&base, &options);
        let tls = tls::config(&options, base.scheme() == "https")?;
        // A connection kept alive may be closed by the server just as it is used again, which
        // would read as a failure of the server: so none is kept.
        let mut builder = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .pool_max_idle_per_host(0)
            .gzip(true)
            .tcp_nodelay(true)
            .redirect(Policy::custom(redirect))
            .referer(false)
            .http1_only()
            .default_headers(header_map(&options.headers)?)
            .tls_backend_preconfigured(tls.clone());
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        let inner = builder
            .build()
            .map_err(|error| format!("no HTTP client can be set up ({})", root(&error)))?;
        Ok(Self { inner, tls, base, options, secrets })
    }

    /// A client of another server that shares what is costly to set up; `None` where that server
    /// has to be reached in another way.
    pub fn beside(&self, target: &str) -> Result<Option<Self>, String> {
        let base = base(target, &self.options)?;
        let way = |url: &Url| (url.scheme().to_owned(), is_loopback(url));
        if way(&base) != way(&self.base) {
            return Ok(None);
        }
        let secrets = secrets(&base, &self.options);
        Ok(Some(Self { base, secrets, ..self.clone() }))
    }

    /// The URL of a path, without credentials.
    pub fn shown(&self, path: &str) -> String {
        let mut url = self.url(path);
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.as_str().trim_end_matches('/').to_owned()
    }

    /// The deadline of each request.
    pub fn timeout(&self) -> Duration {
        self.options.timeout
    }

    /// Whether the server is on this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.base)
    }

    /// The server's URL.
    pub fn base(&self) -> &Url {
        &self.base
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.request_to(method, self.url(path))
    }

    fn request_to(&self, method: Method, url: Url) -> RequestBuilder {
        // User and password in the URL become a header here, and never reach the wire otherwise.
        let request = self.inner.request(method, url);
        match &self.options.api_key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    /// Asks for a page, with a body of at most `max_body` bytes.
    pub async fn get(&self, path: &str, accept: &str, max_body: usize) -> Result<Answer, Failure> {
        let request = self.request(Method::GET, path).header("accept", accept);
        self.whole(request, max_body.min(self.options.max_body)).await
    }

    /// Asks with a query; names may repeat.
    pub async fn get_with(&self, path: &str, query: &[(&str, &str)]) -> Result<Answer, Failure> {
        let mut url = self.url(path);
        url.query_pairs_mut().extend_pairs(query);
        self.whole(self.request_to(Method::GET, url), self.options.max_body).await
    }

    /// Posts JSON.
    pub async fn post(&self, path: &str, json: &serde_json::Value) -> Result<Answer, Failure> {
        let request = self.request(Method::POST, path).json(json);
        self.whole(request, self.options.max_body).await
    }

    async fn whole(&self, request: RequestBuilder, bound: usize) -> Result<Answer, Failure> {
        self.within(self.options.timeout, async {
            let mut answer = request.send().await.map_err(|error| (None, failure(&error)))?;
            let (status, date) = (answer.status().as_u16(), date(&answer));
            let body = read_body(&mut answer, bound).await.map_err(|it| (Some(status), it))?;
            Ok((status, body, date))
        })
        .await
        .map(|((status, body, date), ms)| Answer { status, body, ms, date })
    }

    /// Posts a form, signed where a region is set, and reads a body of at most `max_body` bytes.
    pub async fn post_form(
        &self,
        path: &str,
        form: &[(&str, &str)],
        max_body: usize,
    ) -> Result<Answer, Failure> {
        let body = encoded(&self.base, form);
        let request = self.request(Method::POST, path).header("content-type", FORM);
        let bound = max_body.min(self.options.max_body);
        self.within(self.options.timeout, async {
            let request = self
                .signed(request, path, &body)
                .await
                .map_err(|why| (None, (FailureKind::Credentials, why)))?;
            let sent = request.body(body).send().await;
            let mut answer = sent.map_err(|error| (None, failure(&error)))?;
            let status = answer.status().as_u16();
            let body = read_body(&mut answer, bound).await.map_err(|it| (Some(status), it))?;
            Ok((status, body))
        })
        .await
        .map(|((status, body), ms)| Answer { status, body, ms, date: None })
    }

    #[cfg(feature = "aws")]
    async fn signed(
        &self,
        request: RequestBuilder,
        path: &str,
        body: &str,
    ) -> Result<RequestBuilder, String> {
        let Some(region) = &self.options.sigv4_region else { return Ok(request) };
        let headers = sign::headers(region, &self.url(path), FORM, body).await?;
        Ok(headers.into_iter().fold(request, |request, (name, value)| request.header(name, value)))
    }

    #[cfg(not(feature = "aws"))]
    async fn signed(
        &self,
        request: RequestBuilder,
        _path: &str,
        _body: &str,
    ) -> Result<RequestBuilder, String> {
        match self.options.sigv4_region {
            None => Ok(request),
            Some(_) => Err("this build cannot sign requests for AWS (feature `aws`)".into()),
        }
    }

    /// Posts JSON and reads until `done` has seen enough of the body; `ms` is then the time of
    /// that moment.
    pub async fn post_until(
        &self,
        path: &str,
        json: &serde_json::Value,
        timeout: Duration,
        done: impl Fn(&[u8]) -> bool,
    ) -> Result<Answer, Failure> {
        let request = self.request(Method::POST, path).json(json);
        self.within(timeout, async {
            let mut answer = request.send().await.map_err(|error| (None, failure(&error)))?;
            let status = answer.status().as_u16();
            let mut body = Vec::new();
            while !(status == 200 && done(&body)) && body.len() < 1 << 20 {
                match answer.chunk().await.map_err(|error| (Some(status), failure(&error)))? {
                    Some(chunk) => body.extend_from_slice(&chunk),
                    None => break,
                }
            }
            Ok((status, body))
        })
        .await
        .map(|((status, body), ms)| Answer { status, body, ms, date: None })
    }

    /// A body as it may be kept: servers and proxies repeat the key that they refuse, and it must
    /// not come into evidence that way.
    pub fn text(&self, body: &[u8]) -> String {
        let text = String::from_utf8_lossy(body).into_owned();
        self.secrets.iter().fold(text, |text, secret| text.replace(secret, bundle::HIDDEN))
    }

    async fn within<T>(
        &self,
        timeout: Duration,
        work: impl Future<Output = Result<T, (Option<u16>, (FailureKind, String))>>,
    ) -> Result<(T, f64), Failure> {
        let start = Instant::now();
        let result = tokio::time::timeout(timeout, work).await;
        let ms = (start.elapsed().as_secs_f64() * 1e5).round() / 100.0;
        match result {
            Ok(Ok(value)) => Ok((value, ms)),
            Ok(Err((status, (kind, detail)))) => Err(Failure { kind, status, ms, detail }),
            Err(_) => {
                let detail = format!("no whole answer in {} s", timeout.as_secs_f64());
                Err(Failure { kind: FailureKind::TimedOut, status: None, ms, detail })
            }
        }
    }
}

/// The URL of a target; a key stands in for user and password.
fn base(target: &str, options: &Options) -> Result<Url, String> {
    let mut base = parse_target(target)?;
    if options.api_key.is_some() {
        let _ = base.set_username("");
        let _ = base.set_password(None);
    }
    Ok(base)
}

/// The `Date` of an answer, as `Sun, 06 Nov 1994 08:49:37 GMT`.
fn date(answer: &Response) -> Option<f64> {
    let text = answer.headers().get("date")?.to_str().ok()?;
    let time = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(time.as_second() as f64)
}

async fn read_body(answer: &mut Response, bound: usize) -> Result<Vec<u8>, (FailureKind, String)> {
    let too_large = || (FailureKind::TooLarge, format!("more than {bound} bytes"));
    if answer.content_length().is_some_and(|length| length > bound as u64) {
        return Err(too_large());
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| failure(&error))? {
        if body.len() + chunk.len() > bound {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Dummies such as `EMPTY` are no secret, and stand in harmless places.
const SHORTEST_SECRET: usize = 6;

/// Parts of names of headers whose values are secrets, in lower case.
const SECRET_HEADERS: [&str; 5] = ["auth", "key", "token", "secret", "cookie"];

/// The key, the password and secret headers, as they stand in requests.
fn secrets(base: &Url, options: &Options) -> Vec<String> {
    let is_secret = |name: &str| {
        let name = name.to_ascii_lowercase();
        SECRET_HEADERS.iter().any(|part| name.contains(part))
    };
    let headers = options.headers.iter().filter(|(name, _)| is_secret(name));
    let headers = headers.map(|(_, value)| value.as_str());
    let all = [options.api_key.as_deref(), base.password()].into_iter().flatten().chain(headers);
    all.filter(|secret| secret.len() >= SHORTEST_SECRET).map(Into::into).collect()
}

/// What a form is announced as.
const FORM: &str = "application/x-www-form-urlencoded";

fn encoded(base: &Url, form: &[(&str, &str)]) -> String {
    let mut url = base.clone();
    url.set_query(None);
    url.query_pairs_mut().extend_pairs(form);
    url.query().unwrap_or_default().to_owned()
}

fn header_map(headers: &[(String, String)]) -> Result<HeaderMap, String> {
    let each = headers.iter().map(|(name, value)| {
        let wrong = || format!("`{name}` and its value are no HTTP header");
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| wrong())?;
        value.set_sensitive(true);
        Ok((key, value))
    });
    each.collect()
}

/// Follows a redirect only to where the request went in the first place, as the key goes along.
fn redirect(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let next = attempt.url();
    let origin = |url: &Url| (url.host_str().map(str::to_owned), url.port_or_known_default());
    let known = attempt
        .previous()
        .first()
        .is_some_and(|first| origin(first) == origin(next) && (first.scheme() == next.scheme()));
    let why = if !known {
        let (host, port) = origin(next);
        let (host, port) = (host.unwrap_or_default(), port.unwrap_or_default());
        format!("it redirects to {}://{host}:{port}, which was not followed", next.scheme())
    } else if attempt.previous().len() > MAX_REDIRECTS {
        format!("it redirects more than {MAX_REDIRECTS} times")
    } else {
        return attempt.follow();
    };
    attempt.error(Astray(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_taken_as_people_type_them() {
        let url = |text| parse_target(text).unwrap().to_string();
        assert_eq!(url("127.0.0.1:8123"), "http://127.0.0.1:8123/");
        assert_eq!(url("localhost"), "http://localhost:8000/");
        assert_eq!(url("http://localhost"), "http://localhost/");
        assert_eq!(url("[::1]:8000"), "http://[::1]:8000/");
        assert_eq!(url("https://h/vllm/metrics?x=1"), "https://h/vllm");
        assert_eq!(url("http://h:1/v1/"), "http://h:1/");
    }

    #[test]
    fn what_is_no_target_says_so_without_its_password() {
        for text in ["ftp://u:secret@h", "http://u:secret@", "http://u:secret@h:99999"] {
            let error = parse_target(text).unwrap_err();
            assert!(
                error.contains("http://127.0.0.1:8000") && !error.contains("secret"),
                "{error}"
            );
        }
    }

    #[test]
    fn loopback_is_known_in_every_spelling() {
        let loopback = |text| is_loopback(&parse_target(text).unwrap());
        assert!(loopback("localhost") && loopback("[::1]:1") && loopback("127.9.9.9"));
        assert!(!loopback("127.example.org") && !loopback("10.0.0.1"));
    }
}

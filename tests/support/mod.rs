//! Small servers, honest and hostile, on loopback.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A page as vLLM prints it.
pub const PAGE: &str = "# TYPE vllm:num_requests_running gauge\n\
     vllm:num_requests_running{engine=\"0\",model_name=\"m\"} 3.0\n";

/// What `/v1/models` answers.
pub const MODELS: &str = r#"{"object":"list","data":[{"id":"m","parent":null}]}"#;

/// A request as it came in.
#[derive(Debug, Clone)]
pub struct Request {
    pub path: String,
    /// The whole head, lower case but for values.
    pub head: String,
    /// What was posted.
    pub body: Vec<u8>,
}

/// A server that remembers what it was asked.
pub struct Server {
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// A vLLM server whose `/metrics` is answered by `metrics`.
    pub fn vllm(metrics: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> Self {
        Self::start("127.0.0.1:0", move |request, stream| match request.path.as_str() {
            "/metrics" => metrics(stream),
            path => page(path, stream),
        })
        .unwrap()
    }

    /// A server that answers each connection's one request with `answer`.
    pub fn start(
        address: &str,
        answer: impl Fn(&Request, &mut TcpStream) + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (requests.clone(), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, answer) = (seen.clone(), answer.clone());
                thread::spawn(move || serve(stream, &seen, &*answer));
            }
        });
        Ok(Self { address, requests })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(
    mut stream: TcpStream,
    seen: &Mutex<Vec<Request>>,
    answer: &(dyn Fn(&Request, &mut TcpStream) + Send + Sync),
) {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let Some(request) = read_request(&mut stream) else { return };
    seen.lock().unwrap().push(request.clone());
    answer(&request, &mut stream);
}

fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1)?.to_owned();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    Some(Request { path, head, body })
}

/// Answers a path as a healthy vLLM does.
pub fn page(path: &str, stream: &mut TcpStream) {
    match path {
        "/metrics" | "/metrics/" => respond(stream, "200 OK", PAGE.as_bytes()),
        "/health" | "/ping" => respond(stream, "200 OK", b""),
        "/version" => respond(stream, "200 OK", br#"{"version":"0.23.0"}"#),
        "/v1/models" => respond(stream, "200 OK", MODELS.as_bytes()),
        "/load" => respond(stream, "200 OK", br#"{"server_load":0}"#),
        _ => respond(stream, "404 Not Found", br#"{"detail":"Not Found"}"#),
    }
}

/// Writes a whole answer.
pub fn respond(stream: &mut TcpStream, status: &str, body: &[u8]) {
    respond_with(stream, status, "", body);
}

/// Writes a whole answer with further header lines.
pub fn respond_with(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) {
    let length = body.len();
    let _ = write!(stream, "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n");
    let _ = stream.write_all(body);
}

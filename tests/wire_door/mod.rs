//! Stands between the SDK and its service: counts what passes, and spoils one operation.

#![allow(dead_code, reason = "each test program uses its own part of it")]

pub(crate) mod hands;
mod http;
pub(crate) mod shapes;
pub(crate) mod table;
mod words;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ssm::config::Credentials;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

pub(crate) use http::{Request, Response};
pub(crate) use words::Protocol;

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// 400 in the service's own words: a parameter it does not take.
    BadRequest,
    /// 429, throttled.
    TooMany,
    /// 500.
    Internal,
    /// 503.
    Busy,
    /// The role may not.
    Denied,
    /// The credentials have expired.
    Expired,
    /// 403 with a page of HTML: something on the way answered, and not AWS.
    Page,
    /// No answer.
    Timeout,
    /// The connection is reset.
    Reset,
    /// The first half of the answer, and then the end of the connection.
    Truncated,
    /// 200 with a body that is not of the protocol.
    Malformed,
    /// 200 with a body in which everything is missing.
    Empty,
    /// All of the answer, in pieces that take two seconds.
    Slow,
    /// An answer whose pieces never end.
    Endless,
}

impl Fault {
    pub(crate) const ALL: [Self; 14] = [
        Self::BadRequest,
        Self::TooMany,
        Self::Internal,
        Self::Busy,
        Self::Denied,
        Self::Expired,
        Self::Page,
        Self::Timeout,
        Self::Reset,
        Self::Truncated,
        Self::Malformed,
        Self::Empty,
        Self::Slow,
        Self::Endless,
    ];

    /// Its column in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "400",
            Self::TooMany => "429",
            Self::Internal => "500",
            Self::Busy => "503",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Page => "page",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::Empty => "empty",
            Self::Slow => "slow",
            Self::Endless => "endless",
        }
    }

    /// Whether somebody waits for a time limit.
    pub(crate) fn hangs(self) -> bool {
        matches!(self, Self::Timeout | Self::Endless)
    }

    /// Whether the real answer is needed, so that the service must have acted.
    pub(crate) fn needs_answer(self) -> bool {
        matches!(self, Self::Truncated | Self::Slow | Self::Endless)
    }
}

/// Whether the service sees the request before something goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum When {
    /// The service never sees it.
    Before,
    /// The service has acted; its answer is lost.
    After,
}

/// One fault in one operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) operation: &'static str,
    pub(crate) fault: Fault,
    pub(crate) when: When,
    /// So many calls are spoiled, and those after them pass.
    pub(crate) calls: usize,
}

impl Rule {
    /// Every call of an operation is spoiled.
    pub(crate) fn every(operation: &'static str, fault: Fault, when: When) -> Self {
        Self { operation, fault, when, calls: usize::MAX }
    }
}

type Canned = dyn Fn(&Request) -> Response + Send + Sync;

/// Where requests go.
#[derive(Clone)]
pub(crate) enum Upstream {
    /// To a service at an address.
    At(String),
    /// To one that is written in the test.
    Canned(Arc<Canned>),
}

impl Upstream {
    /// The service that is written in the test.
    pub(crate) fn canned(answer: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Self {
        Self::Canned(Arc::new(answer))
    }

    async fn ask(&self, request: &Request) -> std::io::Result<Response> {
        match self {
            Self::At(at) => http::forward(at, request).await,
            Self::Canned(answer) => Ok(answer(request)),
        }
    }
}

/// Changes an answer on its way back.
pub(crate) type Amend = fn(&Request, Response) -> Response;

struct State {
    upstream: Upstream,
    rule: Mutex<Option<Rule>>,
    amend: Option<Amend>,
    seen: Mutex<Vec<Request>>,
}

/// Stands between. It ends with the runtime that it was opened on.
pub(crate) struct Between {
    at: String,
    state: Arc<State>,
}

impl Between {
    pub(crate) async fn open(upstream: Upstream, rule: Option<Rule>) -> Self {
        Self::amended(upstream, rule, None).await
    }

    pub(crate) async fn amended(upstream: Upstream, rule: Option<Rule>, amend: Option<Amend>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap().to_string();
        let state = Arc::new(State { upstream, rule: Mutex::new(rule), amend, seen: Mutex::default() });
        tokio::spawn(serve(listener, Arc::clone(&state)));
        Self { at, state }
    }

    /// From here on nothing is spoiled, or something else is.
    pub(crate) fn spoil(&self, rule: Option<Rule>) {
        *self.state.rule.lock().unwrap() = rule;
    }

    /// What was asked, in order.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.state.seen.lock().unwrap().clone()
    }

    /// How often an operation was asked for.
    pub(crate) fn count(&self, operation: &str) -> usize {
        self.state.seen.lock().unwrap().iter().filter(|request| request.operation == operation).count()
    }

    /// The function's own configuration, but for credentials and address.
    pub(crate) async fn shared(&self) -> SdkConfig {
        defib::aws::clients::limited(aws_config::defaults(BehaviorVersion::latest()))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("a", "b", None, None, "test"))
            .endpoint_url(format!("http://{}", self.at))
            .load()
            .await
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream, Arc::clone(&state)));
    }
}

/// Answers one request; what it was worth is what the client makes of it.
async fn answer(mut stream: TcpStream, state: Arc<State>) {
    let Some(request) = http::read_request(&mut stream).await else { return };
    state.seen.lock().unwrap().push(request.clone());
    let rule = {
        let mut rule = state.rule.lock().unwrap();
        match &mut *rule {
            Some(found) if found.operation == request.operation && found.calls > 0 => {
                found.calls -= 1;
                Some(*found)
            }
            Some(_) | None => None,
        }
    };
    let acts = rule.is_none_or(|rule| rule.when == When::After);
    let real = if acts { state.upstream.ask(&request).await.ok() } else { None };
    let real = real.map(|real| match state.amend {
        Some(amend) => amend(&request, real),
        None => real,
    });
    // A client that has hung up is no failure of the test's.
    let _ = match rule {
        None => send(&mut stream, real.unwrap_or_else(|| Response::text(502, "no answer"))).await,
        Some(rule) => spoil(&mut stream, &request, rule.fault, real).await,
    };
}

async fn send(stream: &mut TcpStream, response: Response) -> std::io::Result<()> {
    stream.write_all(&response.bytes()).await?;
    stream.shutdown().await
}

async fn spoil(stream: &mut TcpStream, request: &Request, fault: Fault, real: Option<Response>) -> std::io::Result<()> {
    let bytes = real.map(|real| real.bytes()).unwrap_or_default();
    match fault {
        Fault::Timeout => std::future::pending().await,
        Fault::Reset => stream.set_zero_linger(),
        Fault::Truncated => {
            // With its whole head, and the length that the head tells.
            let head = bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| at + 4);
            let end = head + (bytes.len() - head) / 2;
            stream.write_all(&bytes[..end]).await?;
            stream.shutdown().await
        }
        Fault::Slow => {
            for piece in bytes.chunks(bytes.len().div_ceil(8).max(1)) {
                stream.write_all(piece).await?;
                pause(250).await;
            }
            stream.shutdown().await
        }
        Fault::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await?;
            loop {
                stream.write_all(b" ").await?;
                pause(500).await;
            }
        }
        _ => send(stream, words::told(request, fault)).await,
    }
}

#[allow(clippy::disallowed_methods, reason = "a service that takes its time")]
pub(crate) async fn pause(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

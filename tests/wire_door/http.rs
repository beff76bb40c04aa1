//! As much of HTTP as the SDK speaks here: one request a connection.

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::words::Protocol;

/// A request of the SDK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// `POST`, and the path with its query.
    pub(crate) line: String,
    /// The header `X-Amz-Target`; awsJson only.
    pub(crate) target: Option<String>,
    /// The operation, as AWS spells it.
    pub(crate) operation: String,
    pub(crate) protocol: Protocol,
    pub(crate) body: String,
}

impl Request {
    /// The body of an awsJson request.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// A parameter of a form.
    pub(crate) fn form(&self, name: &str) -> Option<String> {
        let mut pairs = form_urlencoded::parse(self.body.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn new(status: u16, kind: &str, body: String) -> Self {
        let headers = vec![
            ("content-type".to_owned(), kind.to_owned()),
            ("x-amzn-requestid".to_owned(), "7a62c49f-347e-4fc4-9331-6e8eEXAMPLE".to_owned()),
        ];
        Self { status, headers, body }
    }

    /// An answer of awsJson.
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/x-amz-json-1.0", body.to_string())
    }

    /// An error of awsJson.
    pub(crate) fn json_error(status: u16, code: &str, more: Value) -> Self {
        let mut body = more;
        body["__type"] = format!("com.amazonaws#{code}").into();
        Self::json(status, &body)
    }

    /// An answer of the query protocols.
    pub(crate) fn xml(status: u16, body: impl Into<String>) -> Self {
        Self::new(status, "text/xml;charset=UTF-8", body.into())
    }

    /// An answer of nobody that speaks for AWS.
    pub(crate) fn text(status: u16, body: &str) -> Self {
        Self { status, headers: vec![("content-type".to_owned(), "text/html".to_owned())], body: body.to_owned() }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} X\r\nconnection: close\r\n", self.status);
        for (name, value) in &self.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        let length = format!("content-length: {}\r\n\r\n", self.body.len());
        [&head, &length, &self.body].map(String::as_bytes).concat()
    }
}

/// Reads a message: its first line, its headers, its body.
async fn read<R: AsyncRead + Unpin>(stream: &mut R) -> Option<(String, Vec<(String, String)>, String)> {
    let mut bytes = Vec::new();
    let mut part = vec![0_u8; 16_384];
    let end = loop {
        let count = stream.read(&mut part).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&part[..count]);
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let first = lines.next()?.to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_lowercase(), value.trim().to_owned()))
        .collect();
    let length = header(&headers, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = bytes.split_off(end + 4);
    while body.len() < length {
        let count = stream.read(&mut part).await.ok().filter(|count| *count > 0)?;
        body.extend_from_slice(&part[..count]);
    }
    Some((first, headers, String::from_utf8(body).ok()?))
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// Reads a request of the SDK.
pub(super) async fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let (line, headers, body) = read(stream).await?;
    let target = header(&headers, "x-amz-target").map(ToOwned::to_owned);
    let field = |name: &str| {
        let mut pairs = form_urlencoded::parse(body.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    let (operation, protocol) = match &target {
        Some(target) => (target.rsplit('.').next()?.to_owned(), Protocol::Json),
        None if field("Version").as_deref() == Some("2016-11-15") => (field("Action")?, Protocol::Ec2),
        None => (field("Action")?, Protocol::Query),
    };
    let line = line.trim_end_matches(" HTTP/1.1").to_owned();
    Some(Request { line, target, operation, protocol, body })
}

/// Asks a service at an address.
pub(super) async fn forward(at: &str, request: &Request) -> std::io::Result<Response> {
    let mut stream = TcpStream::connect(at).await?;
    let target = request.target.as_ref().map(|target| format!("x-amz-target: {target}\r\n")).unwrap_or_default();
    let kind = match request.protocol {
        Protocol::Json => "application/x-amz-json-1.1",
        Protocol::Ec2 | Protocol::Query => "application/x-www-form-urlencoded",
    };
    let (line, length) = (&request.line, request.body.len());
    let head = format!(
        "{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{target}content-type: {kind}\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(request.body.as_bytes()).await?;
    let (first, headers, body) = read(&mut stream).await.ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
    let kept = |name: &str| name.starts_with("x-amzn-") || name == "content-type";
    Ok(Response {
        status: status.ok_or(std::io::ErrorKind::InvalidData)?,
        headers: headers.into_iter().filter(|(name, _)| kept(name)).collect(),
        body,
    })
}

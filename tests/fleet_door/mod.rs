//! The simulated account's HTTP door, and the nodes behind it as the AWS edge reaches them.

#![allow(dead_code, reason = "each test program uses its own part of it")]

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use aws_config::{BehaviorVersion, Region};
use aws_sdk_ssm::config::Credentials;
use defib::aws::{Clients, Documents, Nodes};
use defib::node::{AccountId, Home, NodeId};
use jiff::Timestamp;
use serde_json::{Value, json};

/// A door with a world behind it, and the nodes as Defib reaches them. The door is closed with it.
pub(crate) struct Door {
    process: Child,
    pub(crate) at: String,
    pub(crate) nodes: Nodes,
}

impl Drop for Door {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A call that the door received.
#[derive(Debug, Clone, serde::Deserialize)]
pub(crate) struct Received {
    pub(crate) service: String,
    pub(crate) operation: String,
    /// What it asked for, as JSON, cut.
    pub(crate) asked: String,
    pub(crate) nodes: Vec<NodeId>,
    pub(crate) outcome: String,
}

impl Received {
    /// Whether the role that asks was refused it.
    pub(crate) fn is_denied(&self) -> bool {
        matches!(self.outcome.as_str(), "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation")
    }
}

/// Where the door is.
pub(crate) fn home() -> Home {
    let account: AccountId = "111122223333".parse().unwrap();
    Home { account, region: "us-east-1".parse().unwrap() }
}

/// The command line that opens the door: another build's, where somebody names one.
#[allow(clippy::disallowed_methods, reason = "a test's own setting")]
fn binary() -> OsString {
    std::env::var_os("DEFIB_FLEET_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_defib").into())
}

impl Door {
    pub(crate) async fn open(world: &Value) -> Self {
        let documents =
            Documents { probe: "Defib-Probe-abc".parse().unwrap(), repair: "Defib-Repair-abc".parse().unwrap() };
        Self::open_with(world, documents).await
    }

    pub(crate) async fn open_with(world: &Value, documents: Documents) -> Self {
        let file = std::env::temp_dir().join(format!("defib-door-{}-{}.json", std::process::id(), fastrand::u64(..)));
        std::fs::write(&file, world.to_string()).unwrap();
        let mut process = Command::new(binary())
            .args(["fleet", "--listen", "127.0.0.1:0", "--world"])
            .arg(&file)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let at = line.trim().rsplit("http://").next().unwrap().to_owned();
        let shared = aws_config::defaults(BehaviorVersion::latest())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("a", "b", None, None, "test"))
            .endpoint_url(format!("http://{at}"))
            .load()
            .await;
        let nodes = Nodes::new(Clients::of(&shared), home(), documents, || Timestamp::UNIX_EPOCH);
        Self { process, at, nodes }
    }

    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> Value {
        let mut stream = TcpStream::connect(&self.at).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} /_fleet{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 "), "{answer}");
        serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.ask("GET", "/world", "")["now"].as_str().unwrap().parse().unwrap()
    }

    pub(crate) fn advance(&self, secs: i64) {
        self.ask("POST", "/advance", &json!({ "secs": secs }).to_string());
    }

    /// Only [`Self::advance`] moves its clock from here on.
    pub(crate) fn hold(&self) {
        self.ask("POST", "/hold", "");
    }

    pub(crate) fn inject(&self, rules: &Value) {
        self.ask("POST", "/faults", &rules.to_string());
    }

    /// What was called since the last time.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.received().into_iter().map(|call| call.operation).collect()
    }

    /// The same, with what was asked for and what came of it.
    pub(crate) fn received(&self) -> Vec<Received> {
        serde_json::from_value(self.ask("GET", "/calls?reset=1", "")["calls"].clone()).unwrap()
    }

    /// From now on a role asks: what its statements do not allow is refused.
    pub(crate) fn under(&self, statements: &[Value]) {
        self.ask("POST", "/role", &json!({ "statements": statements }).to_string());
    }
}

//! The door on a socket: HTTP/1.1 on a loopback address, and nowhere else.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderValue, Response, StatusCode};
use tokio::net::TcpListener;

use super::{Answer, Fleet, Pause, Request};

/// More than this is not read of a body.
const BODY_MAX_BYTES: usize = 4 << 20;

/// Why the door cannot be opened, or was closed.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The account is a simulation without any check of who asks, so it listens on this machine only.
    #[error("{0} is not a loopback address: the simulated account asks nobody who they are")]
    NotLoopback(SocketAddr),
    /// The address cannot be had.
    #[error("failed to listen on {at}")]
    Listen {
        /// The address.
        at: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The socket failed.
    #[error("failed to serve")]
    Serve(#[source] std::io::Error),
}

/// Whether an address may be listened on.
///
/// # Errors
/// [`ServeError::NotLoopback`] for any that others can reach.
pub fn loopback(at: SocketAddr) -> Result<SocketAddr, ServeError> {
    if at.ip().is_loopback() { Ok(at) } else { Err(ServeError::NotLoopback(at)) }
}

/// What every connection shares.
#[derive(Clone)]
struct Shared {
    fleet: Arc<Mutex<Fleet>>,
}

/// Listens, says where, and answers until it is dropped.
///
/// # Errors
/// When the address is not a loopback one or cannot be had, and when the socket fails.
pub async fn serve<F>(at: SocketAddr, fleet: Fleet, listening: F) -> Result<(), ServeError>
where
    F: FnOnce(SocketAddr) -> std::io::Result<()>,
{
    let listener = TcpListener::bind(loopback(at)?).await.map_err(|source| ServeError::Listen { at, source })?;
    let real = listener.local_addr().map_err(ServeError::Serve)?;
    listening(real).map_err(ServeError::Serve)?;
    let app = Router::new().fallback(answer).with_state(Shared { fleet: Arc::new(Mutex::new(fleet)) });
    axum::serve(listener, app).await.map_err(ServeError::Serve)
}

async fn answer(State(shared): State<Shared>, request: axum::extract::Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_MAX_BYTES).await else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let asked = Request {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        target: parts.headers.get("x-amz-target").and_then(|value| value.to_str().ok()),
        body: &body,
    };
    // A panic of another request cannot leave the account half changed in a way that matters to a simulation.
    let answer = {
        let mut fleet = shared.fleet.lock().unwrap_or_else(PoisonError::into_inner);
        fleet.answer(&asked, crate::config::now())
    };
    match answer.pause {
        Pause::None => {}
        Pause::Secs(secs) => hold(Duration::from_secs(secs)).await,
        Pause::Forever => std::future::pending().await,
    }
    written(answer)
}

/// Holds an answer back.
#[allow(clippy::disallowed_methods, reason = "a late answer is what was asked for; nothing is decided meanwhile")]
async fn hold(span: Duration) {
    tokio::time::sleep(span).await;
}

fn written(answer: Answer) -> Response<Body> {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_listened_to() {
        for fine in ["127.0.0.1:0", "127.8.0.1:80", "[::1]:0"] {
            assert!(loopback(fine.parse().unwrap()).is_ok(), "{fine}");
        }
        for reachable in ["0.0.0.0:0", "192.0.2.1:80", "[::]:0"] {
            assert!(loopback(reachable.parse().unwrap()).is_err(), "{reachable}");
        }
    }
}

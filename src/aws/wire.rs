//! How requests reach AWS: hyper over rustls with ring, one pool of connections for all clients of the SDK.
//!
//! The SDK's own client would bring HTTP/2, proxies and a second pool into the zip, and read the certificates once for each of its
//! clients (docs/decisions/0076). This one speaks HTTP/1.1 alone, which each endpoint of AWS does, and sorts what went wrong as
//! the SDK's own does, because the SDK decides by it whether a read is tried again.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::connection::{CaptureSmithyConnection, ConnectionMetadata};
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::ErrorKind;
use hyper::Uri;
use hyper::http::Extensions;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{CaptureConnection, HttpConnector as Tcp, HttpInfo, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::ring;
use rustls::{CipherSuite, ClientConfig, RootCertStore};
use tower_service::Service;

/// TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up TLS")]
pub struct NoTls(#[from] rustls::Error);

/// Something took longer than it may.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: not done after {} ms", limit.as_millis())]
struct TooSlow {
    doing: &'static str,
    limit: Duration,
}

/// What connections are encrypted with: the suites that the SDK's own client offers, which are rustls' without those that need
/// `ChaCha20` where AES would do.
const SUITES: [CipherSuite; 7] = [
    CipherSuite::TLS13_AES_256_GCM_SHA384,
    CipherSuite::TLS13_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// The HTTP client for all clients of the SDK. A connection is made within `connect`; how long an answer may take says each
/// client's own configuration.
///
/// # Errors
/// TLS cannot be set up.
pub fn http(connect: Duration) -> Result<SharedHttpClient, NoTls> {
    Ok(SharedHttpClient::new(Wire::new(connect)?))
}

/// The certificates that this system trusts, read once, and the ring provider (DESIGN.md §10).
fn tls() -> Result<ClientConfig, NoTls> {
    let mut provider = ring::default_provider();
    provider.cipher_suites.retain(|suite| SUITES.contains(&suite.suite()));
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!("a certificate of this system cannot be read: {error}");
    }
    let mut roots = RootCertStore::empty();
    let (good, _) = roots.add_parsable_certificates(found.certs);
    if good == 0 {
        tracing::warn!("this system trusts no certificate, so that AWS cannot be reached");
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

type Https = HttpsConnector<Tcp>;
type Pool = Client<Connect, SdkBody>;

/// One pool of connections.
#[derive(Debug)]
struct Wire {
    pool: Pool,
}

impl Wire {
    fn new(connect: Duration) -> Result<Self, NoTls> {
        let mut tcp = Tcp::new();
        tcp.enforce_http(false);
        // Requests are small and written in parts: Nagle's algorithm would hold the second part back.
        tcp.set_nodelay(true);
        let connect = Connect { https: (tcp, tls()?).into(), limit: connect };
        let mut pool = Client::builder(TokioExecutor::new());
        pool.pool_timer(TokioTimer::new());
        Ok(Self { pool: pool.build(connect) })
    }

    fn connector(&self, answer: Option<Duration>) -> Connector {
        Connector { pool: self.pool.clone(), answer }
    }
}

impl HttpClient for Wire {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.connector(settings.read_timeout()))
    }

    /// For the user agent.
    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        Some(ConnectorMetadata::new("hyper", Some("1.x".into())))
    }
}

/// Makes a connection, TLS and all, within a limit.
#[derive(Debug, Clone)]
struct Connect {
    https: Https,
    limit: Duration,
}

impl Service<Uri> for Connect {
    type Response = <Https as Service<Uri>>::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(context)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        Box::pin(within(self.limit, "to connect", self.https.call(to)))
    }
}

/// Sends requests over the pool; each answer must begin within a limit.
#[derive(Debug)]
struct Connector {
    pool: Pool,
    answer: Option<Duration>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into()))),
        };
        // After a failure that may lie at the connection the SDK asks for it, and closes it.
        let connection = capture_connection(&mut request);
        if let Some(capture) = request.extensions().get::<CaptureSmithyConnection>() {
            capture.set_connection_retriever(move || seen(&connection));
        }
        let (asked, limit) = (self.pool.request(request), self.answer);
        HttpConnectorFuture::new(async move {
            let answer = match limit {
                Some(limit) => within(limit, "to answer", asked).await,
                None => asked.await.map_err(Into::into),
            };
            let answer = answer.map_err(sorted)?;
            HttpResponse::try_from(answer.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// What the SDK may know of a connection.
fn seen(connection: &CaptureConnection) -> Option<ConnectionMetadata> {
    let mut extras = Extensions::new();
    connection.connection_metadata().as_ref()?.get_extras(&mut extras);
    let (info, held) = (extras.get::<HttpInfo>(), connection.clone());
    let mut known = ConnectionMetadata::builder().proxied(false).poison_fn(move || {
        if let Some(held) = held.connection_metadata().as_ref() {
            held.poison();
        }
    });
    known.set_local_addr(info.map(HttpInfo::local_addr)).set_remote_addr(info.map(HttpInfo::remote_addr));
    Some(known.build())
}

async fn within<T, E: Into<BoxError>>(
    limit: Duration,
    doing: &'static str,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, BoxError> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done.map_err(Into::into),
        Err(_) => Err(Box::new(TooSlow { doing, limit })),
    }
}

/// Sorts a failure as the SDK's own client does.
fn sorted(error: BoxError) -> ConnectorError {
    if cause::<TooSlow>(&*error).is_some() {
        return ConnectorError::timeout(error);
    }
    let by_system = cause::<std::io::Error>(&*error).is_some();
    if let Some(hyper) = cause::<hyper::Error>(&*error) {
        return match hyper {
            hyper if hyper.is_timeout() => ConnectorError::timeout(error),
            hyper if hyper.is_user() => ConnectorError::user(error),
            hyper if hyper.is_closed() || hyper.is_canceled() || by_system => ConnectorError::io(error),
            hyper if hyper.is_incomplete_message() => ConnectorError::other(error, Some(ErrorKind::TransientError)),
            _ => ConnectorError::other(error, None),
        };
    }
    let connecting =
        cause::<hyper_util::client::legacy::Error>(&*error).is_some_and(hyper_util::client::legacy::Error::is_connect);
    if connecting || by_system { ConnectorError::io(error) } else { ConnectorError::other(error, None) }
}

/// The first of these among an error and its causes.
fn cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |&error| error.source()).find_map(<dyn Error>::downcast_ref)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    const CONNECT: Duration = Duration::from_secs(2);

    /// A server that does this with each connection in turn, and its address.
    fn server(each: impl Fn(TcpStream) + Send + 'static) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = format!("http://{}/", listener.local_addr().unwrap());
        std::thread::spawn(move || listener.incoming().for_each(|stream| each(stream.unwrap())));
        at
    }

    /// Reads one request; false at the connection's end.
    fn asked(stream: &mut TcpStream) -> bool {
        let (mut seen, mut some) = (Vec::new(), [0; 1024]);
        while !seen.ends_with(b"\r\n\r\n") {
            match stream.read(&mut some) {
                Ok(0) | Err(_) => return false,
                Ok(count) => seen.extend_from_slice(&some[..count]),
            }
        }
        true
    }

    /// The answer of a client whose answers must begin within this time.
    async fn ask(wire: &Wire, limit: Duration, at: &str) -> Result<HttpResponse, ConnectorError> {
        wire.connector(Some(limit)).call(HttpRequest::get(at).unwrap()).await
    }

    #[tokio::test]
    async fn a_connection_serves_again_until_it_is_given_up() {
        let (tell, told) = std::sync::mpsc::channel();
        let at = server(move |mut stream| {
            tell.send(()).unwrap();
            std::thread::spawn(move || {
                while asked(&mut stream) {
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
                }
            });
        });
        let wire = Wire::new(CONNECT).unwrap();
        for (given_up, connections) in [(false, 1), (true, 0), (false, 1)] {
            let capture = CaptureSmithyConnection::new();
            let mut request = HttpRequest::get(&at).unwrap();
            request.add_extension(capture.clone());
            let mut answer = wire.connector(None).call(request).await.unwrap();
            assert_eq!(answer.status().as_u16(), 200);
            let known = capture.get().unwrap();
            assert_eq!(known.remote_addr().unwrap().to_string(), at[7..at.len() - 1]);
            if given_up {
                known.poison();
            }
            let body = std::mem::replace(answer.body_mut(), SdkBody::taken());
            let body = aws_smithy_types::byte_stream::ByteStream::new(body).collect().await.unwrap();
            assert_eq!(body.into_bytes().as_ref(), b"ok");
            assert_eq!(told.try_iter().count(), connections, "connections made for this request");
        }
    }

    #[tokio::test]
    async fn silence_is_a_time_out() {
        let at = server(|mut stream| while asked(&mut stream) {});
        let wire = Wire::new(CONNECT).unwrap();
        let error = ask(&wire, Duration::from_millis(100), &at).await.unwrap_err();
        assert!(error.is_timeout(), "{error:?}");
        assert_eq!(error.to_string(), "timeout");
        assert_eq!(error.source().unwrap().to_string(), "to answer: not done after 100 ms");
    }

    #[tokio::test]
    async fn a_connection_whose_handshake_does_not_end_is_a_time_out() {
        let at = server(|mut stream| while asked(&mut stream) {});
        let wire = Wire::new(Duration::from_millis(100)).unwrap();
        let error = ask(&wire, CONNECT, &at.replace("http:", "https:")).await.unwrap_err();
        assert!(error.is_timeout(), "{error:?}");
        let cause = cause::<TooSlow>(&error).unwrap();
        assert_eq!(cause.to_string(), "to connect: not done after 100 ms");
    }

    #[tokio::test]
    async fn a_refused_connection_and_half_an_answer_are_told_apart() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let wire = Wire::new(CONNECT).unwrap();
        let error = ask(&wire, CONNECT, &format!("http://{free}/")).await.unwrap_err();
        assert!(error.is_io(), "{error:?}");
        let at = server(|mut stream| {
            asked(&mut stream);
            stream.write_all(b"HTTP/1.1 200").unwrap();
        });
        let error = ask(&wire, CONNECT, &at).await.unwrap_err();
        assert_eq!(error.as_other(), Some(ErrorKind::TransientError), "{error:?}");
    }

    #[tokio::test]
    async fn what_speaks_no_tls_and_what_speaks_no_http_is_no_answer() {
        let at = server(|mut stream| {
            let _ = stream.write_all(b"220 mail\r\n");
        });
        let wire = Wire::new(CONNECT).unwrap();
        let error = ask(&wire, CONNECT, &at.replace("http:", "https:")).await.unwrap_err();
        assert!(error.is_io(), "{error:?}");
        let error = ask(&wire, CONNECT, &at).await.unwrap_err();
        assert!(error.is_other() && error.as_other().is_none(), "{error:?}");
    }

    #[test]
    fn only_suites_with_forward_secrecy_are_offered() {
        let config = tls().unwrap();
        let offered: Vec<CipherSuite> =
            config.crypto_provider().cipher_suites.iter().map(rustls::SupportedCipherSuite::suite).collect();
        assert_eq!(offered.len(), SUITES.len());
        assert!(SUITES.iter().all(|suite| offered.contains(suite)));
    }
}

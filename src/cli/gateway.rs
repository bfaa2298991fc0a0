//! Client of a running gateway's operator API, over HTTP or HTTPS.

use std::fmt;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Ended;
use super::runtime::block_on;
use crate::config::address;
use crate::printable::{self, Printable};
use crate::secret::Secret;
use crate::trust;

/// Default address of the operator's listener.
pub(super) const DEFAULT_ADMIN: &str = "http://127.0.0.1:9091";
/// The token itself, where there is no file.
const TOKEN_VARIABLE: &str = "MOONGATE_TOKEN";
/// How long a gateway may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// Address of a gateway, the token for it, and the output format.
#[derive(Clone, Debug, Args)]
pub struct Gateway {
    /// The operator's listener of the gateway
    #[arg(long, value_name = "URL", env = "MOONGATE_ADMIN", default_value = DEFAULT_ADMIN)]
    admin: String,
    /// The file with an operator's token [default: the environment variable MOONGATE_TOKEN has the
    /// token]
    #[arg(long, value_name = "FILE", env = "MOONGATE_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// Prints JSON for programs
    #[arg(long)]
    pub json: bool,
}

/// A refusal of the gateway.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Refused {
    message: String,
    #[serde(default)]
    errors: Vec<String>,
    code: String,
    request_id: String,
}

/// A JSON page. Kept as the gateway wrote it, since reserializing would change how small amounts
/// look. Unsafe characters are escaped.
pub struct Page {
    value: Value,
    text: String,
}

impl Page {
    /// The page's `rows`, each as the gateway wrote it.
    #[must_use]
    pub fn raw_rows(&self) -> Vec<&RawValue> {
        #[derive(serde::Deserialize)]
        struct Rows<'a> {
            #[serde(borrow)]
            rows: Vec<&'a RawValue>,
        }
        serde_json::from_str::<Rows<'_>>(&self.text).map(|page| page.rows).unwrap_or_default()
    }
}

impl Deref for Page {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.value
    }
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Gateway {
    /// Reads a page as JSON.
    ///
    /// # Errors
    /// [`Ended::Misused`] for wrong arguments, also when the gateway answers 400;
    /// [`Ended::Unclear`] when there was no answer, or a 5xx; else [`Ended::Failed`]. With the
    /// gateway's message if it has one.
    pub fn get(&self, path_and_query: &str) -> Result<Page, Ended> {
        self.read(&self.ask(&Method::GET, path_and_query, None)?)
    }

    /// Reads a page as bytes.
    ///
    /// # Errors
    /// As for [`Self::get`].
    pub fn get_as_it_is(&self, path_and_query: &str) -> Result<Bytes, Ended> {
        self.ask(&Method::GET, path_and_query, None)
    }

    /// Sends a change and returns the gateway's answer.
    ///
    /// # Errors
    /// As for [`Self::get`].
    pub fn post(&self, path: &str, body: &Value) -> Result<Page, Ended> {
        self.read(&self.ask(&Method::POST, path, Some(body))?)
    }

    fn read(&self, body: &[u8]) -> Result<Page, Ended> {
        let unreadable = |_| {
            Ended::Failed(format!(
                "what answers at {} is no gateway: it gave no JSON; --admin must be the address \
                 of the operator's listener",
                self.admin
            ))
        };
        let value = serde_json::from_slice(body).map_err(unreadable)?;
        Ok(Page { value, text: printable::json(&String::from_utf8_lossy(body)).into_owned() })
    }

    fn ask(
        &self,
        method: &Method,
        path_and_query: &str,
        body: Option<&Value>,
    ) -> Result<Bytes, Ended> {
        let token = self.token()?;
        let uri = base(&self.admin)?;
        let request = request(method, &uri, path_and_query, &token, body).ok_or_else(|| {
            Ended::Misused(
                "the token, or a name that was given, cannot be sent in a request".to_owned(),
            )
        })?;
        let (status, body) = block_on(async {
            let answered = tokio::time::timeout(ANSWER_WITHIN, exchange(&uri, request)).await;
            answered.unwrap_or_else(|_| Err(Unanswered::Sent("no answer within 30 seconds".into())))
        })?
        .map_err(|unanswered| match unanswered {
            Unanswered::NotReached(why) => Ended::Failed(format!(
                "no gateway can be reached at {}: {why}; --admin must be the address of its \
                 operator's listener",
                self.admin
            )),
            Unanswered::Sent(why) => Ended::Unclear(format!(
                "the gateway at {} was asked and did not answer: {why}",
                self.admin
            )),
        })?;
        if status.is_success() { Ok(body) } else { Err(refused(status, &body)) }
    }

    fn token(&self) -> Result<Secret, Ended> {
        let text = match &self.token_file {
            Some(path) => std::fs::read_to_string(path).map_err(|error| {
                Ended::Misused(format!("the token file {} cannot be read: {error}", path.display()))
            })?,
            None => std::env::var(TOKEN_VARIABLE).map_err(|_| {
                Ended::Misused(format!(
                    "an operator's token is needed: --token-file FILE, or the environment \
                     variable {TOKEN_VARIABLE}"
                ))
            })?,
        };
        let token = Secret::new(&text);
        if token.expose().is_empty() {
            Err(Ended::Misused("the operator's token is empty".to_owned()))
        } else {
            Ok(token)
        }
    }
}

/// Parses the address in `--admin`: a scheme, a host and a port only.
///
/// # Errors
/// [`Ended::Misused`]: it is something else.
pub(super) fn base(admin: &str) -> Result<Uri, Ended> {
    let wrong = || {
        Ended::Misused(format!(
            "--admin must be http://HOST:PORT or https://HOST:PORT, not {admin:?}"
        ))
    };
    let uri: Uri = admin.trim_end_matches('/').parse().map_err(|_| wrong())?;
    let spoken = [Some(&Scheme::HTTP), Some(&Scheme::HTTPS)].contains(&uri.scheme());
    let plain = matches!(uri.path(), "" | "/") && uri.query().is_none();
    let named = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    if !(spoken && plain && named) {
        return Err(wrong());
    }
    let reachable = uri.authority().map_or(Ok(()), address::reachable);
    reachable.map_err(|what| Ended::Misused(format!("--admin {what}, not {admin:?}")))?;
    Ok(uri)
}

fn request(
    method: &Method,
    uri: &Uri,
    path: &str,
    token: &Secret,
    body: Option<&Value>,
) -> Option<Request<Full<Bytes>>> {
    let mut authorization = HeaderValue::from_str(&format!("Bearer {}", token.expose())).ok()?;
    authorization.set_sensitive(true);
    let content = body.map(Value::to_string).unwrap_or_default();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, uri.authority()?.as_str())
        .header(AUTHORIZATION, authorization)
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "*/*")
        .header(USER_AGENT, concat!("moongate/", env!("CARGO_PKG_VERSION")));
    request.body(Full::new(Bytes::from(content))).ok()
}

/// Why there is no answer.
pub(super) enum Unanswered {
    /// Connecting failed, so nothing was sent.
    NotReached(tower::BoxError),
    /// The request was sent, or may have been.
    Sent(tower::BoxError),
}

/// Sends one request on its own connection.
///
/// # Errors
/// Connecting failed, or no answer came.
pub(super) async fn exchange(
    uri: &Uri,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), Unanswered> {
    let secure = uri.scheme() == Some(&Scheme::HTTPS);
    let host =
        uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let stream = TcpStream::connect((host.as_str(), port)).await.map_err(not_reached)?;
    if secure {
        let tls = trust::client_config(true, None).map_err(not_reached)?;
        let name = ServerName::try_from(host).map_err(not_reached)?;
        let stream =
            TlsConnector::from(Arc::new(tls)).connect(name, stream).await.map_err(not_reached)?;
        return exchange_on(stream, request).await.map_err(Unanswered::Sent);
    }
    exchange_on(stream, request).await.map_err(Unanswered::Sent)
}

fn not_reached(why: impl Into<tower::BoxError>) -> Unanswered {
    Unanswered::NotReached(why.into())
}

async fn exchange_on<S>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), tower::BoxError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await?;
    let (status, body) = (answer.status(), Limited::new(answer.into_body(), ANSWER_BYTES_MAX));
    let body = body.collect().await?.to_bytes();
    connection.abort();
    Ok((status, body))
}

/// The error for a refusal, with the gateway's message. A 400 is a mistake of the user.
fn refused(status: StatusCode, body: &[u8]) -> Ended {
    let Ok(refused) = serde_json::from_slice::<Refused>(body) else {
        return Ended::Failed(format!("what answers is no gateway: it said {status}"));
    };
    let details: String =
        refused.errors.iter().map(|problem| format!("\n  {}", Printable::whole(problem))).collect();
    let [message, code, request_id] =
        [&refused.message, &refused.code, &refused.request_id].map(|text| Printable::whole(text));
    // A gateway without operators has no such pages.
    let hint = match &*refused.code {
        "route_not_found" => {
            "\n  its configuration names no operators (admin.tokens), or it is another version \
             of the gateway"
        }
        _ => "",
    };
    let text = format!("{message} ({code}, request {request_id}){details}{hint}");
    match status {
        StatusCode::BAD_REQUEST => Ended::Misused(text),
        status if status.is_server_error() => Ended::Unclear(text),
        _ => Ended::Failed(text),
    }
}

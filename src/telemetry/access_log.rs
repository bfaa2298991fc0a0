//! Access log: one line per ended request, with caller, model, outcome, cost and timings.
//!
//! Never contains a path beyond the route's name, a query, a header value, a prompt or a
//! credential.

use std::fmt::Write as _;
use std::time::Duration;

use http::{Method, StatusCode};
use jiff::Timestamp;

use super::Outcome;
use super::json_line::JsonLine;
use super::logs::Form;
use super::metrics::NO_ROUTE;
use super::sink::Sink;
use crate::ledger::ReservationId;
use crate::request::{RequestFacts, RequestId};
use crate::team::Credential;

/// The access log, or none.
#[derive(Clone, Debug)]
pub struct AccessLog {
    sink: Option<Sink>,
    form: Form,
}

/// Contents of a line beyond the facts that the layers noted.
#[derive(Debug)]
pub struct Ended<'a> {
    /// Time of its end.
    pub at: Timestamp,
    /// The request's id.
    pub id: &'a RequestId,
    /// The method.
    pub method: &'a Method,
    /// Status of the answer; 499 when the caller left before it.
    pub status: StatusCode,
    /// Outcome.
    pub outcome: Outcome,
    /// Bytes of the answer's body that were sent.
    pub bytes_out: u64,
    /// Time from the request's head to the end of the answer.
    pub duration: Duration,
    /// The gateway's own part of the time until the answer was ready.
    pub own: Duration,
}

impl AccessLog {
    /// Writes lines in this format to this sink.
    #[must_use]
    pub const fn new(sink: Sink, form: Form) -> Self {
        Self { sink: Some(sink), form }
    }

    /// Writes nothing (`telemetry.access_log: false`).
    #[must_use]
    pub const fn off() -> Self {
        Self { sink: None, form: Form::Json }
    }

    /// Writes the line of a request.
    pub fn write(&self, ended: &Ended<'_>, facts: &RequestFacts) {
        let Some(sink) = &self.sink else { return };
        match self.form {
            Form::Json => sink.append(&json(ended, facts)),
            Form::Text => sink.append(text(ended, facts).as_bytes()),
        }
    }
}

fn json(ended: &Ended<'_>, facts: &RequestFacts) -> Vec<u8> {
    let mut line = JsonLine::new(ended.at, level(ended.status), "request");
    line.text("request_id", ended.id.as_str());
    if let Some(client) = facts.client {
        line.address("client", client);
    }
    if let Some(id) = facts.call_id {
        line.text("call_id", id.encode(&mut [0; ReservationId::LENGTH]));
    }
    if let Some(trace) = facts.trace {
        line.text("trace_id", trace.text().trace_id());
    }
    line.some_text("team", facts.team.as_ref().map(|team| team.as_str()));
    line.some_text("user", facts.user.as_ref().map(|user| user.as_str()));
    line.some_text("credential", facts.credential.as_ref().map(Credential::kind));
    line.some_text("key_id", key_id(facts));
    line.some_text("issuer", issuer(facts));
    line.text("route", facts.route.unwrap_or(NO_ROUTE));
    line.text("method", known_method(ended.method).unwrap_or("other"));
    line.number("status", ended.status.as_u16().into());
    line.some_text("code", facts.refusal.map(|kind| kind.code));
    line.some_text("limit", facts.limit.as_deref());
    line.text("outcome", ended.outcome.name());
    line.some_text("replay", facts.replay);
    line.some_text("model", facts.model.as_ref().map(|model| model.as_str()));
    if let Some(charged) = facts.charged {
        line.credits("credits", charged);
    }
    line.number("bytes_in", facts.bytes_in);
    line.number("bytes_out", ended.bytes_out);
    line.millis("duration_ms", ended.duration);
    line.millis("queue_ms", facts.queue);
    line.millis("upstream_ms", facts.upstream);
    if !facts.joined.is_zero() {
        line.millis("joined_ms", facts.joined);
    }
    line.millis("own_ms", ended.own);
    if let Some(status) = facts.upstream_status {
        line.number("upstream_status", status.into());
    }
    line.some_text("upstream_key", facts.upstream_key.as_deref());
    line.end()
}

/// The text format, for people at a terminal: the most important first.
fn text(ended: &Ended<'_>, facts: &RequestFacts) -> String {
    let (method, route) =
        (known_method(ended.method).unwrap_or("other"), facts.route.unwrap_or(NO_ROUTE));
    let mut line = format!(
        "{:.3} {method} {route} {} {}",
        ended.at,
        ended.status.as_u16(),
        ended.outcome.name()
    );
    // Writing to memory cannot fail.
    if let Some(kind) = facts.refusal {
        let _ = write!(line, " {}", kind.code);
    }
    if let Some(limit) = &facts.limit {
        let _ = write!(line, " {limit}");
    }
    if let Some(replay) = facts.replay {
        let _ = write!(line, " {replay}");
    }
    if let Some(team) = &facts.team {
        // Escaped: a user's name comes from outside and must not put control characters on a
        // terminal.
        let user = facts.user.as_ref().map_or("-", |user| user.as_str());
        let _ = write!(line, " {team}/{}", user.escape_debug());
    }
    if let Some(model) = &facts.model {
        let _ = write!(line, " {model}");
    }
    if let Some(charged) = facts.charged {
        let _ = write!(line, " {charged} credits");
    }
    let millis = |time: Duration| time.as_secs_f64() * 1000.0;
    let (whole, queue, upstream, own) = (ended.duration, facts.queue, facts.upstream, ended.own);
    let _ = write!(
        line,
        " {:.1} ms (queue {:.1}, upstream {:.1}, own {:.1}) {}",
        millis(whole),
        millis(queue),
        millis(upstream),
        millis(own),
        ended.id
    );
    if let Some(id) = facts.call_id {
        let _ = write!(line, " call {id}");
    }
    line.push('\n');
    line
}

/// Public id of a gateway key. Tokens have no id to show.
fn key_id(facts: &RequestFacts) -> Option<&str> {
    match &facts.credential {
        Some(Credential::Key(id)) => Some(id.as_str()),
        Some(Credential::Token { .. }) | None => None,
    }
}

/// Issuer of a token. Keys have none.
fn issuer(facts: &RequestFacts) -> Option<&str> {
    match &facts.credential {
        Some(Credential::Token { issuer }) => Some(issuer),
        Some(Credential::Key(_)) | None => None,
    }
}

/// A method with a standard name: callers can invent methods of any length.
pub(super) fn known_method(method: &Method) -> Option<&str> {
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::PATCH,
        Method::OPTIONS,
        Method::CONNECT,
        Method::TRACE,
    ];
    known.contains(method).then(|| method.as_str())
}

/// Level of a line: a bug is an error, what an operator should look at is a warning.
fn level(status: StatusCode) -> &'static str {
    match status.as_u16() {
        500 => "error",
        501.. => "warn",
        _ => "info",
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;
    use crate::credits::Credits;
    use crate::model::ModelId;
    use crate::refusal::Refusal;
    use crate::request::Traceparent;
    use crate::team::KeyId;
    use crate::team::{TeamId, UserId};

    fn facts() -> RequestFacts {
        RequestFacts {
            route: Some("/api/v1/{model}"),
            call_id: "0193a1b2c3d47e5f8a9b0c1d2e3f4a5b".parse().ok(),
            team: TeamId::parse("design"),
            user: UserId::parse("alice \"al\" \u{202e}"),
            credential: KeyId::parse("k7Qp2mZr9aBc").map(Credential::Key),
            model: ModelId::parse("flux/dev"),
            model_is_priced: true,
            client: "192.0.2.1".parse().ok(),
            upstream_key: Some("primary".into()),
            charged: Some(Credits::from_micros(25_000)),
            upstream: Duration::from_micros(800_100),
            upstream_status: Some(200),
            trace: Traceparent::parse(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            bytes_in: 42,
            ..RequestFacts::default()
        }
    }

    fn ended<'a>(id: &'a RequestId, method: &'a Method, status: StatusCode) -> Ended<'a> {
        Ended {
            at: "2026-11-22T14:26:08.123Z".parse().expect("a time"),
            id,
            method,
            status,
            outcome: Outcome::Ok,
            bytes_out: 500,
            duration: Duration::from_micros(812_345),
            own: Duration::from_micros(245),
        }
    }

    fn id() -> RequestId {
        RequestId::accept(Some(&http::HeaderValue::from_static("r1")))
    }

    #[test]
    fn a_log_line_says_who_what_cost_and_time_spent() {
        let line = json(&ended(&id(), &Method::POST, StatusCode::OK), &facts());
        let expected = "{\"ts\":\"2026-11-22T14:26:08.123Z\",\"level\":\"info\",\
            \"msg\":\"request\",\"request_id\":\"r1\",\
            \"client\":\"192.0.2.1\",\"call_id\":\"0193a1b2c3d47e5f8a9b0c1d2e3f4a5b\",\
            \"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"team\":\"design\",\
            \"user\":\"alice \\\"al\\\" \\u202e\",\"credential\":\"key\",\
            \"key_id\":\"k7Qp2mZr9aBc\",\
            \"route\":\"/api/v1/{model}\",\"method\":\"POST\",\"status\":200,\"outcome\":\"ok\",\
            \"model\":\"flux/dev\",\"credits\":0.025,\"bytes_in\":42,\"bytes_out\":500,\
            \"duration_ms\":812.345,\"queue_ms\":0.000,\
            \"upstream_ms\":800.100,\"own_ms\":0.245,\"upstream_status\":200,\
            \"upstream_key\":\"primary\"}\n";
        assert_eq!(String::from_utf8(line).expect("text"), expected);
    }

    #[test]
    fn a_refused_stranger_has_a_short_line() {
        let facts = RequestFacts {
            refusal: Some(Refusal::CredentialMissing.kind()),
            ..RequestFacts::default()
        };
        let invented = Method::from_bytes(&[b'A'; 4000]).expect("a method");
        let id = id();
        let ended =
            Ended { outcome: Outcome::Refused, ..ended(&id, &invented, StatusCode::UNAUTHORIZED) };
        let line = String::from_utf8(json(&ended, &facts)).expect("text");
        assert!(line.contains(
            "\"route\":\"none\",\"method\":\"other\",\"status\":401,\"code\":\"credential_missing\""
        ));
        assert!(!line.contains("team") && line.len() < 400, "{line}");
    }

    #[test]
    fn a_token_s_line_has_no_key_id() {
        let facts = RequestFacts {
            credential: Some(Credential::Token { issuer: "https://sso".into() }),
            ..facts()
        };
        let line = String::from_utf8(json(&ended(&id(), &Method::POST, StatusCode::OK), &facts))
            .expect("text");
        assert!(
            line.contains("\"credential\":\"jwt\",\"issuer\":\"https://sso\",\"route\""),
            "{line}"
        );
    }

    #[test]
    fn a_line_names_the_limit_and_the_replay() {
        let facts = RequestFacts {
            refusal: Some(Refusal::LedgerUnavailable.kind()),
            limit: Some("user:requests_per_minute".to_owned()),
            replay: Some("joined"),
            client: "2001:db8::1".parse().ok(),
            ..RequestFacts::default()
        };
        let id = id();
        let ended = ended(&id, &Method::POST, StatusCode::SERVICE_UNAVAILABLE);
        let line = String::from_utf8(json(&ended, &facts)).expect("text");
        assert!(line.contains("\"client\":\"2001:db8::1\""), "{line}");
        assert!(line.contains("\"limit\":\"user:requests_per_minute\",\"outcome\""), "{line}");
        assert!(line.contains("\"replay\":\"joined\""), "{line}");
        let line = text(&ended, &facts);
        assert!(line.contains("ledger_unavailable user:requests_per_minute joined"), "{line}");
    }

    #[test]
    fn the_text_for_people_is_one_line_without_control_characters() {
        let line = text(&ended(&id(), &Method::POST, StatusCode::OK), &facts());
        assert_eq!(
            line,
            "2026-11-22T14:26:08.123Z POST /api/v1/{model} 200 ok \
             design/alice \\\"al\\\" \\u{202e} flux/dev 0.025 credits 812.3 ms \
             (queue 0.0, upstream 800.1, own 0.2) r1 call 0193a1b2c3d47e5f8a9b0c1d2e3f4a5b\n"
        );
    }

    #[test]
    fn what_failed_here_stands_out() {
        for (status, expected) in [(200, "info"), (499, "info"), (500, "error"), (503, "warn")] {
            assert_eq!(level(StatusCode::from_u16(status).expect("a status")), expected);
        }
    }
}

//! Applies faults: answers in place of a call, or right answers spoilt on their way out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use jiff::Timestamp;

use super::answers::{self, Answer};
use super::connection::{ConnectionHandle, Content, Piece};
use super::faults::{Fault, Kind, Then};
use super::models;

/// What is sent on the connection.
pub(super) enum Reply {
    Answer(Response<Content>),
    /// Sends these bytes, outside HTTP; then the connection ends.
    Raw(String, Then),
    /// Sends nothing; the connection ends.
    End(Then),
}

/// How long a connection about to be broken may take to send what should arrive before.
const FLUSH: Duration = Duration::from_millis(50);

/// Passes an answer on unchanged.
pub(super) fn unspoilt(answer: Answer) -> Reply {
    Reply::Answer(answer.map(Content::Whole))
}

/// The answer in place of a call that is not executed; `None` for faults that are no answers.
pub(super) fn instead(
    fault: &Fault,
    model: Option<&str>,
    now: Timestamp,
    retry_after: bool,
) -> Option<Answer> {
    let provider = model.and_then(models::find).map_or("flux", |model| model.provider);
    let text = fault.text.as_deref();
    let status = |default| fault.status().unwrap_or(default);
    match fault.kind {
        Kind::InvalidKey => Some(answers::invalid_key()),
        Kind::InsufficientCredits => Some(answers::insufficient_credits()),
        Kind::AccessDenied => Some(answers::access_denied(provider)),
        Kind::Suspended => Some(answers::suspended()),
        Kind::ModelNotFound => Some(answers::model_not_found(model.unwrap_or_default())),
        Kind::HtmlNotFound => Some(answers::not_found_page()),
        Kind::PayloadTooLarge => Some(answers::payload_too_large()),
        Kind::RateLimited => {
            let reset = now.as_second().saturating_add(i64::try_from(fault.amount()).unwrap_or(0));
            let mut answer = answers::rate_limited(now, reset, retry_after);
            answers::allow(
                &mut answer,
                super::account::Allowance { limit: 60, remaining: 0, reset },
            );
            Some(answer)
        }
        Kind::Redirect => Some(answers::redirect(
            status(StatusCode::TEMPORARY_REDIRECT),
            text.unwrap_or("https://elsewhere.example/api"),
        )),
        Kind::BadGateway => Some(answers::bad_gateway()),
        Kind::Answer => Some(answers::scripted(
            status(StatusCode::SERVICE_UNAVAILABLE),
            text.unwrap_or_default().to_owned(),
        )),
        Kind::GenerationFailed => Some(answers::generation_failed(text.unwrap_or("timeout"))),
        Kind::PlatformTimeout => Some(answers::platform_timeout()),
        Kind::Raw
        | Kind::ResetBeforeAnswer
        | Kind::ResetAfterHeaders
        | Kind::CutBody
        | Kind::CloseAfterAnswer => None,
        Kind::SlowHeaders
        | Kind::SlowBody
        | Kind::EmptyImages
        | Kind::MoreImages
        | Kind::Nsfw
        | Kind::MediaMissing => None,
        Kind::Hold
        | Kind::DataUri
        | Kind::NullFields
        | Kind::BrokenJson
        | Kind::OversizedHeader
        | Kind::EchoAuthorization => None,
    }
}

/// Applies a fault to an answer; faults that have shaped it already pass it on.
pub(super) fn spoil(
    mut answer: Answer,
    fault: &Fault,
    called_with: &HeaderMap,
    handle: &Arc<ConnectionHandle>,
) -> Reply {
    let whole = answer.body().clone();
    let half = whole.slice(..whole.len() / 2);
    match fault.kind {
        Kind::Raw => Reply::Raw(fault.text.clone().unwrap_or_default(), fault.then()),
        Kind::ResetBeforeAnswer => Reply::End(fault.then()),
        Kind::ResetAfterHeaders => {
            in_pieces(answer, [Piece::Pause(FLUSH), Piece::End(fault.then())], handle)
        }
        Kind::CutBody => in_pieces(
            answer,
            [Piece::Data(half), Piece::Pause(FLUSH), Piece::End(fault.then())],
            handle,
        ),
        Kind::CloseAfterAnswer => {
            in_pieces(answer, [Piece::LastAnswer, Piece::Data(whole)], handle)
        }
        Kind::SlowBody => {
            let (size, pause) = (fault.count().max(1), fault.after());
            let piece = |start: usize| {
                [
                    Piece::Pause(pause),
                    Piece::Data(whole.slice(start..whole.len().min(start + size))),
                ]
            };
            in_pieces(answer, (0..whole.len()).step_by(size).flat_map(piece), handle)
        }
        Kind::BrokenJson => {
            *answer.body_mut() = half;
            unspoilt(answer)
        }
        Kind::OversizedHeader => {
            if let Ok(value) = HeaderValue::from_str(&"x".repeat(fault.count())) {
                answer.headers_mut().insert("x-oversized", value);
            }
            unspoilt(answer)
        }
        Kind::EchoAuthorization => echo(answer, fault, called_with, handle),
        Kind::InvalidKey
        | Kind::InsufficientCredits
        | Kind::AccessDenied
        | Kind::Suspended
        | Kind::ModelNotFound => unspoilt(answer),
        Kind::HtmlNotFound | Kind::PayloadTooLarge | Kind::RateLimited | Kind::BadGateway => {
            unspoilt(answer)
        }
        // The replaced call was executed here.
        Kind::Hold => unspoilt(answer),
        Kind::Redirect
        | Kind::Answer
        | Kind::GenerationFailed
        | Kind::PlatformTimeout
        | Kind::SlowHeaders => unspoilt(answer),
        Kind::EmptyImages
        | Kind::MoreImages
        | Kind::Nsfw
        | Kind::MediaMissing
        | Kind::DataUri
        | Kind::NullFields => unspoilt(answer),
    }
}

/// The same answer with its true length, and its body in these pieces.
fn in_pieces(
    answer: Answer,
    pieces: impl IntoIterator<Item = Piece>,
    handle: &Arc<ConnectionHandle>,
) -> Reply {
    let (mut parts, body) = answer.into_parts();
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    Reply::Answer(Response::from_parts(parts, Content::pieces(pieces, handle)))
}

/// Imitates a careless service that reports the request it got.
fn echo(
    mut answer: Answer,
    fault: &Fault,
    called_with: &HeaderMap,
    handle: &Arc<ConnectionHandle>,
) -> Reply {
    let nothing = HeaderValue::from_static("");
    let credential = called_with.get(AUTHORIZATION).unwrap_or(&nothing);
    let text = credential.to_str().unwrap_or_default();
    match fault.text.as_deref() {
        Some("header") => {
            answer.headers_mut().insert("x-debug-authorization", credential.clone());
            unspoilt(answer)
        }
        Some("content_type") => {
            if let Ok(value) =
                HeaderValue::from_str(&format!("application/json; caller=\"{text}\""))
            {
                answer.headers_mut().insert(CONTENT_TYPE, value);
            }
            unspoilt(answer)
        }
        Some("error") => {
            unspoilt(answers::generation_failed(&format!("provider refused credential {text}")))
        }
        place => {
            let body = String::from_utf8_lossy(answer.body()).into_owned();
            let start = body.strip_suffix('}').unwrap_or(&body);
            let front = format!("{start},\"debug\":{{\"authorization\":\"");
            let middle = front.len() + text.len() / 2;
            let body = Bytes::from(format!("{front}{text}\"}}}}"));
            *answer.body_mut() = body.clone();
            if place != Some("split") {
                return unspoilt(answer);
            }
            let pieces = [
                Piece::Data(body.slice(..middle)),
                Piece::Pause(FLUSH),
                Piece::Data(body.slice(middle..)),
            ];
            in_pieces(answer, pieces, handle)
        }
    }
}

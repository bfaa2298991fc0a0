//! One request to the simulated API: call log, fault, route.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::HeaderValue;
use http::request::Parts;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::json;

use super::answers::{self, Answer};
use super::call_log::{Call, Caller, Outcome};
use super::connection::ConnectionHandle;
use super::faults::{self, Fault, Kind, Sight};
use super::firemoon::Firemoon;
use super::generation;
use super::history;
use super::media;
use super::models::{self, MODELS};
use super::order::{self, Order};
use super::settings::{BalanceShape, History, ListShape};
use super::spoil::{self, Reply};

/// Request header that triggers a fault.
const FAULT: &str = "x-simulator-fault";

/// Answers one request. Runs to its end even if the caller leaves, as the real service does.
pub(super) async fn answer(
    firemoon: Arc<Firemoon>,
    handle: Arc<ConnectionHandle>,
    request: Request<Incoming>,
) -> Reply {
    let (parts, body) = request.into_parts();
    let body = collect(body, firemoon.settings.body_bytes_max).await;
    if parts.uri.path().starts_with("/_simulator/") {
        let control = match body {
            Collected::Whole(body) => super::control::answer(&firemoon, &parts, &body),
            Collected::TooLarge | Collected::Broken(_) => answers::payload_too_large(),
        };
        return spoil::unspoilt(control);
    }
    let bytes = match &body {
        Collected::Whole(bytes) | Collected::Broken(bytes) => bytes.clone(),
        Collected::TooLarge => Bytes::new(),
    };
    let (caller, name) = identify(&firemoon, &parts);
    let call = Call::arrived(
        &parts,
        handle.number,
        &bytes,
        caller,
        name.as_deref(),
        firemoon.now().as_millisecond(),
    );
    let number = firemoon.state().call_log.open(call, caller);
    let visit = Visit { firemoon: &firemoon, parts: &parts, caller, name, number };
    let (reply, outcome) = match body {
        Collected::Whole(body) => visit.reply(&body, &handle).await,
        // A caller that did not send all of it expects no answer.
        Collected::Broken(_) => (Reply::End(faults::Then::Close), Outcome::default()),
        Collected::TooLarge if firemoon.settings.platform_answers => {
            visit.plain(answers::payload_too_large())
        }
        Collected::TooLarge => visit.plain(answers::payload_too_large_json()),
    };
    firemoon.state().call_log.close(number, outcome, firemoon.now().as_millisecond());
    reply
}

fn identify(firemoon: &Firemoon, parts: &Parts) -> (Caller, Option<String>) {
    let state = firemoon.state();
    let caller = state.caller(&parts.headers);
    (caller, state.key(caller).map(|key| key.name.clone()))
}

enum Collected {
    Whole(Bytes),
    TooLarge,
    /// The caller left or broke the framing; what came until then.
    Broken(Bytes),
}

/// Reads a body of at most `most` bytes. More of a larger one is read and discarded, so that a
/// caller who reads only after sending gets the refusal.
async fn collect(mut body: Incoming, most: usize) -> Collected {
    let patience = most.saturating_mul(4);
    let (mut collected, mut seen) = (BytesMut::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Collected::Broken(collected.freeze()) };
        let Ok(data) = frame.into_data() else { continue };
        seen = seen.saturating_add(data.len());
        if seen > patience {
            break;
        }
        if seen <= most {
            collected.extend_from_slice(&data);
        }
    }
    if seen > most { Collected::TooLarge } else { Collected::Whole(collected.freeze()) }
}

/// The routes of the API.
enum Route<'a> {
    Generate(&'a str),
    Balance,
    Generations,
    Usage,
    Models,
    ModelConfiguration(&'a str),
    SampleImages,
    /// Doubled or trailing slash: the platform's redirect target.
    Elsewhere(String),
    WrongMethod,
    Nowhere,
}

impl Route<'_> {
    fn of(parts: &Parts) -> Route<'_> {
        let path = parts.uri.path();
        if path.contains("//") || (path.len() > 1 && path.ends_with('/')) {
            let segments: Vec<&str> =
                path.split('/').filter(|segment| !segment.is_empty()).collect();
            let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
            return Route::Elsewhere(format!("/{}{query}", segments.join("/")));
        }
        let reads = matches!(parts.method, Method::GET | Method::HEAD);
        if let Some(model) = path.strip_prefix("/api/v1/") {
            return match parts.method {
                Method::POST => Route::Generate(model),
                // Documented in the past, now stubs.
                Method::GET | Method::HEAD => Route::Nowhere,
                _ => Route::WrongMethod,
            };
        }
        let route = match path {
            "/api/credits/balance" => Route::Balance,
            "/api/generations" => Route::Generations,
            "/api/usage" => Route::Usage,
            "/api/models" => Route::Models,
            "/api/sample-images" => Route::SampleImages,
            _ => match path.strip_prefix("/api/models-config/") {
                Some(model) => Route::ModelConfiguration(model),
                None => return Route::Nowhere,
            },
        };
        if reads { route } else { Route::WrongMethod }
    }
}

/// A request that is in the call log.
struct Visit<'a> {
    firemoon: &'a Firemoon,
    parts: &'a Parts,
    caller: Caller,
    name: Option<String>,
    number: u64,
}

impl Visit<'_> {
    /// The answer, spoilt by the fault that applies.
    async fn reply(&self, body: &[u8], handle: &Arc<ConnectionHandle>) -> (Reply, Outcome) {
        let route = Route::of(self.parts);
        let body = order::read(body);
        let model = if let Route::Generate(model) = route { Some(model) } else { None };
        let fault = match self.fault(model, body.prompt()) {
            Ok(fault) => fault,
            Err(error) => {
                return self.plain(answers::invalid_input(&[format!("{FAULT}: {error}")]));
            }
        };
        let Some(fault) = fault else {
            let (answer, outcome) = self.run(&route, &body, None).await;
            return (spoil::unspoilt(self.finished(answer)), outcome);
        };
        let replaces =
            matches!(fault.kind, Kind::GenerationFailed | Kind::PlatformTimeout) && model.is_none();
        let (answer, outcome) = if fault.runs() && !replaces {
            let (answer, outcome) = self.run(&route, &body, Some(&fault)).await;
            if answer.status() != StatusCode::OK && !outcome.executed {
                return (spoil::unspoilt(self.finished(answer)), outcome);
            }
            let replaced = matches!(fault.kind, Kind::Answer | Kind::Redirect | Kind::BadGateway)
                .then(|| self.instead(&fault, model));
            (replaced.flatten().unwrap_or(answer), outcome)
        } else {
            (self.instead(&fault, model).unwrap_or_else(answers::bad_gateway), Outcome::default())
        };
        if fault.kind != Kind::SlowBody {
            tokio::time::sleep(fault.after()).await;
        }
        let reply = spoil::spoil(self.finished(answer), &fault, &self.parts.headers, handle);
        let status = match &reply {
            Reply::Answer(answer) => Some(answer.status().as_u16()),
            Reply::Raw(..) | Reply::End(_) => None,
        };
        (reply, Outcome { status, ..outcome })
    }

    /// The fault in the request's header, or of the first matching rule.
    fn fault(&self, model: Option<&str>, prompt: Option<&str>) -> Result<Option<Fault>, String> {
        let text = |name: &str| self.parts.headers.get(name).and_then(|value| value.to_str().ok());
        let mut state = self.firemoon.state();
        let fault = match text(FAULT) {
            Some(header) => Some(Fault::from_header(header)?),
            None if state.rules.is_empty() => None,
            None => {
                let request_id = text("x-request-id");
                let sight = Sight {
                    path: self.parts.uri.path(),
                    model,
                    prompt,
                    request_id,
                    key: self.name.as_deref(),
                };
                faults::meet(&mut state.rules, sight)
            }
        };
        if let Some(name) = fault.as_ref().and_then(|fault| serde_json::to_value(fault.kind).ok()) {
            state.call_log.note(self.number, name.as_str().unwrap_or_default().to_owned());
        }
        Ok(fault)
    }

    fn instead(&self, fault: &Fault, model: Option<&str>) -> Option<Answer> {
        spoil::instead(fault, model, self.firemoon.now(), self.firemoon.settings.retry_after)
    }

    fn plain(&self, answer: Answer) -> (Reply, Outcome) {
        let outcome = Outcome { status: Some(answer.status().as_u16()), ..Outcome::default() };
        (spoil::unspoilt(self.finished(answer)), outcome)
    }

    /// Adds the headers of every answer: the key's limits, and the platform's.
    fn finished(&self, mut answer: Answer) -> Answer {
        if !answer.headers().contains_key("x-ratelimit-limit") {
            self.firemoon.state().allow(&mut answer, self.caller, self.firemoon.now());
        }
        let headers = answer.headers_mut();
        headers.insert("server", HeaderValue::from_static("Vercel"));
        headers.insert("x-vercel-id", HeaderValue::from_static("sim1::simulated"));
        headers.insert("strict-transport-security", HeaderValue::from_static("max-age=63072000"));
        answer
    }

    async fn run(
        &self,
        route: &Route<'_>,
        body: &order::Body,
        fault: Option<&Fault>,
    ) -> (Answer, Outcome) {
        let answer = match (route, self.caller) {
            (Route::Generate(model), Caller::Key(key)) => {
                return generation::generate(self.firemoon, key, model, body, fault).await;
            }
            (Route::Balance, Caller::Key(key)) => self.read(key, Self::balance),
            (Route::Generations | Route::Usage, _)
                if self.firemoon.settings.history == History::Session =>
            {
                answers::session_required()
            }
            (Route::Generations, Caller::Key(key)) => self.read(key, Self::generations),
            (Route::Usage, Caller::Key(key)) => self.read(key, Self::usage),
            (
                Route::Generate(_) | Route::Balance | Route::Generations | Route::Usage,
                Caller::Nobody | Caller::Unknown,
            ) => answers::invalid_key(),
            (Route::Models, _) => {
                let price = |model| self.firemoon.price(model);
                match self.firemoon.settings.list_shape {
                    ListShape::Flat => answers::json(
                        StatusCode::OK,
                        &MODELS.iter().map(|model| model.listing(price(model))).collect::<Vec<_>>(),
                    ),
                    ListShape::Nested => {
                        let models: Vec<_> =
                            MODELS.iter().map(|model| model.nested(price(model))).collect();
                        answers::json(StatusCode::OK, &json!({ "models": models }))
                    }
                }
            }
            (Route::ModelConfiguration(id), _) => match models::find(id) {
                Some(model) => {
                    answers::json(StatusCode::OK, &model.configuration(self.firemoon.price(model)))
                }
                None => answers::model_not_found(id),
            },
            (Route::SampleImages, _) => self.sample_images(),
            (Route::Elsewhere(path), _) if self.firemoon.settings.platform_answers => {
                answers::redirect(StatusCode::PERMANENT_REDIRECT, path)
            }
            (Route::WrongMethod, _) => answers::method_not_allowed(),
            (Route::Nowhere, _) if self.firemoon.settings.platform_answers => {
                answers::not_found_page()
            }
            (Route::Nowhere | Route::Elsewhere(_), _) => answers::not_found(),
        };
        let status = Some(answer.status().as_u16());
        (answer, Outcome { status, ..Outcome::default() })
    }

    /// Answers a reading endpoint for a key that may read.
    fn read(&self, key: usize, view: impl Fn(&Self, usize) -> Answer) -> Answer {
        let now = self.firemoon.now();
        {
            let mut state = self.firemoon.state();
            let Some(key) = state.keys.get_mut(key) else { return answers::invalid_key() };
            if key.suspended {
                return answers::suspended();
            }
            if self.firemoon.settings.reads_count
                && let Err(reset) = key.take(now)
            {
                return answers::rate_limited(now, reset, self.firemoon.settings.retry_after);
            }
        }
        view(self, key)
    }

    fn balance(&self, key: usize) -> Answer {
        let state = self.firemoon.state();
        let account = state.keys.get(key).and_then(|key| state.accounts.get(key.account));
        let balance = account.map(|account| account.balance).unwrap_or_default();
        let body = match self.firemoon.settings.balance_shape {
            BalanceShape::Flat => json!({ "balance": balance }),
            BalanceShape::Nested => {
                json!({ "credits": { "balance": balance.to_string(), "currency": "USD" } })
            }
        };
        answers::json(StatusCode::OK, &body)
    }

    fn generations(&self, key: usize) -> Answer {
        let state = self.firemoon.state();
        let Some(history) = state.keys.get(key).and_then(|key| state.histories.get(key.account))
        else {
            return answers::invalid_key();
        };
        answers::json(
            StatusCode::OK,
            &history::page(history, self.parts.uri.query().unwrap_or_default()),
        )
    }

    fn usage(&self, key: usize) -> Answer {
        let state = self.firemoon.state();
        let Some(history) = state.keys.get(key).and_then(|key| state.histories.get(key.account))
        else {
            return answers::invalid_key();
        };
        match history::usage(
            history,
            self.parts.uri.query().unwrap_or_default(),
            self.firemoon.now(),
        ) {
            Ok(usage) => answers::json(StatusCode::OK, &usage),
            Err(problem) => answers::invalid_input(&[problem]),
        }
    }

    fn sample_images(&self) -> Answer {
        let order = Order { prompt: String::new(), units: 1, width: 1024, height: 768, seed: None };
        let urls: Vec<String> =
            (1..=8).map(|seed| self.firemoon.media(&media::image_path(&order, seed, 0))).collect();
        answers::json(StatusCode::OK, &urls)
    }
}

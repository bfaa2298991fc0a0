//! `POST /api/v1/{model}`: refused for a documented reason, or executed, charged and recorded.

use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::Value;

use super::answers::{self, Answer, Image, Images, Timings, Video, Videos};
use super::call_log::Outcome;
use super::faults::{Fault, Kind};
use super::firemoon::{Firemoon, State};
use super::history::{self, Generation, Status};
use super::media;
use super::models::{self, Makes, Model};
use super::order::{Body, Order};
use super::settings::Charge;
use crate::credits::Credits;

/// A generation that was admitted.
struct Ticket {
    key: usize,
    model: &'static Model,
    order: Order,
    price: Credits,
}

/// Outcome of a run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Succeeded,
    Failed,
    /// Killed by the platform, so that nothing is refunded.
    Killed,
}

/// Runs the whole call. The outcome's status is the answer's.
pub(super) async fn generate(
    firemoon: &Firemoon,
    key: usize,
    model: &str,
    body: &Body,
    fault: Option<&Fault>,
) -> (Answer, Outcome) {
    let ticket = match firemoon.state().admit(firemoon, key, model, body, firemoon.now()) {
        Ok(ticket) => ticket,
        Err(refusal) => {
            let outcome = Outcome { status: Some(refusal.status().as_u16()), ..Outcome::default() };
            return (*refusal, outcome);
        }
    };
    let draw = firemoon.draw();
    let latency = firemoon.settings.latency.unwrap_or(ticket.model.latency).drawn(draw);
    let in_time = latency <= firemoon.settings.time_out;
    let latency = latency.min(firemoon.settings.time_out);
    if fault.is_some_and(|fault| fault.kind == Kind::Hold) {
        firemoon.hold().await;
    } else if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let kind = fault.map(|fault| fault.kind);
    let end = match kind {
        _ if !in_time => End::Killed,
        Some(Kind::PlatformTimeout) => End::Killed,
        Some(Kind::GenerationFailed) => End::Failed,
        Some(_) | None => End::Succeeded,
    };
    let result = Made::new(firemoon, &ticket, fault, draw, latency);
    let answer = match end {
        End::Succeeded => result.answer(kind),
        End::Failed => answers::generation_failed(
            fault.and_then(|fault| fault.text.as_deref()).unwrap_or("timeout"),
        ),
        End::Killed => answers::platform_timeout(),
    };
    let charged =
        firemoon.state().settle(firemoon, &ticket, end, result.remembered(&ticket, draw, latency));
    let outcome = Outcome { status: Some(answer.status().as_u16()), executed: true, charged };
    (answer, outcome)
}

impl State {
    /// All refusals, in the assumed order of the service: suspension, limits, model, provider,
    /// body, credits. Every call that passes the limits counts in them.
    fn admit(
        &mut self,
        firemoon: &Firemoon,
        key: usize,
        model: &str,
        body: &Body,
        now: Timestamp,
    ) -> Result<Ticket, Box<Answer>> {
        let settings = &firemoon.settings;
        let place = key;
        let key = self.keys.get_mut(place).ok_or_else(|| Box::new(answers::invalid_key()))?;
        if key.suspended {
            return Err(Box::new(answers::suspended()));
        }
        key.take(now)
            .map_err(|reset| Box::new(answers::rate_limited(now, reset, settings.retry_after)))?;
        let model = models::find(model).ok_or_else(|| Box::new(answers::model_not_found(model)))?;
        if !key.may_use(model.provider) {
            return Err(Box::new(answers::access_denied(model.provider)));
        }
        let order =
            body.order(model).map_err(|problems| Box::new(answers::invalid_input(&problems)))?;
        let price = firemoon.price(model).times(order.units.into());
        let account =
            self.accounts.get_mut(key.account).ok_or_else(|| Box::new(answers::invalid_key()))?;
        if account.balance < price {
            return Err(Box::new(answers::insufficient_credits()));
        }
        match settings.charge {
            Charge::OnSuccess => {}
            Charge::BeforeAndRefund | Charge::BeforeAndKeep => {
                account.balance = account.balance.less(price)
            }
        }
        Ok(Ticket { key: place, model, order, price })
    }

    /// Charges or refunds, and records. Returns the final cost.
    fn settle(
        &mut self,
        firemoon: &Firemoon,
        ticket: &Ticket,
        end: End,
        generation: Generation,
    ) -> Credits {
        let Some(place) = self.keys.get(ticket.key).map(|key| key.account) else {
            return Credits::ZERO;
        };
        let Some(account) = self.accounts.get_mut(place) else { return Credits::ZERO };
        let cost = match (firemoon.settings.charge, end) {
            (Charge::OnSuccess, End::Succeeded) => {
                account.balance = account.balance.less(ticket.price);
                ticket.price
            }
            (Charge::OnSuccess, End::Failed | End::Killed) => Credits::ZERO,
            (Charge::BeforeAndRefund, End::Failed) => {
                account.balance = account.balance.plus(ticket.price);
                Credits::ZERO
            }
            (Charge::BeforeAndRefund, End::Succeeded | End::Killed)
            | (Charge::BeforeAndKeep, _) => ticket.price,
        };
        let status = if end == End::Succeeded { Status::Completed } else { Status::Failed };
        if let Some(history) = self.histories.get_mut(place) {
            history::remember(
                history,
                Generation { status, cost, created_at: firemoon.now(), ..generation },
            );
        }
        cost
    }
}

/// Result of a run.
enum Made {
    Images(Images),
    Video(Videos),
}

impl Made {
    fn new(
        firemoon: &Firemoon,
        ticket: &Ticket,
        fault: Option<&Fault>,
        draw: u64,
        latency: Duration,
    ) -> Self {
        let order = &ticket.order;
        let seed = order.seed.unwrap_or(draw % 1_000_000_000);
        let timings = Timings { inference: latency.as_secs_f64() };
        let url = |path: String| match fault {
            Some(Fault { kind: Kind::MediaMissing, .. }) => {
                firemoon.media(&media::missing_path(&path))
            }
            Some(_) | None => firemoon.media(&path),
        };
        match ticket.model.makes {
            Makes::Video => Self::Video(Videos {
                videos: [Video::new(url(media::video_path(order, seed)), order)],
                seed,
                timings,
            }),
            Makes::Image => {
                let (count, flagged) = match fault {
                    Some(fault) if fault.kind == Kind::EmptyImages => (0, false),
                    Some(fault) if fault.kind == Kind::MoreImages => {
                        (u32::try_from(fault.count().min(1000)).unwrap_or(0), false)
                    }
                    Some(fault) => (order.units, fault.kind == Kind::Nsfw),
                    None => (order.units, false),
                };
                let image = |index: u32| match fault {
                    Some(fault) if fault.kind == Kind::DataUri => {
                        Image::new(media::data_uri(order, seed, index, fault.count()), order)
                    }
                    Some(_) | None => Image::new(url(media::image_path(order, seed, index)), order),
                };
                let images: Vec<Image> = (0..count).map(image).collect();
                let has_nsfw_concepts = vec![flagged; images.len()];
                Self::Images(Images { images, seed, has_nsfw_concepts, timings })
            }
        }
    }

    fn answer(&self, kind: Option<Kind>) -> Answer {
        if kind == Some(Kind::NullFields) {
            return self.with_nulls();
        }
        match self {
            Self::Images(images) => answers::json(StatusCode::OK, images),
            Self::Video(videos) => answers::json(StatusCode::OK, videos),
        }
    }

    fn with_nulls(&self) -> Answer {
        let body = match self {
            Self::Images(images) => serde_json::to_value(images),
            Self::Video(videos) => serde_json::to_value(videos),
        };
        let mut body = body.unwrap_or_default();
        if let Value::Object(fields) = &mut body {
            fields.insert("has_nsfw_concepts".into(), Value::Null);
            fields.insert("timings".into(), Value::Object(serde_json::Map::new()));
        }
        answers::json(StatusCode::OK, &body)
    }

    fn remembered(&self, ticket: &Ticket, draw: u64, latency: Duration) -> Generation {
        let outputs = match self {
            Self::Images(images) => images
                .images
                .iter()
                .filter(|image| !image.url.starts_with("data:"))
                .map(|image| image.url.clone())
                .collect(),
            Self::Video(videos) => videos.videos.iter().map(|video| video.url.clone()).collect(),
        };
        Generation {
            id: format!("gen_{draw:016x}"),
            endpoint: ticket.model.id,
            prompt: ticket.order.prompt.clone(),
            status: Status::Completed,
            cost: Credits::ZERO,
            latency: latency.as_secs_f64(),
            outputs,
            created_at: Timestamp::UNIX_EPOCH,
            makes: ticket.model.makes,
            units: ticket.order.units,
        }
    }
}

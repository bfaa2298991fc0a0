//! Claims and answers for the tests of the stores.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use moongate::call::{Fingerprint, KeyHash};
use moongate::credits::Credits;
use moongate::idempotency::{Begun, Call, Claim, Settings, Store, StoredResponse};
use moongate::ledger::{Outcome, ReservationId};
use moongate::model::ModelId;
use moongate::request::RequestId;
use moongate::team::TeamId;

pub(crate) const TTL: Duration = Duration::from_secs(300);

pub(crate) fn settings() -> Settings {
    Settings {
        retention: Duration::from_secs(3600),
        join_max: Duration::ZERO,
        answer_bytes_max: 100,
        memory_bytes_max: 250,
    }
}

/// Two handles on one store, as two workers have them.
pub(super) type Handles = [Arc<dyn Store>; 2];

pub(crate) fn team(name: &str) -> TeamId {
    TeamId::parse(name).unwrap()
}

pub(crate) fn request(id: &str) -> RequestId {
    RequestId::parse(id).unwrap()
}

pub(crate) fn claim(key: &'static str, body: &str, id: &str) -> Claim {
    Claim {
        id: ReservationId::new(),
        team: team("design"),
        key: KeyHash::of(&HeaderValue::from_static(key)),
        fingerprint: Fingerprint::of(&ModelId::parse("flux/dev").unwrap(), body.as_bytes()),
        request_id: request(id),
    }
}

/// The id of a call, by the number at the end of the request id it carried: `r-1`.
pub(super) fn id_of(carried: &str) -> ReservationId {
    let number: u128 = carried.rsplit('-').next().unwrap().parse().unwrap();
    format!("{:032x}", 0x0193_a1b2_c3d4_7000_8000_0000_0000_0000 + number).parse().unwrap()
}

/// The answer to a claim's call.
pub(crate) fn of(claim: &Claim, body: &str) -> StoredResponse {
    answer(claim.id, claim.request_id.as_str(), body)
}

/// The answer to a call without a claim.
pub(super) fn kept(carried: &str, body: &str) -> StoredResponse {
    answer(id_of(carried), carried, body)
}

/// The result of a later claim of the same key.
pub(super) fn finished(kept: StoredResponse) -> Begun {
    Begun::Finished(Box::new(kept))
}

pub(super) fn answer(id: ReservationId, carried: &str, body: &str) -> StoredResponse {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("x-credits-cost", HeaderValue::from_static("0.025"));
    let model = ModelId::parse("flux/dev").unwrap();
    StoredResponse {
        call: Some(Call { id, model, outcome: Outcome::Charged }),
        request_id: request(carried),
        status: StatusCode::OK,
        headers,
        cost: Credits::from_micros(25_000),
        body: Some(Bytes::from(body.to_owned())),
    }
}

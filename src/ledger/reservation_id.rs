//! Id of a reservation, which is also that of its call and its row.

use std::fmt;
use std::str::FromStr;

use http::HeaderValue;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

/// Id of a call, its reservation and its row. Made by the gateway, never by a caller, and unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReservationId(Uuid);

impl ReservationId {
    /// Sorts before every other id.
    pub const MIN: Self = Self(Uuid::nil());
    /// Sorts after every other id.
    pub const MAX: Self = Self(Uuid::max());

    /// Length as text.
    pub const LENGTH: usize = uuid::fmt::Simple::LENGTH;

    /// A new id; later ids sort later.
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// An id from a number, for a reservation that stands for several.
    pub(super) const fn from_number(number: u128) -> Self {
        Self(Uuid::from_u128(number))
    }

    /// The id as a number.
    pub(super) const fn number(self) -> u128 {
        self.0.as_u128()
    }

    /// When it was made, by the maker's clock; `None` for an id that was not made here.
    #[must_use]
    pub fn made_at(self) -> Option<Timestamp> {
        let (seconds, nanos) = self.0.get_timestamp()?.to_unix();
        Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanos).ok()?).ok()
    }

    /// The id as a header value.
    #[must_use]
    pub fn to_header(self) -> HeaderValue {
        let mut text = [0; Self::LENGTH];
        HeaderValue::from_str(self.encode(&mut text))
            .unwrap_or_else(|_| HeaderValue::from_static("-"))
    }

    /// Writes the id as text into a buffer.
    pub fn encode(self, text: &mut [u8; Self::LENGTH]) -> &str {
        self.0.simple().encode_lower(text)
    }
}

impl Default for ReservationId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for ReservationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

impl FromStr for ReservationId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

impl Serialize for ReservationId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.encode(&mut [0; Self::LENGTH]))
    }
}

impl<'de> Deserialize<'de> for ReservationId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

//! A file of a page, embedded in the binary, and its answer.

use std::sync::OnceLock;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::http::{Answer, AnswerBody, etag};

/// A file in the binary.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// The name, `folder/file`.
    pub name: &'static str,
    /// The bytes.
    pub text: &'static str,
}

/// Embeds files of this folder by name.
macro_rules! assets {
    ($folder:literal: $($file:literal),* $(,)?) => {
        &[$($crate::pages::asset::Asset {
            name: concat!($folder, "/", $file),
            text: include_str!(concat!($folder, "/", $file)),
        }),*]
    };
}
pub(super) use assets;

/// The libraries and their licences, used by every page.
pub const VENDOR: &[Asset] = assets!("vendor":
    "LICENSE-htm",
    "LICENSE-preact",
    "LICENSE-uplot",
    "htm-3.1.1.js",
    "preact-11.2.0.js",
    "preact-hooks-11.2.0.js",
    "uplot-1.6.32.css",
    "uplot-1.6.32.js",
);

/// Files that all pages share.
pub const SHARED: &[Asset] = assets!("shared":
    "api.js",
    "app.js",
    "budget.js",
    "burndown.js",
    "chart.js",
    "credits.js",
    "elements.js",
    "feed.js",
    "forecast.js",
    "lib.js",
    "limits.js",
    "limits_table.js",
    "moon.svg",
    "refused.js",
    "style.css",
    "times.js",
    "trouble.js",
);

impl Asset {
    fn content_type(&self) -> HeaderValue {
        let ending = self.name.rsplit_once('.').map_or("", |(_, ending)| ending);
        HeaderValue::from_static(match ending {
            "html" => "text/html; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            _ => "text/plain; charset=utf-8",
        })
    }

    /// How long a copy may be used: for ever under a name with a version, otherwise until it is
    /// checked.
    fn cache_control(&self) -> HeaderValue {
        let file = self.name.strip_prefix("vendor/").unwrap_or_default();
        HeaderValue::from_static(if file.contains(|letter: char| letter.is_ascii_digit()) {
            "public, max-age=31536000, immutable"
        } else {
            "no-cache"
        })
    }
}

/// A file that is served.
#[derive(Debug)]
pub(super) struct Served {
    asset: &'static Asset,
    etag: OnceLock<HeaderValue>,
}

impl Served {
    pub(super) const fn new(asset: &'static Asset) -> Self {
        Self { asset, etag: OnceLock::new() }
    }

    pub(super) const fn name(&self) -> &'static str {
        self.asset.name
    }

    /// The file, or 304 when the caller has this version.
    pub(super) fn answer(&self, request_headers: &HeaderMap) -> Answer {
        // Computed with the first request, because most gateways never serve pages.
        let etag = self.etag.get_or_init(|| etag::etag(self.asset.text.as_bytes()));
        let is_known = etag::is_known(etag, request_headers);
        let text = if is_known { "" } else { self.asset.text };
        let mut answer = Answer::new(AnswerBody::new(Bytes::from_static(text.as_bytes())));
        if is_known {
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = answer.headers_mut();
        headers.insert(ETAG, etag.clone());
        headers.insert(CACHE_CONTROL, self.asset.cache_control());
        if !is_known {
            headers.insert(CONTENT_TYPE, self.asset.content_type());
        }
        answer
    }
}

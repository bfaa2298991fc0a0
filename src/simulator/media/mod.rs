//! Media host: pictures cut from photographs by their address when they are fetched, and videos
//! from files.
//!
//! An address holds everything that is needed to make them, with a mark that only the simulator can
//! make: an address that was never given out is 404, and a generation makes no picture and needs no
//! memory.

mod picture;
mod video;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use sha2::{Digest, Sha256};

use super::order::Order;

/// Path of an order's image, below `/generated/`.
pub(super) fn image_path(order: &Order, seed: u64, index: u32) -> String {
    let (width, height) = (order.width, order.height);
    marked(&format!("{:016x}-{width}x{height}", number(order, seed, index)), "jpg")
}

/// Path of an order's video.
pub(super) fn video_path(order: &Order, seed: u64) -> String {
    let name = video::name(order.width, order.height, order.units);
    marked(&format!("{:016x}-{name}", number(order, seed, 0)), "mp4")
}

/// A path of the usual form that is 404.
pub(super) fn missing_path(path: &str) -> String {
    format!("missing-{path}")
}

/// An image as a data URI, padded to at least `length` bytes.
pub(super) fn data_uri(order: &Order, seed: u64, index: u32, length: usize) -> String {
    let made = picture::jpeg(order.width, order.height, number(order, seed, index));
    let mut file = made.unwrap_or_default();
    // Bytes after a JPEG's end are ignored.
    file.resize(file.len().max(length / 4 * 3), 0);
    format!("data:image/jpeg;base64,{}", STANDARD.encode(&file))
}

/// Number of a picture: the same for the same prompt and seed.
fn number(order: &Order, seed: u64, index: u32) -> u64 {
    let digest = Sha256::digest(format!("{seed} {index} {}", order.prompt));
    digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn marked(what: &str, kind: &str) -> String {
    let digest = Sha256::digest(format!("given out by the simulator: {what}.{kind}"));
    format!("{what}-{}.{kind}", hex::encode(&digest[..6]))
}

/// Answers a request to the media host, which needs no credential.
pub(super) fn answer<B>(request: &Request<B>) -> Response<Bytes> {
    let (status, kind, body) = match *request.method() {
        Method::GET | Method::HEAD => {
            match request.uri().path().strip_prefix("/generated/").and_then(file) {
                Some((kind, file)) => (StatusCode::OK, kind, file),
                None => (
                    StatusCode::NOT_FOUND,
                    "text/plain; charset=utf-8",
                    Bytes::from_static(b"The requested blob was not found\n"),
                ),
            }
        }
        _ => (StatusCode::METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", Bytes::new()),
    };
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000"));
    answer
}

/// Content type and bytes of a path.
fn file(path: &str) -> Option<(&'static str, Bytes)> {
    let (name, kind) = path.rsplit_once('.')?;
    let (what, _) = name.rsplit_once('-')?;
    if marked(what, kind) != path {
        return None;
    }
    let (number, rest) = what.split_once('-')?;
    match kind {
        "jpg" => {
            let number = u64::from_str_radix(number, 16).ok()?;
            let (width, height) = rest.split_once('x')?;
            let made = picture::jpeg(width.parse().ok()?, height.parse().ok()?, number)?;
            Some(("image/jpeg", made.into()))
        }
        "mp4" => Some(("video/mp4", Bytes::from_static(video::named(rest)?))),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn order(prompt: &str) -> Order {
        Order { prompt: prompt.to_owned(), units: 1, width: 1024, height: 768, seed: None }
    }

    #[test]
    fn an_address_that_was_never_given_out_is_not_found() {
        let path = image_path(&order("a moon gate"), 7, 0);
        assert!(file(&path).is_some());
        assert!(file(&path.replace("1024x768", "1024x769")).is_none());
        assert!(file(&missing_path(&path)).is_none());
        assert!(file("").is_none() && file("x").is_none() && file("-.jpg").is_none());
    }

    #[test]
    fn a_picture_follows_from_prompt_seed_and_place() {
        let made = |prompt, seed, index| file(&image_path(&order(prompt), seed, index)).unwrap().1;
        let picture = made("a moon gate", 7, 0);
        assert_eq!(picture, made("a moon gate", 7, 0));
        for other in
            [made("a sun gate", 7, 0), made("a moon gate", 8, 0), made("a moon gate", 7, 1)]
        {
            assert_ne!(picture, other);
        }
    }
}

//! The media host: pictures that follow from their address alone, drawn when they are fetched, and videos from files.
//!
//! An address holds everything that is needed to draw, and a mark that only the simulator knows how to make: an address
//! that was never given out is a 404, and a generation costs no drawing and no memory.

mod picture;
mod video;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use sha2::{Digest, Sha256};

use super::order::Order;

/// The path of one image of an order, as it stands behind `/generated/`.
pub(super) fn image_path(order: &Order, seed: u64, index: u32) -> String {
    let (width, height) = (order.width, order.height);
    marked(&format!("{:016x}-{width}x{height}", number(order, seed, index)), "png")
}

/// The path of an order's video.
pub(super) fn video_path(order: &Order, seed: u64) -> String {
    let name = video::name(order.width, order.height, order.units);
    marked(&format!("{:016x}-{name}", number(order, seed, 0)), "mp4")
}

/// A path that looks like any other and answers 404.
pub(super) fn missing_path(path: &str) -> String {
    format!("missing-{path}")
}

/// An image as a data URI, followed by so much that it has at least `length` bytes.
pub(super) fn data_uri(order: &Order, seed: u64, index: u32, length: usize) -> String {
    let drawn = picture::png(order.width, order.height, number(order, seed, index));
    let mut file = drawn.unwrap_or_default();
    // What follows a PNG's last chunk is not looked at.
    file.resize(file.len().max(length / 4 * 3), 0);
    format!("data:image/png;base64,{}", STANDARD.encode(&file))
}

/// What a picture follows from: the same prompt and seed make the same one.
fn number(order: &Order, seed: u64, index: u32) -> u64 {
    let digest = Sha256::digest(format!("{seed} {index} {}", order.prompt));
    digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn marked(what: &str, kind: &str) -> String {
    let digest = Sha256::digest(format!("given out by the simulator: {what}.{kind}"));
    format!("{what}-{}.{kind}", hex::encode(&digest[..6]))
}

/// What the media host answers. It asks for no credential and wants none.
pub(super) fn answer<B>(request: &Request<B>) -> Response<Bytes> {
    let (status, kind, body) = match *request.method() {
        Method::GET | Method::HEAD => match request.uri().path().strip_prefix("/generated/").and_then(file) {
            Some((kind, file)) => (StatusCode::OK, kind, file),
            None => (
                StatusCode::NOT_FOUND,
                "text/plain; charset=utf-8",
                Bytes::from_static(b"The requested blob was not found\n"),
            ),
        },
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

/// Content type and bytes of what is behind a path.
fn file(path: &str) -> Option<(&'static str, Bytes)> {
    let (name, kind) = path.rsplit_once('.')?;
    let (what, _) = name.rsplit_once('-')?;
    if marked(what, kind) != path {
        return None;
    }
    let (number, rest) = what.split_once('-')?;
    match kind {
        "png" => {
            let number = u64::from_str_radix(number, 16).ok()?;
            let (width, height) = rest.split_once('x')?;
            let drawn = picture::png(width.parse().ok()?, height.parse().ok()?, number).ok()?;
            Some(("image/png", drawn.into()))
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
        assert!(file("").is_none() && file("x").is_none() && file("-.png").is_none());
    }

    #[test]
    fn a_picture_follows_from_prompt_seed_and_place() {
        let drawn = |prompt, seed, index| file(&image_path(&order(prompt), seed, index)).unwrap().1;
        let picture = drawn("a moon gate", 7, 0);
        assert_eq!(picture, drawn("a moon gate", 7, 0));
        for other in [drawn("a sun gate", 7, 0), drawn("a moon gate", 8, 0), drawn("a moon gate", 7, 1)] {
            assert_ne!(picture, other);
        }
    }
}

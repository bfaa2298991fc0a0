//! The media host: pictures and videos that follow from their address alone, drawn when they are fetched.
//!
//! An address holds everything that is needed to draw, and a mark that only the simulator knows how to make: an address
//! that was never given out is a 404, and a generation costs no drawing and no memory.

mod h264;
mod mp4;
mod png;

use bytes::Bytes;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use sha2::{Digest, Sha256};

use super::order::Order;

/// The path of one image of an order, as it stands behind `/generated/`.
pub(super) fn image_path(order: &Order, seed: u64, index: u32) -> String {
    marked(&format!("{seed}-{index}-{}x{}", order.width, order.height), "png")
}

/// The path of an order's video.
pub(super) fn video_path(order: &Order, seed: u64) -> String {
    marked(&format!("{seed}-{}-{}x{}", order.units, order.width, order.height), "mp4")
}

/// A path that looks like any other and answers 404.
pub(super) fn missing_path(path: &str) -> String {
    format!("missing-{path}")
}

/// The same image as a data URI, followed by so much that it has at least `length` bytes.
pub(super) fn data_uri(order: &Order, seed: u64, length: usize) -> String {
    let mut file = png::render(order.width, order.height, seed);
    // What follows a PNG's last chunk is not looked at.
    file.resize(file.len().max(length / 4 * 3), 0);
    format!("data:image/png;base64,{}", base64(&file))
}

fn marked(what: &str, kind: &str) -> String {
    let digest = Sha256::digest(format!("given out by the simulator: {what}.{kind}"));
    let mark: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("{what}-{mark}.{kind}")
}

/// What the media host answers. It asks for no credential and wants none.
pub(super) fn answer<B>(request: &Request<B>) -> Response<Bytes> {
    let (status, kind, body) = match *request.method() {
        Method::GET | Method::HEAD => match request.uri().path().strip_prefix("/generated/").and_then(draw) {
            Some((kind, file)) => (StatusCode::OK, kind, Bytes::from(file)),
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

fn draw(path: &str) -> Option<(&'static str, Vec<u8>)> {
    let (name, kind) = path.rsplit_once('.')?;
    let (what, _) = name.rsplit_once('-')?;
    if marked(what, kind) != path {
        return None;
    }
    let mut parts = what.splitn(3, '-');
    let seed: u64 = parts.next()?.parse().ok()?;
    let part: u32 = parts.next()?.parse().ok()?;
    let (width, height) = parts.next()?.split_once('x')?;
    let (width, height) = (width.parse().ok()?, height.parse().ok()?);
    match kind {
        "png" => Some(("image/png", png::render(width, height, seed.wrapping_add(part.into())))),
        "mp4" => Some(("video/mp4", mp4::render(width, height, part, seed))),
        _ => None,
    }
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |place: usize| u32::from(group.get(place).copied().unwrap_or(0));
        let joined = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for place in 0..4_usize {
            let index = (joined >> (18 - 6 * place)) & 63;
            let letter = ALPHABET.get(index as usize).copied().unwrap_or(b'=');
            text.push(if place > group.len() { '=' } else { char::from(letter) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_the_one_of_the_standard() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn an_address_that_was_never_given_out_is_not_found() {
        let path = marked("7-0-64x64", "png");
        assert!(draw(&path).is_some());
        assert!(draw(&path.replace("64x64", "99x99")).is_none());
        assert!(draw(&missing_path(&path)).is_none());
        assert!(draw("").is_none() && draw("x").is_none() && draw("-.png").is_none());
    }
}

//! Reads a delivery from an answer: how many images and how much video it has.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::pricing::{Delivered, Price};

/// Reads what a successful answer delivers; `None` when it has another shape than documented or
/// lacks what the price counts. The caller then charges what was reserved.
#[must_use]
pub fn delivered(body: &[u8], price: &Price) -> Option<Delivered> {
    let media: Media = serde_json::from_slice(body).ok()?;
    let (no_images, no_videos) = (media.images.is_none(), media.videos.is_none());
    let says_nothing = no_images && no_videos;
    if says_nothing || (price.counts_images() && no_images) || (price.counts_seconds() && no_videos)
    {
        return None;
    }
    let images = media.images.map_or(0, |images| images.len() as u64);
    let video_ms = media.videos.unwrap_or_default().iter().map(Video::millis).sum::<Option<u64>>();
    // The length matters only where it is charged.
    let video_ms = if price.counts_seconds() { video_ms? } else { video_ms.unwrap_or_default() };
    Some(Delivered { images, video_ms })
}

#[derive(Deserialize)]
struct Media {
    images: Option<Vec<IgnoredAny>>,
    videos: Option<Vec<Video>>,
}

#[derive(Deserialize)]
struct Video {
    duration: Option<f64>,
}

impl Video {
    /// `None` for a length that is missing or invalid: below zero, or longer than a day.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn millis(&self) -> Option<u64> {
        let millis = (self.duration? * 1000.0).round();
        (0.0..=86_400_000.0).contains(&millis).then_some(millis as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credits::Credits;

    const CENT: Credits = Credits::from_micros(10_000);

    #[test]
    fn an_answer_without_the_priced_quantity_gives_none() {
        let images = br#"{"images":[{"url":"a thumbnail"}],"video":{"url":"b"}}"#;
        assert_eq!(delivered(images, &Price { per_second: CENT, ..Price::free() }), None);
        let videos = br#"{"videos":[{"url":"a","duration":5}]}"#;
        assert_eq!(delivered(videos, &Price { per_image: CENT, ..Price::free() }), None);
    }

    #[test]
    fn images_are_counted_and_video_is_measured() {
        let answer =
            br#"{"images":[{"url":"a"},{"url":"b"}],"seed":1,"timings":{"inference":2.5}}"#;
        assert_eq!(delivered(answer, &Price::free()), Some(Delivered { images: 2, video_ms: 0 }));
        let answer = br#"{"videos":[{"url":"a","duration":5},{"url":"b","duration":5.04}]}"#;
        assert_eq!(
            delivered(answer, &Price::free()),
            Some(Delivered { images: 0, video_ms: 10_040 })
        );
        assert_eq!(delivered(br#"{"images":[]}"#, &Price::free()), Some(Delivered::default()));
    }

    #[test]
    fn an_answer_of_another_shape_says_nothing() {
        for answer in
            ["{}", "[]", "", "null", r#"{"images":4}"#, r#"{"images":null,"videos":null}"#]
        {
            assert_eq!(delivered(answer.as_bytes(), &Price::free()), None, "{answer}");
        }
    }

    #[test]
    fn a_missing_length_matters_only_where_it_is_priced() {
        let by_second = Price { per_second: CENT, ..Price::free() };
        let by_image = Price { per_image: CENT, ..Price::free() };
        for video in [r#"{"url":"a"}"#, r#"{"duration":null}"#, r#"{"duration":-1}"#] {
            let answer = format!(r#"{{"images":[{{}},{{}}],"videos":[{video},{{"duration":5}}]}}"#);
            assert_eq!(delivered(answer.as_bytes(), &by_second), None, "{answer}");
            let delivered = delivered(answer.as_bytes(), &by_image);
            assert_eq!(delivered, Some(Delivered { images: 2, video_ms: 0 }), "{answer}");
        }
        let whole = br#"{"videos":[{"duration":5.0},{"duration":5e0}],"images":null}"#;
        assert_eq!(delivered(whole, &by_second), Some(Delivered { images: 0, video_ms: 10_000 }));
    }
}

//! What came back: how many images and how much video an answer delivers.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::pricing::Price;

/// What an answer delivers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Images.
    pub images: u64,
    /// Milliseconds of video.
    pub video_ms: u64,
}

/// Reads what a successful answer delivers; `None` when it is not of the documented shape, or does not say what the price
/// counts, so that the caller charges what was reserved.
#[must_use]
pub fn delivered(body: &[u8], price: &Price) -> Option<Delivered> {
    let media: Media = serde_json::from_slice(body).ok()?;
    let (no_images, no_videos) = (media.images.is_none(), media.videos.is_none());
    let says_nothing = no_images && no_videos;
    if says_nothing || (price.counts_images() && no_images) || (price.counts_seconds() && no_videos) {
        return None;
    }
    let images = media.images.map_or(0, |images| images.len() as u64);
    let video_ms = media.videos.unwrap_or_default().iter().map(Video::millis).sum::<Option<u64>>()?;
    Some(Delivered { images, video_ms })
}

#[derive(Deserialize)]
struct Media {
    images: Option<Vec<IgnoredAny>>,
    videos: Option<Vec<Video>>,
}

#[derive(Deserialize)]
struct Video {
    duration: f64,
}

impl Video {
    /// `None` for a length that is no length: below zero, or longer than a day.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn millis(&self) -> Option<u64> {
        let millis = (self.duration * 1000.0).round();
        (0.0..=86_400_000.0).contains(&millis).then_some(millis as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credits::Credits;

    const CENT: Credits = Credits::from_micros(10_000);

    #[test]
    fn an_answer_that_does_not_say_what_the_price_counts_says_nothing() {
        let images = br#"{"images":[{"url":"a thumbnail"}],"video":{"url":"b"}}"#;
        assert_eq!(delivered(images, &Price { per_second: CENT, ..Price::free() }), None);
        let videos = br#"{"videos":[{"url":"a","duration":5}]}"#;
        assert_eq!(delivered(videos, &Price { per_image: CENT, ..Price::free() }), None);
    }

    #[test]
    fn images_are_counted_and_video_is_measured() {
        let answer = br#"{"images":[{"url":"a"},{"url":"b"}],"seed":1,"timings":{"inference":2.5}}"#;
        assert_eq!(delivered(answer, &Price::free()), Some(Delivered { images: 2, video_ms: 0 }));
        let answer = br#"{"videos":[{"url":"a","duration":5},{"url":"b","duration":5.04}]}"#;
        assert_eq!(delivered(answer, &Price::free()), Some(Delivered { images: 0, video_ms: 10_040 }));
        assert_eq!(delivered(br#"{"images":[]}"#, &Price::free()), Some(Delivered::default()));
    }

    #[test]
    fn an_answer_of_another_shape_says_nothing() {
        for answer in [
            "{}",
            "[]",
            "",
            "null",
            r#"{"images":4}"#,
            r#"{"videos":[{"url":"a"}]}"#,
            r#"{"videos":[{"duration":-1}]}"#,
        ] {
            assert_eq!(delivered(answer.as_bytes(), &Price::free()), None, "{answer}");
        }
    }
}

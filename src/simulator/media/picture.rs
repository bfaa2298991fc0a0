//! Pictures: a sky, a sun and three ranges of hills, all of which follow from one number.

use png::{BitDepth, ColorType, Compression, Encoder, EncodingError, Filter};

/// Steps of the sky's gradient. Flat bands keep a picture small and quick to encode.
const SKY: usize = 24;
/// The palette: the sky from the top down, the sun, the hills from the farthest to the nearest.
const SUN: u8 = 24;
const HILLS: [u8; 3] = [25, 26, 27];

type Colour = [u8; 3];

/// The bytes of a PNG of this size. Other numbers are other pictures.
///
/// # Errors
/// A side is zero.
pub(super) fn png(width: u32, height: u32, number: u64) -> Result<Vec<u8>, EncodingError> {
    let scene = Scene::of(number);
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, width, height);
    encoder.set_color(ColorType::Indexed);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_palette(scene.palette().concat());
    encoder.set_compression(Compression::Fast);
    // Neighbours of one colour become zeros, of which the compressor makes next to nothing.
    encoder.set_filter(Filter::Sub);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&scene.pixels(width as usize, height as usize))?;
    writer.finish()?;
    Ok(file)
}

/// What a number says of its picture: one byte decides one thing.
struct Scene {
    above: Colour,
    below: Colour,
    /// Where the sun stands, in 256ths of the width and of the height.
    sun: [u8; 2],
    /// Where the waves of the hills begin.
    waves: [u8; 3],
}

impl Scene {
    fn of(number: u64) -> Self {
        // Numbers that are close to each other must not look alike (the finalizer of splitmix64).
        let mixed = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let [a, b, c, d, e, f, g, h] = (mixed ^ (mixed >> 31)).to_be_bytes();
        Self {
            above: [a / 3, b / 3, 64 + c / 3],
            below: [170 + d / 3, 110 + a / 2, 70 + b / 2],
            sun: [32 + e / 4 * 3, 40 + f / 3],
            waves: [c ^ g, g, h],
        }
    }

    fn palette(&self) -> Vec<Colour> {
        let sky = (0..SKY).map(|step| blend(self.above, self.below, step, SKY - 1));
        let hills = (1..=HILLS.len()).map(|near| blend(self.below, [16, 24, 32], near, 3));
        sky.chain([[255, 244, 214]]).chain(hills).collect()
    }

    fn pixels(&self, width: usize, height: usize) -> Vec<u8> {
        let mut pixels = vec![0; width * height];
        let radius = width.min(height) / 9;
        let [sun_x, sun_y] = [width * usize::from(self.sun[0]) / 256, height * usize::from(self.sun[1]) / 256];
        for (y, row) in pixels.chunks_exact_mut(width.max(1)).enumerate() {
            row.fill(u8::try_from(y * SKY / height).unwrap_or(0));
            let half = (radius * radius).saturating_sub(y.abs_diff(sun_y).pow(2)).isqrt();
            if let Some(span) = row.get_mut(sun_x.saturating_sub(half)..(sun_x + half).min(width)) {
                span.fill(SUN);
            }
        }
        for x in 0..width {
            let tops = self.tops(x, width, height);
            for (top, colour) in tops.into_iter().zip(HILLS) {
                pixels.iter_mut().skip(top * width + x).step_by(width).for_each(|pixel| *pixel = colour);
            }
        }
        pixels
    }

    /// The row in which each range of hills begins in this column.
    fn tops(&self, x: usize, width: usize, height: usize) -> [usize; 3] {
        std::array::from_fn(|range| {
            let length = 360 - 80 * range;
            let place = 1024 * x / width + 4 * usize::from(self.waves[range]);
            height * (15 + 3 * range) / 24 - wave(place, length) * height / 8 / 256
        })
    }
}

/// A wave of this length, from 0 to 256, of arcs that are good enough for hills.
fn wave(place: usize, length: usize) -> usize {
    let half = length / 2;
    let within = place % length;
    let rising = if within < half { within } else { length - within };
    // Three t squared less two t cubed: flat at both ends.
    let t = rising * 256 / half;
    t * t * (768 - 2 * t) / (256 * 256)
}

fn blend(from: Colour, to: Colour, step: usize, steps: usize) -> Colour {
    std::array::from_fn(|at| {
        let mixed = (usize::from(from[at]) * (steps - step) + usize::from(to[at]) * step) / steps;
        u8::try_from(mixed).unwrap_or(u8::MAX)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn a_picture_has_its_size_and_shows_all_that_is_in_it() {
        for (width, height) in [(1024, 768), (576, 1024), (32, 1024)] {
            let file = png(width, height, 3).unwrap();
            let mut reader = png::Decoder::new(Cursor::new(file)).read_info().unwrap();
            let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
            let frame = reader.next_frame(&mut pixels).unwrap();
            assert_eq!((frame.width, frame.height), (width, height));
            for colour in (0..8).chain([SUN]).chain(HILLS) {
                assert!(pixels.contains(&colour), "{width}x{height}: colour {colour}");
            }
        }
        assert!(png(0, 768, 3).is_err());
    }

    #[test]
    fn a_picture_is_small_whatever_its_number() {
        for number in 0..20 {
            let length = png(1024, 1024, number).unwrap().len();
            assert!(length < 20_000, "{length} bytes");
        }
    }
}

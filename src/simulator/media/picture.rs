//! Pictures cut by one number from a few photographs. See [where they are
//! from](./pictures/README.md).

use jpeg_encoder::{ColorType, Encoder};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;

const PHOTOGRAPHS: [&[u8]; 8] = [
    include_bytes!("pictures/astronaut.jpg"),
    include_bytes!("pictures/brick.jpg"),
    include_bytes!("pictures/camera.jpg"),
    include_bytes!("pictures/cat.jpg"),
    include_bytes!("pictures/coffee.jpg"),
    include_bytes!("pictures/galaxies.jpg"),
    include_bytes!("pictures/retina.jpg"),
    include_bytes!("pictures/rocket.jpg"),
];
/// Quality of the files, of 100: what a photograph needs to look like one.
const QUALITY: u8 = 80;

/// A JPEG of this size. Different numbers make different pictures.
///
/// None if a side is zero or longer than a JPEG can be.
pub(super) fn jpeg(width: u32, height: u32, number: u64) -> Option<Vec<u8>> {
    let sides = (u16::try_from(width).ok()?, u16::try_from(height).ok()?);
    if width == 0 || height == 0 {
        return None;
    }
    let [.., which] = number.to_be_bytes();
    let photograph =
        Photograph::read(PHOTOGRAPHS.get(usize::from(which) % PHOTOGRAPHS.len()).copied()?)?;
    let (width, height) = (width as usize, height as usize);
    let pixels = photograph.cut(&photograph.window(width, height, number), width, height);
    let mut file = Vec::new();
    let encoder = Encoder::new(&mut file, QUALITY);
    encoder.encode(&pixels, sides.0, sides.1, ColorType::Rgb).ok()?;
    Some(file)
}

/// A photograph, three bytes for each pixel.
struct Photograph {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

/// The part of a photograph that a picture shows.
struct Window {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
    is_mirrored: bool,
}

impl Photograph {
    fn read(file: &[u8]) -> Option<Self> {
        let mut decoder = JpegDecoder::new(ZCursor::new(file));
        let pixels = decoder.decode().ok()?;
        let size = decoder.info()?;
        Some(Self { width: size.width.into(), height: size.height.into(), pixels })
    }

    /// The part for a picture of this shape, so that nothing is stretched: at least three quarters
    /// of the largest there is. Its size and place follow from the number.
    fn window(&self, width: usize, height: usize, number: u64) -> Window {
        let [zoom, across, down, mirror, ..] = number.to_be_bytes().map(usize::from);
        let is_wider = width * self.height > height * self.width;
        let largest = if is_wider {
            (self.width, self.width * height / width)
        } else {
            (self.height * width / height, self.height)
        };
        let part = |side: usize| (side * (768 + zoom) / 1023).max(1);
        let (width, height) = (part(largest.0), part(largest.1));
        Window {
            left: (self.width - width) * across / 255,
            top: (self.height - height) * down / 255,
            width,
            height,
            is_mirrored: mirror % 2 == 1,
        }
    }

    /// Takes as many of the window's pixels as the picture has: the photographs are so large that
    /// nothing need be smoothed.
    fn cut(&self, window: &Window, width: usize, height: usize) -> Vec<u8> {
        let place = |column: usize| {
            let column = if window.is_mirrored { width - 1 - column } else { column };
            3 * (window.left + window.width * column / width)
        };
        let places: Vec<usize> = (0..width).map(place).collect();
        let mut pixels = Vec::with_capacity(width * height * 3);
        for row in 0..height {
            let number = window.top + window.height * row / height;
            let line = self.pixels.chunks_exact(self.width * 3).nth(number).unwrap_or_default();
            let colours = places.iter().filter_map(|place| line.get(*place..*place + 3));
            colours.for_each(|colour| pixels.extend_from_slice(colour));
        }
        pixels
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const SIZES: [(u32, u32); 4] = [(1024, 768), (576, 1024), (32, 1024), (8, 8)];

    /// Numbers that differ in all their bytes.
    fn numbers() -> impl Iterator<Item = u64> {
        (0..16).map(|number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number)
    }

    #[test]
    fn a_picture_has_the_size_that_was_asked_for() {
        for (width, height) in SIZES {
            let picture = Photograph::read(&jpeg(width, height, 3).unwrap()).unwrap();
            assert_eq!((picture.width, picture.height), (width as usize, height as usize));
        }
        assert!(jpeg(0, 768, 3).is_none() && jpeg(768, 0, 3).is_none());
        assert!(jpeg(70_000, 768, 3).is_none());
    }

    #[test]
    fn a_picture_has_the_colours_of_a_photograph() {
        for number in 0..8 {
            let picture = Photograph::read(&jpeg(256, 256, number).unwrap()).unwrap();
            let colours: BTreeSet<&[u8]> = picture.pixels.chunks(3).collect();
            assert!(colours.len() > 400, "{number}: only {} colours", colours.len());
        }
    }

    #[test]
    fn no_part_is_stretched_or_outside_its_photograph() {
        for photograph in PHOTOGRAPHS.map(|file| Photograph::read(file).unwrap()) {
            for ((width, height), number) in SIZES.into_iter().zip(numbers()) {
                let (width, height) = (width as usize, height as usize);
                let window = photograph.window(width, height, number);
                assert!(window.left + window.width <= photograph.width);
                assert!(window.top + window.height <= photograph.height);
                // Two pixels may be missing on either side.
                let (one, other) = (window.width * height, window.height * width);
                let missing = 2 * (width + height);
                assert!(one.abs_diff(other) <= missing, "{width}x{height}: {one}, {other}");
            }
        }
    }

    #[test]
    fn each_number_has_its_own_small_picture() {
        let pictures: BTreeSet<Vec<u8>> =
            numbers().map(|number| jpeg(64, 64, number).unwrap()).collect();
        assert_eq!(pictures.len(), 16);
        for number in 0..8 {
            let length = jpeg(512, 512, number).unwrap().len();
            assert!((5_000..150_000).contains(&length), "{number}: {length} bytes");
        }
    }
}

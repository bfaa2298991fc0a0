//! The smallest real H.264 (ITU-T H.264, baseline profile): frames of one flat colour.
//!
//! A key frame sends its first macroblock as raw samples, and every other one as "predicted from my neighbours, nothing to
//! add", which spreads that colour over the picture. The frames between are "nothing has changed": a few bytes each.

/// Side of a macroblock; a picture's sides must be multiples of it.
const SIDE: u32 = 16;

/// A picture's parameter sets, as `avcC` wants them.
pub(super) struct ParameterSets {
    pub(super) sequence: Vec<u8>,
    pub(super) picture: Vec<u8>,
}

/// Level 4.0, enough for 1920x1088.
pub(super) const LEVEL: u8 = 40;
/// Constrained baseline, as the bytes after the profile say it.
pub(super) const PROFILE: [u8; 2] = [66, 0xc0];

/// Section 7.3.2: what every decoder must know first.
pub(super) fn parameter_sets(width: u32, height: u32) -> ParameterSets {
    let mut sequence = Bits::default();
    sequence.fixed(u32::from(PROFILE[0]), 8);
    sequence.fixed(u32::from(PROFILE[1]), 8);
    sequence.fixed(u32::from(LEVEL), 8);
    sequence.golomb(0); // its id
    sequence.golomb(0); // frame numbers of 4 bits
    sequence.golomb(2); // shown in the order of decoding
    sequence.golomb(1); // one reference frame
    sequence.fixed(0, 1); // no gaps in frame numbers
    sequence.golomb(width / SIDE - 1);
    sequence.golomb(height / SIDE - 1);
    sequence.fixed(0b11_00, 4); // frames only, 8x8 inference, no cropping, no more

    let mut picture = Bits::default();
    picture.golomb(0); // its id
    picture.golomb(0); // of which sequence
    picture.fixed(0b00, 2); // CAVLC, no field order
    picture.golomb(0); // one slice group
    picture.golomb(0);
    picture.golomb(0); // one reference each way
    picture.fixed(0b000, 3); // no weighted prediction
    picture.golomb(0);
    picture.golomb(0);
    picture.golomb(0); // quantizer offsets
    picture.fixed(0b100, 3); // deblocking is controlled by the slice
    ParameterSets { sequence: sequence.unit(0x67), picture: picture.unit(0x68) }
}

/// A key frame of one colour (Y, Cb, Cr; each 16 to 235). Two key frames in a row need different `id`s.
pub(super) fn key_frame(width: u32, height: u32, colour: [u8; 3], id: u32) -> Vec<u8> {
    let mut bits = Bits::default();
    bits.golomb(0); // from the first macroblock
    bits.golomb(7); // an I slice, like all of this picture
    bits.golomb(0);
    bits.fixed(0, 4); // frame number
    bits.golomb(id);
    bits.fixed(0b00, 2); // an ordinary reference
    bits.golomb(0); // quantizer
    bits.golomb(1); // no deblocking
    let (columns, rows) = (width / SIDE, height / SIDE);
    for row in 0..rows {
        for column in 0..columns {
            if (column, row) == (0, 0) {
                bits.golomb(25); // I_PCM
                bits.align();
                for (sample, count) in [(colour[0], 256), (colour[1], 64), (colour[2], 64)] {
                    (0..count).for_each(|_| bits.fixed(u32::from(sample), 8));
                }
                continue;
            }
            bits.golomb(3); // I_16x16, predicted from the average, no coefficients
            bits.golomb(0); // chroma likewise
            bits.golomb(0); // quantizer unchanged
            // "No DC coefficient" is written by a table that depends on how many the neighbours have: raw samples count as 16.
            let beside_raw = (column, row) == (1, 0) || (column, row) == (0, 1);
            if beside_raw { bits.fixed(0b00_0011, 6) } else { bits.fixed(1, 1) }
        }
    }
    bits.unit(0x65)
}

/// A frame in which nothing changes; `number` counts from the last key frame.
pub(super) fn still_frame(width: u32, height: u32, number: u32) -> Vec<u8> {
    let mut bits = Bits::default();
    bits.golomb(0);
    bits.golomb(5); // a P slice, like all of this picture
    bits.golomb(0);
    bits.fixed(number % 16, 4);
    bits.fixed(0b000, 3); // references as they are
    bits.golomb(0); // quantizer
    bits.golomb(1); // no deblocking
    bits.golomb((width / SIDE) * (height / SIDE)); // skip them all
    bits.unit(0x41)
}

/// Bits, first bit first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    last: u8,
    count: u32,
}

impl Bits {
    fn fixed(&mut self, value: u32, width: u32) {
        for place in (0..width).rev() {
            self.last = (self.last << 1) | u8::from((value >> place) & 1 == 1);
            self.count += 1;
            if self.count == 8 {
                self.bytes.push(self.last);
                (self.last, self.count) = (0, 0);
            }
        }
    }

    /// Exponential Golomb, section 9.1. Signed zero is written the same way.
    fn golomb(&mut self, value: u32) {
        let width = 32 - (value + 1).leading_zeros();
        self.fixed(0, width - 1);
        self.fixed(value + 1, width);
    }

    fn align(&mut self) {
        self.fixed(0, (8 - self.count) % 8);
    }

    /// The finished unit: its header byte, the stop bit, and a 3 wherever the bytes would look like a start code (7.4.1).
    fn unit(mut self, header: u8) -> Vec<u8> {
        self.fixed(1, 1);
        self.align();
        let mut unit = vec![header];
        let mut zeros = 0;
        for byte in self.bytes {
            if zeros == 2 && byte <= 3 {
                unit.push(3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            unit.push(byte);
        }
        unit
    }
}

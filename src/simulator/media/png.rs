//! Real PNG files of any size in a few kilobytes: a two-coloured gradient, deflated by hand.
//!
//! The picture is chosen so that it needs no compressor: the first row is written as differences to the pixel on the left,
//! every further row as differences to the row above, which are all the same byte. Runs of one byte are what
//! deflate's length codes are made for.

/// The bytes of a PNG (8-bit RGB) whose colours follow from `seed`.
pub(super) fn render(width: u32, height: u32, seed: u64) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = Vec::with_capacity(13);
    header.extend_from_slice(&width.to_be_bytes());
    header.extend_from_slice(&height.to_be_bytes());
    header.extend_from_slice(&[8, 2, 0, 0, 0]);
    chunk(&mut file, b"IHDR", &header);
    chunk(&mut file, b"IDAT", &gradient(width, height, seed));
    chunk(&mut file, b"IEND", &[]);
    file
}

fn chunk(file: &mut Vec<u8>, kind: &[u8; 4], content: &[u8]) {
    file.extend_from_slice(&u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes());
    let start = file.len();
    file.extend_from_slice(kind);
    file.extend_from_slice(content);
    let sum = crc32(file.get(start..).unwrap_or_default());
    file.extend_from_slice(&sum.to_be_bytes());
}

/// Filter types of RFC 2083, section 6.
const LEFT: u8 = 1;
const ABOVE: u8 = 2;

fn gradient(width: u32, height: u32, seed: u64) -> Vec<u8> {
    // Each channel starts between 40 and 103 and grows by at most 64 each way, so that nothing overflows.
    let mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    let base = [mixed[0], mixed[1], mixed[2]].map(|byte| 40 + byte % 64);
    let grows = [mixed[3], mixed[4], mixed[5]].map(|byte| byte % 3 != 0);
    let mut out = Deflate::new();
    out.byte(LEFT);
    let mut step = 0;
    for x in 0..width {
        let next = u64::from(x) * 64 / u64::from(width);
        let grown = u8::from(next > step);
        step = next;
        for channel in 0..3 {
            out.byte(if x == 0 { base[channel] } else { grown * u8::from(grows[channel]) });
        }
    }
    let mut step = 0;
    for y in 1..height {
        let next = u64::from(y) * 64 / u64::from(height);
        out.byte(ABOVE);
        out.run(u8::from(next > step), width * 3);
        step = next;
    }
    out.finish()
}

/// A zlib stream (RFC 1950) of one deflate block with the fixed codes (RFC 1951, section 3.2.6).
struct Deflate {
    bytes: Vec<u8>,
    bits: u32,
    count: u32,
    /// The two sums of Adler-32.
    sums: (u64, u64),
}

const ADLER: u64 = 65_521;

impl Deflate {
    fn new() -> Self {
        let mut deflate = Self { bytes: vec![0x78, 0x01], bits: 0, count: 0, sums: (1, 0) };
        deflate.put(0b011, 3); // the last block, fixed codes
        deflate
    }

    fn put(&mut self, bits: u32, count: u32) {
        self.bits |= bits << self.count;
        self.count += count;
        while self.count >= 8 {
            self.bytes.push(self.bits.to_le_bytes()[0]);
            self.bits >>= 8;
            self.count -= 8;
        }
    }

    /// Huffman codes go in with their first bit first; everything else in deflate the other way round.
    fn code(&mut self, code: u32, count: u32) {
        self.put(code.reverse_bits() >> (32 - count), count);
    }

    fn symbol(&mut self, byte: u8) {
        match u32::from(byte) {
            low @ 0..=143 => self.code(0b0011_0000 + low, 8),
            high => self.code(0b1_1001_0000 + high - 144, 9),
        }
    }

    fn byte(&mut self, byte: u8) {
        self.run(byte, 1);
    }

    /// The same byte `count` times: once as itself, then as copies of the byte before, 258 at a time.
    fn run(&mut self, byte: u8, count: u32) {
        if count == 0 {
            return;
        }
        let (value, times) = (u64::from(byte), u64::from(count));
        self.sums.1 = (self.sums.1 + times * self.sums.0 + value * (times * (times + 1) / 2)) % ADLER;
        self.sums.0 = (self.sums.0 + value * times) % ADLER;
        self.symbol(byte);
        for _ in 0..(count - 1) / 258 {
            self.code(0b1100_0101, 8); // length code 285: 258 bytes
            self.code(0, 5); // distance code 0: one byte back
        }
        let mut rest = (count - 1) % 258;
        while rest >= 3 {
            let length = rest.min(10);
            self.code(length - 2, 7); // length codes 257 to 264 stand for 3 to 10 bytes
            self.code(0, 5);
            rest -= length;
        }
        for _ in 0..rest {
            self.symbol(byte);
        }
    }

    fn finish(mut self) -> Vec<u8> {
        self.code(0, 7); // end of block
        self.put(0, 7); // fill up the last byte
        let sum = u32::try_from((self.sums.1 << 16) | self.sums.0).unwrap_or_default();
        self.bytes.extend_from_slice(&sum.to_be_bytes());
        self.bytes
    }
}

/// CRC-32 as RFC 2083's appendix defines it.
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = table();
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        let index = usize::from(crc.to_le_bytes()[0] ^ byte);
        TABLE[index] ^ (crc >> 8)
    })
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        #[allow(clippy::cast_possible_truncation)] // below 256
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { 0xedb8_8320 ^ (value >> 1) } else { value >> 1 };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_of_the_standard() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b"IEND"), 0xae42_6082);
    }

    /// Reads what [`Deflate`] may write: one block of fixed codes, copies from one byte back.
    fn inflated(stream: &[u8]) -> Vec<u8> {
        let mut place = 16; // after the zlib header
        let mut bits = |count: usize, reversed: bool| {
            let taken = (0..count).map(|bit| {
                let at = place + bit;
                u32::from(stream[at / 8] >> (at % 8)) & 1
            });
            let value = taken
                .enumerate()
                .fold(0, |sum, (index, bit)| sum | bit << if reversed { count - 1 - index } else { index });
            place += count;
            value
        };
        assert_eq!(bits(3, false), 0b011);
        let mut out: Vec<u8> = Vec::new();
        loop {
            let start = bits(7, true);
            let length = match start {
                0 => break,
                1..=8 => start + 2,
                0x18..=0x5f => {
                    let literal = (start << 1 | bits(1, true)) - 0x30;
                    out.push(u8::try_from(literal).unwrap());
                    continue;
                }
                0x62 => {
                    assert_eq!(bits(1, true), 1);
                    258
                }
                _ => {
                    let literal = (start << 2 | bits(2, true)) - 0x190 + 144;
                    out.push(u8::try_from(literal).unwrap());
                    continue;
                }
            };
            assert_eq!(bits(5, true), 0, "one byte back");
            let copied = *out.last().unwrap();
            out.extend((0..length).map(|_| copied));
        }
        let (mut low, mut high) = (1_u32, 0_u32);
        for byte in &out {
            low = (low + u32::from(*byte)) % 65_521;
            high = (high + low) % 65_521;
        }
        assert_eq!(stream[stream.len() - 4..], (high << 16 | low).to_be_bytes(), "Adler-32");
        out
    }

    #[test]
    fn a_picture_has_its_size_and_every_row_of_it() {
        for (width, height) in [(1024, 768), (576, 1024), (8, 1024), (1, 1)] {
            let file = render(width, height, 3);
            let (mut place, mut rows) = (8, Vec::new());
            while place < file.len() {
                let number = |at: usize| u32::from_be_bytes(file[at..at + 4].try_into().unwrap());
                let end = place + 8 + usize::try_from(number(place)).unwrap();
                assert_eq!(number(end), crc32(&file[place + 4..end]));
                match &file[place + 4..place + 8] {
                    b"IHDR" => assert_eq!((number(place + 8), number(place + 12)), (width, height)),
                    b"IDAT" => rows = inflated(&file[place + 8..end]),
                    other => assert_eq!(other, b"IEND"),
                }
                place = end + 4;
            }
            let row = usize::try_from(width * 3 + 1).unwrap();
            assert_eq!(rows.len(), row * usize::try_from(height).unwrap());
            assert!(rows.chunks(row).skip(1).all(|row| row[0] == ABOVE));
            let brightest = rows.chunks(row).skip(1).map(|row| u32::from(row[1])).sum::<u32>();
            assert!(brightest <= 64, "a channel that overflows would start again at black");
        }
    }

    #[test]
    fn a_picture_is_small_and_follows_from_its_seed() {
        let picture = render(1024, 768, 7);
        assert!(picture.len() < 64_000, "{}", picture.len());
        assert_eq!(picture, render(1024, 768, 7));
        assert_ne!(picture, render(1024, 768, 8));
    }
}

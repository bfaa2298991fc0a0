//! Real MP4 files (ISO/IEC 14496-12 and -15) of the right length and size, playable: one flat colour a second.

use super::h264;

/// Frames in a second.
const RATE: u32 = 24;
/// Ticks of the track's clock in a frame.
const TICKS: u32 = 512;
/// Ticks of the file's clock in a second.
const MILLIS: u32 = 1000;

/// A file of whole seconds. The sides must be multiples of 16.
pub(super) fn render(width: u32, height: u32, seconds: u32, seed: u64) -> Vec<u8> {
    let frames = frames(width, height, seconds, seed);
    let file_type = boxed(b"ftyp", &[b"isom".as_slice(), &512_u32.to_be_bytes(), b"isomiso2avc1mp41"]);
    // Where the frames start is written in front of them; the place does not change the length.
    let length = movie(width, height, seconds, &frames, 0).len();
    let start = number(file_type.len() + length + 8);
    let mut file = file_type;
    file.extend(movie(width, height, seconds, &frames, start));
    file.extend(boxed(b"mdat", &frames.iter().map(Vec::as_slice).collect::<Vec<_>>()));
    file
}

/// Every frame as a sample: its unit with its length in front.
fn frames(width: u32, height: u32, seconds: u32, seed: u64) -> Vec<Vec<u8>> {
    let mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    let frame = |index: u32| {
        let (second, place) = (index / RATE, index % RATE);
        let unit = if place == 0 {
            let turn = u8::try_from(second % 8).unwrap_or(0) * 24;
            let colour =
                [mixed[0], mixed[1].wrapping_add(turn), mixed[2].wrapping_sub(turn)].map(|byte| 48 + byte % 144);
            h264::key_frame(width, height, colour, second % 2)
        } else {
            h264::still_frame(width, height, place)
        };
        [&number(unit.len()).to_be_bytes()[..], &unit].concat()
    };
    (0..seconds * RATE).map(frame).collect()
}

fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn boxed(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    [&number(content.len() + 8).to_be_bytes()[..], kind, &content].concat()
}

/// A box whose content starts with a version and flags, all numbers of 32 bits.
fn numbers(kind: &[u8; 4], numbers: &[u32]) -> Vec<u8> {
    boxed(kind, &[&flat(numbers)])
}

fn flat(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// No rotation: the identity in fixed point.
const MATRIX: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

fn movie(width: u32, height: u32, seconds: u32, frames: &[Vec<u8>], start: u32) -> Vec<u8> {
    let header =
        [&[0, 0, 0, MILLIS, seconds * MILLIS, 0x1_0000, 0x0100_0000, 0, 0], &MATRIX[..], &[0; 6], &[2]].concat();
    let track = [&[3, 0, 0, 1, 0, seconds * MILLIS, 0, 0, 0, 0], &MATRIX[..], &[width << 16, height << 16]].concat();
    let media = boxed(
        b"mdia",
        &[
            &numbers(b"mdhd", &[0, 0, 0, RATE * TICKS, seconds * RATE * TICKS, 0x55c4_0000]),
            &boxed(b"hdlr", &[&flat(&[0, 0]), b"vide", &flat(&[0, 0, 0]), b"Video\0"]),
            &boxed(
                b"minf",
                &[
                    &numbers(b"vmhd", &[1, 0, 0]),
                    &boxed(b"dinf", &[&boxed(b"dref", &[&flat(&[0, 1]), &numbers(b"url ", &[1])])]),
                    &samples(width, height, frames, start),
                ],
            ),
        ],
    );
    boxed(b"moov", &[&numbers(b"mvhd", &header), &boxed(b"trak", &[&numbers(b"tkhd", &track), &media])])
}

/// Where each frame is, how long it is, how long it lasts, and which ones can be started from.
fn samples(width: u32, height: u32, frames: &[Vec<u8>], start: u32) -> Vec<u8> {
    let count = number(frames.len());
    let sizes: Vec<u32> = [0, 0, count].into_iter().chain(frames.iter().map(|frame| number(frame.len()))).collect();
    let keys: Vec<u32> =
        [0, count / RATE].into_iter().chain((0..count / RATE).map(|second| second * RATE + 1)).collect();
    boxed(
        b"stbl",
        &[
            &boxed(b"stsd", &[&flat(&[0, 1]), &sample_entry(width, height)]),
            &numbers(b"stts", &[0, 1, count, TICKS]),
            &numbers(b"stss", &keys),
            &numbers(b"stsc", &[0, 1, 1, count, 1]),
            &numbers(b"stsz", &sizes),
            &numbers(b"stco", &[0, 1, start]),
        ],
    )
}

fn sample_entry(width: u32, height: u32) -> Vec<u8> {
    let sets = h264::parameter_sets(width, height);
    let length = |set: &[u8]| u16::try_from(set.len()).unwrap_or(u16::MAX).to_be_bytes();
    let configuration = boxed(
        b"avcC",
        &[
            &[1, h264::PROFILE[0], h264::PROFILE[1], h264::LEVEL, 0xff, 0xe1], // lengths of 4 bytes, one sequence set
            &length(&sets.sequence),
            &sets.sequence,
            &[1],
            &length(&sets.picture),
            &sets.picture,
        ],
    );
    let size = flat(&[(width << 16) | height]);
    let resolution = flat(&[0x48_0000, 0x48_0000, 0]); // 72 dots an inch, as everybody writes
    let rest = [&[0, 1][..], &[0; 32], &[0, 0x18, 0xff, 0xff]].concat(); // one frame a sample, no name, depth 24
    boxed(b"avc1", &[&[0; 6], &[0, 1], &[0; 16], &size, &resolution, &rest, &configuration])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], at: usize) -> usize {
        usize::try_from(u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())).unwrap()
    }

    /// The boxes in some bytes: kind and content.
    fn boxes(bytes: &[u8]) -> Vec<(&[u8], &[u8])> {
        let (mut found, mut place) = (Vec::new(), 0);
        while place < bytes.len() {
            let size = read(bytes, place);
            found.push((&bytes[place + 4..place + 8], &bytes[place + 8..place + size]));
            place += size;
        }
        assert_eq!(place, bytes.len(), "boxes fill their parent");
        found
    }

    fn inner<'a>(bytes: &'a [u8], path: &[&[u8; 4]]) -> &'a [u8] {
        path.iter().fold(bytes, |bytes, kind| boxes(bytes).into_iter().find(|found| found.0 == *kind).unwrap().1)
    }

    #[test]
    fn a_video_has_its_length_its_size_and_its_frames_where_it_says() {
        let file = render(1920, 1088, 5, 9);
        assert_eq!(boxes(&file).iter().map(|found| found.0).collect::<Vec<_>>(), [b"ftyp", b"moov", b"mdat"]);
        let header = inner(&file, &[b"moov", b"mvhd"]);
        assert_eq!((read(header, 12), read(header, 16)), (1000, 5000), "milliseconds");
        let track = inner(&file, &[b"moov", b"trak", b"tkhd"]);
        assert_eq!((read(track, 76) >> 16, read(track, 80) >> 16), (1920, 1088));
        let table: [&[u8; 4]; 5] = [b"moov", b"trak", b"mdia", b"minf", b"stbl"];
        let in_table = |kind| inner(inner(&file, &table), &[kind]);
        let sizes = in_table(b"stsz");
        assert_eq!(read(sizes, 8), 5 * 24);
        let total: usize = (0..5 * 24).map(|index| read(sizes, 12 + 4 * index)).sum();
        let frames = inner(&file, &[b"mdat"]);
        assert_eq!(total, frames.len());
        let start = read(in_table(b"stco"), 8);
        assert_eq!(&file[start..start + 16], &frames[..16]);
        let keys = in_table(b"stss");
        let mut place = start;
        for index in 0..5 * 24 {
            let size = read(sizes, 12 + 4 * index);
            assert_eq!(read(&file, place) + 4, size, "each frame is one unit");
            assert_eq!(file[place + 4], if index % 24 == 0 { 0x65 } else { 0x41 });
            place += size;
        }
        assert_eq!((read(keys, 4), read(keys, 8), read(keys, 12)), (5, 1, 25));
    }
}

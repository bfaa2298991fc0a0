//! Videos: one small file for each length and size that a model offers, independent of the prompt.
//! See [how they were made](./videos/README.md).

/// Files by name, which is size and seconds.
const FILES: [(&str, &[u8]); 4] = [
    ("1920x1088-5s", include_bytes!("videos/1920x1088-5s.mp4")),
    ("1920x1088-10s", include_bytes!("videos/1920x1088-10s.mp4")),
    ("1088x1920-5s", include_bytes!("videos/1088x1920-5s.mp4")),
    ("1088x1920-10s", include_bytes!("videos/1088x1920-10s.mp4")),
];

/// Name of the file of this size and length.
pub(super) fn name(width: u32, height: u32, seconds: u32) -> String {
    format!("{width}x{height}-{seconds}s")
}

/// The file with this name.
pub(super) fn named(name: &str) -> Option<&'static [u8]> {
    FILES.iter().find(|(known, _)| *known == name).map(|(_, bytes)| *bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The 32-bit number at an offset after the type of the first such box (ISO/IEC 14496-12).
    fn number(file: &[u8], kind: &[u8; 4], behind: usize) -> u32 {
        let place = file.windows(4).position(|window| window == kind).unwrap() + 4 + behind;
        u32::from_be_bytes(file[place..place + 4].try_into().unwrap())
    }

    #[test]
    fn every_file_has_the_size_and_length_its_name_says() {
        for (width, height, seconds) in
            [(1920, 1088, 5), (1920, 1088, 10), (1088, 1920, 5), (1088, 1920, 10)]
        {
            let file = named(&name(width, height, seconds)).unwrap();
            assert_eq!(&file[4..8], b"ftyp");
            let ticks = number(file, b"mvhd", 12);
            assert_eq!(number(file, b"mvhd", 16), seconds * ticks);
            let size = (number(file, b"tkhd", 76) >> 16, number(file, b"tkhd", 80) >> 16);
            assert_eq!(size, (width, height));
        }
        assert!(named("1920x1088-6s").is_none());
    }
}

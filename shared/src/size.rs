//! Sizes in bytes as people write them.

/// Reads a size: bytes, or a number with K, M or G, in powers of 1024 as Docker has them.
///
/// The error says what a size looks like, without the text itself.
pub fn parse(text: &str) -> Result<u64, String> {
    let (number, factor) = match text.char_indices().last() {
        Some((end, 'k' | 'K')) => (&text[..end], 1 << 10),
        Some((end, 'm' | 'M')) => (&text[..end], 1 << 20),
        Some((end, 'g' | 'G')) => (&text[..end], 1 << 30),
        _ => (text, 1),
    };
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("give bytes, or a whole number with K, M or G, as in 64M".into());
    }
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    bytes.filter(|bytes| i64::try_from(*bytes).is_ok()).ok_or("that is more than 8 EiB".into())
}

/// Writes a size with the largest unit that leaves a whole number: `64 MiB`.
pub fn text(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let fits = |(shift, _): &(u32, _)| bytes > 0 && bytes.is_multiple_of(1 << shift);
    match units.into_iter().find(fits) {
        Some((shift, unit)) => format!("{} {unit}", bytes >> shift),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        let read = |text| parse(text).unwrap();
        assert_eq!([read("0"), read("7"), read("4096")], [0, 7, 4096]);
        assert_eq!([read("2K"), read("64m"), read("3G")], [2048, 64 << 20, 3 << 30]);
        assert_eq!(read("9223372036854775807"), i64::MAX as u64);
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for bad in ["", "K", "64X", "64MB", "-1", "+1", "1.5G", " 1", "1 ", "0x10", "٣"] {
            assert!(parse(bad).unwrap_err().contains("64M"), "{bad:?}");
        }
        for large in ["9223372036854775808", "8589934592G", "99999999999999999999999"] {
            assert!(parse(large).unwrap_err().contains("8 EiB"), "{large:?}");
        }
    }

    #[test]
    fn a_size_is_written_with_its_largest_unit() {
        assert_eq!(text(64 << 20), "64 MiB");
        assert_eq!(text(1536 << 10), "1536 KiB");
        assert_eq!(text(2 << 30), "2 GiB");
        assert_eq!(text(1000), "1000 bytes");
    }
}

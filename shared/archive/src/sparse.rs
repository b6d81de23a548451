//! Sparse files: those with holes, of which an archive has the rest (GNU tar's manual, "Storing
//! Sparse Files"). The holes stay holes here, too.

use crate::pax::PaxSparse;

/// Pieces that a file may have. A map of them is less than 1 MiB.
pub const MAX_SPANS: usize = 1 << 16;

/// Where the content of a sparse file belongs.
#[derive(Debug, PartialEq, Eq)]
pub struct Map {
    /// Offset and length of each piece, in bytes, in the order of the content.
    pub spans: Vec<(u64, u64)>,
    /// Bytes of the file, holes included.
    pub size: u64,
}

impl Map {
    /// Makes a map if the pieces follow each other, lie within the file, and are what the archive
    /// has: `stored` bytes. The error says what is wrong.
    pub fn new(spans: Vec<(u64, u64)>, size: u64, stored: u64) -> Result<Map, &'static str> {
        let mut end = 0;
        let mut total = 0;
        for (offset, length) in &spans {
            if *offset < end {
                return Err("the pieces of a sparse file overlap");
            }
            end = offset.checked_add(*length).ok_or("a sparse file has no end")?;
            total += length; // at most `end`
        }
        if end > size || i64::try_from(size).is_err() {
            return Err("the pieces of a sparse file lie outside it");
        }
        if total == stored {
            Ok(Map { spans, size })
        } else {
            Err("the pieces of a sparse file are not what the archive has of it")
        }
    }
}

/// How a PAX archive says where the pieces are.
#[derive(Debug, PartialEq, Eq)]
pub enum Style {
    /// In the records: versions 0.0 and 0.1.
    Records(Vec<(u64, u64)>),
    /// Before the content: version 1.0.
    Content,
}

/// The style of a sparse file in a PAX archive; None for a file that is not sparse.
pub fn style(pax: &PaxSparse) -> Result<Option<Style>, &'static str> {
    // Of two maps it's that of version 0.0 that counts.
    let map = if pax.pieces.is_empty() { &pax.map } else { &pax.pieces };
    match (pax.major.as_slice(), pax.minor.as_slice()) {
        (b"1", b"0") => return Ok(Some(Style::Content)),
        (b"0", b"0" | b"1") => {}
        (b"", b"") if !map.is_empty() => {}
        (b"", b"") => return Ok(None),
        _ => return Err("it is a sparse file of a version that we don't know"),
    }
    let (pairs, rest) = map.as_chunks::<2>();
    if !rest.is_empty() {
        return Err("a piece of a sparse file has no length");
    }
    if pax.numblocks != Some(pairs.len() as u64) {
        return Err("the pieces of a sparse file are not as many as it says");
    }
    Ok(Some(Style::Records(pairs.iter().map(|[a, b]| (*a, *b)).collect())))
}

/// Reads the map at the beginning of the content, block by block: a line with the number of pieces,
/// then two lines for each.
#[derive(Default)]
pub struct MapReader {
    numbers: Vec<u64>,
    /// The line that a block ended in.
    line: Vec<u8>,
}

impl MapReader {
    /// Reads one block; true when the map is complete. The rest of the block is padding.
    pub fn read(&mut self, block: &[u8; 512]) -> Result<bool, &'static str> {
        const WRONG: &str = "the map of a sparse file is not one of numbers";
        for byte in block {
            if *byte != b'\n' {
                self.line.push(*byte);
                continue;
            }
            self.numbers.push(crate::pax::decimal(&self.line).ok_or(WRONG)?);
            self.line.clear();
            if self.numbers[0] > MAX_SPANS as u64 {
                return Err("a sparse file has too many pieces");
            }
            if self.numbers.len() as u64 == 1 + 2 * self.numbers[0] {
                return Ok(true);
            }
        }
        // A number has no more than 20 digits.
        if self.line.len() > 20 { Err(WRONG) } else { Ok(false) }
    }

    pub fn spans(&self) -> Vec<(u64, u64)> {
        self.numbers[1..].as_chunks::<2>().0.iter().map(|[a, b]| (*a, *b)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_that_lies_is_refused() {
        assert!(Map::new(vec![(0, 5), (10, 5), (20, 0)], 20, 10).is_ok());
        assert!(Map::new(vec![], 1 << 40, 0).is_ok());
        for (spans, size, stored) in [
            (vec![(0, 5), (4, 5)], 20, 10),
            (vec![(10, 5), (0, 5)], 20, 10),
            (vec![(0, 5), (10, 5)], 14, 10),
            (vec![(0, 5)], 20, 4),
            (vec![(0, 5)], 20, 6),
            (vec![(u64::MAX, 1)], u64::MAX, 1),
            (vec![], u64::MAX, 0),
        ] {
            assert!(Map::new(spans, size, stored).is_err());
        }
    }

    #[test]
    fn a_map_may_end_in_any_block() {
        let mut reader = MapReader::default();
        let mut text = b"100\n".to_vec();
        for i in 0..100 {
            text.extend(format!("{}\n5\n", i * 10).bytes());
        }
        text.resize(1024, 0);
        let blocks = text.as_chunks::<512>().0;
        assert_eq!(reader.read(&blocks[0]), Ok(false));
        assert_eq!(reader.read(&blocks[1]), Ok(true));
        assert_eq!(reader.spans()[99], (990, 5));
    }

    #[test]
    fn a_map_without_end_is_refused() {
        for text in ["65537\n", "x\n", "-1\n", "1\n\n", "111111111111111111111111111111"] {
            let mut block = [b'0'; 512];
            block[..text.len()].copy_from_slice(text.as_bytes());
            assert!(MapReader::default().read(&block).is_err(), "{text}");
        }
    }
}

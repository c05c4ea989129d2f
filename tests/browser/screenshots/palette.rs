//! Pictures (PNG) of 256 colours, which take a third of the room: <https://www.w3.org/TR/png-3/>

use std::collections::HashMap;
use std::io::{Read as _, Write as _};

use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

type Colour = [u8; 3];

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// The same picture in its 256 most frequent colours; each other becomes the one that is nearest.
///
/// # Panics
/// Where it is none of three bytes for each pixel, without interlacing, as Chromium makes them.
pub fn reduced(picture: &[u8]) -> Vec<u8> {
    let chunks = chunks(picture);
    let header = chunks[0].1;
    assert_eq!(header[8..], [8, 2, 0, 0, 0], "Chromium makes other pictures now");
    let width =
        usize::try_from(u32::from_be_bytes(header[..4].try_into().expect("four bytes"))).expect("a width");
    let data: Vec<u8> =
        chunks.iter().filter(|(kind, _)| *kind == b"IDAT").flat_map(|(_, data)| *data).copied().collect();
    let mut lines = Vec::new();
    ZlibDecoder::new(data.as_slice()).read_to_end(&mut lines).expect("its data are zlib's");
    let pixels = unfiltered(&lines, width * 3);

    let mut counts = HashMap::<Colour, usize>::new();
    for pixel in pixels.as_chunks::<3>().0 {
        *counts.entry(*pixel).or_default() += 1;
    }
    let mut colours: Vec<Colour> = counts.keys().copied().collect();
    colours.sort_by_key(|colour| (usize::MAX - counts[colour], *colour));
    let (palette, rest) = colours.split_at(colours.len().min(256));
    let mut places: HashMap<Colour, u8> = palette.iter().copied().zip(0..=u8::MAX).collect();
    for colour in rest {
        let nearest = palette.iter().min_by_key(|other| distance(**other, *colour)).expect("it has colours");
        places.insert(*colour, places[nearest]);
    }

    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    for line in pixels.chunks(width * 3) {
        let mut bytes = vec![0];
        bytes.extend(line.as_chunks::<3>().0.iter().map(|pixel| places[pixel]));
        encoder.write_all(&bytes).expect("memory takes it");
    }
    let data = encoder.finish().expect("memory takes it");
    let header = [&header[..8], &[8, 3, 0, 0, 0]].concat();
    let mut reduced = SIGNATURE.to_vec();
    for (kind, data) in
        [(b"IHDR", header), (b"PLTE", palette.concat()), (b"IDAT", data), (b"IEND", Vec::new())]
    {
        let mut crc = Crc::new();
        crc.update(kind);
        crc.update(&data);
        reduced.extend(u32::try_from(data.len()).expect("a short chunk").to_be_bytes());
        reduced.extend(kind);
        reduced.extend(data);
        reduced.extend(crc.sum().to_be_bytes());
    }
    reduced
}

/// Kind and data of each.
fn chunks(picture: &[u8]) -> Vec<(&[u8; 4], &[u8])> {
    let mut rest = picture.strip_prefix(SIGNATURE).expect("it is a PNG");
    let mut chunks = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).expect("a short chunk");
        let (kind, after) = after.split_first_chunk::<4>().expect("a chunk has a kind");
        let (data, after) = after.split_at(length);
        chunks.push((kind, data));
        rest = &after[4..];
    }
    chunks
}

/// The bytes of the pixels, where lines have `length` of them (section 9).
fn unfiltered(lines: &[u8], length: usize) -> Vec<u8> {
    let mut pixels: Vec<u8> = Vec::with_capacity(lines.len());
    let mut above = vec![0; length];
    for line in lines.chunks(length + 1) {
        let mut current = vec![0; length];
        for (place, byte) in line[1..].iter().enumerate() {
            let (left, up_left) = place.checked_sub(3).map_or((0, 0), |place| (current[place], above[place]));
            let up = above[place];
            let guess = match line[0] {
                0 => 0,
                1 => left,
                2 => up,
                3 => u8::midpoint(left, up),
                _ => paeth(left, up, up_left),
            };
            current[place] = byte.wrapping_add(guess);
        }
        pixels.extend(&current);
        above = current;
    }
    pixels
}

fn paeth(left: u8, up: u8, up_left: u8) -> u8 {
    let guess = i16::from(left) + i16::from(up) - i16::from(up_left);
    let far = |byte: u8| (guess - i16::from(byte)).abs();
    // Of the same distance, the first.
    [left, up, up_left].into_iter().min_by_key(|byte| far(*byte)).unwrap_or_default()
}

fn distance(one: Colour, other: Colour) -> u32 {
    one.iter().zip(other).map(|(one, other)| u32::from(one.abs_diff(other)).pow(2)).sum()
}

//! Doubles as text that loses no bit: base64 of their little-endian bytes.
//!
//! JSON has no infinities and prints 48 weights in 900 characters; this takes 512 and keeps every bit, so that a
//! decision recomputed from a record is the decision that was taken. Use with `#[serde(with = "bits")]` on `[f64; N]`.

use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const DOUBLE: usize = size_of::<f64>();

/// Why a text is not a list of doubles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BitsError {
    /// A character outside the base64 alphabet, or padding in the wrong place.
    #[error("not base64: write the text exactly as it was recorded")]
    NotBase64,
    /// The text holds another number of doubles than expected.
    #[error("expected {expected} bytes of doubles, found {found}")]
    Length {
        /// Bytes that were expected.
        expected: usize,
        /// Bytes that were found.
        found: usize,
    },
}

/// Writes doubles as one base64 text of their little-endian bytes, padded with `=`.
#[must_use]
pub fn encode(values: &[f64]) -> String {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut group = [0_u8; 3];
        group.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
        let [a, b, c] = group.map(u32::from);
        let word = a << 16 | b << 8 | c;
        for place in 0..4_usize {
            let sextet = (word >> (18 - 6 * place)) as usize & 63;
            let digit = ALPHABET.get(sextet).copied().unwrap_or(b'=');
            text.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// Reads exactly `N` doubles back, bit for bit.
///
/// # Errors
/// [`BitsError`] if the text is not base64 or holds another number of doubles.
pub fn decode<const N: usize>(text: &str) -> Result<[f64; N], BitsError> {
    let bytes = decode_bytes(text)?;
    if bytes.len() != N * DOUBLE {
        return Err(BitsError::Length { expected: N * DOUBLE, found: bytes.len() });
    }
    let mut values = [0.0; N];
    for (value, chunk) in values.iter_mut().zip(bytes.chunks_exact(DOUBLE)) {
        let mut le = [0_u8; DOUBLE];
        le.copy_from_slice(chunk);
        *value = f64::from_le_bytes(le);
    }
    Ok(values)
}

fn decode_bytes(text: &str) -> Result<Vec<u8>, BitsError> {
    let digits = text.trim_end_matches('=').as_bytes();
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return Err(BitsError::NotBase64);
    }
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut word, mut width) = (0_u32, 0_u32);
    for digit in digits {
        word = (word << 6 | sextet(*digit).ok_or(BitsError::NotBase64)?) & 0xFFFF;
        width += 6;
        if width >= 8 {
            width -= 8;
            bytes.push((word >> width & 0xFF) as u8);
        }
    }
    Ok(bytes)
}

fn sextet(digit: u8) -> Option<u32> {
    Some(match digit {
        b'A'..=b'Z' => u32::from(digit - b'A'),
        b'a'..=b'z' => u32::from(digit - b'a') + 26,
        b'0'..=b'9' => u32::from(digit - b'0') + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

/// Serializes a fixed number of doubles as one text.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer, const N: usize>(values: &[f64; N], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&encode(values))
}

/// Reads a fixed number of doubles from one text.
///
/// # Errors
/// Those of the deserializer, and [`BitsError`] as a custom error; a NaN is refused.
pub fn deserialize<'de, D: Deserializer<'de>, const N: usize>(deserializer: D) -> Result<[f64; N], D::Error> {
    let text = String::deserialize(deserializer)?;
    let values = decode(&text).map_err(D::Error::custom)?;
    if values.iter().any(|v: &f64| v.is_nan()) {
        return Err(D::Error::custom("a recorded weight is not a number"));
    }
    Ok(values)
}

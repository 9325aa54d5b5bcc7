//! How a value is stored in a Change's status where nobody reads it there: JSON, deflated, in base64.

use std::io::{Read as _, Write as _};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use serde::{Serialize, de::DeserializeOwned};

/// Bytes of a packed value when unpacked: what is stored by anyone else must not exhaust us.
const MOST_UNPACKED: u64 = 16 * 1024 * 1024;

/// A stored value that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the stored {what} is not as this version of Firebreak writes it ({detail})")]
pub struct PackError {
    what: &'static str,
    detail: String,
}

/// Packs a value.
///
/// # Errors
/// Where the value cannot be written as JSON.
pub fn pack<T: Serialize>(what: &'static str, value: &T) -> Result<String, PackError> {
    let wrong = |detail: String| PackError { what, detail };
    let json = serde_json::to_vec(value).map_err(|error| wrong(error.to_string()))?;
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&json).map_err(|error| wrong(error.to_string()))?;
    Ok(BASE64.encode(encoder.finish().map_err(|error| wrong(error.to_string()))?))
}

/// Unpacks what [`pack`] made.
///
/// # Errors
/// Where it was not made by [`pack`], or is larger than 16 MiB.
pub fn unpack<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, PackError> {
    let wrong = |detail: String| PackError { what, detail };
    let bytes = BASE64.decode(text).map_err(|error| wrong(error.to_string()))?;
    let mut json = Vec::new();
    let mut decoder = DeflateDecoder::new(bytes.as_slice()).take(MOST_UNPACKED);
    decoder.read_to_end(&mut json).map_err(|error| wrong(error.to_string()))?;
    serde_json::from_slice(&json).map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn given_a_packed_value_when_unpacked_then_the_same() {
        let value = vec![0.1_f64, 1e-300, f64::MAX];
        assert_eq!(unpack::<Vec<f64>>("value", &pack("value", &value).unwrap()).unwrap(), value);
    }

    #[test]
    fn given_what_was_not_packed_when_unpacked_then_it_says_what_it_was() {
        let error = unpack::<Vec<f64>>("memory", "!!").unwrap_err().to_string();
        assert!(error.contains("the stored memory is not as this version"), "{error}");
    }
}

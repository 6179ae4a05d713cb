//! Reads proofs as a server does that trusts nothing about them.
#![allow(dead_code)] // each test file uses its own part

use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::Value;

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

pub fn base64url(bytes: &[u8]) -> String {
    let bits: Vec<u8> =
        bytes.iter().flat_map(|byte| (0..8).rev().map(move |it| byte >> it & 1)).collect();
    let letter = |six: &[u8]| {
        let padded = six.iter().chain(std::iter::repeat(&0)).take(6);
        char::from(LETTERS[padded.fold(0, |number, bit| number << 1 | usize::from(*bit))])
    };
    bits.chunks(6).map(letter).collect()
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let (mut out, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for letter in text.bytes() {
        let six = LETTERS.iter().position(|it| *it == letter)?;
        (bits, count) = (bits << 6 | six as u32, count + 6);
        if count >= 8 {
            count -= 8;
            out.push((bits >> count & 255) as u8);
        }
    }
    Some(out)
}

/// Header and claims of a proof, if its signature is that of the key in it.
pub fn opened(proof: &str) -> Option<(Value, Value)> {
    let (body, signature) = proof.rsplit_once('.')?;
    let (header, claims) = body.split_once('.')?;
    let read = |part| serde_json::from_slice::<Value>(&decoded(part)?).ok();
    let (header, claims) = (read(header)?, read(claims)?);
    let coordinate = |name: &str| decoded(header["jwk"][name].as_str()?);
    let point = [vec![4], coordinate("x")?, coordinate("y")?].concat();
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
    public.verify(body.as_bytes(), &decoded(signature)?).ok()?;
    Some((header, claims))
}

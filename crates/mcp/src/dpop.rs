//! Tokens that are bound to a key (DPoP, RFC 9449): whoever steals the token cannot use it without the key. Each request
//! carries a signed proof that is good for this request only.

use crate::base64::base64url;
use loopwright_types::Digest;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::json;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// The header that a proof is in.
pub(crate) const PROOF: HeaderName = HeaderName::from_static("dpop");
/// The only kind of signature that is made here; servers that know none but others get no proofs.
pub(crate) const ALGORITHM: &str = "ES256";
/// What a server says that wants its nonce in the proof.
pub(crate) const WANTS_NONCE: &str = "use_dpop_nonce";
const NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// The private key that a login's tokens are bound to. It has no `Debug` form.
#[derive(Clone)]
pub(crate) struct Key {
    pair: Arc<EcdsaKeyPair>,
    /// PKCS #8 in hexadecimal digits.
    text: String,
}

impl Key {
    /// Makes a key.
    pub(crate) fn new() -> Result<Self, String> {
        let random = SystemRandom::new();
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
        let made = made.map_err(|_| "there is no randomness")?;
        let mut text = String::new();
        for byte in made.as_ref() {
            let _ = write!(text, "{byte:02x}"); // a string takes everything
        }
        Self::read(&text).ok_or_else(|| "the new key cannot be used".to_owned())
    }

    /// A key from its stored form.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let digits = text.as_bytes().chunks(2);
        let byte = |two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok();
        let bytes: Vec<u8> = digits.map(byte).collect::<Option<_>>()?;
        let random = SystemRandom::new();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &bytes, &random).ok()?;
        Some(Self { pair: Arc::new(pair), text: text.to_owned() })
    }

    /// The form to store.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Proves that this request is made by the owner of the key (section 4.2). `token` is the access token that goes
    /// with it, if one does.
    pub(crate) fn proof(
        &self,
        method: &Method,
        url: &Url,
        token: Option<&str>,
        nonce: Option<&str>,
    ) -> Result<HeaderValue, String> {
        let random = SystemRandom::new();
        let mut unique = [0; 16];
        random.fill(&mut unique).map_err(|_| "there is no randomness")?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut claims = json!({
            "jti": base64url(&unique),
            "htm": method.as_str(),
            "htu": target(url),
            "iat": now.as_secs(),
        });
        if let Some(token) = token {
            claims["ath"] = json!(base64url(&Digest::of(token.as_bytes()).0));
        }
        if let Some(nonce) = nonce {
            claims["nonce"] = json!(nonce);
        }
        // The point in its plain form: a byte 4, then both coordinates.
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        let key = json!({ "kty": "EC", "crv": "P-256", "x": base64url(x), "y": base64url(y) });
        let header = json!({ "typ": "dpop+jwt", "alg": ALGORITHM, "jwk": key });
        let body = [header, claims].map(|it| base64url(it.to_string().as_bytes())).join(".");
        let signature = self.pair.sign(&random, body.as_bytes());
        let signature = signature.map_err(|_| "there is no randomness")?;
        let proof = format!("{body}.{}", base64url(signature.as_ref()));
        let mut value = HeaderValue::from_str(&proof).map_err(|error| error.to_string())?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// The address that a proof is for: without query and fragment, and without the password that some put into theirs.
fn target(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // An address that has no place for a password has none.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    url.into()
}

/// The newest nonce of one server, if it gives any.
#[derive(Clone, Default)]
pub(crate) struct Nonce(Arc<Mutex<Option<String>>>);

impl Nonce {
    pub(crate) fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps the nonce of an answer, and gives it, if there is one.
    pub(crate) fn keep(&self, headers: &HeaderMap) -> Option<String> {
        let given = headers.get(NONCE)?.to_str().ok().filter(|it| !it.is_empty())?.to_owned();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(given.clone());
        Some(given)
    }
}

/// Whether a server that refused a request names DPoP among what it takes (section 7.1).
pub(crate) fn is_named(challenge: &str) -> bool {
    // What stands in quotes are values, which may say anything.
    let mut words = challenge.split('"').step_by(2).flat_map(|it| it.split([' ', ',']));
    words.any(|word| word.eq_ignore_ascii_case("dpop"))
}

#[cfg(test)]
mod tests;

//! Signed statements (JSON Web Tokens) by which a client proves that it has its private key (RFC 7523).

use crate::base64::base64url;
use rustls::SignatureScheme;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a statement is good for.
const LIFETIME: Duration = Duration::from_secs(60);
const SCHEMES: &[SignatureScheme] =
    &[SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::RSA_PKCS1_SHA256];

/// Says that this client wants something of `audience`, signed with its key.
///
/// # Errors
/// When the key cannot be used. The key is not in the message.
pub(super) fn client_statement(
    client: &str,
    audience: &str,
    private_key: &str,
) -> Result<String, String> {
    let provider = default_provider();
    let unusable = |error: &dyn std::fmt::Display| format!("`privateKey` cannot be used: {error}");
    let key = PrivatePkcs8KeyDer::from_pem_slice(private_key.as_bytes());
    let key = key.map_err(|error| unusable(&error))?;
    let key = provider.key_provider.load_private_key(PrivateKeyDer::Pkcs8(key));
    let key = key.map_err(|error| unusable(&error))?;
    let signer = key.choose_scheme(SCHEMES).ok_or("`privateKey` is no P-256 or RSA key")?;
    let is_elliptic = signer.scheme() == SignatureScheme::ECDSA_NISTP256_SHA256;
    let algorithm = if is_elliptic { "ES256" } else { "RS256" };
    let header = json!({ "alg": algorithm, "typ": "client-authentication+jwt" });
    let body = [&header, &claims(client, audience, &provider)?]
        .map(|it| base64url(it.to_string().as_bytes()));
    let body = body.join(".");
    let mut signature = signer.sign(body.as_bytes()).map_err(|error| unusable(&error))?;
    if is_elliptic {
        signature = plain(&signature).ok_or("the signature has an unknown form")?;
    }
    Ok(format!("{body}.{}", base64url(&signature)))
}

fn claims(client: &str, audience: &str, provider: &CryptoProvider) -> Result<Value, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut unique = [0; 16];
    provider.secure_random.fill(&mut unique).map_err(|_| "there is no randomness")?;
    Ok(json!({
        "iss": client,
        "sub": client,
        "aud": audience,
        "iat": now.as_secs(),
        "exp": (now + LIFETIME).as_secs(),
        "jti": base64url(&unique),
    }))
}

/// The two numbers of a P-256 signature, 32 bytes each, out of their DER form (RFC 3279, section 2.2.3).
fn plain(der: &[u8]) -> Option<Vec<u8>> {
    let mut rest = der.strip_prefix(&[0x30])?.get(1..)?;
    let mut out = Vec::with_capacity(64);
    for _ in 0..2 {
        let length = usize::from(*rest.strip_prefix(&[0x02])?.first()?);
        let number = rest.get(2..2 + length)?;
        rest = &rest[2 + length..];
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        let number = &number[zeros..];
        out.resize(out.len() + 32_usize.checked_sub(number.len())?, 0);
        out.extend_from_slice(number);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_has_the_form_of_its_standard() {
        let mut der = vec![0x30, 0x26, 0x02, 0x21, 0x00];
        der.extend([0x81; 32]);
        der.extend([0x02, 0x01, 0x07]);
        let mut expected = vec![0x81; 32];
        expected.extend([0; 31]);
        expected.push(7);
        assert_eq!(plain(&der).unwrap(), expected);
        for broken in [&der[..10], &[][..], &[0x30, 0x02, 0x05, 0x00]] {
            assert_eq!(plain(broken), None);
        }
    }

    #[test]
    fn a_key_that_is_none_is_refused_without_being_shown() {
        for key in ["hush", "-----BEGIN PRIVATE KEY-----\naHVzaA==\n-----END PRIVATE KEY-----"] {
            let error = client_statement("a", "b", key).unwrap_err();
            assert!(error.contains("`privateKey` cannot be used"), "{error}");
            assert!(!error.contains("hush") && !error.contains("aHVza"), "{error}");
        }
    }
}

#[path = "../../tests/common/proof.rs"]
mod proof;

use super::*;
use serde_json::Value;

/// Header and claims of a proof whose signature is that of the key in it.
fn opened(proof: &HeaderValue) -> (Value, Value) {
    proof::opened(proof.to_str().unwrap()).unwrap()
}

#[test]
fn a_proof_says_what_the_standard_wants_and_nothing_else() {
    let key = Key::new().unwrap();
    let url = Url::parse("https://server.example/token").unwrap();
    let (header, claims) = opened(&key.proof(&Method::POST, &url, None, None).unwrap());
    assert_eq!((&header["typ"], &header["alg"]), (&json!("dpop+jwt"), &json!("ES256")));
    let names = |it: &Value| it.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&header["jwk"]), ["kty", "crv", "x", "y"], "the private key stays here");
    assert_eq!(names(&claims), ["jti", "htm", "htu", "iat"]);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!(claims["iat"].as_u64().unwrap().abs_diff(now) < 60, "{claims}");

    // The token and its digest are those of the example in section 7.1.
    let token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
    let proof = key.proof(&Method::GET, &url, Some(token), Some("eyJ7S_zG")).unwrap();
    let (_, claims) = opened(&proof);
    assert_eq!(claims["ath"], "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");
    assert_eq!((&claims["htm"], &claims["nonce"]), (&json!("GET"), &json!("eyJ7S_zG")));
    assert!(!claims.to_string().contains(token));
    assert!(proof.is_sensitive());
}

#[test]
fn a_proof_is_for_the_address_without_query_fragment_and_password() {
    let cases = [
        ("https://a.example/mcp", "https://a.example/mcp"),
        ("https://a.example/mcp?a=1&b#c", "https://a.example/mcp"),
        ("https://a.example", "https://a.example/"),
        ("http://LOCALHOST:80/x%20y/#f", "http://localhost/x%20y/"),
        ("https://me:hush@a.example:8443/mcp", "https://a.example:8443/mcp"),
    ];
    let key = Key::new().unwrap();
    for (url, expected) in cases {
        let proof = key.proof(&Method::POST, &Url::parse(url).unwrap(), None, None).unwrap();
        assert_eq!(opened(&proof).1["htu"], expected, "{url}");
    }
}

#[test]
fn every_proof_has_an_id_of_its_own_and_every_login_a_key_of_its_own() {
    let (one, other) = (Key::new().unwrap(), Key::new().unwrap());
    let url = Url::parse("https://a.example/mcp").unwrap();
    let proof = |key: &Key| opened(&key.proof(&Method::POST, &url, None, None).unwrap());
    let again = Key::read(one.text()).unwrap();
    let all = [proof(&one), proof(&one), proof(&again), proof(&other)];
    let ids: std::collections::BTreeSet<_> = all.iter().map(|it| it.1["jti"].to_string()).collect();
    assert_eq!(ids.len(), all.len());
    let keys = all.each_ref().map(|it| &it.0["jwk"]);
    assert!(keys[0] == keys[1] && keys[0] == keys[2] && keys[0] != keys[3]);
    for broken in ["", "0", "zz", "é", "00", &one.text()[..40], &one.text().replace('0', "1")] {
        assert!(Key::read(broken).is_none(), "{broken}");
    }
}

#[test]
fn the_newest_nonce_is_kept_until_there_is_a_newer_one() {
    let nonce = Nonce::default();
    let given = |text: &'static str| {
        HeaderMap::from_iter([(NONCE, HeaderValue::from_bytes(text.as_bytes()).unwrap())])
    };
    assert_eq!((nonce.keep(&HeaderMap::new()), nonce.get()), (None, None));
    for text in ["one", "two"] {
        assert_eq!(nonce.keep(&given(text)).as_deref(), Some(text));
    }
    for nothing in [given(""), given("é"), HeaderMap::new()] {
        assert_eq!(nonce.keep(&nothing), None);
    }
    assert_eq!(nonce.get().as_deref(), Some("two"));
}

#[test]
fn a_challenge_names_dpop_by_its_scheme_and_not_by_its_texts() {
    let cases = [
        (r#"DPoP error="invalid_token", algs="ES256""#, true),
        (r#"dpop realm="a""#, true),
        (r#"Bearer realm="a, b", DPoP algs="ES256 PS256""#, true),
        (r#"Bearer,DPoP algs="ES256""#, true),
        (r#"Bearer resource_metadata="https://a.example/x", scope="read""#, false),
        (r#"Bearer error_description="no, DPoP is not spoken here""#, false),
        (r#"Bearer scope="dpop""#, false),
        ("", false),
    ];
    for (challenge, expected) in cases {
        assert_eq!(is_named(challenge), expected, "{challenge}");
    }
}

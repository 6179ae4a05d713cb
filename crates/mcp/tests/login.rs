//! Logins, against an authorization server of our own. What it may answer besides is the conformance suite's business.

mod common;
#[path = "common/person.rs"]
mod person;
#[path = "common/proof.rs"]
mod proof;
#[path = "common/web.rs"]
mod web;

use common::{Scene, script};
use loopwright_mcp::Browser;
use loopwright_types::Code;
use person::Person;
use proof::base64url;
use serde_json::{Value, json};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use web::{Request, Response, Web, empty, json_response, older, text};

const PATIENCE: Duration = Duration::from_secs(30);

/// What the authorization server knows.
#[derive(Default)]
struct State {
    /// Tokens given out so far; the newest is the only one that is valid.
    tokens: AtomicUsize,
    denies: AtomicBool,
    /// Calls want another scope until there was a second login.
    wants_more: AtomicBool,
    challenge: Mutex<String>,
    /// Where tokens are said to be given out, if not here.
    elsewhere: Mutex<Option<String>>,
}

fn answer(state: &State, origin: &str, request: &Request) -> Response {
    let path = request.target.split('?').next().unwrap_or_default();
    match path {
        "/mcp" => {
            let valid = format!("Bearer token-{}", state.tokens.load(Ordering::Relaxed));
            let is_call = request.json()["method"] == "tools/call";
            if is_call && state.wants_more.load(Ordering::Relaxed) {
                let wants = "Bearer error=\"insufficient_scope\", scope=\"write\"".to_owned();
                return (403, vec![("www-authenticate", wants)], String::new());
            }
            if request.header("authorization") == Some(&valid) {
                return older(request, |_| text("fine"));
            }
            let wants = format!(
                "Bearer resource_metadata=\"{origin}/.well-known/oauth-protected-resource\", scope=\"read\""
            );
            (401, vec![("www-authenticate", wants)], String::new())
        }
        "/.well-known/oauth-protected-resource" => json_response(&json!({
            "resource": format!("{origin}/mcp"),
            "authorization_servers": [origin],
        })),
        "/.well-known/oauth-authorization-server" => json_response(&json!({
            "issuer": origin,
            "authorization_endpoint": format!("{origin}/authorize"),
            "token_endpoint":
                state.elsewhere.lock().unwrap().clone().unwrap_or(format!("{origin}/token")),
            "registration_endpoint": format!("{origin}/register"),
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
            "code_challenge_methods_supported": ["S256"],
        })),
        "/register" => {
            let mut client = request.json();
            client["client_id"] = json!("registered");
            (201, json_response(&client).1, client.to_string())
        }
        "/authorize" => {
            *state.challenge.lock().unwrap() = request.form("code_challenge").unwrap();
            let back = request.form("redirect_uri").unwrap();
            let given = request.form("state").unwrap();
            let outcome = match state.denies.load(Ordering::Relaxed) {
                true => "error=access_denied&error_description=not+today",
                false => "code=abc",
            };
            (302, vec![("location", format!("{back}?{outcome}&state={given}"))], String::new())
        }
        "/token" => token(state, request),
        _ => empty(404),
    }
}

fn token(state: &State, request: &Request) -> Response {
    let number = state.tokens.fetch_add(1, Ordering::Relaxed) + 1;
    let is_right = match request.form("grant_type").as_deref() {
        Some("authorization_code") => {
            let verifier = request.form("code_verifier").unwrap();
            let digest = loopwright_types::Digest::of(verifier.as_bytes()).0;
            base64url(&digest) == *state.challenge.lock().unwrap()
        }
        Some("refresh_token") => {
            request.form("refresh_token") == Some(format!("refresh-{}", number - 1))
        }
        Some("client_credentials") => request.form("client_secret").as_deref() == Some("hush"),
        Some("urn:ietf:params:oauth:grant-type:jwt-bearer") => {
            request.form("assertion").as_deref() == Some("signed+by/us=")
                && request.form("resource").is_some_and(|it| it.ends_with("/mcp"))
                && request.form("scope").as_deref() == Some("read")
        }
        _ => false,
    };
    if !is_right {
        let (_, headers, body) = json_response(&json!({ "error": "invalid_grant" }));
        return (400, headers, body);
    }
    json_response(&json!({
        "access_token": format!("token-{number}"),
        "refresh_token": format!("refresh-{number}"),
        "token_type": "Bearer",
        "expires_in": 3600,
        "scope": "read",
    }))
}

fn server(state: &Arc<State>) -> Web {
    let state = Arc::clone(state);
    Web::start(move |origin, request| answer(&state, origin, request))
}

fn at(web: &Web, oauth: &Value) -> Value {
    json!({ "web": { "type": "http", "url": format!("{}/mcp", web.origin), "oauth": oauth } })
}

fn login(scene: &Scene, has_strangers: bool) -> Result<(), loopwright_types::Failure> {
    scene.servers.login("web", Arc::new(Person { has_strangers }), PATIENCE)
}

#[test]
fn a_login_is_asked_for_once_and_its_tokens_are_stored_refreshed_and_forgotten() {
    let state = Arc::default();
    let web = server(&state);
    let scene = Scene::start(&at(&web, &json!({})), &[]);
    assert_eq!(scene.diagnostics[0].code, Code::MCP_LOGIN);
    assert!(scene.diagnostics[0].hint.as_ref().unwrap().contains("loopwright mcp login web"));
    login(&scene, true).unwrap();
    assert_eq!(scene.servers.connect_all(), []);
    assert_eq!(scene.call("web.act", json!({})).unwrap(), "fine");

    let data = scene.folder.path().join("data/mcp");
    let files = || -> Vec<_> {
        let files = std::fs::read_dir(&data).unwrap().map(|it| it.unwrap().path());
        files.filter(|it| it.extension().is_some_and(|it| it == "json")).collect()
    };
    let [file] = &files()[..] else { panic!("{:?}", files()) };
    assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(std::fs::read_to_string(file).unwrap().contains("token-1"));

    // A token that the server does not take any more is refreshed, and the call goes on: it was refused, not done.
    state.tokens.fetch_add(1, Ordering::Relaxed);
    let refresh = std::fs::read_to_string(file).unwrap().replace("refresh-1", "refresh-2");
    std::fs::write(file, refresh).unwrap();
    assert_eq!(scene.call("web.act", json!({})).unwrap(), "fine");
    assert!(std::fs::read_to_string(file).unwrap().contains("token-3"));

    // Another process finds the tokens.
    let other = reopen(&scene);
    assert_eq!(other.connect_all(), []);
    let value = other.call("web.act", &json!({}), &|| false, &|_| ());
    assert_eq!(value.unwrap(), "fine");
    let count = |path: &str| web.requests().iter().filter(|it| it.target.starts_with(path)).count();
    assert_eq!((count("/register"), count("/authorize")), (1, 1));

    other.logout("web").unwrap();
    assert_eq!(files(), Vec::<std::path::PathBuf>::new());
    assert_eq!(other.connect_all()[0].code, Code::MCP_LOGIN);
}

#[test]
fn a_statement_of_who_we_are_needs_nobody_s_consent_and_goes_to_no_open_line() {
    let state: Arc<State> = Arc::default();
    let web = server(&state);
    let oauth = |assertion: &str| json!({ "grant": "jwt_bearer", "clientId": "robot", "assertion": assertion });
    let scene = Scene::start(&at(&web, &oauth("signed+by/us=")), &[]);
    assert_eq!(scene.diagnostics, []);
    assert_eq!(scene.call("web.act", json!({})).unwrap(), "fine");
    let tokens = || web.requests().iter().filter(|it| it.target == "/token").count();
    let before = tokens();
    let scene = Scene::start(&at(&web, &oauth("forged")), &[]);
    let said = &scene.diagnostics[0].message;
    assert!(said.contains("invalid_grant") && !said.contains("forged"), "{said}");
    assert_eq!(tokens(), before + 1, "what is refused is not tried again");
    *state.elsewhere.lock().unwrap() = Some("http://192.0.2.1/token".to_owned());
    let scene = Scene::start(&at(&web, &oauth("signed+by/us=")), &[]);
    let said = &scene.diagnostics[0].message;
    assert!(said.contains("`http://192.0.2.1/token`: it is no HTTPS address"), "{said}");
}

#[test]
fn a_scope_that_a_call_lacked_is_asked_for_by_the_next_login_in_whatever_process() {
    let state: Arc<State> = Arc::default();
    let web = server(&state);
    let scene = Scene::start(&at(&web, &json!({})), &[]);
    login(&scene, false).unwrap();
    assert_eq!(scene.servers.connect_all(), []);
    state.wants_more.store(true, Ordering::Relaxed);
    let failure = scene.call("web.act", json!({})).unwrap_err();
    assert_eq!((failure.code, failure.sent), (Code::MCP_LOGIN, false));
    assert!(failure.message.contains("it wants more scopes"), "{}", failure.message);
    let other = reopen(&scene);
    other.login("web", Arc::new(Person { has_strangers: false }), PATIENCE).unwrap();
    state.wants_more.store(false, Ordering::Relaxed);
    let asked = web.requests().into_iter().filter(|it| it.target.starts_with("/authorize"));
    let scopes: Vec<String> = asked.map(|it| it.form("scope").unwrap()).collect();
    assert_eq!(scopes, ["read", "read write"]);
    assert_eq!(
        scene.call("web.act", json!({})).unwrap(),
        "fine",
        "the first process sees the new token"
    );
}

/// The same workspace, as another process would see it.
fn reopen(scene: &Scene) -> loopwright_mcp::Servers {
    let path: &Path = scene.folder.path();
    let settings = loopwright_types::Settings::default();
    let options = loopwright_mcp::Options::new(&settings, &path.join("data"));
    loopwright_mcp::Servers::load(path, options).0
}

#[test]
fn a_login_that_does_not_come_about_says_why() {
    struct Nobody;
    impl Browser for Nobody {
        fn open(&self, _: &str) -> io::Result<()> {
            Ok(())
        }
    }
    struct Broken;
    impl Browser for Broken {
        fn open(&self, _: &str) -> io::Result<()> {
            Err(io::Error::other("no display"))
        }
    }
    let state: Arc<State> = Arc::default();
    let web = server(&state);
    let scene = Scene::start(&at(&web, &json!({})), &[]);
    let said = |result: Result<(), loopwright_types::Failure>| {
        let failure = result.unwrap_err();
        assert_eq!((failure.code, failure.sent), (Code::MCP_LOGIN, false));
        failure.message
    };
    let short = Duration::from_millis(300);
    let message = said(scene.servers.login("web", Arc::new(Nobody), short));
    assert!(message.contains("nobody came back from the browser"), "{message}");
    let message = said(scene.servers.login("web", Arc::new(Broken), PATIENCE));
    assert!(message.contains("cannot be opened: no display"), "{message}");
    state.denies.store(true, Ordering::Relaxed);
    let message = said(login(&scene, false));
    assert!(message.contains("access_denied not today"), "{message}");

    let program = Scene::load(&json!({ "web": script("server.py", &[]) }), &[]);
    let message = said(login(&program, false));
    assert!(message.contains("needs none"), "{message}");
    let failure = program.servers.login("missing", Arc::new(Nobody), short).unwrap_err();
    assert_eq!(failure.hint.as_deref(), Some("there are `web`"));
    let open = Web::start(|_, request| older(request, |_| text("fine")));
    let scene = Scene::start(&at(&open, &json!({})), &[]);
    let message = said(login(&scene, false));
    assert!(message.contains("no login at the MCP server `web`"), "{message}");
}

#[test]
fn a_client_with_a_secret_needs_nobody_s_consent() {
    let state: Arc<State> = Arc::default();
    let web = server(&state);
    let oauth = json!({ "grant": "client_credentials", "clientId": "robot", "clientSecret": "${NO_SUCH:-hush}" });
    let scene = Scene::start(&at(&web, &oauth), &[]);
    assert_eq!(scene.diagnostics, []);
    assert_eq!(scene.call("web.act", json!({})).unwrap(), "fine");
    // Its token is gone: one call is refused before it has an effect, the next has a new token.
    state.tokens.fetch_add(1, Ordering::Relaxed);
    let failure = scene.call("web.act", json!({})).unwrap_err();
    assert_eq!((failure.code, failure.sent), (Code::MCP_LOGIN, false), "{}", failure.message);
    assert_eq!(scene.call("web.act", json!({})).unwrap(), "fine");
    let wrong =
        json!({ "grant": "client_credentials", "clientId": "robot", "clientSecret": "loud" });
    let scene = Scene::start(&at(&web, &wrong), &[]);
    assert!(scene.diagnostics[0].message.contains("invalid_grant"), "{}", scene.diagnostics[0]);
    assert!(!scene.diagnostics[0].message.contains("loud"));
}

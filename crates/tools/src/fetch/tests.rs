//! Fetches from servers of our own on loopback. The resolver and what counts as within reach are ours, so that a
//! private address can be told from the server's own: the server is on 127.0.0.1, what is private on 127.0.0.2.

use super::*;
use crate::options::Options;
use crate::resolve::Reach;
use crate::root::Root;
use loopwright_types::Settings;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const PRIVATE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A server that answers each path with fixed bytes and ends when dropped.
struct Server {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    requests: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<String>>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

type Answer = dyn Fn(&str, &mut TcpStream) -> std::io::Result<()> + Send + Sync;

impl Server {
    fn start(
        ip: IpAddr,
        answer: impl Fn(&str, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((ip, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, requests, heads) = (
            Arc::<AtomicBool>::default(),
            Arc::<AtomicUsize>::default(),
            Arc::<Mutex<Vec<String>>>::default(),
        );
        let (stopped, counted, kept) =
            (Arc::clone(&stop), Arc::clone(&requests), Arc::clone(&heads));
        let answer: Arc<Answer> = Arc::new(answer);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(mut stream), answer) = (stream, Arc::clone(&answer)) else { return };
                let (counted, kept) = (Arc::clone(&counted), Arc::clone(&kept));
                std::thread::spawn(move || {
                    counted.fetch_add(1, Ordering::Relaxed);
                    let mut head = Vec::new();
                    for line in BufReader::new(&mut stream).lines().map_while(Result::ok) {
                        if line.is_empty() {
                            break;
                        }
                        head.push(line);
                    }
                    let path = head
                        .first()
                        .and_then(|line| line.split(' ').nth(1))
                        .unwrap_or("")
                        .to_owned();
                    kept.lock().unwrap().push(head.join("\n"));
                    // A client that went away is what some tests are about.
                    let _ = answer(&path, &mut stream);
                    let _ = stream.shutdown(Shutdown::Both);
                });
            }
        });
        Self { address, stop, requests, heads, thread: Some(thread) }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    fn url(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.address.port())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

fn reply(stream: &mut TcpStream, head: &str, body: &[u8]) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    stream.write_all(body)
}

/// Options under which everything but [`PRIVATE`] is within reach and every name is looked up by `look_up`.
fn options(
    hosts: &str,
    look_up: impl Fn(&str) -> Vec<IpAddr> + Send + Sync + 'static,
    settings: &[(&str, &str)],
) -> Options {
    let mut given = Settings::default();
    given.set("tools.fetch_hosts", hosts).unwrap();
    for (name, value) in settings {
        given.set(name, value).unwrap();
    }
    let mut options = Options::read(&given).unwrap();
    options.fetch.reach = Reach {
        permits: |address| address != PRIVATE,
        look_up: Arc::new(move |name| Ok(look_up(name))),
    };
    options
}

fn fetch_with(
    options: &Options,
    restrictions: &[Restriction],
    args: &Value,
    cancelled: &dyn Fn() -> bool,
) -> Result<String, Failure> {
    let place = tempfile::TempDir::new().unwrap();
    let context = Context {
        root: &Root::open(place.path()).unwrap(),
        options,
        bytes_max: options.result_bytes_max,
        cancelled,
        restrictions,
        writing: &Mutex::default(),
    };
    call(&context, &Arguments::read(NAME, ARGUMENTS, args)?)
}

fn fetch(options: &Options, args: &Value) -> Result<String, Failure> {
    fetch_with(options, &[], args, &|| false)
}

fn pages(path: &str, stream: &mut TcpStream) -> std::io::Result<()> {
    let html = "text/html; charset=utf-8";
    match path {
        "/text" => reply(stream, "200 OK\r\nContent-Type: text/plain", "ä\n".as_bytes()),
        "/page" => {
            let page = "<head><title>T</title></head><p>one<script>x</script> <a href='/b'>two</a>";
            reply(stream, &format!("200 OK\r\nContent-Type: {html}"), page.as_bytes())
        }
        "/missing" => reply(stream, "404 Not Found\r\nContent-Type: text/plain", b"no such page"),
        "/binary" => reply(stream, "200 OK\r\nContent-Type: image/png", b"\x89PNG\0\0"),
        "/gzip" => reply(stream, "200 OK\r\nContent-Encoding: gzip", b"\x1f\x8b\x08"),
        "/untyped" => reply(stream, "200 OK", b"plain"),
        "/once" => reply(stream, "302 Found\r\nLocation: /text", b""),
        "/lost" => reply(stream, "302 Found", b"no location"),
        "/round" => reply(stream, "307 Temporary Redirect\r\nLocation: /round", b""),
        "/file" => reply(stream, "301 Moved\r\nLocation: file:///etc/passwd", b""),
        "/other" => reply(stream, "301 Moved\r\nLocation: http://elsewhere.test/", b""),
        "/secret" => {
            reply(stream, "301 Moved\r\nLocation: http://user:secret@server.test/text", b"")
        }
        "/cut" => {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
        }
        "/control" => reply(stream, "200 OK\r\nContent-Type: text/\x1b[31mplain", b"x"),
        "/nonsense" => stream.write_all(b"this is no HTTP\r\n\r\n"),
        _ => Ok(()),
    }
}

#[test]
fn a_page_is_told_with_status_type_and_address() {
    let server = Server::start(SERVER, pages);
    let port = server.address.port();
    let options = options(&format!("server.test:{port},127.0.0.1:*"), |_| vec![SERVER], &[]);
    let cases = [
        ("/text", "status: 200 OK\ncontent type: text/plain\nurl: URL/text\n\nä\n"),
        (
            "/page",
            "status: 200 OK\ncontent type: text/html; charset=utf-8\nurl: URL/page\n[HTML reduced to text]\n\nT\none two </b>",
        ),
        (
            "/missing",
            "status: 404 Not Found\ncontent type: text/plain\nurl: URL/missing\n\nno such page",
        ),
        ("/untyped", "status: 200 OK\ncontent type: not told\nurl: URL/untyped\n\nplain"),
        ("/once", "status: 200 OK\ncontent type: text/plain\nurl: URL/text\n\nä\n"),
        ("/lost", "status: 302 Found\ncontent type: not told\nurl: URL/lost\n\nno location"),
    ];
    for host in ["server.test", "127.0.0.1"] {
        for (path, expected) in cases {
            let told = fetch(&options, &json!(server.url(host, path))).unwrap();
            assert_eq!(told, expected.replace("URL", &server.url(host, "")), "{path}");
        }
    }
    let raw =
        fetch(&options, &json!({"url": server.url("server.test", "/page"), "raw": true})).unwrap();
    assert!(raw.ends_with("<a href='/b'>two</a>"), "{raw}");
    let cut = fetch(&options, &json!({"url": server.url("server.test", "/text"), "maxBytes": 1}))
        .unwrap();
    assert!(cut.ends_with("\n\n\n[cut: 0 of 3 bytes of text; `maxBytes` asks for more]"), "{cut}");
    let heads = server.heads.lock().unwrap().join("\n").to_lowercase();
    assert!(
        heads.contains("accept-encoding: identity") && heads.contains("user-agent: loopwright/")
    );
    assert!(
        !heads.contains("cookie") && !heads.contains("authorization") && !heads.contains("referer")
    );
}

#[test]
fn an_address_that_may_not_be_asked_is_refused_before_anything_is_sent() {
    let server = Server::start(SERVER, pages);
    let private = Server::start(PRIVATE, pages);
    let port = private.address.port();
    let hosts = format!(
        "server.test,inside.test:*,mixed.test:*,127.0.0.2:*,nowhere.test,2130706434:*,127.2:*,{SERVER}"
    );
    let look_up = |name: &str| match name {
        "mixed.test" => vec![SERVER, PRIVATE],
        "inside.test" => vec![PRIVATE],
        "nowhere.test" => vec![],
        _ => vec![SERVER],
    };
    let options = options(&hosts, look_up, &[]);
    let refused = [
        "http://elsewhere.test/".to_owned(),
        "http://sub.server.test/".to_owned(),
        format!("http://server.test:{}/text", server.address.port()),
        "file:///etc/passwd".to_owned(),
        "ftp://server.test/".to_owned(),
        "data:text/plain,x".to_owned(),
        "http://user@server.test/".to_owned(),
        "http://user:pass@server.test/".to_owned(),
        "http://server.test@elsewhere.test/".to_owned(),
        "http://elsewhere.test\\@server.test/".to_owned(),
        format!("http://inside.test:{port}/text"),
        format!("http://mixed.test:{port}/text"),
        format!("http://127.0.0.2:{port}/text"),
        format!("http://2130706434:{port}/text"),
        format!("http://0x7f.2:{port}/text"),
    ];
    for url in refused {
        let failure = fetch(&options, &json!(url)).expect_err(&url);
        let seen = (failure.reason, failure.code, failure.sent);
        assert_eq!(
            seen,
            (Reason::Policy, Code::FETCH_REFUSED, false),
            "{url}: {}",
            failure.message
        );
    }
    for url in [
        "",
        "nonsense",
        "http://",
        "//server.test/",
        "http://[::1",
        &format!("http://server.test/{}", "x".repeat(3000)),
    ] {
        let failure = fetch(&options, &json!(url)).expect_err(url);
        assert_eq!(failure.code, Code::TOOL_ARGUMENT, "{url}: {}", failure.message);
    }
    let nowhere = fetch(&options, &json!("http://nowhere.test/")).unwrap_err();
    assert_eq!(nowhere.code, Code::TOOL_FAILED);
    assert_eq!((server.requests(), private.requests()), (0, 0));
}

#[test]
fn a_redirect_is_held_to_what_the_first_address_is() {
    let private = Server::start(PRIVATE, pages);
    let target = private.address.port();
    let server = Server::start(SERVER, move |path, stream| match path {
        "/number" => {
            reply(stream, &format!("302 Found\r\nLocation: http://127.0.0.2:{target}/text"), b"")
        }
        "/name" => {
            reply(stream, &format!("302 Found\r\nLocation: http://inside.test:{target}/text"), b"")
        }
        "/mapped" => reply(
            stream,
            &format!("302 Found\r\nLocation: http://[::ffff:127.0.0.2]:{target}/"),
            b"",
        ),
        _ => pages(path, stream),
    });
    let port = server.address.port();
    let hosts =
        format!("server.test:{port},127.0.0.2:*,inside.test:*,[::ffff:7f00:2]:*,server.test");
    let look_up = |name: &str| vec![if name == "inside.test" { PRIVATE } else { SERVER }];
    let mut options = options(&hosts, look_up, &[]);
    options.fetch.reach.permits = |address| match address {
        IpAddr::V6(mapped) => mapped.to_ipv4_mapped() != Some(Ipv4Addr::new(127, 0, 0, 2)),
        address => address != PRIVATE,
    };
    for path in ["/number", "/name", "/mapped", "/file", "/other", "/secret"] {
        let failure = fetch(&options, &json!(server.url("server.test", path))).expect_err(path);
        assert_eq!(failure.code, Code::FETCH_REFUSED, "{path}: {}", failure.message);
    }
    assert_eq!(private.requests(), 0);
    let before = server.requests();
    let failure = fetch(&options, &json!(server.url("server.test", "/round"))).unwrap_err();
    assert_eq!(failure.code, Code::TOOL_FAILED);
    assert!(failure.message.contains("more than 5 redirects"), "{}", failure.message);
    assert_eq!(server.requests() - before, 6);
}

#[test]
fn a_name_that_changes_its_address_is_checked_at_every_connection() {
    let private = Server::start(PRIVATE, pages);
    let port = private.address.port();
    let server = Server::start(SERVER, move |_, stream| {
        reply(stream, &format!("302 Found\r\nLocation: http://rebound.test:{port}/text"), b"")
    });
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let look_up = move |_: &str| {
        vec![if counted.fetch_add(1, Ordering::Relaxed) == 0 { SERVER } else { PRIVATE }]
    };
    let options = options("rebound.test:*", look_up, &[]);
    let failure = fetch(&options, &json!(server.url("rebound.test", "/"))).unwrap_err();
    assert_eq!(failure.code, Code::FETCH_REFUSED, "{}", failure.message);
    assert_eq!((server.requests(), private.requests()), (1, 0));
    // One look-up for each connection: there is no second one after the check that could say something else.
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[test]
fn a_body_is_read_to_its_limit_and_no_further() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let server = Server::start(SERVER, move |path, stream| {
        let all = 100_000_000;
        match path {
            "/told" => write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {all}\r\n\r\n")?,
            _ => write!(stream, "HTTP/1.1 200 OK\r\n\r\n")?,
        }
        for _ in 0..all / 10_000 {
            stream.write_all(&[b'x'; 10_000])?;
            counted.fetch_add(10_000, Ordering::Relaxed);
        }
        Ok(())
    });
    let hosts = format!("server.test:{}", server.address.port());
    let options = options(&hosts, |_| vec![SERVER], &[("tools.fetch_bytes_max", "300000")]);
    for (path, note) in [
        ("/told", "[only the first 300000 bytes of 100000000 were read"),
        ("/untold", "[only the first 300000 bytes were read"),
    ] {
        let told =
            fetch(&options, &json!({"url": server.url("server.test", path), "maxBytes": 2000}))
                .unwrap();
        assert!(told.contains(note), "{}", &told[..300]);
        assert!(told.ends_with("[cut: 2000 of 300000 bytes of text; `maxBytes` asks for more]"));
    }
    let mut small = options.clone();
    small.result_bytes_max = 5_000;
    let told =
        fetch(&small, &json!({"url": server.url("server.test", "/told"), "maxBytes": 1_000_000}))
            .unwrap();
    assert!(told.len() <= 5_000 && told.contains("[cut: 2000 of"), "{}", told.len());
    // What the kernel buffers is sent too; the hundred megabytes are not.
    assert!(sent.load(Ordering::Relaxed) < 3 * 50_000_000);
}

#[test]
fn an_answer_that_is_broken_slow_or_no_text_is_a_failure() {
    let server = Server::start(SERVER, |path, stream| match path {
        "/silent" | "/stalls" => {
            if path == "/stalls" {
                write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nonly")?;
            }
            // Until the client gives up.
            let mut end = [0];
            std::io::Read::read(stream, &mut end).map(|_| ())
        }
        _ => pages(path, stream),
    });
    let hosts = format!("server.test:{}", server.address.port());
    let patient = options(&hosts, |_| vec![SERVER], &[]);
    let hasty = options(&hosts, |_| vec![SERVER], &[("tools.fetch_timeout_ms", "300")]);
    let cases = [
        ("/silent", "did not answer whole within 300 ms"),
        ("/stalls", "did not answer whole within 300 ms"),
        ("/cut", "cannot be fetched"),
        ("/nothing", "cannot be fetched"),
        ("/nonsense", "cannot be fetched"),
        ("/binary", "is no text (`image/png`)"),
        ("/gzip", "in the coding `gzip`"),
    ];
    for (path, message) in cases {
        let options = if message.contains("300 ms") { &hasty } else { &patient };
        let failure = fetch(options, &json!(server.url("server.test", path))).expect_err(path);
        assert_eq!(failure.code, Code::TOOL_FAILED, "{path}");
        assert!(failure.message.contains(message), "{path}: {}", failure.message);
    }
    let asked = server.requests();
    let url = json!(server.url("server.test", "/silent"));
    let mut patient = patient;
    patient.fetch.timeout = Duration::from_secs(600);
    let failure = fetch_with(&patient, &[], &url, &|| server.requests() > asked).unwrap_err();
    assert_eq!((failure.reason, failure.code), (Reason::Cancelled, Code::CANCELLED));
}

#[test]
fn a_definition_restricts_the_hosts_further() {
    let server = Server::start(SERVER, pages);
    let port = server.address.port();
    let options = options("a.test:*,b.test:*", |_| vec![SERVER], &[]);
    let only = [Restriction::Host(format!("a.test:{port}"))];
    assert!(fetch_with(&options, &only, &json!(server.url("a.test", "/text")), &|| false).is_ok());
    let failure =
        fetch_with(&options, &only, &json!(server.url("b.test", "/text")), &|| false).unwrap_err();
    assert_eq!(failure.code, Code::FETCH_REFUSED);
    // A definition cannot list what the settings do not.
    let wider = [Restriction::Host(format!("c.test:{port}"))];
    assert!(
        fetch_with(&options, &wider, &json!(server.url("c.test", "/text")), &|| false).is_err()
    );
}

#[test]
fn loopback_is_reached_only_where_the_setting_says_so() {
    let server = Server::start(SERVER, pages);
    for (private, expected) in [("false", false), ("true", true)] {
        let mut settings = Settings::default();
        settings.set("tools.fetch_hosts", "127.0.0.1:*,localhost:*").unwrap();
        settings.set("tools.fetch_private", private).unwrap();
        let options = Options::read(&settings).unwrap();
        for host in ["127.0.0.1", "localhost"] {
            let told = fetch(&options, &json!(server.url(host, "/text")));
            assert_eq!(told.is_ok(), expected, "{host}: {told:?}");
            if let Err(failure) = told {
                assert_eq!(failure.code, Code::FETCH_REFUSED);
            }
        }
    }
    assert_eq!(server.requests(), 2);
}

//! A server in a process of its own, on a free loopback port, ended by its process id.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than any start on a loaded machine; reaching it is a hang.
const PATIENCE: Duration = Duration::from_secs(120);

/// The folder into which a script of `.ci` installed servers. Without it the test that asks is skipped, and says so;
/// where `LOOPWRIGHT_REQUIRE_<what>` is set, as CI does, it fails.
pub fn installed(test: &str, what: &str) -> Option<PathBuf> {
    let lower = what.to_lowercase();
    let default = || std::env::temp_dir().join(format!("loopwright-{lower}"));
    let folder = std::env::var_os(format!("LOOPWRIGHT_TEST_{what}"));
    let folder = folder.map_or_else(default, PathBuf::from);
    if folder.join("installed").is_file() {
        return Some(folder);
    }
    let shown = folder.display();
    assert!(
        std::env::var_os(format!("LOOPWRIGHT_REQUIRE_{what}")).is_none(),
        "`{shown}` holds no server: run `.ci/{lower}`"
    );
    eprintln!("SKIPPED {test}: `{shown}` holds no server; `.ci/{lower}` installs it");
    None
}

/// A server that runs.
pub struct Server {
    process: Child,
    pub port: u16,
}

impl Server {
    /// Starts the command made for a port and waits until it answers at this path.
    pub fn start(command: impl Fn(u16) -> Command, ready: &str) -> Self {
        // The port is free when it is chosen; another process may take it before the server does.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut command = command(port);
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
            let process = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
            let mut server = Self { process, port };
            if server.is_ready(ready) {
                return server;
            }
        }
        panic!("no server answered");
    }

    fn is_ready(&mut self, path: &str) -> bool {
        let began = Instant::now();
        while self.process.try_wait().unwrap().is_none() {
            if matches!(http(self.port, "GET", path, ""), Some((200, _))) {
                return true;
            }
            assert!(began.elapsed() < PATIENCE, "the server does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// The body of what it answers.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let (status, answer) = http(self.port, method, path, body).expect("an answer");
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One request in plain HTTP/1.0: status and body.
fn http(port: u16, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.0\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all((head + body).as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

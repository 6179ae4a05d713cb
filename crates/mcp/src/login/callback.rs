//! The loopback address to which the browser comes back with the code.

use crate::failure::line;
use reqwest::Url;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const PATH: &str = "/callback";
/// Longest head of a request that is read.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// How long one visitor may take to say what it wants.
const VISIT: Duration = Duration::from_secs(5);

/// Listens on a port of the loopback address.
pub(super) struct Callback {
    listener: TcpListener,
    /// The address that the authorization server sends the browser to.
    pub(super) address: String,
}

impl Callback {
    /// Takes the port, or a free one for 0.
    pub(super) async fn bind(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, address: format!("http://127.0.0.1:{port}{PATH}") })
    }

    /// Waits for a visit that brings this state, and gives its whole address. Other visits are turned away and change
    /// nothing: any page in the browser can make them.
    pub(super) async fn wait(&self, state: &str) -> Result<String, String> {
        loop {
            let Ok((mut visitor, _)) = self.listener.accept().await else { continue };
            let Ok(Some(target)) = timeout(VISIT, target(&mut visitor)).await else { continue };
            let address = Url::parse(&self.address).and_then(|it| it.join(&target)).ok();
            let wanted = address
                .filter(|it| it.path() == PATH && value(it, "state").as_deref() == Some(state));
            let Some(address) = wanted else {
                answer(&mut visitor, "404 Not Found", "There is nothing here.").await;
                continue;
            };
            if let Some(error) = value(&address, "error") {
                answer(&mut visitor, "200 OK", "The login was refused. You can close this page.")
                    .await;
                let said = value(&address, "error_description").unwrap_or_default();
                let cause = format!("the authorization server refused it: {error} {said}");
                return Err(line(&cause));
            }
            answer(&mut visitor, "200 OK", "The login is done. You can close this page.").await;
            return Ok(address.to_string());
        }
    }
}

/// The parameter `state` of an address.
pub(super) fn state(address: &str) -> Option<String> {
    value(&Url::parse(address).ok()?, "state")
}

fn value(address: &Url, name: &str) -> Option<String> {
    address.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// What a visitor asks for, if it is a `GET`.
async fn target(visitor: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.windows(4).any(|it| it == b"\r\n\r\n") {
        let mut chunk = [0; 2048];
        let length = visitor.read(&mut chunk).await.ok().filter(|it| *it > 0)?;
        head.extend_from_slice(&chunk[..length]);
        if head.len() > HEAD_BYTES_MAX {
            return None;
        }
    }
    let text = String::from_utf8_lossy(&head);
    let mut words = text.lines().next()?.split(' ');
    (words.next() == Some("GET")).then(|| words.next().map(str::to_owned))?
}

async fn answer(visitor: &mut TcpStream, status: &str, text: &str) {
    let length = text.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {length}\r\n\
         cache-control: no-store\r\nconnection: close\r\n\r\n"
    );
    // The code is here already; a browser that is gone does not matter.
    let _ = visitor.write_all(format!("{head}{text}").as_bytes()).await;
    let _ = visitor.shutdown().await;
}

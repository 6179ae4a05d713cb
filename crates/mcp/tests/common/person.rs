//! Somebody at a browser.

use loopwright_mcp::Browser;
use std::io::{self, Read, Write};
use std::net::TcpStream;

/// Opens an address; gives where it leads.
pub fn visit(url: &str) -> io::Result<Option<String>> {
    let url = reqwest::Url::parse(url).map_err(io::Error::other)?;
    let port = url.port().unwrap();
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    let target = format!("{}?{}", url.path(), url.query().unwrap_or_default());
    write!(server, "GET {target} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    server.read_to_string(&mut answer)?;
    let location = answer.lines().find_map(|it| it.strip_prefix("location: "));
    Ok(location.map(str::to_owned))
}

/// Goes where the page leads, after other visits to the way back.
pub struct Person {
    /// Sends strangers to the way back first.
    pub has_strangers: bool,
}

impl Browser for Person {
    fn open(&self, url: &str) -> io::Result<()> {
        let back = visit(url)?.unwrap();
        let way_back = back.split('?').next().unwrap();
        if self.has_strangers {
            visit(&format!("{way_back}?code=stolen&state=guessed"))?;
            visit(&format!("{way_back}?error=access_denied"))?;
            let _ = visit(&way_back.replace("/callback", "/elsewhere"))?;
        }
        visit(&back).map(|_| ())
    }
}

//! `mcp`: the workspace's MCP servers, and logins at them.

use super::table::{Colour, table};
use crate::args::{Mcp, McpCommand, McpList, McpLogin, McpServer};
use crate::failure::{Failure, draw};
use crate::place::{absolute, data_dir};
use crate::settings::resolve;
use crate::terminal::Terminal;
use loopwright::mcp::{Browser, Definition, Endpoint, Options, Servers};
use loopwright::program::frame::Severity;
use loopwright::types::{Code, Diagnostic, Failure as CallFailure};
use loopwright::view::{Paint, diagnostic_json, escape, escape_json};
use serde::Serialize;
use serde_json::value::RawValue;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// `mcp --json`: public, stable names.
#[derive(Serialize)]
struct Out<'a> {
    servers: Vec<ServerOut<'a>>,
    warnings: Vec<Box<RawValue>>,
}

#[derive(Serialize)]
struct ServerOut<'a> {
    name: &'a str,
    transport: &'static str,
    /// The program or the address's origin; never arguments, variables or headers.
    endpoint: &'a str,
    status: &'static str,
    revision: Option<&'a str>,
    tools: Vec<&'a str>,
    error: Option<Box<RawValue>>,
}

/// A server after it was started, or not.
struct Seen {
    name: String,
    transport: &'static str,
    endpoint: String,
    revision: Option<String>,
    tools: Vec<String>,
    error: Option<Diagnostic>,
}

impl Seen {
    fn status(&self) -> (&'static str, Colour) {
        match &self.error {
            None => ("up", Paint::green),
            Some(error) if error.code == Code::MCP_LOGIN => ("login", Paint::yellow),
            Some(_) => ("failed", Paint::red),
        }
    }
}

impl<'a> From<&'a Seen> for ServerOut<'a> {
    fn from(seen: &'a Seen) -> Self {
        let error = seen.error.as_ref().map(diagnostic_json);
        Self {
            name: &seen.name,
            transport: seen.transport,
            endpoint: &seen.endpoint,
            status: seen.status().0,
            revision: seen.revision.as_deref(),
            tools: seen.tools.iter().map(String::as_str).collect(),
            error: error.and_then(|text| RawValue::from_string(text).ok()),
        }
    }
}

/// Lists servers, logs in or out.
///
/// # Errors
/// When the settings cannot be used, or a login fails.
pub fn mcp(terminal: &Terminal, args: &Mcp) -> Result<u8, Failure> {
    match &args.command {
        None => list(terminal, &args.list),
        Some(McpCommand::Login(login)) => log_in(terminal, login),
        Some(McpCommand::Logout(server)) => {
            load(server)?.logout(&server.server).map_err(failed)?;
            terminal.tell(&format!("logged out of `{}`", escape(&server.server)));
            Ok(0)
        }
    }
}

fn list(terminal: &Terminal, args: &McpList) -> Result<u8, Failure> {
    let workspace = absolute(&args.workspace.workspace);
    let settings = resolve(&workspace, &args.settings.set)?.settings;
    let data_dir = data_dir(args.data_dir.data_dir.as_deref())?;
    let (servers, mut warnings) = Servers::load(&workspace, Options::new(&settings, &data_dir));
    let mut seen = Vec::new();
    let started = servers.connect_each();
    warnings.extend(servers.pin());
    for (definition, (name, result)) in servers.definitions().zip(started) {
        let error = match result {
            Ok(complaints) => {
                warnings.extend(complaints);
                None
            }
            Err(error) => Some(error),
        };
        let (transport, endpoint) = endpoint(definition);
        seen.push(Seen {
            transport,
            endpoint,
            revision: servers.revision(&name).filter(|_| error.is_none()),
            tools: servers.tools_of(&name).into_iter().map(|tool| tool.name).collect(),
            error,
            name,
        });
    }
    if args.json {
        return json(terminal, &seen, &warnings);
    }
    let errors = seen.iter().filter_map(|server| server.error.as_ref());
    for told in warnings.iter().chain(errors) {
        terminal.tell(&draw(terminal, told, None, Severity::Warning));
    }
    if seen.is_empty() {
        terminal.tell("no MCP servers: `.mcp.json` in the workspace lists them");
        return Ok(0);
    }
    let rows: Vec<Vec<(String, Colour)>> = seen.iter().map(cells).collect();
    let head = ["SERVER", "STATUS", "TOOLS", "REVISION", "TRANSPORT", "ENDPOINT"];
    terminal.out(&table(terminal.paint_out(), terminal.columns_out(), &head, &rows)).map(|()| 0)
}

fn json(terminal: &Terminal, seen: &[Seen], warnings: &[Diagnostic]) -> Result<u8, Failure> {
    let raw = |told: &Diagnostic| RawValue::from_string(diagnostic_json(told)).ok();
    let text = serde_json::to_string(&Out {
        servers: seen.iter().map(ServerOut::from).collect(),
        warnings: warnings.iter().filter_map(raw).collect(),
    });
    let text = text.expect("our form has text keys only");
    terminal.out(&format!("{}\n", escape_json(&text))).map(|()| 0)
}

fn cells(server: &Seen) -> Vec<(String, Colour)> {
    let (status, colour) = server.status();
    let tools = if server.error.is_none() { server.tools.len().to_string() } else { String::new() };
    vec![
        (server.name.clone(), Paint::bold),
        (status.to_owned(), colour),
        (tools, Paint::plain),
        (server.revision.clone().unwrap_or_default(), Paint::plain),
        (server.transport.to_owned(), Paint::plain),
        (server.endpoint.clone(), Paint::dim),
    ]
}

/// How a server is reached. An address is cut to its origin: paths and queries may hold what is secret.
fn endpoint(definition: &Definition) -> (&'static str, String) {
    match &definition.endpoint {
        Endpoint::Stdio { command, .. } => ("stdio", command.clone()),
        Endpoint::Http { url, .. } => {
            let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let host = authority.rsplit('@').next().unwrap_or_default();
            ("http", format!("{scheme}://{host}"))
        }
    }
}

fn load(args: &McpServer) -> Result<Servers, Failure> {
    let workspace = absolute(&args.workspace.workspace);
    let settings = resolve(&workspace, &args.settings.set)?.settings;
    let data_dir = data_dir(args.data_dir.data_dir.as_deref())?;
    let (servers, told) = Servers::load(&workspace, Options::new(&settings, &data_dir));
    // A server that cannot be used is left out: why is then the answer.
    let is_there = servers.definitions().any(|it| it.name == args.server);
    let about = format!("`{}`", args.server);
    match told.into_iter().find(|it| !is_there && it.message.contains(&about)) {
        Some(told) => Err(told.into()),
        None => Ok(servers),
    }
}

fn log_in(terminal: &Terminal, args: &McpLogin) -> Result<u8, Failure> {
    let servers = load(&args.server)?;
    let name = &args.server.server;
    let browser = Arc::new(SystemBrowser { terminal: *terminal });
    servers.login(name, browser, Duration::from_secs(args.wait)).map_err(failed)?;
    terminal.tell(&format!("logged in at `{}`", escape(name)));
    Ok(0)
}

fn failed(failure: CallFailure) -> Failure {
    let CallFailure { code, message, hint, .. } = failure;
    Diagnostic { code, message, location: None, hint }.into()
}

/// Prints the address, and opens it where there is a desktop.
struct SystemBrowser {
    terminal: Terminal,
}

impl Browser for SystemBrowser {
    fn open(&self, url: &str) -> std::io::Result<()> {
        // The address comes from the server: nothing but a page may be opened.
        if !url.starts_with("https://") && !url.starts_with("http://") {
            return Err(std::io::Error::other("its address is no web page"));
        }
        self.terminal.tell(&format!("open this page to log in:\n{}", escape(url)));
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let opener = match cfg!(target_os = "macos") {
            true => "open",
            false if is_set("DISPLAY") || is_set("WAYLAND_DISPLAY") => "xdg-open",
            false => return Ok(()), // whoever reads the line has a browser somewhere
        };
        let mut command = Command::new(opener);
        command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Ok(mut child) = command.spawn() {
            // Some stay until the browser is closed.
            std::thread::spawn(move || child.wait());
        }
        Ok(())
    }
}

//! `.mcp.json` as other agents use it: which servers there are and how each is reached.

use crate::expand::expand;
use crate::manifest::Manifest;
use loopwright_types::{Code, Diagnostic, Position};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The file's name in a workspace.
pub(crate) const FILE: &str = ".mcp.json";

/// One server as its file defines it, variables put in.
#[derive(Clone, Debug)]
pub struct Definition {
    /// Its name in the file.
    pub name: String,
    /// How it is reached.
    pub endpoint: Endpoint,
    /// How to log in, for a server reached over HTTP.
    pub oauth: OAuth,
    /// What calling its tools may do, as its configuration says.
    pub manifest: Manifest,
}

/// How a server is reached. Values that may be secret are not shown by `Debug`.
#[derive(Clone)]
pub enum Endpoint {
    /// A program that speaks over its standard input and output.
    Stdio {
        /// The program, looked up in `PATH`.
        command: String,
        /// Its arguments.
        args: Vec<String>,
        /// Variables added to the few that every server gets.
        env: BTreeMap<String, String>,
        /// Its working directory.
        cwd: PathBuf,
    },
    /// A streamable HTTP endpoint.
    Http {
        /// Where.
        url: String,
        /// Sent with every request.
        headers: BTreeMap<String, String>,
    },
}

/// How to log in at a server's authorization server; all of it may be absent.
#[derive(Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct OAuth {
    /// A client id that was registered beforehand.
    pub client_id: Option<String>,
    /// Its secret, best written as `${NAME}`.
    pub client_secret: Option<String>,
    /// Address of a client metadata document, used instead of registering where the server takes it.
    pub client_metadata_url: Option<String>,
    /// Scopes to ask for instead of those the server asks for.
    pub scopes: Vec<String>,
    /// Port of the loopback address that the browser is sent back to; 0 takes a free one.
    pub callback_port: u16,
    /// Who consents.
    pub grant: Grant,
    /// A private key of the client in PEM (PKCS #8, P-256 or RSA), instead of a secret.
    pub private_key: Option<String>,
    /// A signed statement of who we are, for [`Grant::JwtBearer`] and [`Grant::IdentityAssertion`].
    pub assertion: Option<String>,
    /// The employer's identity provider, for [`Grant::IdentityAssertion`].
    pub identity_provider: Option<IdentityProvider>,
}

/// An identity provider that vouches for people at other services.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IdentityProvider {
    /// Where it exchanges tokens.
    pub token_endpoint: String,
    /// What it knows us as.
    pub client_id: String,
}

/// Who consents to a login.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// A person, in a browser.
    #[default]
    AuthorizationCode,
    /// Nobody: the client and its secret, or private key, are enough. There is no login for this and the others below;
    /// tokens are fetched when they are needed.
    ClientCredentials,
    /// Nobody: the platform that we run on vouches for us with a signed statement (RFC 7523).
    JwtBearer,
    /// An employer, for the person whose identity token we have (SEP-990).
    IdentityAssertion,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdio { command, .. } => write!(f, "Stdio({command})"),
            Self::Http { url, .. } => write!(f, "Http({url})"),
        }
    }
}

impl fmt::Debug for OAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuth").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

/// A server's object in the file. Members of other agents are left alone.
#[derive(Deserialize)]
struct Raw {
    #[serde(rename = "type")]
    kind: Option<String>,
    command: Option<String>,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    cwd: Option<String>,
    url: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    oauth: OAuth,
    #[serde(default)]
    disabled: bool,
    #[serde(default)]
    loopwright: Manifest,
}

/// Reads the workspace's file. A workspace without one has no servers; a server that cannot be used is left out and
/// reported, and the others are there.
pub(crate) fn load(
    workspace: &Path,
    variable: &dyn Fn(&str) -> Option<String>,
) -> (Vec<Definition>, Vec<Diagnostic>) {
    match std::fs::read_to_string(workspace.join(FILE)) {
        Ok(text) => read(&text, workspace, variable),
        Err(error) if error.kind() == ErrorKind::NotFound => Default::default(),
        Err(error) => {
            let message = format!("`{FILE}` cannot be read: {error}");
            (Vec::new(), vec![Diagnostic::new(Code::MCP_FILE, message)])
        }
    }
}

/// The same from the file's text.
pub(crate) fn read(
    text: &str,
    workspace: &Path,
    variable: &dyn Fn(&str) -> Option<String>,
) -> (Vec<Definition>, Vec<Diagnostic>) {
    let servers = match servers(text) {
        Ok(servers) => servers,
        Err(diagnostic) => return (Vec::new(), vec![diagnostic]),
    };
    let (mut definitions, mut diagnostics) = (Vec::new(), Vec::new());
    let sorted: BTreeMap<&String, &Value> = servers.iter().collect();
    for (name, value) in sorted {
        match define(name, value, workspace, variable) {
            Ok(definition) => definitions.extend(definition),
            Err((cause, hint)) => {
                let message = format!("the MCP server `{name}` cannot be used: {cause}");
                let diagnostic = Diagnostic::new(Code::MCP_DEFINITION, message).hint(hint);
                let (position, length) = place(text, name);
                diagnostics.push(diagnostic.at(FILE, position, length));
            }
        }
    }
    (definitions, diagnostics)
}

fn servers(text: &str) -> Result<Map<String, Value>, Diagnostic> {
    let hint = r#"the file looks like `{"mcpServers": {"name": {"command": "program"}}}`"#;
    let bad = |cause: String, position, length| {
        let message = format!("`{FILE}` {cause}");
        Diagnostic::new(Code::MCP_FILE, message).hint(hint).at(FILE, position, length)
    };
    let start = Position { line: 1, column: 1 };
    let value: Value = serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line().max(1), error.column().max(1));
        let said = error.to_string();
        let cause = said.split(" at line ").next().unwrap_or(&said).to_owned();
        bad(format!("is not JSON: {cause}"), position(text, line, column), 1)
    })?;
    match value {
        Value::Object(mut file) => match file.remove("mcpServers") {
            Some(Value::Object(servers)) => Ok(servers),
            // A file without servers is one that another tool wrote for something else.
            None => Ok(Map::new()),
            Some(_) => {
                let (at, length) = place(text, "mcpServers");
                Err(bad("has no object under `mcpServers`".to_owned(), at, length))
            }
        },
        _ => Err(bad("does not hold an object".to_owned(), start, 1)),
    }
}

/// Line and column as authors count them, from a line and a byte in it.
fn position(text: &str, line: usize, byte: usize) -> Position {
    let bytes = text.lines().nth(line - 1).unwrap_or_default().as_bytes();
    let before = &bytes[..bytes.len().min(byte - 1)];
    let column = String::from_utf8_lossy(before).chars().count() + 1;
    let number = |it: usize| u32::try_from(it).unwrap_or(u32::MAX);
    Position { line: number(line), column: number(column) }
}

/// Where a member's name stands: its first appearance that a colon follows.
fn place(text: &str, name: &str) -> (Position, u32) {
    let quoted = Value::from(name).to_string();
    let is_member =
        |(at, found): &(usize, &str)| text[at + found.len()..].trim_start().starts_with(':');
    let at = text.match_indices(&quoted).find(is_member).map_or(0, |(at, _)| at);
    let line = text[..at].matches('\n').count() + 1;
    let byte = at - text[..at].rfind('\n').map_or(0, |it| it + 1) + 1;
    let length = u32::try_from(quoted.chars().count()).unwrap_or(1);
    (position(text, line, byte), length)
}

type Wrong = (String, String);

fn define(
    name: &str,
    value: &Value,
    workspace: &Path,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Definition>, Wrong> {
    let raw = Raw::deserialize(value).map_err(|error| {
        let hint = "see docs/guides/mcp.md for the members of a server".to_owned();
        (error.to_string(), hint)
    })?;
    if raw.disabled {
        return Ok(None);
    }
    let put_in = |text: &str| {
        expand(text, variable).map_err(|missing| {
            let hint = format!("set it, or write a default: `${{{missing}:-…}}`");
            (format!("the environment variable `{missing}` is not set"), hint)
        })
    };
    let map = |it: &BTreeMap<String, String>| {
        it.iter().map(|(key, text)| Ok((key.clone(), put_in(text)?))).collect::<Result<_, Wrong>>()
    };
    let endpoint = match kind(&raw)? {
        Kind::Stdio(command) => {
            let cwd = raw.cwd.as_deref().map(put_in).transpose()?.unwrap_or_default();
            let args = raw.args.iter().map(|it| put_in(it)).collect::<Result<_, Wrong>>()?;
            let command = put_in(command)?;
            Endpoint::Stdio { command, args, env: map(&raw.env)?, cwd: workspace.join(cwd) }
        }
        Kind::Http(url) => Endpoint::Http { url: web(put_in(url)?)?, headers: map(&raw.headers)? },
    };
    let mut oauth = raw.oauth.clone();
    for text in [
        &mut oauth.client_id,
        &mut oauth.client_secret,
        &mut oauth.client_metadata_url,
        &mut oauth.private_key,
        &mut oauth.assertion,
    ] {
        *text = text.as_deref().map(put_in).transpose()?;
    }
    complete(&oauth)?;
    Ok(Some(Definition { name: name.to_owned(), endpoint, oauth, manifest: raw.loopwright }))
}

/// Whether there is all that the grant needs.
fn complete(oauth: &OAuth) -> Result<(), Wrong> {
    let has_key = oauth.client_secret.is_some() || oauth.private_key.is_some();
    let (has_all, grant, needs) = match oauth.grant {
        Grant::AuthorizationCode => return Ok(()),
        Grant::ClientCredentials => {
            (has_key, "client_credentials", "`clientId`, and `clientSecret` or `privateKey`")
        }
        Grant::JwtBearer => (oauth.assertion.is_some(), "jwt_bearer", "`clientId` and `assertion`"),
        Grant::IdentityAssertion => {
            let has_identity = oauth.assertion.is_some() && oauth.identity_provider.is_some();
            let needs = "`clientId`, `clientSecret`, `assertion` and `identityProvider`";
            (has_identity && oauth.client_secret.is_some(), "identity_assertion", needs)
        }
    };
    if has_all && oauth.client_id.is_some() {
        return Ok(());
    }
    Err((format!("the grant `{grant}` needs more of a client"), format!("give `oauth` {needs}")))
}

enum Kind<'a> {
    Stdio(&'a str),
    Http(&'a str),
}

fn kind(raw: &Raw) -> Result<Kind<'_>, Wrong> {
    let said = raw.kind.as_deref().map(str::to_ascii_lowercase);
    let wrong = |cause: &str, hint: &str| Err((cause.to_owned(), hint.to_owned()));
    match (said.as_deref(), raw.command.as_deref(), raw.url.as_deref()) {
        (Some("sse"), ..) => wrong(
            "the transport `sse` was replaced by streamable HTTP and is not spoken here",
            "ask for the server's streamable HTTP address and write `\"type\": \"http\"`",
        ),
        (None, Some(_), Some(_)) => {
            wrong("it has both `command` and `url`", "leave one of them, or add `type`")
        }
        (None | Some("stdio"), Some(command), _) if !command.trim().is_empty() => {
            Ok(Kind::Stdio(command))
        }
        (
            None | Some("http" | "streamable-http" | "streamable_http" | "streamablehttp"),
            _,
            Some(url),
        ) => Ok(Kind::Http(url)),
        (Some("stdio"), ..) => wrong("it has no `command`", "`command` is the program to start"),
        (Some("http" | "streamable-http" | "streamable_http" | "streamablehttp"), ..) => {
            wrong("it has no `url`", "`url` is the server's streamable HTTP address")
        }
        (None, ..) => wrong(
            "it has neither `command` nor `url`",
            "`command` starts a program, `url` reaches a server over HTTP",
        ),
        (Some(other), ..) => wrong(
            &format!("the transport `{other}` is not known"),
            "`type` is `stdio`, `http` or `streamable-http`",
        ),
    }
}

/// A web address, without user or password in it: those would show in messages.
fn web(url: String) -> Result<String, Wrong> {
    let hint = "an address looks like `https://example.com/mcp`";
    let parsed = reqwest::Url::parse(&url);
    let known = parsed.as_ref().is_ok_and(|it| matches!(it.scheme(), "http" | "https"));
    if !known {
        return Err((format!("`{url}` is not a web address"), hint.to_owned()));
    }
    if parsed.is_ok_and(|it| !it.username().is_empty() || it.password().is_some()) {
        let hint = "write it as a header: `\"Authorization\": \"Bearer ${TOKEN}\"`";
        return Err(("its address holds a user or password".to_owned(), hint.to_owned()));
    }
    Ok(url)
}

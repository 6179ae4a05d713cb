//! MCP servers of the workspace that an agent is given with its session. The protocol passes a server as a whole: it
//! cannot be narrowed to some of its tools, so only a grant of the whole server passes it.

use agent_client_protocol::v1::schema;
use std::fmt;
use std::path::PathBuf;

/// An MCP server, and how an agent reaches it.
#[derive(Clone, PartialEq)]
pub struct McpServer {
    /// Its name in the workspace's file.
    pub name: String,
    /// How it is reached.
    pub reach: Reach,
}

/// How an MCP server is reached. What may be secret is not shown by `Debug`.
#[derive(Clone, PartialEq)]
pub enum Reach {
    /// A program that the agent starts.
    Stdio {
        /// The program, as a path.
        command: PathBuf,
        /// Its arguments.
        arguments: Vec<String>,
        /// Its environment, beside what the agent gives it.
        environment: Vec<(String, String)>,
    },
    /// An address that the agent asks; not every agent can.
    Http {
        /// Where.
        url: String,
        /// Sent with every request.
        headers: Vec<(String, String)>,
    },
}

impl fmt::Debug for McpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("McpServer").field(&self.name).finish()
    }
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdio { command, .. } => write!(f, "Stdio({})", command.display()),
            Self::Http { url, .. } => write!(f, "Http({url})"),
        }
    }
}

/// What lists say of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grant {
    /// All of it.
    Whole,
    /// Some of its tools, and that cannot be passed on.
    Part,
    /// Nothing.
    None,
}

impl McpServer {
    /// What the item of an allow-list says: the whole server in the forms `mcp__server`, `mcp__server__*` and
    /// `server.*`, or one of its tools.
    fn named_by(&self, item: &str) -> Grant {
        let base = item.split('(').next().unwrap_or(item).trim();
        let (base, is_mcp) = match base.strip_prefix("mcp__") {
            Some(rest) => (rest, true),
            None => (base, false),
        };
        // Servers are also known by the identifiers that programs write.
        let identifier: String =
            self.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let rest = base.strip_prefix(&self.name).or_else(|| base.strip_prefix(&identifier));
        match rest {
            Some("") if is_mcp => Grant::Whole,
            Some("__*" | ".*") => Grant::Whole,
            Some(rest) if rest.starts_with("__") && is_mcp || rest.starts_with('.') => Grant::Part,
            _ => Grant::None,
        }
    }

    /// What the definition's list grants, narrowed by the denied items and by the task's own list. `*`, or no list at
    /// all, grants nothing: an agent has tools of its own, and a server is passed only where that is said.
    pub(crate) fn granted(
        &self,
        defined: &[String],
        denied: &[String],
        asked: Option<&[String]>,
    ) -> Grant {
        let of = |list: &[String]| {
            let says = |grant| list.iter().any(|item| self.named_by(item) == grant);
            if says(Grant::Whole) {
                Grant::Whole
            } else if says(Grant::Part) {
                Grant::Part
            } else {
                Grant::None
            }
        };
        // What cannot be enforced takes away the whole.
        if of(denied) != Grant::None || denied.iter().any(|item| item == "*") {
            return Grant::None;
        }
        let all = |list: &[String]| list.iter().any(|item| item == "*");
        match (of(defined), asked) {
            (Grant::Whole, Some(asked)) if !all(asked) => of(asked),
            (granted, _) => granted,
        }
    }

    /// As the protocol says it.
    pub(crate) fn said(&self) -> schema::McpServer {
        match &self.reach {
            Reach::Stdio { command, arguments, environment } => {
                let pairs = environment.iter();
                let variables = pairs.map(|(name, value)| schema::EnvVariable::new(name, value));
                schema::McpServer::Stdio(
                    schema::McpServerStdio::new(&self.name, command)
                        .args(arguments.clone())
                        .env(variables.collect()),
                )
            }
            Reach::Http { url, headers } => {
                let pairs = headers.iter();
                let headers = pairs.map(|(name, value)| schema::HttpHeader::new(name, value));
                schema::McpServer::Http(
                    schema::McpServerHttp::new(&self.name, url).headers(headers.collect()),
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_grant_of_the_whole_server_passes_it() {
        let reach = Reach::Http { url: String::new(), headers: Vec::new() };
        let server = McpServer { name: "git-hub".to_owned(), reach };
        let list =
            |items: &str| -> Vec<String> { items.split_whitespace().map(Into::into).collect() };
        for (defined, denied, asked, expected) in [
            ("mcp__git-hub", "", None, Grant::Whole),
            ("Read mcp__git_hub", "", None, Grant::Whole),
            ("mcp__git-hub__*", "", None, Grant::Whole),
            ("git_hub.*", "", None, Grant::Whole),
            ("mcp__git-hub__list_all", "", None, Grant::Part),
            ("git_hub.listAll", "", None, Grant::Part),
            ("mcp__git-hub mcp__git-hub__list_all", "", None, Grant::Whole),
            ("", "", None, Grant::None),
            ("*", "", None, Grant::None),
            ("git-hub", "", None, Grant::None),
            ("mcp__git-hubs mcp__git", "", None, Grant::None),
            ("mcp__git-hub", "mcp__git-hub__delete", None, Grant::None),
            ("mcp__git-hub", "mcp__git-hub", None, Grant::None),
            ("mcp__git-hub", "Bash(rm:*)", None, Grant::Whole),
            ("mcp__git-hub", "", Some(""), Grant::None),
            ("mcp__git-hub", "", Some("*"), Grant::Whole),
            ("mcp__git-hub", "", Some("grep"), Grant::None),
            ("mcp__git-hub", "", Some("mcp__git-hub__list_all"), Grant::Part),
            ("mcp__git-hub", "", Some("grep mcp__git_hub"), Grant::Whole),
            ("grep", "", Some("mcp__git-hub"), Grant::None),
        ] {
            let asked = asked.map(list);
            let granted = server.granted(&list(defined), &list(denied), asked.as_deref());
            assert_eq!(granted, expected, "`{defined}` without `{denied}`, asked {asked:?}");
        }
    }
}

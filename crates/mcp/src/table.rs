//! Which tool is where: the names that programs and models use, and what is behind each.

use crate::answer::Promise;
use crate::listing::Listed;
use crate::names::{Names, fold};
use crate::server::Server;
use loopwright_protocol::{Json, Tool};
use loopwright_types::{Code, Diagnostic};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One tool and where it is.
pub(crate) struct Entry {
    pub(crate) tool: Tool,
    /// The first part of the tool's name.
    pub(crate) server_name: String,
    /// The second part of the tool's name.
    pub(crate) own_name: String,
    pub(crate) server: Arc<Server>,
    /// The server's own name of it.
    pub(crate) wire_name: String,
    /// What its results look like.
    pub(crate) promise: Promise,
    /// The server's own name of the tool that tells what became of a call, and what its answers look like.
    pub(crate) lookup: Option<(String, Promise)>,
}

/// All tools of a run.
#[derive(Default)]
pub(crate) struct Table {
    entries: BTreeMap<String, Entry>,
    /// Other ways to write a name that mean one tool only.
    others: BTreeMap<String, Option<String>>,
}

impl Table {
    /// Names every tool that may be used; says what had to be named otherwise and what a manifest names in vain.
    pub(crate) fn build(listed: Vec<(Arc<Server>, Vec<Listed>)>) -> (Self, Vec<Diagnostic>) {
        let mut table = Self::default();
        let mut diagnostics = Vec::new();
        let mut names = Names::default();
        let mut say = |server: &Server, what: String| {
            let message = format!("the MCP server `{}`: {what}", server.name());
            diagnostics.push(Diagnostic::new(Code::MCP_TOOL, message));
        };
        for (server, tools) in listed {
            let server_name = names.server(server.name());
            if fold(&server_name) != fold(server.name()) {
                say(&server, format!("programs call it `{server_name}`"));
            }
            for unknown in server.definition().manifest.names() {
                if !tools.is_empty() && !tools.iter().any(|tool| tool.name == unknown) {
                    say(
                        &server,
                        format!("its manifest names a tool `{unknown}` that it does not have"),
                    );
                }
            }
            let lookups = lookups(&server, &tools, |complaint| say(&server, complaint));
            for listed in tools {
                if !server.definition().manifest.allows(&listed.name) {
                    continue;
                }
                let own_name = names.tool(&server_name, &listed.name);
                if fold(&own_name) != fold(&listed.name) {
                    let shown = crate::failure::line(&listed.name);
                    say(
                        &server,
                        format!("programs call its tool `{shown}` `{server_name}.{own_name}`"),
                    );
                }
                let promise = Promise::of(listed.output.as_ref(), &server.limits().schema);
                let promise = promise.unwrap_or_else(|cause| {
                    let shown = crate::failure::line(&listed.name);
                    say(&server, format!("results of its tool `{shown}` are not checked: {cause}"));
                    Promise::Unknown
                });
                let lookup = lookups.get(&listed.name).cloned();
                let promises = (promise, lookup);
                table.add(Arc::clone(&server), &server_name, own_name, listed, promises);
            }
        }
        (table, diagnostics)
    }

    fn add(
        &mut self,
        server: Arc<Server>,
        server_name: &str,
        own_name: String,
        listed: Listed,
        (promise, lookup): (Promise, Option<(String, Promise)>),
    ) {
        let name = format!("{server_name}.{own_name}");
        let wire = format!("{}.{}", server.name(), listed.name);
        let tool = Tool {
            name: name.clone(),
            description: listed.description,
            input: Json::of(&listed.input),
            output: listed.output.as_ref().map(Json::of),
            effects: server.definition().manifest.tool(&listed.name).effects,
            programs: true,
            subagents: true,
            aliases: Vec::new(),
            lookup: lookup.is_some(),
        };
        for other in [tool.model_name(), wire.clone(), fold(&name), fold(&wire)] {
            let known = self.others.entry(other).or_insert_with(|| Some(name.clone()));
            // What would mean two tools means none.
            if known.as_ref() != Some(&name) {
                *known = None;
            }
        }
        let server_name = server_name.to_owned();
        let wire_name = listed.name;
        let entry = Entry { tool, server_name, own_name, server, wire_name, promise, lookup };
        self.entries.insert(name, entry);
    }

    /// All of them, by name.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// The tool of this name, whatever way a program or model wrote it.
    pub(crate) fn find(&self, name: &str) -> Option<&Entry> {
        let other = |key: &str| self.others.get(key).and_then(Option::as_ref);
        let known = || other(name).or_else(|| other(&fold(name)));
        self.entries.get(name).or_else(|| self.entries.get(known()?))
    }
}

/// By the name of a tool, the tool that the manifest says looks up what became of its calls. One that the server does
/// not have is told.
fn lookups(
    server: &Server,
    tools: &[Listed],
    mut say: impl FnMut(String),
) -> BTreeMap<String, (String, Promise)> {
    let mut lookups = BTreeMap::new();
    for tool in tools {
        let Some(lookup) = server.definition().manifest.tool(&tool.name).lookup else { continue };
        let Some(listed) = tools.iter().find(|other| other.name == lookup) else {
            let (name, lookup) = (crate::failure::line(&tool.name), crate::failure::line(&lookup));
            say(format!(
                "its manifest has calls of `{name}` looked up by `{lookup}`, which it does not have"
            ));
            continue;
        };
        let promise = if listed.output.is_some() { Promise::Unknown } else { Promise::Text };
        lookups.insert(tool.name.clone(), (lookup, promise));
    }
    lookups
}

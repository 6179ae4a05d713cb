//! TypeScript declarations of tools, from their JSON Schemas: one interface per server, one method per tool.

mod types; // a schema as a type

use crate::failure::line;
use crate::table::Table;
use loopwright_protocol::Tool;
use serde_json::Value;
use std::fmt::Write;
use types::Printer;

/// Longest comment of a tool, in characters.
const COMMENT_CHARS_MAX: usize = 4000;

/// The declaration of one tool, named `server.tool`, in a file of its own or beside others: interfaces of one name
/// merge. What a schema says beyond types (ranges, patterns, formats) is not in it.
pub fn signature(tool: &Tool) -> String {
    let (server, own) = tool.name.split_once('.').unwrap_or(("builtin", &tool.name));
    let mut printer = Printer::new(&format!("{server}_{own}"));
    let input: Value = tool.input.read().unwrap_or_default();
    let arguments = printer.root("arguments", &input);
    let result = match tool.output.as_ref().map(|it| it.read::<Value>()) {
        Some(schema) => printer.root("result", &schema.unwrap_or_default()),
        None => "string".to_owned(),
    };
    let takes = input.get("required").and_then(Value::as_array).is_some_and(|it| !it.is_empty());
    let optional = if takes { "" } else { "?" };
    let mut out = String::new();
    for (name, text) in printer.finish() {
        let _ = writeln!(out, "type {name} = {text};\n");
    }
    let _ = writeln!(out, "interface Tools_{server} {{");
    let effects = format!("{:?}", tool.effects).to_lowercase();
    let about = format!("{}\n\nEffects: {effects}.", tool.description.trim());
    out.push_str(&comment(&about, COMMENT_CHARS_MAX, "  "));
    let key = types::key(own);
    let _ = writeln!(out, "  {key}(args{optional}: {arguments}): Promise<{result}>;\n}}");
    out
}

/// All tools, and where programs find them.
pub(crate) fn declarations(table: &Table) -> String {
    let mut out = reach(table);
    for entry in table.entries() {
        out.push('\n');
        out.push_str(&signature(&entry.tool));
    }
    out
}

/// The way from `tools` to each server's interface.
pub(crate) fn reach(table: &Table) -> String {
    let mut servers: Vec<&str> = table.entries().map(|it| it.server_name.as_str()).collect();
    servers.dedup();
    let mut out = "interface Tools {\n".to_owned();
    for server in servers {
        let _ = writeln!(out, "  readonly {server}: Tools_{server};");
    }
    out.push_str("}\n");
    out
}

/// Text of a server as a comment that it cannot end.
fn comment(text: &str, max: usize, indent: &str) -> String {
    let safe = text.replace("*/", "*\\/");
    let mut kept: String = safe.chars().take(max).collect();
    if kept.len() < safe.len() {
        kept.push('…');
    }
    let lines: Vec<&str> = kept.lines().map(str::trim_end).collect();
    let clean = |it: &str| it.chars().filter(|c| !c.is_control() || *c == '\t').collect::<String>();
    match lines.as_slice() {
        [] => String::new(),
        [one] => format!("{indent}/** {} */\n", clean(one)),
        many => {
            let body: String = many
                .iter()
                .map(|it| format!("{indent} * {}", clean(it)).trim_end().to_owned() + "\n")
                .collect();
            format!("{indent}/**\n{body}{indent} */\n")
        }
    }
}

/// The first line of a description, for lists.
pub(crate) fn summary(text: &str) -> String {
    let first = text.lines().find(|it| !it.trim().is_empty()).unwrap_or_default();
    line(first)
}

#[cfg(test)]
mod tests;

//! What the parsers of the four wires share: looking into JSON and saying what is wrong with it.

use crate::{Block, random};
use crate::{Message, Request, Role, error::ApiError};
use serde_json::Value;

/// The first key of an object that is not among the known ones.
pub(crate) fn unknown_key<'a>(object: &'a Value, known: &[&str]) -> Option<&'a str> {
    object.as_object()?.keys().map(String::as_str).find(|key| !known.contains(key))
}

/// Whether a name is of letters, digits and these others, at most `most` bytes long and not empty.
pub(crate) fn named_of(name: &str, others: &str, most: usize) -> bool {
    let fits = |character: char| character.is_ascii_alphanumeric() || others.contains(character);
    !name.is_empty() && name.len() <= most && name.chars().all(fits)
}

/// Adds a message, joined to the one before if the same side speaks.
pub(crate) fn push(messages: &mut Vec<Message>, role: Role, blocks: Vec<Block>) {
    match messages.last_mut() {
        Some(last) if last.role == role => last.blocks.extend(blocks),
        _ => messages.push(Message { role, blocks }),
    }
}

/// Renders the prompt's text out of tools, system and messages, for wires without cache marks.
pub(crate) fn render(request: &mut Request) {
    for tool in request.tools.clone() {
        request.push_prompt(&format!("{} {} {}", tool.name, tool.description, tool.schema), false);
    }
    if let Some(schema) = request.schema.clone() {
        request.push_prompt(&schema.to_string(), false);
    }
    if !request.system.is_empty() {
        request.push_prompt(&request.system.clone(), false);
    }
    for message in request.messages.clone() {
        for block in &message.blocks {
            request.push_prompt(&block_text(block), false);
        }
    }
}

/// A block as it counts in the prompt.
pub(crate) fn block_text(block: &Block) -> String {
    match block {
        Block::Text(text) | Block::Thinking { text, .. } | Block::Result { text, .. } => {
            text.clone()
        }
        Block::Call { name, arguments, .. } => format!("{name} {arguments}"),
        Block::Other(value) => value.to_string(),
    }
}

/// Whether a signature is one that this server gave for this thinking.
pub(crate) fn signed(thinking: &str, signature: Option<&str>) -> bool {
    signature.is_some_and(|signature| signature == random::signature(thinking))
}

/// What OpenAI's strict mode and Anthropic's structured output demand of every object of a schema.
///
/// `all_required` is OpenAI's rule that `required` lists every property. Tells the place and the rule that is broken.
pub(crate) fn strict_schema(schema: &Value, all_required: bool) -> Result<(), (String, String)> {
    visit(schema, &mut Vec::new(), all_required)
}

fn visit(schema: &Value, at: &mut Vec<String>, all_required: bool) -> Result<(), (String, String)> {
    let broken = |at: &[String], rule: String| Err((format!("({})", at.join(", ")), rule));
    let properties = schema["properties"].as_object();
    if schema["type"] == "object" || properties.is_some() {
        if schema["additionalProperties"] != false {
            let rule = "'additionalProperties' is required to be supplied and to be false.";
            return broken(at, rule.to_owned());
        }
        let required = |name: &String| {
            schema["required"]
                .as_array()
                .is_some_and(|all| all.contains(&Value::from(name.as_str())))
        };
        if let Some(name) = properties
            .into_iter()
            .flat_map(|all| all.keys())
            .find(|name| all_required && !required(name))
        {
            let rule = format!(
                "'required' is required to be supplied and to be an array including every key in properties. \
                 Missing '{name}'."
            );
            return broken(at, rule);
        }
    }
    for key in ["properties", "$defs"] {
        for (name, value) in schema[key].as_object().into_iter().flatten() {
            at.extend([format!("'{key}'"), format!("'{name}'")]);
            visit(value, at, all_required)?;
            at.truncate(at.len() - 2);
        }
    }
    for key in ["anyOf", "allOf", "oneOf", "prefixItems"] {
        for (index, value) in schema[key].as_array().into_iter().flatten().enumerate() {
            at.extend([format!("'{key}'"), format!("'{index}'")]);
            visit(value, at, all_required)?;
            at.truncate(at.len() - 2);
        }
    }
    if schema["items"].is_object() {
        at.push("'items'".to_owned());
        visit(&schema["items"], at, all_required)?;
        at.pop();
    }
    Ok(())
}

/// A required array that is not empty.
pub(crate) fn list<'a>(
    body: &'a Value,
    key: &str,
    missing: ApiError,
) -> Result<&'a [Value], ApiError> {
    match body[key].as_array() {
        Some(list) if !list.is_empty() => Ok(list),
        _ => Err(missing),
    }
}

/// The text of content that is a string or a list of text parts.
pub(crate) fn content_text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let text = |part: &Value| part["text"].as_str().map(str::to_owned);
            parts.iter().filter_map(text).collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

//! Gemini: fields, generation settings, functions.

use super::gemini_contents;
use crate::blocks::{named_of, render};
use crate::error::ApiError;
use crate::http::HttpRequest;
use crate::wire::Route;
use crate::{Choice, Request, Tool, Wire};
use serde_json::{Map, Value, json};

const KNOWN: [&str; 9] = [
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "safetySettings",
    "generationConfig",
    "cachedContent",
    "serviceTier",
    "labels",
];
const CONFIG: [&str; 23] = [
    "stopSequences",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "responseModalities",
    "candidateCount",
    "maxOutputTokens",
    "temperature",
    "topP",
    "topK",
    "seed",
    "presencePenalty",
    "frequencyPenalty",
    "responseLogprobs",
    "logprobs",
    "enableEnhancedCivicAnswers",
    "speechConfig",
    "thinkingConfig",
    "mediaResolution",
    "imageConfig",
    "responseFormat",
    "translationConfig",
    "audioTranscriptionConfig",
];
/// The fields of the OpenAPI-like schema; everything else of JSON Schema belongs in the `…JsonSchema` fields.
const SCHEMA: [&str; 22] = [
    "type",
    "format",
    "title",
    "description",
    "nullable",
    "enum",
    "maxItems",
    "minItems",
    "properties",
    "required",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "pattern",
    "example",
    "anyOf",
    "propertyOrdering",
    "default",
    "items",
    "minimum",
    "maximum",
];

pub(super) fn parse(http: &HttpRequest, route: &Route, body: &Value) -> Result<Request, ApiError> {
    let body = camel(body, 0);
    known(&body, "", &KNOWN)?;
    let model = route.model.clone().unwrap_or_default();
    let mut request = Request::new(Wire::Gemini, &model, &http.headers, body.clone());
    request.stream = route.stream;
    let config = &body["generationConfig"];
    known(config, "generation_config", &CONFIG)?;
    request.max_tokens = config["maxOutputTokens"].as_u64();
    request.thinking = config["thinkingConfig"]["includeThoughts"].as_bool().unwrap_or(false);
    functions(&body, &mut request)?;
    schema(config, &mut request)?;
    for part in body["systemInstruction"]["parts"].as_array().into_iter().flatten() {
        request.system.push_str(part["text"].as_str().unwrap_or_default());
    }
    if !body["systemInstruction"].is_null() && request.system.is_empty() {
        return Err(ApiError::invalid(
            "* GenerateContentRequest.system_instruction.parts: must not be empty.\n",
        ));
    }
    gemini_contents::parse(&body["contents"], &mut request)?;
    render(&mut request);
    Ok(request)
}

/// Field names in camel case, which is one of the two forms that the service takes; what is data is left alone.
fn camel(value: &Value, depth: usize) -> Value {
    let data =
        ["args", "response", "responseJsonSchema", "parametersJsonSchema", "properties", "labels"];
    match value {
        Value::Object(object) if depth < 64 => {
            let mut renamed = Map::new();
            for (key, value) in object {
                let mut name = String::new();
                let mut upper = false;
                for character in key.chars() {
                    match character {
                        '_' if !name.is_empty() => upper = true,
                        _ if upper => {
                            name.extend(character.to_uppercase());
                            upper = false;
                        }
                        _ => name.push(character),
                    }
                }
                let value = if data.contains(&name.as_str()) {
                    value.clone()
                } else {
                    camel(value, depth + 1)
                };
                renamed.insert(name, value);
            }
            Value::Object(renamed)
        }
        Value::Array(items) => items.iter().map(|item| camel(item, depth + 1)).collect(),
        _ => value.clone(),
    }
}

pub(super) fn known(object: &Value, place: &str, known: &[&str]) -> Result<(), ApiError> {
    let Some(key) = crate::blocks::unknown_key(object, known) else { return Ok(()) };
    let at = if place.is_empty() { String::new() } else { format!(" at '{place}'") };
    let message =
        format!("Invalid JSON payload received. Unknown name \"{key}\"{at}: Cannot find field.");
    Err(ApiError::invalid(message.clone()).detail(json!({
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [{ "field": place, "description": message }],
    })))
}

fn functions(body: &Value, request: &mut Request) -> Result<(), ApiError> {
    for (index, tool) in body["tools"].as_array().into_iter().flatten().enumerate() {
        for (position, function) in
            tool["functionDeclarations"].as_array().into_iter().flatten().enumerate()
        {
            let place = format!("tools[{index}].function_declarations[{position}]");
            let fields = [
                "name",
                "description",
                "behavior",
                "parameters",
                "parametersJsonSchema",
                "response",
                "responseJsonSchema",
            ];
            known(function, &place, &fields)?;
            let name = function["name"].as_str().unwrap_or_default();
            let letter_first =
                name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
            if !letter_first || !named_of(name, "_.:-", 64) {
                return Err(ApiError::invalid(format!(
                    "* GenerateContentRequest.{place}.name: [FIELD_INVALID] Invalid function name. Must start with a letter \
                     or an underscore. Must be alphameric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or dashes \
                     (-), with a maximum length of 64.\n"
                )));
            }
            if request.tools.iter().any(|tool| tool.name == name) {
                return Err(ApiError::invalid(format!(
                    "Duplicate function declaration found: {name}"
                )));
            }
            let (open, json) = (&function["parameters"], &function["parametersJsonSchema"]);
            if !open.is_null() && !json.is_null() {
                return Err(ApiError::invalid(format!(
                    "* GenerateContentRequest.{place}: parameters and parameters_json_schema are mutually exclusive\n"
                )));
            }
            open_api(open, &format!("{place}.parameters"))?;
            let schema = if json.is_null() { open.clone() } else { json.clone() };
            let description = function["description"].as_str().unwrap_or_default().to_owned();
            request.tools.push(Tool { name: name.to_owned(), description, schema });
        }
    }
    calling(body, request)
}

fn calling(body: &Value, request: &mut Request) -> Result<(), ApiError> {
    let calling = &body["toolConfig"]["functionCallingConfig"];
    let allowed = calling["allowedFunctionNames"].as_array();
    let mode = calling["mode"].as_str().map(str::to_ascii_uppercase);
    if allowed.is_some_and(|allowed| !allowed.is_empty()) && mode.as_deref() != Some("ANY") {
        return Err(ApiError::invalid(
            "Function calling mode must be ANY when allowed_function_names is set.",
        ));
    }
    request.choice = match mode.as_deref() {
        None | Some("AUTO" | "VALIDATED" | "MODE_UNSPECIFIED") => Choice::Auto,
        Some("NONE") => Choice::None,
        Some("ANY") => match allowed.map(Vec::as_slice) {
            Some([only]) => Choice::Tool(only.as_str().unwrap_or_default().to_owned()),
            _ => Choice::Any,
        },
        Some(other) => {
            return Err(ApiError::invalid(format!(
                "Invalid value at 'tool_config.function_calling_config.mode' \
                 (type.googleapis.com/google.ai.generativelanguage.v1beta.FunctionCallingConfig.Mode), \"{other}\""
            )));
        }
    };
    match &request.choice {
        Choice::Any | Choice::Tool(_) if request.tools.is_empty() => {
            Err(ApiError::invalid("Function calling config is set without function_declarations."))
        }
        _ => Ok(()),
    }
}

fn schema(config: &Value, request: &mut Request) -> Result<(), ApiError> {
    let (open, json) = (&config["responseSchema"], &config["responseJsonSchema"]);
    if open.is_null() && json.is_null() {
        return Ok(());
    }
    if !open.is_null() && !json.is_null() {
        return Err(ApiError::invalid(
            "response_schema and response_json_schema are mutually exclusive",
        ));
    }
    if config["responseMimeType"] != "application/json" {
        return Err(ApiError::invalid(
            "* GenerateContentRequest.generation_config.response_mime_type: allowed mimetypes are `text/plain`, \
             `application/json`, `application/xml`, `application/yaml` and `text/x.enum`; a response schema needs \
             `application/json`\n",
        ));
    }
    let is_old = ["gemini-1", "gemini-2"].iter().any(|old| request.model.starts_with(old));
    if !request.tools.is_empty() && is_old {
        return Err(ApiError::invalid(
            "Function calling with a response mime type: 'application/json' is unsupported",
        ));
    }
    open_api(open, "generation_config.response_schema")?;
    request.schema = Some(if json.is_null() { open.clone() } else { json.clone() });
    Ok(())
}

/// Refuses what JSON Schema has and the OpenAPI-like schema has not.
fn open_api(schema: &Value, place: &str) -> Result<(), ApiError> {
    known(schema, place, &SCHEMA)?;
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        open_api(property, &format!("{place}.properties[{name}]"))?;
    }
    for branch in schema["anyOf"].as_array().into_iter().flatten() {
        open_api(branch, &format!("{place}.any_of"))?;
    }
    if schema["type"].is_array() {
        return Err(ApiError::invalid(format!(
            "Invalid JSON payload received. Unknown name \"type\" at '{place}': Proto field is not repeating, cannot start \
             list."
        )));
    }
    if schema["items"].is_object() {
        open_api(&schema["items"], &format!("{place}.items"))
    } else {
        Ok(())
    }
}

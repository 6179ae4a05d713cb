//! `models`: providers, names of models, and what a name stands for.

use super::table::{Colour, table};
use crate::args::Models;
use crate::failure::Failure;
use crate::settings::resolve;
use crate::terminal::Terminal;
use loopwright::protocol::{Model, Price};
use loopwright::providers::{KeyInfo, KeyStatus, ModelName, NameKind, ProviderInfo, Providers};
use loopwright::types::Diagnostic;
use loopwright::view::{Paint, diagnostic_json, escape, escape_json, figure};
use serde::Serialize;
use serde_json::value::RawValue;

/// `models --json`: public, stable names.
#[derive(Serialize)]
struct Out<'a> {
    providers: Vec<ProviderOut<'a>>,
    names: Vec<NameOut<'a>>,
    /// The setting `model.default`; absent is none.
    default: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProviderOut<'a> {
    name: &'a str,
    wire: &'static str,
    base_url: &'a str,
    host: &'a str,
    key: KeyOut<'a>,
    concurrency: Option<u32>,
    /// Whether the settings file has a table of it.
    configured: bool,
}

#[derive(Serialize)]
struct KeyOut<'a> {
    reference: Option<&'a str>,
    status: &'static str,
}

#[derive(Serialize)]
struct NameOut<'a> {
    name: &'a str,
    kind: &'static str,
    target: &'a str,
    /// The model in the end.
    model: Option<String>,
}

/// `models NAME --json`.
#[derive(Serialize)]
struct FoundOut<'a> {
    models: Vec<ModelOut<'a>>,
    errors: Vec<Box<RawValue>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ModelOut<'a> {
    name: &'a str,
    model: &'a str,
    provider: &'a str,
    context_tokens: Option<u64>,
    output_tokens_max: u64,
    concurrency: Option<u32>,
    /// Millionths of a US dollar per million tokens, with source and date.
    price: Option<&'a Price>,
    key: KeyOut<'a>,
}

/// Prints providers and names, or the models that are named; the exit code is 1 when one is not known.
///
/// # Errors
/// When the settings cannot be used, or none of the names is a model's.
pub fn models(terminal: &Terminal, args: &Models) -> Result<u8, Failure> {
    let resolved = resolve(&args.workspace.workspace, &[])?;
    let providers = Providers::from_environment(&resolved.tables)?;
    if !args.names.is_empty() {
        return look_up(terminal, args, &providers);
    }
    let own = resolved.tables.get("providers").and_then(toml::Value::as_table);
    let is_own = |name: &str| own.is_some_and(|own| own.contains_key(name));
    let default = Some(resolved.settings.text("model.default")).filter(|name| !name.is_empty());
    let (list, names) = (providers.list(), providers.model_names());
    let full = |name: &str| providers.resolve(name).ok().map(|model| model.name);
    if args.json {
        let out = Out {
            providers: list.iter().map(|it| provider_out(it, is_own(&it.name))).collect(),
            names: names.iter().map(|it| name_out(it, full(&it.name))).collect(),
            default,
        };
        return print_json(terminal, &out);
    }
    let rows: Vec<Vec<(String, Colour)>> =
        list.iter().map(|it| provider_cells(it, is_own(&it.name))).collect();
    let head = ["PROVIDER", "KEY", "", "WIRE", "HOST"];
    let (paint, columns) = (terminal.paint_out(), terminal.columns_out());
    terminal.out(&(table(paint, columns, &head, &rows) + "\n"))?;
    let rows: Vec<Vec<(String, Colour)>> =
        names.iter().map(|it| name_cells(it, full(&it.name))).collect();
    terminal.out(&table(paint, columns, &["NAME", "STANDS FOR", "KIND"], &rows))?;
    terminal.tell(&match default {
        Some(name) => format!("subagents that name no model get `{}`", escape(name)),
        None => {
            "no model is set for subagents that name none: `model.default`, or `--model`".to_owned()
        }
    });
    Ok(0)
}

fn look_up(terminal: &Terminal, args: &Models, providers: &Providers) -> Result<u8, Failure> {
    let mut found: Vec<(&str, Model, Option<KeyInfo>)> = Vec::new();
    let mut errors: Vec<Diagnostic> = Vec::new();
    let list = providers.list();
    for name in &args.names {
        match providers.resolve(name) {
            Ok(model) => {
                let provider = list.iter().find(|it| it.name == model.provider);
                let mut key = provider.and_then(|it| it.key.clone());
                if let Some(key) = &mut key {
                    // Here the keyring is worth asking.
                    let is_there = providers.check_key(&model.provider).is_ok();
                    key.status = if is_there { KeyStatus::Present } else { KeyStatus::Missing };
                }
                found.push((name, model, key));
            }
            Err(error) => errors.push(error),
        }
    }
    if args.json {
        let raw = |error| RawValue::from_string(diagnostic_json(error)).ok();
        print_json(
            terminal,
            &FoundOut {
                models: found
                    .iter()
                    .map(|(name, it, key)| model_out(name, it, key.as_ref()))
                    .collect(),
                errors: errors.iter().filter_map(raw).collect(),
            },
        )?;
        return Ok(u8::from(!errors.is_empty()));
    }
    let told: Vec<String> = found
        .iter()
        .map(|(name, it, key)| told(terminal.paint_out(), name, it, key.as_ref()))
        .collect();
    terminal.out(&told.join("\n"))?;
    match errors.is_empty() {
        true => Ok(0),
        false => Err(Failure { diagnostics: errors, source: None }),
    }
}

fn print_json(terminal: &Terminal, out: &impl Serialize) -> Result<u8, Failure> {
    let text = serde_json::to_string(out).expect("our form has text keys only");
    terminal.out(&format!("{}\n", escape_json(&text))).map(|()| 0)
}

/// A model in a few lines.
fn told(paint: Paint, name: &str, model: &Model, key: Option<&KeyInfo>) -> String {
    let mut out = format!("{}\n", paint.bold(&escape(name)));
    let mut fact = |name: &str, value: &str| {
        out.push_str(&format!("  {name:<10}{}\n", escape(value)));
    };
    fact("model", &model.name);
    let context = model.context_tokens.map(|it| format!("{} tokens", figure(it)));
    fact("context", context.as_deref().unwrap_or("not known"));
    fact("reply", &format!("{} tokens at most", figure(model.output_tokens_max)));
    match &model.price {
        Some(price) => {
            fact("input", &format!("{} per million tokens", dollars(price.input)));
            let (read, write) = (dollars(price.cache_read), dollars(price.cache_write));
            fact("cached", &format!("{read} read, {write} written"));
            fact("output", &dollars(price.output));
            let dated =
                if price.date.is_empty() { String::new() } else { format!(", {}", price.date) };
            fact("prices", &format!("{}{dated}", price.source));
        }
        None => fact("price", "not known; counts as nothing"),
    }
    let key = key.map(|key| format!("{}, {}", key.reference, status(key.status)));
    fact("key", key.as_deref().unwrap_or("none needed"));
    out
}

/// Millionths of a dollar, with cents at least.
fn dollars(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    let (whole, cents) = text.split_once('.').unwrap_or((&text, ""));
    let cents = cents.trim_end_matches('0');
    format!("${whole}.{cents:0<2}")
}

fn status(status: KeyStatus) -> &'static str {
    match status {
        KeyStatus::Present => "present",
        KeyStatus::Missing => "missing",
        KeyStatus::Unchecked => "unchecked",
    }
}

fn kind(kind: NameKind) -> &'static str {
    match kind {
        NameKind::Configured => "alias",
        NameKind::BuiltIn => "built-in alias",
        NameKind::Tier => "tier",
    }
}

fn key_out(key: Option<&KeyInfo>) -> KeyOut<'_> {
    match key {
        Some(key) => KeyOut { reference: Some(&key.reference), status: status(key.status) },
        None => KeyOut { reference: None, status: "unneeded" },
    }
}

fn provider_out(it: &ProviderInfo, configured: bool) -> ProviderOut<'_> {
    ProviderOut {
        name: &it.name,
        wire: it.wire.as_str(),
        base_url: &it.base_url,
        host: &it.host,
        key: key_out(it.key.as_ref()),
        concurrency: it.concurrency,
        configured,
    }
}

fn name_out(it: &ModelName, model: Option<String>) -> NameOut<'_> {
    NameOut { name: &it.name, kind: kind(it.kind), target: &it.target, model }
}

fn model_out<'a>(name: &'a str, model: &'a Model, key: Option<&'a KeyInfo>) -> ModelOut<'a> {
    ModelOut {
        name,
        model: &model.name,
        provider: &model.provider,
        context_tokens: model.context_tokens,
        output_tokens_max: model.output_tokens_max,
        concurrency: model.concurrency,
        price: model.price.as_ref(),
        key: key_out(key),
    }
}

fn provider_cells(it: &ProviderInfo, configured: bool) -> Vec<(String, Colour)> {
    let (reference, status, colour): (&str, &str, Colour) = match &it.key {
        None => ("", "none needed", Paint::plain),
        Some(key) => match key.status {
            KeyStatus::Present => (&key.reference, "present", Paint::green),
            KeyStatus::Missing => (&key.reference, "missing", Paint::yellow),
            KeyStatus::Unchecked => (&key.reference, "unchecked", Paint::plain),
        },
    };
    let host = if configured { format!("{} (configured)", it.host) } else { it.host.clone() };
    vec![
        (it.name.clone(), Paint::bold),
        (status.to_owned(), colour),
        (reference.to_owned(), Paint::plain),
        (it.wire.as_str().to_owned(), Paint::plain),
        (host, Paint::plain),
    ]
}

fn name_cells(it: &ModelName, model: Option<String>) -> Vec<(String, Colour)> {
    let target: (String, Colour) = match model {
        Some(model) => (model, Paint::plain),
        None => (format!("{} (not known)", it.target), Paint::red),
    };
    vec![(it.name.clone(), Paint::bold), target, (kind(it.kind).to_owned(), Paint::dim)]
}

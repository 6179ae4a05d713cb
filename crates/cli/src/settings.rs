//! Resolved settings: defaults < file < environment < flags, each validated where it was written.

use crate::failure::Failure;
use loopwright::types::{Code, Diagnostic, Position, SETTINGS, Setting, SettingError, Settings};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The two places of a settings file, relative to the workspace.
const FILES: [&str; 2] = [".loopwright/settings.toml", "loopwright.toml"];

/// Settings with where each value comes from.
#[derive(Debug)]
pub struct Resolved {
    /// The values.
    pub settings: Settings,
    /// Where those that are not defaults come from.
    pub origins: BTreeMap<&'static str, String>,
    /// The file's tables of providers and models, which are no settings but lists of things with names.
    pub tables: toml::Table,
}

/// Sections of the settings file that hold things with names of the author's own.
const TABLES: [&str; 2] = ["providers", "models"];

/// Reads file and environment of a workspace and `--set` flags.
///
/// # Errors
/// `LW0901`, `LW0902` or `LW0903`, naming file and line, variable or flag.
pub fn resolve(workspace: &Path, flags: &[String]) -> Result<Resolved, Failure> {
    let mut resolved = Resolved {
        settings: Settings::default(),
        origins: BTreeMap::new(),
        tables: toml::Table::new(),
    };
    if let Some((path, name)) = find(workspace)? {
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Diagnostic::new(Code::SETTINGS_FILE, format!("cannot read `{name}`: {error}"))
        })?;
        resolved.file(name, &text).map_err(|diagnostic| Failure {
            diagnostics: vec![diagnostic],
            source: Some(text.clone()),
        })?;
    }
    for (name, _) in std::env::vars_os() {
        unknown_variable(&name.to_string_lossy())?;
    }
    for setting in SETTINGS {
        let variable = setting.variable();
        let Some(value) = std::env::var_os(&variable) else { continue };
        let value = value.to_string_lossy();
        resolved.set(setting.name, &value, format!("${variable}")).map_err(|error| {
            let mut told = refusal(&error);
            told.message = format!("in the environment variable `{variable}`: {}", told.message);
            told
        })?;
    }
    for flag in flags {
        let Some((name, value)) = flag.split_once('=') else {
            let message = format!("`--set {flag}` has no `=`");
            let hint = "write `--set run.concurrency=8`";
            return Err(Diagnostic::new(Code::USAGE, message).hint(hint).into());
        };
        let origin = "--set".to_owned();
        resolved.set(name.trim(), value, origin).map_err(|error| refusal(&error))?;
    }
    Ok(resolved)
}

/// A variable that begins like a setting's and is none is a mistake, not somebody else's.
fn unknown_variable(variable: &str) -> Result<(), Diagnostic> {
    let Some((section, rest)) =
        variable.strip_prefix("LOOPWRIGHT_").and_then(|it| it.split_once('_'))
    else {
        return Ok(());
    };
    let section = format!("{}.", section.to_ascii_lowercase());
    let is_section = SETTINGS.iter().any(|setting| setting.name.starts_with(&section));
    let is_known = SETTINGS.iter().any(|setting| setting.variable() == variable);
    if !is_section || is_known {
        return Ok(());
    }
    let name = format!("{section}{}", rest.to_ascii_lowercase());
    let message = format!("the environment variable `{variable}` names no setting");
    let unknown = Diagnostic::new(Code::SETTING_UNKNOWN, message);
    Err(match Settings::default().set(&name, "") {
        Err(SettingError::Unknown { suggestion: Some(name), .. }) => {
            let meant = Setting::find(name).map(Setting::variable).unwrap_or_default();
            unknown.hint(format!("did you mean `{meant}`?"))
        }
        _ => unknown.hint("`loopwright settings` lists all settings"),
    })
}

/// The workspace's settings file, if there is one.
fn find(workspace: &Path) -> Result<Option<(PathBuf, &'static str)>, Diagnostic> {
    let there = FILES.iter().filter(|name| workspace.join(name).is_file());
    let found: Vec<_> = there.map(|name| (workspace.join(name), *name)).collect();
    match found.len() {
        0 | 1 => Ok(found.into_iter().next()),
        _ => {
            let message =
                format!("there are two settings files, `{}` and `{}`", FILES[0], FILES[1]);
            Err(Diagnostic::new(Code::SETTINGS_FILE, message).hint("keep one of them"))
        }
    }
}

impl Resolved {
    fn set(&mut self, name: &str, value: &str, origin: String) -> Result<(), SettingError> {
        self.settings.set(name, value)?;
        if let Some(setting) = Setting::find(name) {
            self.origins.insert(setting.name, origin);
        }
        Ok(())
    }

    /// Takes a file's settings; nested tables are dotted names.
    fn file(&mut self, file: &str, text: &str) -> Result<(), Diagnostic> {
        let table = DeTable::parse(text).map_err(|error| {
            let at = place(text, error.span().map_or(0, |span| span.start));
            Diagnostic::new(
                Code::SETTINGS_FILE,
                format!("`{file}` is not TOML: {}", error.message()),
            )
            .at(file, at, 1)
        })?;
        let own: toml::Table = text.parse().unwrap_or_default();
        self.tables = own.into_iter().filter(|(name, _)| TABLES.contains(&name.as_str())).collect();
        self.table(file, text, "", table.get_ref())
    }

    fn table(
        &mut self,
        file: &str,
        text: &str,
        prefix: &str,
        table: &DeTable<'_>,
    ) -> Result<(), Diagnostic> {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref());
            if prefix.is_empty() && TABLES.contains(&name.as_str()) {
                continue; // read by whoever knows providers
            }
            let at = |span: std::ops::Range<usize>, diagnostic: Diagnostic| {
                let length = text.get(span.clone()).map_or(1, |marked| marked.chars().count());
                diagnostic.at(file, place(text, span.start), u32::try_from(length).unwrap_or(1))
            };
            if let DeValue::Table(inner) = value.get_ref() {
                let prefix = format!("{name}.");
                if !SETTINGS.iter().any(|setting| setting.name.starts_with(&prefix)) {
                    return Err(at(key.span(), unknown_section(&name)));
                }
                self.table(file, text, &prefix, inner)?;
                continue;
            }
            let line = place(text, key.span().start).line;
            let value_text =
                plain(value).ok_or_else(|| at(value.span(), wrong_kind(&name, value.get_ref())))?;
            self.set(&name, &value_text, format!("{file}:{line}")).map_err(|error| {
                let is_name = matches!(error, SettingError::Unknown { .. });
                let span = if is_name { key.span() } else { value.span() };
                at(span, refusal(&error))
            })?;
        }
        Ok(())
    }
}

/// A value as it would be typed after `--set`; lists of text are joined by commas.
fn plain(value: &Spanned<DeValue<'_>>) -> Option<String> {
    match value.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Integer(number) => {
            u64::from_str_radix(number.as_str(), number.radix()).ok().map(|n| n.to_string())
        }
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        DeValue::Array(items) => {
            let texts: Option<Vec<String>> = items.iter().map(plain).collect();
            texts.map(|texts| texts.join(","))
        }
        DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}

fn wrong_kind(name: &str, value: &DeValue<'_>) -> Diagnostic {
    let message = format!("`{name}` does not take a {}", value.type_str());
    Diagnostic::new(Code::SETTING_INVALID, message)
}

fn unknown_section(name: &str) -> Diagnostic {
    let mut sections: Vec<&str> =
        SETTINGS.iter().filter_map(|setting| setting.name.split('.').next()).collect();
    sections.dedup();
    Diagnostic::new(Code::SETTING_UNKNOWN, format!("no setting begins with `{name}.`"))
        .hint(format!("sections are `{}`", sections.join("`, `")))
}

fn refusal(error: &SettingError) -> Diagnostic {
    match error {
        SettingError::Unknown { suggestion, .. } => {
            let hint = match suggestion {
                Some(name) => format!("did you mean `{name}`?"),
                None => "`loopwright settings` lists all settings".to_owned(),
            };
            Diagnostic::new(Code::SETTING_UNKNOWN, error.to_string()).hint(hint)
        }
        SettingError::Invalid { name, .. } => {
            let default = Setting::find(name).map_or("", |setting| setting.default);
            Diagnostic::new(Code::SETTING_INVALID, error.to_string())
                .hint(format!("the default is `{default}`"))
        }
    }
}

/// Line and column of a byte, both from 1.
fn place(text: &str, byte: usize) -> Position {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Position { line: narrow(line), column: narrow(column) }
}

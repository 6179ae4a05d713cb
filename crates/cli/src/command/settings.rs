//! `settings`: values in force and where each comes from.

use super::table::{Colour, table};
use crate::args::ListSettings;
use crate::failure::Failure;
use crate::settings::resolve;
use crate::terminal::Terminal;
use loopwright::types::{SETTINGS, SettingValue};
use loopwright::view::Paint;
use serde::Serialize;

#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    value: &'a SettingValue,
    default: &'a str,
    origin: &'a str,
    doc: &'a str,
}

/// Prints all settings.
///
/// # Errors
/// When a file, a variable or a flag holds what does not fit.
pub fn settings(terminal: &Terminal, args: &ListSettings) -> Result<u8, Failure> {
    let resolved = resolve(&args.workspace.workspace, &args.settings.set)?;
    let rows: Vec<Row<'_>> = SETTINGS
        .iter()
        .map(|setting| Row {
            name: setting.name,
            value: resolved.settings.get(setting.name),
            default: setting.default,
            origin: resolved.origins.get(setting.name).map_or("default", String::as_str),
            doc: setting.doc,
        })
        .collect();
    if args.json {
        let text = serde_json::to_string(&rows).expect("settings have text keys only");
        return terminal.out(&(text + "\n")).map(|()| 0);
    }
    let cells: Vec<Vec<(String, Colour)>> = rows
        .iter()
        .map(|row| {
            let changed = row.origin != "default";
            let colour: Colour = if changed { Paint::bold } else { Paint::plain };
            vec![
                (row.name.to_owned(), colour),
                (row.value.to_string(), colour),
                (row.origin.to_owned(), if changed { Paint::plain } else { Paint::dim }),
                (row.doc.to_owned(), Paint::dim),
            ]
        })
        .collect();
    let head = ["SETTING", "VALUE", "FROM", "MEANING"];
    terminal.out(&table(terminal.paint_out(), terminal.columns_out(), &head, &cells)).map(|()| 0)
}

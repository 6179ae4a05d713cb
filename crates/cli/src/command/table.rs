//! Columns side by side.

use loopwright::view::{Paint, escape, row, width};

/// Colours of a cell by its text.
pub type Colour = fn(Paint, &str) -> String;

/// A table with a head; texts are escaped, the last column is cut where the terminal ends.
pub fn table(
    paint: Paint,
    columns: Option<usize>,
    head: &[&str],
    rows: &[Vec<(String, Colour)>],
) -> String {
    let mut widths: Vec<usize> = head.iter().map(|name| width(name)).collect();
    let rows: Vec<Vec<(String, Colour)>> = rows
        .iter()
        .map(|cells| {
            cells.iter().map(|(text, colour)| (escape(text).into_owned(), *colour)).collect()
        })
        .collect();
    for cells in &rows {
        for (at, (text, _)) in cells.iter().enumerate() {
            widths[at] = widths[at].max(width(text));
        }
    }
    let heads = head.iter().map(|name| ((*name).to_owned(), Paint::dim as Colour)).collect();
    let mut out = String::new();
    for cells in std::iter::once(heads).chain(rows) {
        let padded: Vec<(String, Colour)> = cells
            .into_iter()
            .enumerate()
            .map(|(at, (text, colour))| {
                let space = widths[at] - width(&text) + 2;
                (text + &" ".repeat(space), colour)
            })
            .collect();
        let pieces: Vec<(&str, Colour)> =
            padded.iter().map(|(text, colour)| (text.as_str(), *colour)).collect();
        out.push_str(&row(paint, columns.unwrap_or(usize::MAX), &pieces));
        out.push('\n');
    }
    out
}

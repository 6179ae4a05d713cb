//! Typed files that a model can search and read piece by piece instead of loading every definition.

use crate::signatures::{reach, signature, summary};
use crate::table::Table;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

/// Says that the folder is ours to write anew.
const MARK: &str = ".loopwright-tools";

/// Writes the tree. Names of servers and tools are identifiers here, so none leads out of the folder.
pub(crate) fn write(table: &Table, dir: &Path) -> io::Result<()> {
    clear(dir)?;
    fs::write(dir.join(MARK), "")?;
    let mut servers: BTreeMap<&str, String> = BTreeMap::new();
    for entry in table.entries() {
        let folder = dir.join(&entry.server_name);
        let index = servers.entry(&entry.server_name).or_default();
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(format!("{}.d.ts", entry.own_name)), signature(&entry.tool))?;
        let (tool, about) = (&entry.own_name, summary(&entry.tool.description));
        let effects = format!("{:?}", entry.tool.effects).to_lowercase();
        let _ = writeln!(index, "- [`{tool}`]({tool}.d.ts) (effects: {effects}): {about}");
    }
    let mut all = "# Tools\n\nCall them as `tools.<server>.<tool>(args)`.\n\n".to_owned();
    for (server, index) in &servers {
        let head = format!("# {server}\n\nCall them as `tools.{server}.<tool>(args)`.\n\n");
        fs::write(dir.join(server).join("index.md"), head + index)?;
        let _ = writeln!(all, "- [`{server}`]({server}/index.md): {} tools", index.lines().count());
    }
    fs::write(dir.join("index.d.ts"), reach(table))?;
    fs::write(dir.join("index.md"), all)
}

/// Empties a folder of ours, or makes one; never touches a folder that holds something else.
fn clear(dir: &Path) -> io::Result<()> {
    let is_empty = match fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == ErrorKind::NotFound => true,
        Err(error) => return Err(error),
    };
    if !is_empty && !dir.join(MARK).exists() {
        let message = format!("`{}` holds files that are not ours", dir.display());
        return Err(io::Error::new(ErrorKind::AlreadyExists, message));
    }
    fs::create_dir_all(dir)?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        // A link is removed and not followed.
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path())?,
            false => fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

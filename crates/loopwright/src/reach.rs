//! The tools in reach of a run, looked at without one.

use crate::toolbox::Toolbox;
use loopwright_mcp::signature;
use loopwright_protocol::Tool;
use loopwright_types::{Diagnostic, Settings};
use std::fmt::Write as _;
use std::path::Path;

/// All tools that a run in a workspace would have. MCP servers are up as long as this is there.
pub struct Reach {
    toolbox: Toolbox,
}

impl Reach {
    /// Starts the workspace's MCP servers and lists their tools beside the built-in ones. What did not start, and why
    /// `bash` cannot work here, is told; the rest is there.
    ///
    /// # Errors
    /// When the workspace cannot be opened or `tools.allow` or `tools.subagents` names an unknown tool.
    pub fn open(
        workspace: &Path,
        data_dir: &Path,
        settings: &Settings,
    ) -> Result<(Self, Vec<Diagnostic>), Diagnostic> {
        let (toolbox, mut told) = Toolbox::open(workspace, data_dir, settings)?;
        told.extend(toolbox.bash_refusal());
        Ok((Self { toolbox }, told))
    }

    /// Every tool: built-in ones in alphabetical order, those of MCP servers, and the one that applies worktrees.
    pub fn tools(&self) -> Vec<Tool> {
        self.toolbox.tools()
    }

    /// TypeScript declarations of what programs may call, as `tools.<name>` and `tools.<server>.<tool>`.
    pub fn declarations(&self) -> String {
        let own = self.own();
        if own.is_empty() {
            return self.toolbox.servers().signatures();
        }
        format!("{own}\n{}", self.toolbox.servers().signatures())
    }

    /// Writes typed files: `<dir>/builtin.d.ts`, `<dir>/<server>/index.md` and `<dir>/<server>/<tool>.d.ts`, with
    /// `index.md` and `index.d.ts` above them. What the folder held of tools before is replaced; one that holds
    /// something else is refused.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write_tree(&self, dir: &Path) -> std::io::Result<()> {
        self.toolbox.servers().write_tree(dir)?;
        let own = self.own();
        if own.is_empty() {
            return Ok(());
        }
        std::fs::write(dir.join("builtin.d.ts"), own)?;
        let index = dir.join("index.md");
        let mut text = std::fs::read_to_string(&index)?;
        let names: Vec<String> = self.callable().map(|it| format!("`{}`", it.name)).collect();
        let _ = writeln!(
            text,
            "- [built in](builtin.d.ts), as `tools.<tool>(args)`: {}",
            names.join(", ")
        );
        std::fs::write(index, text)
    }

    /// Tools without a server that programs may call.
    fn callable(&self) -> impl Iterator<Item = Tool> {
        self.toolbox.tools().into_iter().filter(|it| it.programs && !it.name.contains('.'))
    }

    fn own(&self) -> String {
        let mut out = String::new();
        for tool in self.callable() {
            let gap =
                if out.is_empty() { "interface Tools extends Tools_builtin {}\n" } else { "" };
            let _ = write!(out, "{gap}\n{}", signature(&tool));
        }
        out
    }
}

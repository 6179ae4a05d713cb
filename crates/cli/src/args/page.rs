//! Texts about the command itself.

use clap::{Args as ClapArgs, ValueEnum};

/// Arguments of `completions`.
#[derive(Debug, ClapArgs)]
pub struct Completions {
    /// The shell.
    pub shell: clap_complete::Shell,
}

/// Arguments of `reference`.
#[derive(Debug, ClapArgs)]
pub struct Reference {
    /// The page.
    pub page: Page,
}

/// The generated pages of `docs/reference/`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Page {
    /// `cli.md`.
    Cli,
    /// `settings.md`.
    Settings,
}

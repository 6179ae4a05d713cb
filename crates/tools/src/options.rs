//! What the settings `tools.*` grant.

use crate::hosts::Hosts;
use crate::resolve::Reach;
use loopwright_types::{Code, Diagnostic, SettingValue, Settings};
use std::path::PathBuf;
use std::time::Duration;

/// What tools may do beyond reading the workspace, and how much of it. The defaults grant nothing.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) result_bytes_max: usize,
    pub(crate) bash: BashOptions,
    pub(crate) fetch: FetchOptions,
}

/// What a command may use.
#[derive(Clone, Debug)]
pub(crate) struct BashOptions {
    pub(crate) network: bool,
    /// Whether commands run where the kernel cannot confine them.
    pub(crate) unsandboxed: bool,
    /// Directories outside the workspace that commands may read and run programs from.
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) cpu_seconds: u64,
    pub(crate) file_bytes: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) open_files_max: u64,
    pub(crate) processes_max: u64,
    pub(crate) output_bytes_max: usize,
    /// The longest that one command may run.
    pub(crate) timeout: Duration,
}

/// Where `fetch` may go and how much it brings.
#[derive(Clone, Debug)]
pub(crate) struct FetchOptions {
    pub(crate) hosts: Hosts,
    pub(crate) reach: Reach,
    pub(crate) body_bytes_max: u64,
    pub(crate) timeout: Duration,
}

impl Options {
    /// Reads the settings.
    ///
    /// # Errors
    /// When `tools.fetch_hosts` holds what is no host, or `tools.bash_paths` what is no absolute path.
    pub(crate) fn read(settings: &Settings) -> Result<Self, Diagnostic> {
        let mega = |name: &str| settings.integer(name).saturating_mul(1 << 20);
        let bash = BashOptions {
            network: flag(settings, "tools.bash_network"),
            unsandboxed: flag(settings, "tools.bash_unsandboxed"),
            paths: paths(settings)?,
            cpu_seconds: settings.integer("tools.bash_cpu_ms").div_ceil(1000),
            file_bytes: mega("tools.bash_file_mb"),
            memory_bytes: mega("tools.bash_memory_mb"),
            open_files_max: settings.integer("tools.bash_open_files_max"),
            processes_max: settings.integer("tools.bash_processes_max"),
            output_bytes_max: settings.count("tools.bash_output_bytes_max"),
            timeout: Duration::from_millis(settings.integer("tools.bash_timeout_ms")),
        };
        let fetch = FetchOptions {
            hosts: Hosts::parse(settings.text("tools.fetch_hosts"))?,
            reach: if flag(settings, "tools.fetch_private") {
                Reach::any()
            } else {
                Reach::public()
            },
            body_bytes_max: settings.integer("tools.fetch_bytes_max"),
            timeout: Duration::from_millis(settings.integer("tools.fetch_timeout_ms")),
        };
        Ok(Self { result_bytes_max: settings.count("tools.result_bytes_max"), bash, fetch })
    }
}

fn flag(settings: &Settings, name: &str) -> bool {
    *settings.get(name) == SettingValue::Flag(true)
}

fn paths(settings: &Settings) -> Result<Vec<PathBuf>, Diagnostic> {
    let written = settings.text("tools.bash_paths");
    let paths = written.split(',').map(str::trim).filter(|path| !path.is_empty()).map(|path| {
        let absolute = path.starts_with('/') && !path.contains(':');
        absolute.then(|| PathBuf::from(path)).ok_or_else(|| {
            let shown = crate::refusal::quoted(path);
            let message = format!("`tools.bash_paths` holds `{shown}`, which is no absolute path");
            Diagnostic::new(Code::SETTING_INVALID, message)
                .hint("write absolute paths, separated by commas")
        })
    });
    paths.collect()
}

/// Names in a list with commas.
pub(crate) fn names(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

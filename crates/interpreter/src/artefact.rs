//! The committed guest and the prelude, as bytes in this binary.

use loopwright_types::Digest;
use std::borrow::Cow;

#[path = "../prelude/sources.rs"]
mod sources;

/// The name under which the prelude is evaluated; frames of such names are never the author's.
pub(crate) use sources::PRELUDE_NAME;

/// QuickJS-ng and our C sources as WebAssembly; built by `guest/build.sh`, locked by `guest/guest.lock.json`.
pub(crate) const GUEST: &[u8] = include_bytes!("../guest/lw-guest.wasm");

/// The JavaScript that runs at image time, before any program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prelude {
    /// Installs the program API; sees the natives as `globalThis.__lw` and must delete them.
    pub script: Cow<'static, str>,
    /// Modules every program may import, by name.
    pub modules: Vec<(Cow<'static, str>, Cow<'static, str>)>,
}

impl Default for Prelude {
    /// The program API of `docs/design`.
    fn default() -> Self {
        let modules = sources::MODULES.iter().map(|(name, code)| ((*name).into(), (*code).into()));
        Self { script: Cow::Borrowed(sources::PRELUDE), modules: modules.collect() }
    }
}

impl Prelude {
    /// Digest of the guest's code and this prelude: what a snapshot and a compiled image are bound to.
    pub(crate) fn hash(&self) -> Digest {
        let modules =
            self.modules.iter().flat_map(|(name, code)| [name.as_bytes(), code.as_bytes()]);
        Digest::of_parts([GUEST, self.script.as_bytes()].into_iter().chain(modules))
    }
}

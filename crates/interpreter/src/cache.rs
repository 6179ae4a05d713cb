//! Compiled code on disk. Machine code is trusted as much as this binary, so the directory must belong to this user
//! alone, and each file carries a digest. Whatever does not fit is compiled again; a cache never makes anything fail.

use crate::Error;
use loopwright_types::Digest;
use std::fs::{self, DirBuilder, File};
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use wasmtime::{Engine, Module};

const MAGIC: &[u8; 8] = b"LWCODE01";
const HEAD: usize = MAGIC.len() + 32;
/// Files kept: a few versions of the guest and the prelude.
const FILES_MAX: usize = 8;

/// The user's cache directory for compiled guests: `$XDG_CACHE_HOME/loopwright` or `~/.cache/loopwright`.
pub(crate) fn default_dir() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?;
    Some(base.join("loopwright"))
}

/// Collects what wasmtime hashes about its version, its settings and this processor.
struct Collected(Vec<u8>);

impl Hasher for Collected {
    fn finish(&self) -> u64 {
        0
    }
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

/// The compiled form of `wasm()`, which `identity` stands for; from the cache when it is there.
pub(crate) fn module(
    engine: &Engine,
    dir: Option<&Path>,
    identity: &Digest,
    wasm: impl FnOnce() -> Result<Vec<u8>, Error>,
) -> Result<Module, Error> {
    let Some(dir) = dir.filter(|dir| is_private(dir)) else { return compile(engine, &wasm()?) };
    let mut compatibility = Collected(Vec::new());
    engine.precompile_compatibility_hash().hash(&mut compatibility);
    let path = dir.join(format!("{}.cwasm", Digest::of_parts([&identity.0[..], &compatibility.0])));
    if let Some(module) = load(engine, &path) {
        return Ok(module);
    }
    // Another process may be compiling the same: wait for it rather than for the processor. One lock for each file,
    // because making the ready image may compile the bare guest first.
    let lock = File::create(path.with_extension("lock")).ok().filter(|file| file.lock().is_ok());
    if let Some(module) = lock.as_ref().and_then(|_| load(engine, &path)) {
        return Ok(module);
    }
    let module = compile(engine, &wasm()?)?;
    if let Ok(code) = module.serialize() {
        // A full disk or a lost race costs a compilation next time, nothing else.
        let _ = store(&path, &code);
    }
    Ok(module)
}

fn compile(engine: &Engine, wasm: &[u8]) -> Result<Module, Error> {
    Module::new(engine, wasm).map_err(Error::setup)
}

/// Makes the directory if needed; whether it is this user's and closed to all others.
fn is_private(dir: &Path) -> bool {
    let _ = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    let Ok(found) = fs::symlink_metadata(dir) else { return false };
    found.is_dir() && found.mode() & 0o077 == 0 && found.uid() == user()
}

#[allow(unsafe_code)]
fn user() -> u32 {
    // SAFETY: geteuid has no preconditions and cannot fail.
    unsafe { libc::geteuid() }
}

#[allow(unsafe_code)]
fn load(engine: &Engine, path: &Path) -> Option<Module> {
    let file = fs::read(path).ok()?;
    let (head, code) = file.split_at_checked(HEAD)?;
    let (magic, digest) = head.split_at(MAGIC.len());
    if magic != MAGIC || digest != Digest::of(code).0 {
        return None;
    }
    // SAFETY: the bytes are what `Module::serialize` gave: the digest shows that they are undamaged, and the
    // directory that nobody but this user, who could as well replace this binary, has written them.
    unsafe { Module::deserialize(engine, code) }.ok()
}

/// Writes to a temporary name and renames, so that no reader ever sees a part.
fn store(path: &Path, code: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension(format!("tmp{}", std::process::id()));
    let mut file = File::create(&temporary)?;
    file.write_all(MAGIC)?;
    file.write_all(&Digest::of(code).0)?;
    file.write_all(code)?;
    drop(file);
    fs::rename(&temporary, path)?;
    remove_oldest(path.parent().unwrap_or(Path::new(".")))
}

fn remove_oldest(dir: &Path) -> std::io::Result<()> {
    let mut files: Vec<_> = fs::read_dir(dir)?
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|it| it == "cwasm"))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    files.sort();
    for (_, path) in files.iter().rev().skip(FILES_MAX) {
        fs::remove_file(path)?;
        fs::remove_file(path.with_extension("lock"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn only_a_directory_of_this_user_that_is_closed_to_others_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        assert!(is_private(&path("made/on/the/way")));
        fs::create_dir(path("open")).unwrap();
        fs::set_permissions(path("open"), fs::Permissions::from_mode(0o750)).unwrap();
        symlink(path("made"), path("link")).unwrap();
        fs::write(path("file"), "in the way").unwrap();
        for name in ["open", "link", "file", "file/below"] {
            assert!(!is_private(&path(name)), "{name}");
        }
    }

    /// The smallest module there is.
    const WASM: &[u8] = b"\0asm\x01\0\0\0";

    /// Asks for the module; whether it was compiled and not found.
    fn compiles(engine: &Engine, dir: Option<&Path>) -> bool {
        let mut compiled = false;
        let wasm = || {
            compiled = true;
            Ok(WASM.to_vec())
        };
        module(engine, dir, &Digest::of(WASM), wasm).expect("a cache never makes anything fail");
        compiled
    }

    #[test]
    fn compiled_code_is_kept_checked_and_replaced_when_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("deep/cache");
        let engine = crate::engine::engine(None).unwrap();
        assert!(compiles(&engine, Some(&dir)));
        assert!(!compiles(&engine, Some(&dir)), "a sound file is used as it is");
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);

        let entries = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path());
        let path = entries
            .into_iter()
            .find(|path| path.extension().is_some_and(|it| it == "cwasm"))
            .unwrap();
        let sound = fs::read(&path).unwrap();
        let mut flipped = sound.clone();
        flipped[sound.len() / 2] ^= 1;
        let cut = sound[..sound.len() - 1].to_vec();
        for damage in [Vec::new(), MAGIC.to_vec(), flipped, cut, [&sound[..], b"x"].concat()] {
            fs::write(&path, damage).unwrap();
            assert!(compiles(&engine, Some(&dir)));
            assert!(fs::read(&path).unwrap() == sound, "a damaged file is replaced");
        }
    }

    #[test]
    fn without_a_private_directory_everything_is_compiled() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let engine = crate::engine::engine(None).unwrap();
        for dir in [None, Some(folder.path())] {
            assert!(compiles(&engine, dir) && compiles(&engine, dir));
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

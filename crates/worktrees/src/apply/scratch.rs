//! An index and an object store to throw away: git writes there, and reads the repository's behind it.

use crate::failures::system;
use crate::files;
use crate::git::GitCall;
use crate::repository::Checkout;
use loopwright_types::Failure;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Removed when dropped.
pub(crate) struct Scratch {
    pub(crate) directory: PathBuf,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = files::remove(&self.directory);
    }
}

impl Scratch {
    /// Begins with the checkout's index. The caller holds the lock, so the name is free.
    pub(crate) fn new(main: &Checkout, home: &Path) -> Result<Self, Failure> {
        let scratch = Self { directory: home.join(format!(".scratch-{}", std::process::id())) };
        let objects = scratch.directory.join("objects/info");
        let fail = |error| system("make", &scratch.directory, &error);
        fs::create_dir_all(&objects).map_err(fail)?;
        // Through a link, named relatively: the file's lines are paths, and a path may hold a line end.
        symlink(main.common.join("objects"), scratch.directory.join("behind")).map_err(fail)?;
        fs::write(objects.join("alternates"), "../behind\n").map_err(fail)?;
        scratch.copy_index(&main.directory.join("index")).map_err(fail)?;
        Ok(scratch)
    }

    /// With its time: git compares it with those of files to see which of them it must read again.
    fn copy_index(&self, index: &Path) -> std::io::Result<()> {
        let copy = self.directory.join("index");
        match fs::copy(index, &copy) {
            Ok(_) => {
                let modified = fs::metadata(index)?.modified()?;
                fs::File::options().write(true).open(&copy)?.set_modified(modified)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A command in the checkout that writes only here.
    pub(crate) fn call<A: AsRef<OsStr>>(&self, main: &Checkout, arguments: &[A]) -> GitCall {
        main.call(arguments)
            .variable("GIT_INDEX_FILE", self.directory.join("index"))
            .variable("GIT_OBJECT_DIRECTORY", self.directory.join("objects"))
    }
}

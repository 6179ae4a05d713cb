//! What a tool has at hand while it serves one call.

use crate::allowed::Restriction;
use crate::options::Options;
use crate::root::Root;
use std::sync::Mutex;

/// One call's surroundings.
pub(crate) struct Context<'a> {
    pub(crate) root: &'a Root,
    pub(crate) options: &'a Options,
    /// Bytes that the result may have.
    pub(crate) bytes_max: usize,
    /// Whether the call was given up.
    pub(crate) cancelled: &'a dyn Fn() -> bool,
    /// The forms that the call must fit one of; none is any form.
    pub(crate) restrictions: &'a [Restriction],
    /// Held while a file is read, changed and put back, so that two edits of one run never lose each other.
    pub(crate) writing: &'a Mutex<()>,
}

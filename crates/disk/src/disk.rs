//! The handle that tests hold.

use crate::plan::{Crash, Operation, Plan};
use crate::state::State;
use crate::vfs::Registered;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is on a disk: bytes by the names of files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image(pub BTreeMap<String, Vec<u8>>);

/// A simulated disk, registered with SQLite for as long as it lives. Connections to it must be closed before it
/// is dropped; one that is not is an error in a test, and the memory it points to is then never freed.
pub struct Disk {
    /// Dropped first: it looks who else still holds the state.
    registered: Registered,
    state: Arc<Mutex<State>>,
}

impl Disk {
    /// An empty disk; `seed` decides what survives, how writes tear, and what SQLite draws.
    ///
    /// # Panics
    /// When SQLite refuses the VFS.
    pub fn new(seed: u64) -> Self {
        let state = Arc::new(Mutex::new(State::new(seed)));
        Self { registered: Registered::new(&state), state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name under which SQLite knows it.
    pub fn vfs(&self) -> &str {
        self.registered.name()
    }

    /// What goes wrong from now on.
    pub fn plan(&self, plan: Plan) {
        self.state().plan = plan;
    }

    /// Draws from here on are those of this seed.
    pub fn reseed(&self, seed: u64) {
        self.state().random = crate::random::Random::new(seed);
    }

    /// What SQLite takes for the time, in microseconds since 1970.
    pub fn set_clock(&self, micros: u64) {
        self.state().clock = micros;
    }

    /// Operations so far that can be crashed at: a plan's next one has this number.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// The operations since this was last asked, each with its file.
    pub fn take_trace(&self) -> Vec<(Operation, String)> {
        self.state().take_done()
    }

    /// Syncs the directory, for a program that does so beside SQLite. A function of its own, so that it can be
    /// handed on; it does nothing once the disk is dropped.
    pub fn directory(&self) -> impl Fn() -> std::io::Result<()> + Send + Sync + 'static + use<> {
        let state = Arc::downgrade(&self.state);
        move || {
            let Some(state) = state.upgrade() else { return Ok(()) };
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            state.sync_directory().map_err(|_| std::io::Error::other("the disk is dead"))
        }
    }

    /// Whether the plan's crash has come.
    pub fn is_dead(&self) -> bool {
        self.state().dead
    }

    /// Whether the plan's crash or its fault has come.
    pub fn has_failed(&self) -> bool {
        let state = self.state();
        state.dead || state.faulted
    }

    /// Every process ends here, without writing anything more; what was written waits for [`Disk::crash`].
    pub fn die(&self) {
        self.state().dead = true;
    }

    /// Ends every process and starts the system again; what was open is dead and only good for closing. The
    /// plan is over.
    pub fn crash(&self, how: Crash) {
        self.state().crash(how);
    }

    /// Everything that processes see now.
    pub fn image(&self) -> Image {
        Image(self.state().contents())
    }

    /// Puts these files in the place of all others, durable. Every process ends, as in a crash.
    pub fn load(&self, image: &Image) {
        self.state().load(&image.0);
    }
}

//! The server: a thread per connection, stopped on drop.

mod answer;
mod counting;

use crate::books::Books;
use crate::cache::Cache;
use crate::connection::Connection;
use crate::limits::Window;
use crate::{FaultPlan, Options, Report, Script, Wire};
use std::collections::HashMap;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

/// What the threads of a server share.
pub(crate) struct Shared {
    options: RwLock<Options>,
    books: Books,
    cache: Cache,
    window: Option<Window>,
    outage: AtomicBool,
    stopped: AtomicBool,
    /// The open connections, to be shut when the server stops.
    connections: Mutex<HashMap<u64, TcpStream>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// A fake provider, listening on a free loopback port until it is dropped.
pub struct FakeProvider {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FakeProvider {
    /// Starts a server.
    ///
    /// # Panics
    /// Where loopback has no free port or no thread can be started: a test cannot go on then.
    pub fn start(options: Options) -> Self {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            window: options.limits.map(Window::new),
            options: RwLock::new(options),
            books: Books::new(),
            cache: Cache::default(),
            outage: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            connections: Mutex::default(),
            threads: Mutex::default(),
        });
        let server = Arc::clone(&shared);
        let listener = std::thread::spawn(move || accept(&listener, &server));
        Self { address, shared, listener: Some(listener) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:port`.
    pub fn root(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What the official SDK of the wire takes as its base URL: with `/v1` for OpenAI, without a path for the others.
    pub fn base_url(&self, wire: Wire) -> String {
        format!("{}{}", self.root(), wire.base_path())
    }

    /// A base URL behind which nobody listens: for [`crate::Fault::ConnectionRefused`].
    ///
    /// # Panics
    /// Where loopback has no free port.
    pub fn closed_port(wire: Wire) -> String {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        format!("http://{address}{}", wire.base_path())
    }

    /// The books so far.
    pub fn report(&self) -> Report {
        self.shared.books.report()
    }

    /// Time since the start, as the books have it.
    pub fn elapsed(&self) -> Duration {
        self.shared.books.elapsed()
    }

    /// Takes the whole provider down (503 on everything) or up again.
    pub fn set_outage(&self, down: bool) {
        self.shared.outage.store(down, Ordering::SeqCst);
    }

    /// Another plan of faults from now on.
    pub fn set_faults(&self, faults: FaultPlan) {
        self.shared.options.write().unwrap_or_else(PoisonError::into_inner).faults = faults;
    }

    /// Another script from now on.
    pub fn set_script(&self, script: impl Script) {
        self.shared.options.write().unwrap_or_else(PoisonError::into_inner).script =
            Arc::new(script);
    }
}

impl Drop for FakeProvider {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // The listener waits in `accept`: one more connection wakes it.
        let _ = TcpStream::connect(self.address);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
        for stream in lock(&self.shared.connections).values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        for thread in std::mem::take(&mut *lock(&self.shared.threads)) {
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for FakeProvider {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("FakeProvider")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for (number, stream) in (0..).zip(listener.incoming()) {
        if shared.stopped() {
            return;
        }
        let Ok(stream) = stream else { continue };
        shared.books.connected();
        if let Ok(copy) = stream.try_clone() {
            lock(&shared.connections).insert(number, copy);
        }
        let server = Arc::clone(shared);
        let serve = move || {
            answer::serve(&server, Connection::new(stream), number);
        };
        let thread = std::thread::Builder::new().stack_size(512 << 10).spawn(serve);
        let mut threads = lock(&shared.threads);
        threads.retain(|thread| !thread.is_finished());
        threads.extend(thread.ok());
    }
}

impl Shared {
    fn stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    fn options(&self) -> Options {
        self.options.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

//! Names to addresses that may be connected to. The client connects to what comes out of here and to nothing else,
//! so what is checked is what is used.

use loopwright_types::is_public_address;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A name's addresses.
type LookUp = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// Which addresses may be connected to, and who tells them.
#[derive(Clone)]
pub(crate) struct Reach {
    pub(crate) permits: fn(IpAddr) -> bool,
    pub(crate) look_up: Arc<LookUp>,
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reach")
    }
}

impl Reach {
    /// The public internet.
    pub(crate) fn public() -> Self {
        Self { permits: is_public_address, look_up: Arc::new(system) }
    }

    /// Every address.
    pub(crate) fn any() -> Self {
        Self { permits: |_| true, ..Self::public() }
    }
}

/// The system's resolver.
fn system(name: &str) -> io::Result<Vec<IpAddr>> {
    Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

/// A resolver that gives only addresses within reach.
#[derive(Clone)]
pub(crate) struct Checked {
    reach: Reach,
    refused: Arc<AtomicBool>,
}

impl Checked {
    pub(crate) fn new(reach: Reach) -> Self {
        Self { reach, refused: Arc::default() }
    }

    /// Whether a name was refused since this was last asked.
    pub(crate) fn refusal(&self) -> bool {
        self.refused.swap(false, Ordering::Relaxed)
    }
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let (name, own) = (name.as_str().to_owned(), self.clone());
        Box::pin(async move {
            let look_up = Arc::clone(&own.reach.look_up);
            let found = tokio::task::spawn_blocking(move || look_up(&name)).await??;
            let permitted = |address: &IpAddr| (own.reach.permits)(*address);
            // One private address among public ones is how a name is made to point inside: all are refused.
            if found.is_empty() || !found.iter().all(permitted) {
                own.refused.store(!found.is_empty(), Ordering::Relaxed);
                return Err("the name has no address that may be connected to".into());
            }
            let addresses = found.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}

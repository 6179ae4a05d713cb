//! The driver against a server of a few lines on this machine: whole and broken replies, deadlines, cancelling.
//! What the server does is written in the model's name, so that tests need no state of it.

mod books; // what a reporter was told
mod broken; // replies that do not count
mod server; // the server
mod whole; // replies that do

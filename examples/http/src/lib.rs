//! A guarded HTTP client, and a server to try it on.

mod client;
mod server;

pub use self::{
    client::{FetchError, client, fetch},
    server::Server,
};

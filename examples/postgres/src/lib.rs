//! A pool of PostgreSQL connections, and a private server to try it on.

mod manager;
mod server;

pub use self::{
    manager::{Postgres, Session},
    server::Server,
};

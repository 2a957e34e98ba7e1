//! An object store whose calls are guarded, and a private server to try it on.

mod server;
mod store;

pub use self::{
    server::Server,
    store::{Store, StoreError},
};

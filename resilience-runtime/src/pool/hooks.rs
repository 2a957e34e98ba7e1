//! What users attach to the life of a connection.

use std::fmt;

use super::{
    Manager,
    entry::{CloseReason, ConnectionInfo},
};

type Prepare<C> = Box<dyn Fn(&mut C, &ConnectionInfo) + Send + Sync>;

/// May change a connection, and says whether it may stay.
type Judge<C> = Box<dyn Fn(&mut C, &ConnectionInfo) -> bool + Send + Sync>;

type Hear = Box<dyn Fn(&ConnectionInfo, CloseReason) + Send + Sync>;

/// The hooks of one pool. Called under no lock.
pub(super) struct Hooks<M: Manager> {
    pub(super) on_create: Option<Prepare<M::Connection>>,
    pub(super) on_acquire: Option<Judge<M::Connection>>,
    pub(super) on_release: Option<Judge<M::Connection>>,
    pub(super) on_close: Option<Hear>,
}

impl<M: Manager> Default for Hooks<M> {
    fn default() -> Self {
        Self { on_create: None, on_acquire: None, on_release: None, on_close: None }
    }
}

impl<M: Manager> fmt::Debug for Hooks<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("on_create", &self.on_create.is_some())
            .field("on_acquire", &self.on_acquire.is_some())
            .field("on_release", &self.on_release.is_some())
            .field("on_close", &self.on_close.is_some())
            .finish()
    }
}

//! The attribute on everything it may stand on: what it takes, what it leaves as it was, what it does.

#![allow(clippy::disallowed_methods, reason = "the tests measure paused time")]

mod bodies;
mod edition;
mod errors;
mod fallbacks;
mod fixtures;
mod fragments;
mod hygiene;
mod judges;
mod lints;
mod names;
mod pooled;
mod rename;
mod send;
mod shapes;
mod sizes;
mod support;
mod workers;

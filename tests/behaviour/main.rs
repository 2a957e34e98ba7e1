//! What the library promises, one module a subject, each in registries of its own and under paused time.

#![allow(clippy::disallowed_methods, reason = "the tests measure paused time")]

mod counts;
mod dynamic;
mod error;
mod floors;
mod guarantees;
mod health;
mod order;
mod pitfalls;
mod policy;
mod readme;
mod registry;
mod retry;
mod timer;

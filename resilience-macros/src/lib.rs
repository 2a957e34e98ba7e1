//! The `#[resilient]` attribute of `resilience-runtime`.
#![forbid(unsafe_code)]

//! Circuit breakers, retries, timeouts, bulkheads, rate limiters and pools behind one attribute and a live registry.
#![forbid(unsafe_code)]

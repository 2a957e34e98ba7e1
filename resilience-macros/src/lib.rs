//! The `#[resilient]` attribute of `resilience-runtime`, which re-exports it. Depend on that crate.
#![forbid(unsafe_code)]

mod errors;
mod expand;
mod grammar;
mod item;
mod shape;
mod types;
mod words;

use proc_macro::TokenStream;

/// Gives an async function a policy: circuit breaker, retries, timeouts, bulkhead, rate limit, fallback.
///
/// ```
/// use resilience_runtime::{ResilienceError, resilient};
///
/// #[derive(Debug, thiserror::Error)]
/// enum ApiError {
///     #[error("no such user")]
///     NotFound,
///     #[error(transparent)]
///     Refused(#[from] ResilienceError),
/// }
///
/// #[resilient(circuit = "api", retry = 3, timeout_ms = 500, bulkhead = 10)]
/// async fn fetch_user(id: u64) -> Result<String, ApiError> {
///     if id == 0 { Err(ApiError::NotFound) } else { Ok(format!("user {id}")) }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// assert_eq!(fetch_user(7).await.unwrap(), "user 7");
/// let circuit = resilience_runtime::registry().circuit("api").unwrap();
/// assert!(circuit.is_closed());
/// # }
/// ```
///
/// The signature is not changed, except by `pool` and `workers`, and the body is emitted once. Without keys, `#[resilient]` only measures: the
/// function is listed in health with counts and latencies.
///
/// # Order
///
/// Outermost first: fallback, total timeout, retry, circuit (is it open?), rate limit, bulkhead, circuit (a permit),
/// timeout of the attempt, connection of the pool, body. Each attempt passes the chain from the circuit on again.
///
/// # Keys
///
/// A number may be any const expression of the type given here; names and words are literals. A range that a constant
/// misses is a compile error where the constant stands.
///
/// | key | type | default | meaning |
/// |---|---|---|---|
/// | `circuit` | name, or group | none | joins or declares the breaker of this name |
/// | `retry` | `u32`, or group | none | further attempts after the first |
/// | `timeout_ms`, `timeout` | `u64` from 1, or `"500ms"`, `"2s"`, `"1m"` | none | limit of each attempt |
/// | `total_timeout_ms`, `total_timeout` | likewise | none | limit of the whole call: waiting, attempts, backoff |
/// | `bulkhead` | `usize` from 1, or group | none | calls at once |
/// | `rate_limit` | `u32` from 1, or group | none | calls a second |
/// | `pool` | name, or group | none | lends a connection to the argument marked `#[pooled]` |
/// | `workers` | name, or group | none | runs a function without `async` on a thread of this worker pool |
/// | `fallback` | closure, or path of a function | none | answers instead of a final error |
/// | `classify` | closure or path on `&E` | `Classify`, or transient | what an error means |
/// | `retry_if` | closure or path on `&Result<T, E>` | by class | whether to try again; needs `retry` |
/// | `failure_if` | closure or path on `&Result<T, E>` | by class | whether the circuit counts a failure |
/// | `clone` | names of arguments | none | a fresh clone for each attempt |
/// | `crate` | path | `::resilience_runtime` | where the runtime crate is |
/// | `skip` | | | on a method of an annotated `impl` block: leaves it alone |
///
/// ## `circuit`
///
/// `circuit = "api"` joins whatever is declared under this name, with the defaults if nothing is; the group declares
/// settings.
///
/// | key | type | range | default | meaning |
/// |---|---|---|---|---|
/// | `name` | literal | | required | its name, or a template |
/// | `failure_rate` | `f64` | (0, 1] | 0.5, none if only `failure_threshold` is given | trips at this share of failures |
/// | `window` | `usize` | 1 to 1,000,000 | 100 | the rate is over so many calls |
/// | `window_ms` | `u64` | from 1 | none | the rate is over so long, instead |
/// | `min_calls` | `usize` | 1 to `window` | the smaller of 10 and `window` | no rate from fewer calls |
/// | `failure_threshold` | `u32` | from 1 | none | trips after so many failures in a row |
/// | `failure_reset_ms` | `u64` | from 1 | never | idle time after which the run is forgotten |
/// | `slow_call_ms` | `u64` | from 1 | none | a longer call is slow |
/// | `slow_call_rate` | `f64` | (0, 1] | 1.0 where `slow_call_ms` is given | trips at this share of slow calls |
/// | `open_ms` | `u64` | from 1 | 30,000 | time until probes are let through |
/// | `open_max_ms` | `u64` | from `open_ms` | none | doubles the open time after each failed round, up to this |
/// | `probes` | `usize` | 1 to 1,000 | 2 | calls let through while half-open |
/// | `probe_successes` | `usize` | 1 to `probes` | `probes` | successes that close it |
/// | `half_open_max_ms` | `u64` | from 1 | the open time | without a verdict for so long it opens again |
/// | `critical` | `bool` | | `false` | the process is unhealthy while it is open |
///
/// ```
/// # use resilience_runtime::{ResilienceError, resilient};
/// #[resilient(circuit(name = "billing", failure_rate = 0.3, window = 50, open_ms = 5_000, critical = true))]
/// async fn charge(cents: u64) -> Result<u64, ResilienceError> {
///     Ok(cents)
/// }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// assert_eq!(charge(5).await, Ok(5));
/// # });
/// ```
///
/// ## `retry`
///
/// | key | type | range | default | meaning |
/// |---|---|---|---|---|
/// | `max` | `u32` | | required | further attempts after the first |
/// | `backoff` | word | `"fixed"`, `"linear"`, `"exponential"`, `"decorrelated"` | `"exponential"` | how delays grow |
/// | `delay_ms` | `u64` | from 1 | 100 | the first delay |
/// | `max_delay_ms` | `u64` | from `delay_ms` | 10,000 | the longest delay, jitter included |
/// | `factor` | `f64` | from 1.0 | 2.0 | growth of exponential delays |
/// | `jitter` | word or `f64` | `"none"`, `"equal"`, `"full"`, (0, 1] | `"full"` | how much of a delay is drawn |
/// | `budget` | `f64` or `false` | (0, 1] | 0.2 | retries are at most this share of the calls; `false`: no bound |
/// | `max_elapsed_ms` | `u64` | from 1 | none | no retry is due later than this; a queue may make it later |
///
/// When attempts are exhausted the caller gets the last error unchanged.
///
/// ```
/// # use resilience_runtime::resilient;
/// #[resilient(
///     retry(max = 2, backoff = "fixed", delay_ms = 1, jitter = "none"),
///     retry_if = |outcome| matches!(outcome, Ok(pages) if pages.is_empty())
/// )]
/// async fn pages(calls: &mut u32) -> Result<Vec<u32>, String> {
///     *calls += 1;
///     Ok((2..*calls).collect())
/// }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// assert_eq!(pages(&mut 0).await, Ok(vec![2]));
/// # });
/// ```
///
/// ## `bulkhead` and `rate_limit`
///
/// | key of `bulkhead` | type | range | default | meaning |
/// |---|---|---|---|---|
/// | `max` | `usize` | from 1 | required | calls at once |
/// | `queue` | `usize` | | 0 | calls that may wait |
/// | `wait_ms` | `u64` | | 0 | how long they wait |
/// | `name` | literal | | the circuit's, else the site's own | its name, or a template |
///
/// | key of `rate_limit` | type | range | default | meaning |
/// |---|---|---|---|---|
/// | `max` | `u32` | from 1 | required | calls in a period |
/// | `per_ms` | `u64` | from 1 | 1,000 | the period |
/// | `burst` | `u32` | from 1 | `max` | calls at once after a quiet time |
/// | `wait_ms` | `u64` | | 0 | how long a call may wait for its turn |
/// | `name` | literal | | the circuit's, else the site's own | its name, or a template |
///
/// ```
/// # use resilience_runtime::{ErrorKind, ResilienceError, resilient};
/// #[resilient(bulkhead(max = 10, queue = 100, wait_ms = 50), rate_limit(max = 1, per_ms = 60_000))]
/// async fn report() -> Result<u32, ResilienceError> {
///     Ok(1)
/// }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// assert_eq!(report().await, Ok(1));
/// assert_eq!(report().await.unwrap_err().kind(), ErrorKind::RateLimited);
/// # });
/// ```
///
/// ## `pool`
///
/// | key | type | default | meaning |
/// |---|---|---|---|
/// | `name` | literal | required | the pool of the registry |
/// | `manager` | type | that of the argument | what makes the connections |
///
/// One argument is marked `#[pooled]` and **leaves the signature**: callers do not give it. Each attempt has a
/// connection of the pool that is registered under the name when the call is made; without one the call is refused
/// (`PoolMissing`). The argument is written `&mut Pooled<Manager>`, or `&mut Connection` where `manager = ..` or an
/// `impl Poolable for Connection` says what makes it.
///
/// The connection goes back to the pool when the attempt has ended, before any backoff. It is closed instead if the
/// attempt timed out, panicked, was cancelled, or failed with `ErrorClass::Fatal`.
///
/// The connection is had within the attempt: waiting, creating and checking count under its timeout. A refusal of the
/// pool (`PoolExhausted`, `ShutDown`, its own open circuit) leaves the site's circuit neutral, gives a probe back, and
/// is not retried. An error of the manager is the function's own: it is converted with `E: From<PoolError<X>>` or else
/// `E: From<X>`, judged like any other, and retried; where the return type is an `Option`, it is `None`.
///
/// ```
/// use resilience_runtime::{ConnectionPool, Manager, Pooled, ResilienceError, registry, resilient};
///
/// struct Sessions;
///
/// impl Manager for Sessions {
///     type Connection = Vec<u64>;
///     type Error = std::convert::Infallible;
///
///     async fn create(&self) -> Result<Vec<u64>, Self::Error> {
///         Ok(Vec::new())
///     }
/// }
///
/// #[resilient(pool = "sessions", retry = 2, timeout_ms = 500)]
/// async fn visit(#[pooled] session: &mut Pooled<Sessions>, id: u64) -> Result<usize, ResilienceError> {
///     session.push(id);
///     Ok(session.len())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// registry().register_pool(ConnectionPool::builder("sessions", Sessions).build()?)?;
/// assert_eq!(visit(7).await?, 1);
/// assert_eq!(visit(8).await?, 2);
/// # Ok(())
/// # }
/// ```
///
/// On an `impl` block the pool is for those methods that mark an argument. It does not work below `#[async_trait]`.
///
/// ## `workers`
///
/// | key | type | range | default | meaning |
/// |---|---|---|---|---|
/// | `name` | literal | | required | the worker pool of the registry |
/// | `threads` | `usize` | 1 to 4,096 | one for each processor | jobs at once |
/// | `queue` | `usize` | | 100 | jobs that may wait for a thread |
///
/// `workers = "cpu"` joins whatever is declared under this name, with the defaults if nothing is; the group declares
/// settings. A declared pool is listed from the start; its threads start as jobs need them.
///
/// The function is written without `async`, blocks or computes, and **becomes an `async fn`**: callers await it. Its
/// arguments are moved to the thread, so they and the answer are `Send + 'static`; with `retry` those that are not
/// `Copy` are named in `clone(..)`. A busy pool refuses at once (`WorkersBusy`), which leaves the circuit neutral and is
/// not retried. A caller that times out is answered in time, but the thread stays taken until the work ends. A panic
/// is the caller's, and counts as a failure.
///
/// ```
/// use resilience_runtime::{ResilienceError, resilient};
///
/// #[resilient(workers(name = "cpu", threads = 4, queue = 100), timeout = "2s")]
/// fn checksum(data: Vec<u8>) -> Result<u64, ResilienceError> {
///     Ok(data.iter().fold(0, |sum, byte| sum * 31 + u64::from(*byte)))
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), ResilienceError> {
/// assert_eq!(checksum(vec![1, 2]).await?, 33);
/// # Ok(())
/// # }
/// ```
///
/// # Names that calls fill in
///
/// A name with `{..}` is a template, as for `format!`; `{{` is a brace. Further `key = expr` pairs in the same group
/// are its named arguments. Each name has its own circuit, bulkhead or limiter.
///
/// ```
/// # use resilience_runtime::{ResilienceError, resilient};
/// struct Client {
///     tenant: String,
/// }
///
/// impl Client {
///     #[resilient(circuit(name = "{tenant}-{host}", tenant = self.tenant))]
///     async fn get(&self, host: &str) -> Result<usize, ResilienceError> {
///         Ok(host.len())
///     }
/// }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// Client { tenant: "acme".to_owned() }.get("eu").await.unwrap();
/// assert!(resilience_runtime::registry().circuit("acme-eu").is_some());
/// # });
/// ```
///
/// # Fallbacks
///
/// A fallback is given `CallError<E>` where the function returns `Result<T, E>`, and `ResilienceError` otherwise; it
/// answers with the function's return type, at once or later: a closure, an async closure, a closure whose body is an
/// `async` block, the path of a function or of an `async fn`. A closure sees the arguments by name, except those that
/// the body consumes. It is not retried.
///
/// ```
/// # use resilience_runtime::{CallError, ResilienceError, resilient};
/// #[resilient(timeout_ms = 500, fallback = |error| match error {
///     CallError::Refused(refusal) => Ok(format!("{id} is late: {refusal}")),
///     CallError::Failed(error) | CallError::RetriesExhausted { last: error, .. } => Err(error),
/// })]
/// async fn name(id: u64) -> Result<String, String> {
///     if id == 0 { Err("no such user".to_owned()) } else { Ok(format!("user {id}")) }
/// }
///
/// async fn empty(_: ResilienceError) -> Vec<u64> {
///     Vec::new()
/// }
///
/// #[resilient(timeout_ms = 1, fallback = empty)]
/// async fn list() -> Vec<u64> {
///     std::future::pending().await
/// }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// assert_eq!(name(0).await, Err("no such user".to_owned()));
/// assert_eq!(list().await, []);
/// # });
/// ```
///
/// # What may be annotated
///
/// Free functions, inherent and trait-impl methods with any receiver, default methods of traits, methods below
/// `#[async_trait]`, functions without `async` that have `workers`, functions above `#[tracing::instrument]`, functions without `async` whose body is one `async` block
/// or `Box::pin` of one, and whole `impl` blocks: every async method has the block's settings, a key on the method
/// replaces the block's, `#[resilient(skip)]` leaves it alone. A body may be a fragment of a `macro_rules!`
/// (`$body:block`). Methods that a macro call inside the block makes are not there yet when the attribute reads it, and
/// stay as they are.
///
/// ```
/// # use resilience_runtime::{ResilienceError, resilient};
/// # struct Users;
/// #[resilient(circuit = "users", retry = 2, timeout_ms = 500)]
/// impl Users {
///     async fn find(&self, id: u64) -> Result<u64, ResilienceError> {
///         Ok(id)
///     }
///
///     #[resilient(timeout = "5s")]
///     async fn export(&self) -> Result<u64, ResilienceError> {
///         Ok(1)
///     }
///
///     #[resilient(skip)]
///     async fn len(&self) -> usize {
///         0
///     }
/// }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// # assert_eq!((Users.find(1).await, Users.export().await, Users.len().await), (Ok(1), Ok(1), 0));
/// # });
/// ```
///
/// # Return types
///
/// `Result<T, E>`, through any alias; `Option<T>`, where `None` is a failure and what a refusal becomes; any other type
/// never fails. A closure that is returned as `impl Fn(..)` has to name the types of its parameters. `retry` alone asks
/// nothing of `E`. Whatever can refuse (`circuit`, `bulkhead`, `rate_limit`, `pool`,
/// `workers`, the timeouts)
/// needs `E: From<ResilienceError>`, or a `fallback`.
///
/// An error means what `classify` says; else what its own `Classify` says; else, if a refusal by another site is found in
/// its chain of sources, nothing (a timeout: transient); else it is transient. In a function that is generic over its
/// error only the declared bounds count, and a `Classify` for one lifetime alone (`impl Classify for Failure<'static>`) is
/// asked for all: implement it for every lifetime.
///
/// # Arguments and attempts
///
/// With `retry` each attempt borrows the arguments. An argument that the body consumes is named in `clone(..)`, and so is
/// a `mut` one, whose changes would otherwise be carried from one attempt into the next. An attempt that returns a part
/// of `&mut self` cannot be repeated: rustc says so. The future is `Send` whenever it is without the attribute, except
/// that with `retry`, or a closure that looks at them, arguments taken by value have to be `Sync` or cloned; and that an
/// `async` fallback, or the path of one that may be, keeps an error or an answer that is not.
///
/// ```
/// # use resilience_runtime::resilient;
/// #[resilient(retry = 2, clone(lines))]
/// async fn send(mut lines: Vec<String>) -> Result<Vec<String>, String> {
///     lines.push(".".to_owned());
///     Ok(lines)
/// }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// assert_eq!(send(vec![]).await, Ok(vec![".".to_owned()]));
/// # });
/// ```
///
/// # Sites
///
/// Each annotated function is one site with one static, shared by all instantiations of a generic function and all
/// implementors of a default method, and known to the registry before its first call. Settings can therefore not depend
/// on `Self` or on generic parameters.
#[proc_macro_attribute]
pub fn resilient(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(arguments.into(), item.into()).into()
}

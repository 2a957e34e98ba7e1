//! Every shape of function, annotated with everything that changes the expansion: called, and asked for its answer.

use std::{
    fmt::{Debug, Display},
    future::Future,
    pin::Pin,
    sync::Arc,
};

use resilience_runtime::resilient;

use crate::support::{Error, now};

type Answer<T> = Result<T, Error>;

#[resilient(retry = 1)]
async fn no_arguments() -> Answer<u8> {
    Ok(1)
}

#[resilient(circuit = "shapes", retry = 1, timeout_ms = 5, bulkhead = 9, rate_limit(max = 9, per_ms = 1))]
pub(crate) async fn everything(id: u64) -> Answer<u64> {
    Ok(id)
}

#[resilient(retry = 1)]
async fn generic<'a, T, const N: usize>(first: &'a T, list: [u8; N]) -> Answer<(&'a T, usize)>
where
    T: Debug + ?Sized,
{
    Ok((first, list.len()))
}

#[resilient(retry = 1, timeout_ms = 5)]
async fn two_lifetimes<'a, 'b>(a: &'a str, b: &'b str) -> Answer<(&'a str, &'b str)> {
    Ok((a, b))
}

#[resilient(retry = 1, timeout_ms = 5)]
async fn impl_trait(text: impl AsRef<str>, show: &impl Display) -> Answer<impl Display> {
    if text.as_ref().is_empty() {
        return Err(Error::Failed("empty"));
    }
    Ok(format!("{}{show}", text.as_ref()))
}

#[resilient(retry = 1)]
async fn patterns((a, [b, ..]): (u8, [u8; 3]), _: u8, Wrapper { inner: c }: Wrapper, &d: &u8) -> Answer<u8> {
    Ok(a + b + c + d)
}

struct Wrapper {
    inner: u8,
}

#[resilient(timeout_ms = 5)]
async fn mutable(mut list: Vec<u8>, (mut a, b): (u8, u8)) -> Answer<Vec<u8>> {
    a += b;
    list.push(a);
    Ok(list)
}

#[resilient(retry = 1)]
async fn conditional(#[cfg(test)] a: u8, #[cfg(not(test))] a: String) -> Answer<u8> {
    Ok(a)
}

#[resilient(retry = 1)]
async fn recursive(n: u64) -> Answer<u64> {
    if n < 2 {
        return Ok(1);
    }
    Ok(n * Box::pin(recursive(n - 1)).await?)
}

/// # Safety
///
/// None is needed.
#[resilient(retry = 1)]
#[allow(unsafe_code)]
async unsafe fn unsafe_function(a: u8) -> Answer<u8> {
    Ok(a)
}

#[resilient]
async fn no_answer(counter: &mut u8) {
    *counter += 1;
}

#[resilient(retry = 1)]
async fn raw_names(r#type: u8, r#async: u8) -> Answer<u8> {
    Ok(r#type + r#async)
}

#[resilient(retry = 1)]
async fn r#match(a: u8) -> Answer<u8> {
    Ok(a)
}

#[resilient(retry = 1, timeout_ms = 5)]
fn boxed<'a>(text: &'a str) -> Pin<Box<dyn Future<Output = Answer<usize>> + Send + 'a>> {
    Box::pin(async move { Ok(text.len()) })
}

#[resilient(retry = 1, timeout_ms = 5)]
#[allow(clippy::manual_async_fn)]
fn returns_impl_future(text: &str) -> impl Future<Output = Answer<usize>> + Send + '_ {
    async { Ok(text.len()) }
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

#[resilient(timeout_ms = 5)]
fn boxed_by_an_alias(text: String) -> BoxFuture<'static, Answer<usize>> {
    Box::pin(async move {
        let text = text;
        Ok(text.len())
    })
}

#[tokio::test(start_paused = true)]
async fn free_functions() {
    assert_eq!(now(no_arguments()), Ok(1));
    assert_eq!(now(everything(7)), Ok(7));
    assert_eq!(now(generic("a", [0; 4])), Ok(("a", 4)));
    assert_eq!(now(two_lifetimes("a", "b")), Ok(("a", "b")));
    assert_eq!(now(impl_trait("a", &1)).map(|shown| shown.to_string()), Ok("a1".to_owned()));
    assert_eq!(impl_trait("", &1).await.map(|shown| shown.to_string()), Err(Error::Failed("empty")));
    assert_eq!(now(patterns((1, [2, 0, 0]), 0, Wrapper { inner: 3 }, &4)), Ok(10));
    assert_eq!(now(mutable(vec![1], (2, 3))), Ok(vec![1, 5]));
    assert_eq!(now(conditional(3)), Ok(3));
    assert_eq!(now(recursive(5)), Ok(120));
    assert_eq!(now(raw_names(1, 2)), Ok(3));
    assert_eq!(now(r#match(1)), Ok(1));
    let mut counter = 0;
    now(no_answer(&mut counter));
    assert_eq!(counter, 1);
}

#[test]
#[allow(unsafe_code)]
fn unsafe_functions() {
    // SAFETY: nothing is asked for.
    assert_eq!(now(unsafe { unsafe_function(3) }), Ok(3));
}

#[test]
fn functions_that_return_futures() {
    assert_eq!(now(boxed("abc")), Ok(3));
    assert_eq!(now(returns_impl_future("abc")), Ok(3));
    assert_eq!(now(boxed_by_an_alias("abc".to_owned())), Ok(3));
}

#[derive(Debug, Default, PartialEq)]
struct Client {
    calls: u8,
}

impl Client {
    #[resilient(retry = 1, timeout_ms = 5)]
    async fn by_reference(&self) -> Answer<&u8> {
        Ok(&self.calls)
    }

    #[resilient(retry = 1, timeout_ms = 5)]
    async fn by_mutable_reference(&mut self, by: &u8) -> Answer<u8> {
        self.calls += by;
        Ok(self.calls)
    }

    #[resilient(circuit = "shapes", timeout_ms = 5)]
    async fn gives_the_mutable_reference_back(&mut self) -> Answer<&mut Self> {
        self.calls += 1;
        Ok(self)
    }

    #[resilient(timeout_ms = 5)]
    async fn by_value(self) -> Answer<Self> {
        Ok(self)
    }

    #[resilient(timeout_ms = 5)]
    async fn by_mutable_value(mut self) -> Answer<Self> {
        self.calls += 1;
        Ok(self)
    }

    #[resilient(retry = 1, timeout_ms = 5)]
    async fn by_arc(self: Arc<Self>) -> Answer<u8> {
        Ok(self.calls)
    }

    #[resilient(retry = 1, timeout_ms = 5)]
    async fn by_pin(self: Pin<&mut Self>) -> Answer<u8> {
        Ok(self.calls)
    }
}

#[test]
fn methods_with_every_receiver() {
    let mut client = Client::default();
    assert_eq!(now(client.by_reference()), Ok(&0));
    assert_eq!(now(client.by_mutable_reference(&2)), Ok(2));
    assert_eq!(now(client.gives_the_mutable_reference_back()).map(|client| client.calls), Ok(3));
    assert_eq!(now(Pin::new(&mut client).by_pin()), Ok(3));
    let client = now(client.by_value()).expect("it answers");
    let client = now(client.by_mutable_value()).expect("it answers");
    assert_eq!(now(Arc::new(client).by_arc()), Ok(4));
}

trait Store {
    const LIMIT: u8;

    async fn load(&self, key: &str) -> Answer<String>;

    #[resilient(retry = 1, timeout_ms = 5)]
    async fn load_twice(&self, key: &str) -> Answer<String> {
        let twice = self.load(key).await? + &self.load(key).await?;
        Ok(twice + &Self::LIMIT.to_string())
    }
}

impl Store for Client {
    const LIMIT: u8 = 9;

    #[resilient(retry = 1, timeout_ms = 5)]
    async fn load(&self, key: &str) -> Answer<String> {
        Ok(format!("{key}{}", self.calls))
    }
}

#[test]
fn trait_methods_implemented_and_by_default() {
    let client = Client { calls: 3 };
    assert_eq!(now(client.load("a")), Ok("a3".to_owned()));
    assert_eq!(now(client.load_twice("a")), Ok("a3a39".to_owned()));
}

#[async_trait::async_trait]
trait Remote {
    async fn by_reference(&self, key: String, more: &str) -> Answer<String>;
    async fn by_mutable_reference(&mut self, (a, _): (u8, u8)) -> Answer<u8>;
    async fn nothing(&mut self);

    #[resilient(retry = 1, timeout_ms = 5)]
    async fn by_default(&self, mutable: &mut u8) -> Answer<u8> {
        *mutable += 1;
        Ok(*mutable)
    }
}

#[async_trait::async_trait]
impl Remote for Client {
    #[resilient(circuit = "remote-{key}", retry = 1, fallback = |_| Ok(format!("{}-", self.calls)))]
    async fn by_reference(&self, key: String, more: &str) -> Answer<String> {
        if more.is_empty() {
            return Err(Error::Failed("empty"));
        }
        Ok(format!("{key}{more}{}", self.calls))
    }

    #[resilient(retry = 1)]
    async fn by_mutable_reference(&mut self, (a, _): (u8, u8)) -> Answer<u8> {
        self.calls += a;
        Ok(self.calls)
    }

    #[resilient(retry = 1)]
    async fn nothing(&mut self) {
        self.calls += 1;
    }
}

#[tokio::test(start_paused = true)]
async fn below_async_trait() {
    let mut client: Box<dyn Remote + Send + Sync> = Box::new(Client { calls: 1 });
    assert_eq!(client.by_reference("a".to_owned(), "b").await, Ok("ab1".to_owned()));
    assert_eq!(client.by_mutable_reference((2, 0)).await, Ok(3));
    client.nothing().await;
    assert_eq!(client.by_reference("a".to_owned(), "").await, Ok("4-".to_owned()));
    assert_eq!(client.by_default(&mut 1).await, Ok(2));
}

#[resilient(retry = 1, timeout_ms = 5)]
impl Wrapper {
    const STEP: u8 = { 2 };

    async fn plain(&self) -> Answer<u8> {
        Ok(self.inner + Self::STEP)
    }

    #[resilient(timeout = "1s")]
    async fn overridden(&mut self) -> Answer<u8> {
        self.inner += 1;
        Ok(self.inner)
    }

    #[resilient(skip)]
    async fn skipped(mut self) -> Self {
        self.inner = 0;
        self
    }

    fn not_async(&self) -> u8 {
        self.inner
    }
}

#[test]
fn impl_blocks() {
    let mut wrapper = Wrapper { inner: 1 };
    assert_eq!(now(wrapper.plain()), Ok(3));
    assert_eq!(now(wrapper.overridden()), Ok(2));
    assert_eq!(wrapper.not_async(), 2);
    assert_eq!(now(wrapper.skipped()).inner, 0);
}

#[resilient(retry = 1)]
#[tracing::instrument(skip_all, fields(id))]
async fn above_instrument(id: u8, skipped: &str) -> Answer<u8> {
    Ok(id + skipped.len() as u8)
}

#[async_trait::async_trait]
trait Traced {
    async fn traced(&self, id: u8) -> Answer<u8>;
}

#[async_trait::async_trait]
impl Traced for Client {
    #[resilient(retry = 1)]
    #[tracing::instrument(skip(self))]
    async fn traced(&self, id: u8) -> Answer<u8> {
        Ok(id + self.calls)
    }
}

#[test]
fn above_tracings_instrument() {
    assert_eq!(now(above_instrument(1, "ab")), Ok(3));
    assert_eq!(now(Client { calls: 2 }.traced(1)), Ok(3));
}

macro_rules! annotated {
    ($name:ident, $retries:expr, $type:ty, $body:expr) => {
        #[resilient(retry = $retries, timeout_ms = 5)]
        async fn $name(given: $type) -> Answer<$type> {
            let add = $body;
            Ok(add(given))
        }
    };
}

annotated!(from_a_macro, 1 + 1, u8, |given| given + 1);

#[test]
fn functions_written_by_macros() {
    assert_eq!(now(from_a_macro(1)), Ok(2));
}

#[async_trait::async_trait]
trait Keyed {
    async fn get(&self, key: u8) -> Answer<u8>;
    async fn put(&mut self, key: u8, more: Vec<u8>) -> Answer<usize>;
    async fn count(&self) -> usize;
}

struct Above(u8);
struct Below(u8);

#[async_trait::async_trait]
#[resilient(circuit(name = "shapes-above-{id}", id = self.0), retry = 1, timeout_ms = 5)]
impl Keyed for Above {
    async fn get(&self, key: u8) -> Answer<u8> {
        Ok(self.0 + key)
    }

    #[resilient(retry = 0)]
    async fn put(&mut self, key: u8, mut more: Vec<u8>) -> Answer<usize> {
        self.0 += key;
        more.push(self.0);
        Ok(more.len())
    }

    #[resilient(fallback = |_| 0)]
    async fn count(&self) -> usize {
        usize::from(self.0)
    }
}

#[resilient(circuit(name = "shapes-below-{id}", id = self.0), retry = 1, timeout_ms = 5)]
#[async_trait::async_trait]
impl Keyed for Below {
    async fn get(&self, key: u8) -> Answer<u8> {
        Ok(self.0 + key)
    }

    #[resilient(clone(more))]
    async fn put(&mut self, key: u8, mut more: Vec<u8>) -> Answer<usize> {
        self.0 += key;
        more.push(self.0);
        Ok(more.len())
    }

    #[resilient(fallback = move |_| usize::from(self.0))]
    async fn count(&self) -> usize {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn impl_blocks_above_and_below_async_trait() {
    let all: [Box<dyn Keyed + Send + Sync>; 2] = [Box::new(Above(1)), Box::new(Below(1))];
    for mut keyed in all {
        assert_eq!(keyed.get(2).await, Ok(3));
        assert_eq!(keyed.put(2, vec![1]).await, Ok(2));
        assert_eq!(keyed.count().await, 3);
    }
}

#[resilient]
async fn any_type<T: Clone>(value: &T) -> T {
    value.clone()
}

#[resilient(retry = 1)]
async fn a_generic_error<T, E>(answer: impl Fn() -> Result<T, E>) -> Result<T, E> {
    answer()
}

#[resilient(circuit = "shapes-conversion", retry = 1)]
async fn a_converting_error<T, E: From<resilience_runtime::ResilienceError>>(
    answer: Result<T, fn() -> E>,
) -> Result<T, E>
where
    T: Copy,
{
    match &answer {
        Ok(value) => Ok(*value),
        Err(error) => Err(error()),
    }
}

#[tokio::test(start_paused = true)]
async fn generic_answers() {
    assert_eq!(any_type(&"a").await, "a");
    assert_eq!(a_generic_error(|| Err::<u8, _>(7)).await, Err(7));
    assert_eq!(a_converting_error::<u8, Error>(Err(|| Error::Failed("no"))).await, Err(Error::Failed("no")));
}

#[test]
fn a_site_knows_where_it_stands() {
    let health = resilience_runtime::registry().health();
    let labels: Vec<&str> = health.sites.iter().map(|site| &*site.name).collect();
    assert!(labels.contains(&"attribute::shapes::recursive"), "{labels:?}");
    assert!(labels.contains(&"attribute::shapes::Wrapper::overridden"), "{labels:?}");
}

struct Ring<const N: usize>;

#[resilient(retry = 1)]
impl Ring<{ 1 + 2 }> {
    async fn size(&self) -> Answer<usize> {
        Ok(3)
    }
}

#[resilient(retry = 1)]
async fn numbers() -> Answer<Box<dyn Iterator<Item = impl Display>>> {
    Ok(Box::new([1u8, 2].into_iter()))
}

#[async_trait::async_trait]
trait Copies {
    async fn grown(&self, list: Vec<u8>) -> Answer<Vec<u8>>;
    async fn taken_apart(&self, pair: (Vec<u8>, u8)) -> Answer<Vec<u8>>;
}

#[async_trait::async_trait]
impl Copies for Client {
    #[resilient(retry = 2, clone(list))]
    async fn grown(&self, mut list: Vec<u8>) -> Answer<Vec<u8>> {
        list.push(1);
        if list.len() > 1 { Ok(list) } else { Err(Error::Failed("short")) }
    }

    #[resilient(retry = 2, clone(list))]
    async fn taken_apart(&self, (mut list, more): (Vec<u8>, u8)) -> Answer<Vec<u8>> {
        list.push(more);
        Ok(list)
    }
}

#[resilient(retry = 2)]
async fn through_references(&mut (ref mut first, _): &mut (u8, u8)) -> Answer<u8> {
    *first += 1;
    if *first < 3 { Err(Error::Failed("small")) } else { Ok(*first) }
}

#[resilient(retry = 1)]
async fn measuring() -> impl Fn(&str) -> usize {
    |text: &str| text.len()
}

#[tokio::test(start_paused = true)]
async fn odd_heads_outputs_and_patterns() {
    assert_eq!(now(measuring())("four"), 4);
    assert_eq!(now(Ring.size()), Ok(3));
    let numbers: Vec<_> = now(numbers()).expect("some").map(|number| number.to_string()).collect();
    assert_eq!(numbers, ["1", "2"]);
    let client = Client { calls: 1 };
    assert_eq!(client.grown(vec![0]).await, Ok(vec![0, 1]));
    assert_eq!(client.grown(Vec::new()).await, Err(Error::Failed("short")));
    assert_eq!(client.taken_apart((vec![0], 2)).await, Ok(vec![0, 2]));
    let mut pair = (1, 9);
    assert_eq!((through_references(&mut pair).await, pair), (Ok(3), (3, 9)));
}

//! What happens, one fault after another.

use std::{io, sync::Arc, time::Duration};

use resilience_runtime::{CircuitBreaker, CircuitState, ErrorKind, Instant, SiteSnapshot, registry};
use tokio::task::JoinSet;

use crate::{
    server::{Fault, Server},
    shop::{Shop, ShopError},
    story::{Story, Time},
};

type Answer = Result<String, ShopError>;

pub(crate) async fn fair_weather(story: &mut Story, server: &Server, shop: &Shop) {
    story.turn(
        "Fair weather",
        "article",
        "Forty callers at once, and nothing is wrong. A policy that has nothing to do should not be noticed.",
    );
    let begun = Instant::now();
    let answers = at_once(shop, 40, |shop, id| async move { shop.article(id).await }).await;
    story.equal("40 callers, 40 answers", answered(&answers), 40);
    story.equal("40 requests, no retry", (server.requests(), site("article").retries), (40, 0));
    story.took("all of it in", Instant::now().saturating_since(begun), 0, 3_000);
    story.health(&["article", "articles"]);
}

pub(crate) async fn errors(story: &mut Story, server: &Server, shop: &Shop) {
    story.turn(
        "Every fourth answer is a 500",
        "article",
        "Twelve callers, one after another. A failed attempt is made again after a few milliseconds of backoff.",
    );
    server.fault(Fault::Every(4));
    let (before, begun) = (site("article"), Instant::now());
    let mut answers = Vec::new();
    for id in 0..12 {
        answers.push(shop.article(id).await);
    }
    let after = site("article");
    story.equal("12 callers, 12 answers: nobody noticed", answered(&answers), 12);
    story.equal("the circuit has seen 3 failures", circuit("articles").snapshot().failed, 3);
    story.equal(
        "15 requests, 3 of them retries",
        (server.requests(), after.retries - before.retries),
        (15, 3),
    );
    story.equal(
        "a failure rate under 50 % leaves the circuit closed",
        state("articles"),
        CircuitState::Closed,
    );
    story.took("all of it in", Instant::now().saturating_since(begun), 0, 3_000);
    story.health(&["article", "articles"]);
}

pub(crate) async fn hang(story: &mut Story, server: &Server, shop: &Shop) {
    story.turn(
        "The server takes requests and never answers",
        "price",
        "Ten callers find out the slow way. Their timeouts open the circuit; a thousand more callers come after it.",
    );
    server.fault(Fault::Hang);
    let begun = Instant::now();
    let answers = at_once(shop, 10, |shop, id| async move { shop.price(id).await }).await;
    story.equal("10 callers time out", refused(&answers, ErrorKind::TimedOut), 10);
    story.took("each after its 300 ms, all of them in", Instant::now().saturating_since(begun), 300, 2_000);
    story.equal("the circuit is open", state("prices"), CircuitState::Open);

    let (begun, mut answers) = (Instant::now(), Vec::new());
    for id in 0..1_000 {
        answers.push(shop.price(id).await);
    }
    let elapsed = Instant::now().saturating_since(begun);
    story.equal("1,000 more callers are refused", refused(&answers, ErrorKind::CircuitOpen), 1_000);
    story.took("the thousand of them in", elapsed, 0, 400);
    story.equal("none of them reached the server", server.requests(), 10);
    if let Some(Err(error)) = answers.last() {
        story.say(format_args!("they were told: {error}"));
    }
    story.health(&["price", "prices"]);
}

pub(crate) async fn recovery(story: &mut Story, server: &Server, shop: &Shop) {
    story.turn(
        "It answers again, and everybody wants to know",
        "price",
        "The open time passes. Fifty callers arrive at that moment; two of them probe, the others wait for the news.",
    );
    // Slow enough that all fifty have asked before the first probe returns.
    server.fault(Fault::Slow(Duration::from_millis(60)));
    let waited = until_half_open("prices").await;
    story.say(format_args!("half-open by time alone, {} later", Time(waited)));
    let answers = at_once(shop, 50, |shop, id| async move { shop.price(id).await }).await;
    story.equal("2 probes are answered", answered(&answers), 2);
    story.equal("48 callers are refused", refused(&answers, ErrorKind::CircuitOpen), 48);
    story.equal("a server on its way up gets 2 requests, not 50", server.requests(), 2);
    story.equal("the circuit is closed", state("prices"), CircuitState::Closed);

    server.fault(Fault::None);
    let answers = at_once(shop, 50, |shop, id| async move { shop.price(id).await }).await;
    story.equal("50 more callers, 50 answers", answered(&answers), 50);
    story.health(&["price", "prices"]);
}

pub(crate) async fn gone(story: &mut Story, server: &mut Server, shop: &Shop) -> io::Result<()> {
    story.turn(
        "The server is gone",
        "stock",
        "Its port is closed, connections are refused. Every page still shows something, thanks to the fallback.",
    );
    server.stop().await;
    let begun = Instant::now();
    let mut answers = Vec::new();
    for id in 0..50 {
        answers.push(shop.stock(id).await);
    }
    let pages = answers.iter().flatten().filter(|page| page.contains("ask in the shop")).count();
    let stock = site("stock");
    story.equal("50 callers, 50 pages, all from the fallback", (pages, stock.fallbacks), (50, 50));
    story.equal("3 connections refused, then the circuit is open", stock.failed, 3);
    story.equal("47 calls went straight to the fallback", stock.refused_by_circuit, 47);
    story.took("all of it in", Instant::now().saturating_since(begun), 0, 3_000);
    story.health(&["stock"]);

    println!("\nThe server comes back on the same port.\n");
    server.restart().await?;
    server.fault(Fault::None);
    let waited = until_half_open("stock").await;
    story.say(format_args!("half-open {} later", Time(waited)));
    let answer = shop.stock(7).await.unwrap_or_default();
    story.equal("one probe, one real answer", answer.as_str(), "/stock/7");
    story.equal("the circuit is closed", state("stock"), CircuitState::Closed);
    story.health(&["stock"]);
    Ok(())
}

pub(crate) async fn slow(story: &mut Story, server: &Server, shop: &Shop) {
    story.turn(
        "Every answer takes 150 ms",
        "review",
        "Twenty callers at once. Four may run, four may wait; nobody else is kept hanging.",
    );
    server.fault(Fault::Slow(Duration::from_millis(150)));
    let begun = Instant::now();
    let answers = at_once(shop, 20, |shop, id| async move { shop.review(id).await }).await;
    story.equal("8 callers, 8 answers", answered(&answers), 8);
    story.equal("12 callers are refused at once", refused(&answers, ErrorKind::BulkheadFull), 12);
    story.equal("never more than 4 requests at the server", server.peak(), 4);
    story.took("two rounds of 150 ms, all of it in", Instant::now().saturating_since(begun), 300, 2_000);
    story.equal(
        "no error anywhere, and the circuit is open: slow is broken, too",
        state("reviews"),
        CircuitState::Open,
    );
    story.health(&["review", "reviews"]);
}

pub(crate) async fn throttled(story: &mut Story, server: &Server, shop: &Shop) {
    story.turn(
        "429: too many requests, retry after one second",
        "order",
        "The server says when to come back, and the retry does as it is told, whatever its own backoff.",
    );
    server.fault(Fault::Throttle);
    let begun = Instant::now();
    let answer = shop.order(1).await;
    story.equal("1 caller, 1 answer", answer.is_ok(), true);
    story.equal("2 requests", server.requests(), 2);
    story.took("the second one a second later:", Instant::now().saturating_since(begun), 1_000, 2_500);

    println!("\nAsking more gently is better still: at most twenty a second, four of them at once.\n");
    // The quota of the retry's two requests has to come back first.
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.fault(Fault::None);
    let begun = Instant::now();
    let answers = at_once(shop, 12, |shop, id| async move { shop.order(id).await }).await;
    story.equal("12 callers, 12 answers", answered(&answers), 12);
    story.took("4 at once and 8 in turn, 50 ms apart:", Instant::now().saturating_since(begun), 350, 2_000);
    story.health(&["order"]);
}

pub(crate) async fn by_hand(story: &mut Story, shop: &Shop) {
    story.turn(
        "An operator takes over",
        "review",
        "The server is well again, but the reviews have half a minute to wait. Any code in the process finds their\n\
         circuit by its name: registry().circuit(\"reviews\").",
    );
    let reviews = circuit("reviews");
    story.say(reviews.snapshot());
    story.equal("the call is refused", refused(&[shop.review(1).await], ErrorKind::CircuitOpen), 1);
    reviews.close();
    story.equal("closed by hand: the call is answered", answered(&[shop.review(1).await]), 1);
    reviews.force_open();
    story.equal(
        "forced open: the call is refused",
        refused(&[shop.review(1).await], ErrorKind::CircuitOpen),
        1,
    );
    reviews.close();
    story.equal("a mistyped name is not found", registry().circuit("revews").is_none(), true);
    story.equal("nothing is wrong any more", registry().unhealthy(), Vec::new());
    story.health(&[""]);
}

/// The answers that so many callers get, each a task of its own.
async fn at_once<F>(shop: &Shop, callers: u32, call: impl Fn(Shop, u32) -> F) -> Vec<Answer>
where
    F: Future<Output = Answer> + Send + 'static,
{
    (0..callers).map(|id| call(shop.clone(), id)).collect::<JoinSet<_>>().join_all().await
}

fn answered(answers: &[Answer]) -> usize {
    answers.iter().filter(|answer| answer.is_ok()).count()
}

fn refused(answers: &[Answer], kind: ErrorKind) -> usize {
    let is = |answer: &&Answer| matches!(answer, Err(ShopError::Refused(refusal)) if refusal.kind() == kind);
    answers.iter().filter(is).count()
}

/// The numbers of one function of the shop.
fn site(function: &str) -> SiteSnapshot {
    let label = format!("{}::{function}", Shop::MODULE);
    registry().site(&label).unwrap_or_else(|| panic!("`{label}` is annotated"))
}

fn circuit(name: &str) -> Arc<CircuitBreaker> {
    registry().circuit(name).unwrap_or_else(|| panic!("circuit `{name}` is declared"))
}

fn state(name: &str) -> CircuitState {
    circuit(name).state()
}

/// Waits for the end of a circuit's open time; tells how long that was.
async fn until_half_open(name: &str) -> Duration {
    let wait = circuit(name).snapshot().next_probe_in.unwrap_or_default();
    tokio::time::sleep(wait).await;
    wait
}

//! Every kind of body, under a policy that can run it again.

use std::{cell::Cell, collections::HashMap, rc::Rc};

use resilience_runtime::resilient;

use crate::support::{Error, now};

type Answer<T> = Result<T, Error>;

#[resilient(retry = 2, timeout_ms = 500)]
async fn early_returns(n: u8) -> Answer<&'static str> {
    if n == 0 {
        return Ok("zero");
    }
    for i in 0..n {
        if i == 3 {
            return Ok("many");
        }
        match i {
            7 => return Err(Error::Failed("never")),
            _ => continue,
        }
    }
    Ok("few")
}

#[resilient(retry = 2, timeout_ms = 500)]
async fn labels(limit: u8) -> Answer<u8> {
    let mut sum = 0;
    'call: loop {
        for i in 0.. {
            if i == limit {
                break 'call;
            }
            if i % 2 == 0 {
                continue;
            }
            sum += i;
        }
    }
    let block = 'out: {
        if sum > 3 {
            break 'out sum;
        }
        0
    };
    Ok(block)
}

#[resilient(retry = 2)]
async fn question_marks(text: &str) -> Result<u32, Box<dyn std::error::Error + Send + Sync>> {
    let number: u32 = text.parse()?;
    let checked = number.checked_add(1).ok_or("too large")?;
    if checked == 8 {
        Err("eight")?;
    }
    if checked == 9 {
        return Err(Box::new(Error::Failed("nine")));
    }
    Ok(checked)
}

#[resilient(retry = 2, timeout_ms = 500)]
async fn items_inside(n: u8) -> Answer<u8> {
    #![allow(non_camel_case_types)]
    const STEP: u8 = 2;
    type Result = u8;
    struct Option(Result);
    enum Some {
        None,
    }
    impl Option {
        fn plus(self, other: Result) -> Result {
            self.0 + other
        }
    }
    fn helper(Some::None: Some) -> Result {
        STEP
    }
    Ok(Option(n).plus(helper(Some::None)))
}

#[resilient(retry = 2, timeout_ms = 500)]
async fn inference() -> Answer<HashMap<String, Vec<u8>>> {
    let mut map = HashMap::new();
    map.insert("a".into(), "12".bytes().map(|byte| byte - b'0').collect());
    Ok(map.into_iter().collect())
}

#[resilient(retry = 2, timeout_ms = 500)]
async fn defaults() -> Answer<Option<u8>> {
    Ok(Default::default())
}

#[resilient(retry = 2, timeout_ms = 500)]
async fn closures_and_macros(list: &[u8]) -> Answer<String> {
    let offset = 1;
    let shifted: Vec<_> = list.iter().map(|n| n + offset).collect();
    let nested = async { shifted.len() }.await;
    Ok(format!("{shifted:?} {nested} {list:?}"))
}

#[resilient(circuit = "bodies")]
async fn consuming(list: Vec<u8>, text: String) -> Answer<String> {
    drop(list);
    Ok(text)
}

#[resilient(retry = 2, clone(list, seen))]
async fn consuming_clones(mut list: Vec<u8>, seen: Rc<Cell<u8>>) -> Result<Vec<u8>, &'static str> {
    list.push(seen.get());
    seen.set(seen.get() + 1);
    drop(seen);
    if list[1] < 2 { Err("again") } else { Ok(list) }
}

#[resilient(retry = 2)]
async fn not_send(shared: Rc<Cell<u8>>) -> Result<u8, Rc<str>> {
    std::future::ready(()).await;
    shared.set(shared.get() + 1);
    if shared.get() < 3 { Err("again".into()) } else { Ok(shared.get()) }
}

#[resilient(retry = 2)]
async fn diverging(answer: bool) -> Answer<u8> {
    if answer {
        return Ok(1);
    }
    panic!("the body's own panic")
}

#[resilient(timeout_ms = 500)]
async fn temporaries(lock: &tokio::sync::Mutex<Vec<u8>>) -> Answer<usize> {
    Ok(lock.lock().await.len())
}

#[test]
fn control_flow_stays_inside() {
    assert_eq!(now(early_returns(0)), Ok("zero"));
    assert_eq!(now(early_returns(2)), Ok("few"));
    assert_eq!(now(early_returns(9)), Ok("many"));
    assert_eq!(now(labels(6)), Ok(9));
}

#[tokio::test(start_paused = true)]
async fn errors_are_converted_as_without_the_attribute() {
    assert_eq!(question_marks("1").await.ok(), Some(2));
    for (text, message) in [("x", "invalid digit found in string"), ("7", "eight"), ("8", "nine")] {
        assert_eq!(question_marks(text).await.map_err(|error| error.to_string()), Err(message.to_owned()));
    }
}

#[test]
fn items_of_the_body_are_its_own() {
    assert_eq!(now(items_inside(1)), Ok(3));
}

#[test]
fn types_are_inferred_from_the_return_type() {
    assert_eq!(now(inference()), Ok(HashMap::from([("a".to_owned(), vec![1, 2])])));
    assert_eq!(now(defaults()), Ok(None));
    assert_eq!(now(closures_and_macros(&[1, 2])), Ok("[2, 3] 2 [1, 2]".to_owned()));
    assert_eq!(now(temporaries(&tokio::sync::Mutex::new(vec![1]))), Ok(1));
}

#[tokio::test(start_paused = true)]
async fn arguments_may_be_consumed_or_shared() {
    assert_eq!(consuming(vec![1], "a".to_owned()).await, Ok("a".to_owned()));
    assert_eq!(consuming_clones(vec![9], Rc::new(Cell::new(0))).await, Ok(vec![9, 2]));
    assert_eq!(not_send(Rc::new(Cell::new(0))).await, Ok(3));
}

#[test]
#[should_panic(expected = "the body's own panic")]
fn a_panic_goes_on() {
    assert_eq!(now(diverging(true)), Ok(1));
    let _ = now(diverging(false));
}

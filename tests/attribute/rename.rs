//! The runtime under another name.

use resilience_runtime as renamed;

mod reexporting {
    pub(super) mod deep {
        pub(crate) use resilience_runtime as inner;
    }
}

#[renamed::resilient(crate = renamed, circuit = "rename", retry = 1)]
async fn by_alias() -> Result<u8, renamed::ResilienceError> {
    Ok(1)
}

#[renamed::resilient(crate = self::reexporting::deep::inner, timeout_ms = 5, fallback = |_| 2)]
async fn by_path() -> u8 {
    1
}

#[renamed::resilient(crate = crate::rename::reexporting::deep::inner)]
impl Service {
    async fn method(&self) -> u8 {
        3
    }
}

struct Service;

#[test]
fn the_path_is_taken_from_the_attribute() {
    assert_eq!(crate::support::now(by_alias()), Ok(1));
    assert_eq!(crate::support::now(by_path()), 1);
    assert_eq!(crate::support::now(Service.method()), 3);
}

//! Which futures may be sent to other threads: those that may without the attribute.

use std::{cell::Cell, future::Future, rc::Rc, sync::Arc};

use resilience_runtime::resilient;

use crate::support::Error;

macro_rules! policies {
    ($($name:ident: #[$policy:meta])*) => {
        $(
            mod $name {
                use super::*;

                #[$policy]
                pub(super) async fn owned(text: String) -> Result<usize, Error> {
                    std::future::ready(()).await;
                    Ok(text.len())
                }

                #[$policy]
                pub(super) async fn borrowed(text: &str) -> Result<&str, Error> {
                    std::future::ready(()).await;
                    Ok(text)
                }

                #[$policy]
                pub(super) async fn generic<T: AsRef<str> + Sync + Send>(text: T) -> Result<usize, Error> {
                    std::future::ready(()).await;
                    Ok(text.as_ref().len())
                }

                #[$policy]
                pub(super) async fn not_send(shared: Rc<Cell<u8>>) -> Result<u8, Error> {
                    std::future::ready(()).await;
                    Ok(shared.get())
                }

                #[$policy]
                pub(super) async fn answer_not_send() -> Result<Rc<u8>, Error> {
                    std::future::ready(()).await;
                    Ok(Rc::new(1))
                }

                pub(super) struct Service(pub(super) String);

                impl Service {
                    #[$policy]
                    pub(super) async fn by_reference(&self, text: &str) -> Result<usize, Error> {
                        std::future::ready(()).await;
                        Ok(text.len() + self.0.len())
                    }

                    #[$policy]
                    pub(super) async fn by_mutable_reference(&mut self) -> Result<usize, Error> {
                        std::future::ready(()).await;
                        self.0.push('a');
                        Ok(self.0.len())
                    }

                    #[$policy]
                    pub(super) async fn by_arc(self: Arc<Self>) -> Result<usize, Error> {
                        std::future::ready(()).await;
                        Ok(self.0.len())
                    }
                }

                #[test]
                fn is_as_send_as_the_body() {
                    let text = String::from("a");
                    let mut service = Service(text.clone());
                    send(owned(text.clone()));
                    send(borrowed(&text));
                    send(generic(text.clone()));
                    send(answer_not_send());
                    send(service.by_reference(&text));
                    send(service.by_mutable_reference());
                    send_static(owned(text.clone()));
                    send_static(generic("a"));
                    send_static(Arc::new(service).by_arc());
                    let boxed: Box<dyn Future<Output = Result<usize, Error>> + Send> = Box::new(owned(text));
                    drop(boxed);
                    let shared = Rc::new(Cell::new(3));
                    assert_eq!(crate::support::now(not_send(shared)), Ok(3));
                }
            }
        )*
    };
}

fn send<T: Send>(_: T) {}

fn send_static<T: Send + 'static>(_: T) {}

policies! {
    bare: #[resilient]
    retry: #[resilient(retry = 1)]
    timeout: #[resilient(timeout_ms = 500)]
    circuit: #[resilient(circuit = "send")]
    dynamic: #[resilient(circuit(name = "send-{n}", n = 1))]
    bulkhead: #[resilient(bulkhead(max = 10, queue = 10, wait_ms = 5))]
    everything: #[resilient(circuit = "send", retry = 1, timeout_ms = 500, bulkhead = 10, rate_limit = 1_000)]
    fallback: #[resilient(retry = 1, timeout_ms = 500, fallback = |error| Err(Error::from_call(error)))]
    async_fallback: #[resilient(retry = 1, timeout_ms = 500, fallback = async |error| Err(Error::from_call(error)))]
}

impl Error {
    fn from_call(error: resilience_runtime::CallError<Self>) -> Self {
        match error {
            resilience_runtime::CallError::Refused(refusal) => refusal.into(),
            resilience_runtime::CallError::Failed(error)
            | resilience_runtime::CallError::RetriesExhausted { last: error, .. } => error,
        }
    }
}

/// Without retry and fallback an argument need not be `Sync`, as without the attribute.
#[resilient(circuit = "send-cell", timeout_ms = 500)]
async fn not_sync(cell: Cell<u8>) -> Result<u8, Error> {
    std::future::ready(()).await;
    Ok(cell.get())
}

/// With retry it has to be, or to be cloned.
#[resilient(retry = 1, clone(cell))]
async fn cloned(cell: Cell<u8>) -> Result<u8, Error> {
    std::future::ready(()).await;
    Ok(cell.get())
}

#[tokio::test]
async fn arguments_that_are_not_sync() {
    assert_eq!(tokio::spawn(not_sync(Cell::new(1))).await.expect("it ends"), Ok(1));
    assert_eq!(tokio::spawn(cloned(Cell::new(1))).await.expect("it ends"), Ok(1));
}

/// An argument that no other thread may look at costs nothing as long as only the body does: names of types, fields and
/// parameters are not arguments.
mod not_shared {
    use super::*;

    pub(super) struct Id(pub(super) u8);

    #[resilient(timeout_ms = 5, fallback = |_| Ok(Id(7)))]
    pub(super) async fn a_type(Id(id): Id, only_here: Cell<u8>) -> Result<Id, Error> {
        only_here.set(id);
        std::future::ready(()).await;
        Ok(Id(only_here.get()))
    }

    #[resilient(timeout_ms = 5, fallback = |error| { drop(error); Ok(7) })]
    pub(super) async fn a_parameter(error: Cell<u8>) -> Result<u8, Error> {
        std::future::ready(()).await;
        Ok(error.get())
    }

    pub(super) static OTHER: Id = Id(3);

    #[resilient(timeout_ms = 5, fallback = |_| Ok(OTHER.id()))]
    pub(super) async fn a_method(id: Cell<u8>) -> Result<u8, Error> {
        std::future::ready(()).await;
        Ok(id.get())
    }

    impl Id {
        fn id(&self) -> u8 {
            self.0
        }
    }
}

#[test]
fn what_only_the_body_looks_at_need_not_be_shareable() {
    fn sendable<F: Future + Send>(_: F) {}
    sendable(not_shared::a_type(not_shared::Id(1), Cell::new(1)));
    sendable(not_shared::a_parameter(Cell::new(1)));
    sendable(not_shared::a_method(Cell::new(1)));
}

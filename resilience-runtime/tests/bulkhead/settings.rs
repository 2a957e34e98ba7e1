//! Wrong settings are refused with key and reason.

use resilience_runtime::BulkheadSettings;

use super::*;

#[test]
fn settings_that_cannot_be_are_refused_with_key_and_reason() {
    let builder = || Bulkhead::builder("db").max(1);
    let table = [
        (builder().max(0), "max", "must be at least 1"),
        (Bulkhead::builder("db"), "max", "must be at least 1"),
        (builder().max(usize::MAX), "max", "must be at most 2,147,483,647"),
        (builder().queue(BulkheadSettings::MOST + 1), "queue", "must be at most 2,147,483,647"),
    ];
    for (builder, key, reason) in table {
        let error = builder.build().unwrap_err();
        assert_eq!((error.key, error.reason), (key, reason));
    }
    let bulkhead = builder().build().unwrap();
    assert_eq!(bulkhead.configure(BulkheadSettings::new(0)).unwrap_err().key, "max");
    assert_usage(&bulkhead, 0, 0, 1);
    bulkhead.configure(BulkheadSettings::new(3)).unwrap();
    assert_usage(&bulkhead, 0, 0, 3);
}

#[test]
fn the_largest_settings_work() {
    let most = BulkheadSettings::MOST;
    let bulkhead = Bulkhead::builder("db").max(most).queue(most).wait(Duration::MAX).build().unwrap();
    let _permit = bulkhead.try_acquire().unwrap();
    assert_usage(&bulkhead, 1, 0, most - 1);
    bulkhead.resize(1).unwrap();
    assert_usage(&bulkhead, 1, 0, 0);
    bulkhead.resize(most).unwrap();
    assert_usage(&bulkhead, 1, 0, most - 1);
}

#[test]
fn names_and_permits_show_what_they_belong_to() {
    let bulkhead = std::sync::Arc::new(Bulkhead::new(String::from("db"), 1).unwrap());
    assert_eq!(bulkhead.name(), "db");
    let owned = bulkhead.try_acquire_owned().unwrap();
    assert_eq!(format!("{owned:?}"), "OwnedBulkheadPermit(\"db\")");
    assert_eq!(bulkhead.try_acquire_owned().unwrap_err().name(), "db");
    drop(owned);
    let permit = bulkhead.try_acquire().unwrap();
    assert_eq!(format!("{permit:?}"), "BulkheadPermit(\"db\")");
    let text = format!("{bulkhead:?}");
    assert_eq!(text, "Bulkhead { name: \"db\", max: 1, in_flight: 1, waiting: 0, .. }");
    assert_eq!(format!("{:?}", bulkhead.run(endless())), "Run { permit: None, .. }");
}

#[test]
fn an_owned_permit_outlives_every_other_handle() {
    let bulkhead = std::sync::Arc::new(Bulkhead::new("db", 1).unwrap());
    let permit = bulkhead.try_acquire_owned().unwrap();
    let weak = std::sync::Arc::downgrade(&bulkhead);
    drop(bulkhead);
    assert_eq!(weak.upgrade().unwrap().in_flight(), 1);
    drop(permit);
    assert!(weak.upgrade().is_none());
}

#[test]
fn futures_and_permits_can_be_sent() {
    fn sendable<T: Send>(_: &T) {}
    fn shareable<T: Sync + std::panic::RefUnwindSafe>(_: &T) {}
    let bulkhead = std::sync::Arc::new(Bulkhead::new("db", 3).unwrap());
    sendable(&bulkhead);
    shareable(&bulkhead);
    sendable(&bulkhead.acquire());
    sendable(&bulkhead.run(endless()));
    sendable(&bulkhead.try_acquire().unwrap());
    sendable(&bulkhead.try_acquire_owned().unwrap());
}

//! A crate of the 2021 edition.

use resilience_edition_2021::Guarded;

#[tokio::test]
async fn works_in_the_2021_edition_as_in_the_latest() {
    let guarded = Guarded { list: tokio::sync::Mutex::new(vec![1, 2]) };
    assert_eq!(guarded.last().await, Ok(Some(2)));
    assert_eq!(guarded.a_keyword_of_the_next_edition(1).await, 3);
}

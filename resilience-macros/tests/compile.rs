//! What a newcomer reads after a mistake with the attribute, one family of mistakes to a file in `compile/`.
//!
//! It is this crate's test because the cases are compiled anew against the dependencies of the crate they belong to,
//! and this one has few.

#[test]
fn mistakes_are_explained() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/compile/*.rs");
}

//! What a newcomer reads after a mistake with the attribute, one family of mistakes to a file in `compile/`.

#[test]
fn mistakes_are_explained() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/compile/*.rs");
}

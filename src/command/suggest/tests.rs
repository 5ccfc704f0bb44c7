use proptest::prelude::*;

use super::*;

#[test]
fn near_words_are_found() {
    let words = ["put", "get", "del", "addnode", "removenode", "nodes"];
    let nearest = |typed| nearest(typed, words);
    assert_eq!(nearest("pt"), Some("put"));
    assert_eq!(nearest("PTU"), Some("put"), "letters swapped, any case");
    assert_eq!(nearest("adnode"), Some("addnode"));
    assert_eq!(nearest("addnodes"), Some("addnode"));
    assert_eq!(nearest("xyzzy"), None);
    assert_eq!(nearest(""), None);
    assert_eq!(nearest(&"put".repeat(100_000)), None);
}

#[test]
fn the_nearest_wins_then_the_first() {
    assert_eq!(nearest("abcdex", ["abcdyy", "abcdey", "abcdez"]), Some("abcdey"));
}

/// The textbook recursion.
fn naive(a: &[char], b: &[char]) -> usize {
    let ([a_rest @ .., x], [b_rest @ .., y]) = (a, b) else { return a.len() + b.len() };
    let mut least = naive(a_rest, b_rest) + usize::from(x != y);
    least = least.min(naive(a_rest, b) + 1).min(naive(a, b_rest) + 1);
    if let ([a_more @ .., p], [b_more @ .., q]) = (a_rest, b_rest)
        && p == y
        && q == x
    {
        least = least.min(naive(a_more, b_more) + 1);
    }
    least
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_distance_is_the_textbook_one(a in "[abc]{0,6}", b in "[abc]{0,6}") {
        let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
        prop_assert_eq!(distance(&a, &b), naive(&a, &b));
    }
}

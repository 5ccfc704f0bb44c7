//! What must hold of any bytes, quickly and on a stable compiler: `tests/fuzz/README.md` tells how to look longer.
//!
//! Bytes alone seldom make a command or a record. So most of what is judged here is made of parts that are right.

#[path = "fuzzing/mod.rs"]
pub mod properties;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use properties::{grammar, log_records, messages, scripts};

fn cases(cases: u32) -> ProptestConfig {
    // The same cases each time: what other seeds find is for whoever fuzzes, not for who changes something else.
    let (failure_persistence, rng_seed) = (None, RngSeed::Fixed(1));
    ProptestConfig { failure_persistence, rng_seed, ..ProptestConfig::with_cases(cases) }
}

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..most)
}

/// A line of words, figures and marks that mean something, and of some that do not.
fn line() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        6 => (0..kvsim::command::grammar::SPECS.len()).prop_map(|at| kvsim::command::grammar::SPECS[at].name.to_owned()),
        6 => "-{0,2}(ttl|via|consistency|weight|data|yes|force|node|kind|at|for|mix|as|q|power-loss|tokens)=?",
        8 => "[0-9]{0,3}[.]?[0-9]{1,21}(us|ms|s|m|h|d|x|X|%|KiB|gib|/[0-9]{1,3})?",
        4 => "(const|uniform|exp|pareto|mix|file):[0-9.,%+]{0,8}((const|exp):[0-9.]{1,4})?",
        4 => "(node[1-3]|a|,|\\||->| ){1,6}",
        3 => "[a\"'\\\\;#\n\t-]{1,4}",
        2 => "\"-{0,2}[q#;]{0,2}\"",
        2 => "\\PC{0,6}",
    ];
    let gap = prop_oneof![8 => Just(" "), 1 => Just("")];
    vec((word, gap), 0..8).prop_map(|words| words.into_iter().flat_map(|(word, gap)| [word, gap.to_owned()]).collect())
}

/// Found by fuzzing: shown again without its quotes, the key was a flag.
#[test]
fn a_quoted_dash_stays_a_key() {
    grammar::judge(br#"get "-q" k"#);
    grammar::judge(br#"get "-q""#);
}

/// Found by counted inputs: the sides were repeated as they were typed, with what a terminal obeys.
#[test]
fn sides_that_are_none_are_shown_escaped() {
    grammar::judge(b"partition \"\\x1b[2J\"");
    grammar::judge("partition a\u{202e}b | c".as_bytes());
}

/// Found by fuzzing: all data is deleted while clients write, and some hear that they have written after it.
#[test]
fn a_clearing_between_a_write_and_its_answer() {
    #[rustfmt::skip]
    let bytes = [243, 212, 172, 218, 145, 148, 239, 57, 54, 222, 180, 57, 80, 167, 29, 148, 211, 22, 190, 52, 150, 97, 138, 14, 64, 167, 205, 164, 232, 50, 87, 219, 195, 18, 63, 5, 209, 202, 165, 46, 249, 103, 154, 22, 30, 155, 186, 30, 91, 19, 205, 56, 227, 161, 250, 181, 8, 214, 144, 57, 136, 182, 10, 24, 163, 180, 83, 155, 243, 33, 32, 28, 17, 66, 200, 251];
    scripts::judge(&bytes);
}

/// Found by fuzzing: a sealed segment that ends at the last number there is.
#[test]
fn a_log_that_claims_every_number_is_refused() {
    let bytes = [b"V\x01".as_slice(), &[0xff; 27], b"\x07"].concat();
    log_records::judge(&bytes);
}

proptest! {
    #![proptest_config(cases(8_000))]

    #[test]
    fn a_line_is_refused_or_read_as_one_thing(line in line()) {
        grammar::judge(line.as_bytes());
    }

    #[test]
    fn a_log_is_refused_or_opened_as_the_same(bytes in bytes(400)) {
        log_records::judge(&bytes);
    }

    #[test]
    fn a_message_is_refused_or_sound(bytes in bytes(120)) {
        messages::judge(&bytes);
    }
}

proptest! {
    #![proptest_config(cases(16))]

    #[test]
    fn a_script_ends_and_leaves_nothing_for_check(bytes in bytes(120)) {
        scripts::judge(&bytes);
    }
}

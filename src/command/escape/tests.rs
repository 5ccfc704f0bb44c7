use proptest::prelude::*;

use super::*;

#[test]
fn what_could_deceive_is_escaped() {
    assert_eq!(escaped(b"plain text, \xc3\xa4\xc3\xb6"), "plain text, äö");
    assert_eq!(escaped(b"\x1b[2J\x07\x7f"), "\\x1b[2J\\x07\\x7f");
    assert_eq!(escaped(b"a\nb\tc\rd"), "a\\nb\\tc\\rd");
    assert_eq!(escaped("\u{9b}31m".as_bytes()), "\\xc2\\x9b31m", "C1 controls are escape sequences too");
    assert_eq!(escaped("ab\u{202e}dc".as_bytes()), "ab\\xe2\\x80\\xaedc");
    assert_eq!(escaped(b"\xff\xfe!"), "\\xff\\xfe!");
    assert_eq!(escaped("👩\u{200d}🚀".as_bytes()), "👩\u{200d}🚀", "joiners hold emoji together");
}

#[test]
fn words_are_quoted_where_they_must_be() {
    assert_eq!(word(b"city:1796236"), "city:1796236");
    assert_eq!(word(b"a b"), "\"a b\"");
    assert_eq!(word(b""), "\"\"");
    assert_eq!(word(b"#1"), "\"#1\"");
    assert_eq!(word(b"--flag"), "\"--flag\"");
    assert_eq!(word(b"-q"), "\"-q\"", "a flag of get");
    assert_eq!(word(b"say \"hi\" \\"), "\"say \\\"hi\\\" \\\\\"");
    assert_eq!(word(b"\x00\xff"), "\"\\x00\\xff\"");
}

#[test]
fn long_words_are_cut() {
    assert_eq!(shown(&[b'a'; 64]), "a".repeat(64));
    assert_eq!(shown(&[b'a'; 65]), "a".repeat(64) + "…");
    assert_eq!(shown(&vec![0xff; 100 << 20]).chars().count(), 65);
}

#[test]
fn json_stays_the_same_json() {
    let text = "\u{7f}\u{9b}\u{202e}\u{e0001}ä";
    let escaped = json(&serde_json::to_string(text).unwrap());
    assert_eq!(escaped, "\"\\u007f\\u009b\\u202e\\udb40\\udc01ä\"");
    assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_unsafe_passes(bytes in proptest::collection::vec(any::<u8>(), 0..100), text in "\\PC{0,5}.{0,30}") {
        for text in [escaped(&bytes), word(&bytes), shown(&bytes), escaped(text.as_bytes())] {
            prop_assert!(!text.chars().any(is_unsafe));
            prop_assert_eq!(escaped(text.as_bytes()), text, "escaping again changes nothing");
        }
    }
}

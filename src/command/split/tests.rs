use proptest::prelude::*;

use super::*;

/// The statements of a line as text, words in brackets.
fn cut(line: &str) -> String {
    let words = |statement: Statement| -> String {
        statement.words.iter().map(|word| format!("[{}]", String::from_utf8_lossy(&word.bytes))).collect()
    };
    match statements(line.as_bytes()) {
        Ok(all) => all.map(|statement| words(statement.unwrap())).collect::<Vec<_>>().join(" ; "),
        Err(error) => error.to_string(),
    }
}

#[test]
fn words_and_statements() {
    assert_eq!(cut(""), "");
    assert_eq!(cut("  put\ta  1 "), "[put][a][1]");
    assert_eq!(cut("put a 1;get a"), "[put][a][1] ; [get][a]");
    assert_eq!(cut(";; put a 1 ; ;"), "[put][a][1]");
    assert_eq!(cut("put a 1\r"), "[put][a][1]", "the end of a line written on Windows");
}

#[test]
fn comments_begin_at_the_start_of_a_word() {
    assert_eq!(cut("# put a 1"), "");
    assert_eq!(cut("put a 1 # ; get a"), "[put][a][1]");
    assert_eq!(cut("put key#1 #2"), "[put][key#1]");
    assert_eq!(cut("put a '#1'"), "[put][a][#1]");
    assert_eq!(cut("put a 1 # one\nget a"), "[put][a][1] ; [get][a]");
    assert!(statements(b"put a #1").unwrap().next().unwrap().unwrap().commented);
}

#[test]
fn double_quotes_decode_escapes() {
    assert_eq!(cut(r#"put "a b" "x;y#z""#), "[put][a b][x;y#z]");
    assert_eq!(cut(r#"put a "\n\t\r\\\"\b\a\q""#), "[put][a][\n\t\r\\\"\u{8}\u{7}q]");
    assert_eq!(cut(r#"put a """#), "[put][a][]");
    assert_eq!(cut(r#"put a b"c d""#), "[put][a][bc d]");
    let line = statements(br#"put a "\x00\xfF\x41\xzz\x4""#).unwrap().next().unwrap().unwrap();
    assert_eq!(line.words[2].bytes, b"\x00\xff\x41xzzx4");
}

#[test]
fn single_quotes_are_literal() {
    assert_eq!(cut(r"put a 'x\n\x41 y'"), r"[put][a][x\n\x41 y]");
    assert_eq!(cut(r"put a 'it\'s'"), "[put][a][it's]");
    assert_eq!(cut(r"put a\b c\"), r"[put][a\b][c\]");
}

#[test]
fn newlines_separate_statements_outside_quotes() {
    assert_eq!(cut("put a 1\nput b 2"), "[put][a][1] ; [put][b][2]");
    assert_eq!(cut("put a \"1\n2\"\nget a"), "[put][a][1\n2] ; [get][a]");
}

#[test]
fn a_line_with_bad_quotes_runs_nothing() {
    assert!(cut("put a 1; put b \"2").starts_with("KV-E401 a double quote (\") is not closed"));
    assert!(cut("put a 'x").starts_with("KV-E401 a single quote (') is not closed"));
    assert!(cut(r#"put a "x\"#).contains("is not closed"));
    assert!(cut(r#"put a "x"y"#).contains("followed by text"));
    assert_eq!(cut(r#"put a "x";get a"#), "[put][a][x] ; [get][a]");
    assert!(is_open(b"put a \"x\ny"));
    assert!(!is_open(b"put a x"));
    assert!(!is_open(b"put a \"x\"y"), "more lines would not mend it");
}

#[test]
fn absurd_sizes_are_refused() {
    let many = "a ".repeat(MAX_WORDS + 1);
    assert!(matches!(statements(many.as_bytes()), Err(UsageError::TooManyWords)));
    let fits = "a ".repeat(MAX_WORDS);
    assert_eq!(statements(fits.as_bytes()).unwrap().next().unwrap().unwrap().words.len(), MAX_WORDS);
    let long = vec![b'a'; 100 << 20];
    assert!(matches!(statements(&long), Err(UsageError::LineTooLong)));
    assert_eq!(statements(&vec![b';'; 1 << 20]).unwrap().count(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_cut_or_refused(line in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(all) = statements(&line) {
            for statement in all {
                prop_assert!(!statement.unwrap().words.is_empty());
            }
        }
    }

    #[test]
    fn quotes_and_separators_anywhere(line in "[a\"'\\\\;# \nx0]{0,40}") {
        let open = is_open(line.as_bytes());
        if let Ok(all) = statements(line.as_bytes()) {
            prop_assert!(!open);
            prop_assert!(all.count() <= line.len());
        }
    }

    /// What the escaper writes, the splitter reads back.
    #[test]
    fn an_escaped_word_is_read_back(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let line = format!("put {} v", crate::command::escape::word(&bytes));
        let statement = statements(line.as_bytes()).unwrap().next().unwrap().unwrap();
        prop_assert_eq!(&statement.words[1].bytes, &bytes);
        prop_assert_eq!(statement.words.len(), 3);
    }
}

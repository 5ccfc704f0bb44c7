//! Lines, and the figures in them, as anybody may type them.

use std::str;

use kvsim::command::{Parsed, UsageError, escape, latency, parse, split, units};
use kvsim::sim::latency::{Latency, MAX_LATENCY};
use kvsim::sim::rng::Rng;

/// A line is refused with E401 or read; reading it again gives the same. So it is with each figure, which is within
/// its limits.
pub fn judge(bytes: &[u8]) {
    line(bytes);
    if let Ok(text) = str::from_utf8(bytes) {
        figures(text);
        described(text);
    }
}

fn line(bytes: &[u8]) {
    let all = match split::statements(bytes) {
        Ok(all) => all,
        Err(error) => return is_usage(&error),
    };
    assert!(!split::is_open(bytes), "it was cut, so no quote is open");
    for statement in all {
        let statement = statement.expect("statements are checked before the first is given");
        let read = shown(parse(statement.clone()));
        assert_eq!(read, shown(parse(statement.clone())), "the same words, another command");
        if let Some(typed) = typed(&statement) {
            let mut again = split::statements(typed.as_bytes()).expect("words that were escaped");
            let again = again.next().expect("a statement").expect("words that were escaped");
            assert_eq!(read, shown(parse(again)), "typed again: {typed}");
        }
    }
}

/// A command, or what is wrong; whether a comment followed is forgotten.
fn shown(read: Result<Parsed, UsageError>) -> String {
    match read {
        Ok(Parsed { spec, command }) => format!("{} {command:?}", spec.name),
        Err(error) => {
            is_usage(&error);
            "refused".to_owned()
        }
    }
}

fn is_usage(error: &UsageError) {
    let told = error.to_string();
    assert!(told.starts_with("KV-E401 "), "{told}");
    // Whoever prints it escapes it again: a line end would be one there.
    assert!(!told.chars().any(|c| escape::is_unsafe(c) && !c.is_whitespace()), "{told:?}");
}

/// The statement as `back` shows it; nothing where an unquoted word has to be shown in another way than it was typed.
fn typed(statement: &split::Statement) -> Option<String> {
    let word = |word: &split::Word| match word.quoted {
        true => Some(escape::word(&word.bytes)),
        false => Some(escape::escaped(&word.bytes)).filter(|shown| shown.as_bytes() == word.bytes),
    };
    let words: Option<Vec<String>> = statement.words.iter().map(word).collect();
    words.map(|words| words.join(" "))
}

fn figures(text: &str) {
    assert!(units::duration(text).is_none_or(|read| read <= units::MAX_DURATION));
    assert!(units::offset(text).is_none_or(|read| read.unsigned_abs() <= units::MAX_OFFSET.0));
    assert!(units::mix(text).is_none_or(|part| (0.0..=1.0).contains(&part)));
    assert!(units::percent(text).is_none_or(|percent| (0.0..=100.0).contains(&percent)));
    assert!(units::factor(text).is_none_or(|factor| (1.0..=10_000.0).contains(&factor)));
    assert_eq!(units::size(text), units::size(text));
    if let Some((sides, is_one_way)) = units::sides(text) {
        assert!(sides.len() >= 2 && (sides.len() == 2 || !is_one_way));
        assert!(sides.iter().all(|side| !side.is_empty() && side.iter().all(|name| !name.is_empty())));
    }
}

fn described(text: &str) {
    if let Ok(measured) = Latency::measured("given", text) {
        is_time(&measured);
    }
    let read = match Latency::parse(text) {
        Ok(read) => read,
        Err(wrong) => {
            assert!((1..=text.chars().count() + 1).contains(&wrong.at), "place {} of {text:?}", wrong.at);
            // A file is for the file system to judge.
            if !text.starts_with("file:") {
                let told = latency::read(text).expect_err("the same description").to_string();
                assert!(told.starts_with("KV-E401 "), "{told}");
            }
            return;
        }
    };
    is_time(&read);
    assert_eq!(Latency::parse(&read.to_string()).as_ref(), Ok(&read), "{text:?} is shown as {read}");
}

fn is_time(latency: &Latency) {
    let mut rng = Rng::from_seed(7);
    assert!((0..4).all(|_| (1..=MAX_LATENCY.0).contains(&latency.sample(&mut rng).0)), "{latency}");
}

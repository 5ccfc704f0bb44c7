use proptest::prelude::*;

use super::*;
use crate::command::split::statements;

fn parsed(line: &str) -> Result<Command, UsageError> {
    let statement = statements(line.as_bytes())?.next().unwrap()?;
    parse(statement).map(|parsed| parsed.command)
}

fn shown(line: &str) -> String {
    match parsed(line) {
        Ok(command) => format!("{command:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn flags_stand_anywhere_before_two_dashes() {
    let plain = shown("put a 1 --ttl 5s --consistency one");
    for line in [
        "put --ttl 5s a --consistency one 1",
        "PUT a 1 --TTL=5s --consistency=ONE",
        "set --consistency one --ttl 5s -- a 1",
    ] {
        assert_eq!(shown(line), plain, "{line}");
    }
    assert!(plain.contains("ttl: Some(Time(5000000))") && plain.contains("level: Some(One)"));
}

#[test]
fn what_looks_like_a_flag_can_be_a_value() {
    for line in ["put a -- --ttl", "put a '--ttl'", "put a \"--ttl\""] {
        assert!(matches!(parsed(line), Ok(Command::Put { value, .. }) if value == b"--ttl"), "{line}");
    }
    assert!(matches!(parsed("put a -5"), Ok(Command::Put { value, .. }) if value == b"-5"));
    assert!(matches!(parsed("put a -q"), Ok(Command::Put { value, .. }) if value == b"-q"));
    assert!(matches!(parsed("get -- -q"), Ok(Command::Get { key, quiet: false, .. }) if key == b"-q"));
    assert!(matches!(parsed("get -q a"), Ok(Command::Get { key, quiet: true, .. }) if key == b"a"));
    assert!(matches!(parsed("put a '--' --ttl=1s"), Ok(Command::Put { value, .. }) if value == b"--"));
}

#[test]
fn ids_and_keys_stay_as_typed() {
    assert!(matches!(parsed("AddNode NodeX"), Ok(Command::AddNode { id, .. }) if id == "NodeX"));
    assert!(matches!(parsed(r#"get "\xff\x00""#), Ok(Command::Get { key, .. }) if key == b"\xff\x00"));
}

#[test]
fn lists_repeat() {
    assert!(matches!(parsed("mput a 1 b 2"), Ok(Command::PutMany { pairs, .. }) if pairs.len() == 2));
    assert!(matches!(parsed("mget a b c"), Ok(Command::GetMany { keys, .. }) if keys.len() == 3));
}

#[test]
fn optional_arguments() {
    assert!(matches!(parsed("keys"), Ok(Command::Keys { node: None })));
    assert!(matches!(parsed("keys n1"), Ok(Command::Keys { node: Some(_) })));
    assert!(matches!(parsed("events"), Ok(Command::Events { limit: 20, .. })));
    assert!(matches!(parsed("consistency Three"), Ok(Command::Consistency { level: Some(Level::Three) })));
    assert!(matches!(parsed("help GET"), Ok(Command::Help { about: Some(spec) }) if spec.name == "get"));
}

#[test]
fn absurd_numbers_are_refused() {
    let long = "9".repeat(1_000_000);
    for line in [
        "events 1000000000000000000000000000000",
        "events -1",
        "events 1e3",
        &format!("events {long}"),
        "advance 1000000000000000000000000000000s",
        "put a 1 --ttl 0s",
        "addnode x --weight NaN",
        "addnode x --weight inf",
        "addnode x --weight -1",
        "addnode x --weight 0",
        "addnode x --weight 1e400",
        "addnode x --weight 4097",
        &format!("advance {long}s"),
    ] {
        let Err(UsageError::BadArgument { typed, .. }) = parsed(line) else { panic!("{line:.60}") };
        assert!(typed.chars().count() <= 65);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_parse_or_are_refused(line in proptest::collection::vec(any::<u8>(), 0..120)) {
        for statement in statements(&line).into_iter().flatten().flatten() {
            if let Err(error) = parse(statement) {
                prop_assert!(error.to_string().starts_with("KV-E401 "));
            }
        }
    }

    #[test]
    fn any_words_after_any_command_parse_or_are_refused(
        spec in 0..grammar::SPECS.len(),
        words in proptest::collection::vec("(--)?[a-z0-9.=-]{0,8}|--(ttl|via|consistency|weight|data|yes|force|node|kind)(=?[0-9a-z]{0,3})?|\\PC{0,6}", 0..6),
    ) {
        let line = format!("{} {}", grammar::SPECS[spec].name, words.join(" "));
        for statement in statements(line.as_bytes()).into_iter().flatten().flatten() {
            match parse(statement) {
                Ok(parsed) => prop_assert!(!parsed.spec.name.is_empty()),
                Err(error) => prop_assert!(error.to_string().starts_with("KV-E401 ")),
            }
        }
    }
}

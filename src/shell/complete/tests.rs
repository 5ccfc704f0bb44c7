use super::*;

fn names() -> Names {
    let mut names = Names { nodes: vec!["node1".to_owned(), "Node3".to_owned()], ..Names::default() };
    names.use_key(b"apple");
    names.use_key(b"a b");
    names.use_key(b"apple");
    names
}

fn offered(text: &str) -> Vec<String> {
    place(text).candidates(&names())
}

#[test]
fn commands_come_first() {
    assert_eq!(offered("ad"), ["addnode", "advance"]);
    assert_eq!(offered("get a; AD"), ["addnode", "advance"]);
    assert_eq!(offered("help exi"), ["exists", "exit"]);
    assert!(offered("").len() > 20);
    assert_eq!(offered("nonsense a"), [""; 0]);
}

#[test]
fn arguments_are_offered_by_their_kind() {
    assert_eq!(offered("kill n"), ["node1", "Node3"]);
    assert_eq!(offered("addnode "), ["node2"]);
    assert_eq!(offered("get "), ["apple", "\"a b\""]);
    assert_eq!(offered("mput apple 1 ap"), ["apple"]);
    assert_eq!(offered("get APP"), [""; 0], "keys are as typed");
    assert_eq!(offered("consistency q"), ["quorum"]);
    assert_eq!(offered("timing o"), ["on", "off"]);
    assert_eq!(offered("put apple "), [""; 0]);
}

#[test]
fn flags_and_their_values() {
    assert_eq!(offered("put a 1 --"), ["--ttl", "--consistency", "--via"]);
    assert_eq!(offered("put a 1 --via n"), ["node1", "Node3"]);
    assert_eq!(offered("put --consistency quorum ap"), ["apple"], "a flag's value is no argument");
    assert_eq!(offered("removenode n --f"), ["--force"]);
    assert_eq!(offered("members --as n"), ["node1", "Node3"]);
    assert_eq!(offered("status --as n"), ["node1", "Node3"]);
    assert_eq!(offered("events --kind el"), ["elect"]);
}

#[test]
fn nothing_is_offered_within_quotes() {
    assert_eq!(offered("get \"a"), [""; 0]);
    assert_eq!(offered("put \"a b\" 1 --t"), ["--ttl"], "a quoted word is one word");
    assert_eq!(offered("put \"a\\\" ; \" 1 --t"), ["--ttl"]);
}

#[test]
fn hints_name_what_is_still_to_come() {
    let hint = |text| place(text).hint();
    assert_eq!(hint("put "), Some("KEY VALUE".to_owned()));
    assert_eq!(hint("put a "), Some("VALUE".to_owned()));
    assert_eq!(hint("put a 1 "), None);
    assert_eq!(hint("put a"), None);
    assert_eq!(hint("keys "), Some("[NODE]".to_owned()));
    assert_eq!(hint("mput a 1 "), Some("KEY VALUE".to_owned()));
    assert_eq!(hint(""), None);
}

#[test]
fn no_input_makes_it_panic() {
    for text in ["\u{e9}", "put \u{e9}", "'", "\"", ";", "put ;", "\\", "mput", "put a --ttl", "\u{1f980} \u{1f980}"] {
        offered(text);
        place(text).hint();
    }
}

#[test]
fn few_keys_are_remembered() {
    let mut names = Names::default();
    (0..1_000_u32).for_each(|key| names.use_key(&key.to_le_bytes()));
    assert_eq!(names.keys.len(), RECENT_KEYS);
}

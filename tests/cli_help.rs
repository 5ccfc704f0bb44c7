//! Every text of `help`, and every error of the grammar, as a person sees it.

use kvsim::command::grammar::SPECS;
use kvsim::command::split::statements;
use kvsim::command::{help, parse};

#[test]
fn overview() {
    insta::assert_snapshot!(help::overview().join("\n"));
}

#[test]
fn each_command() {
    let all: Vec<String> = SPECS.iter().map(|spec| help::explain(spec).join("\n")).collect();
    insta::assert_snapshot!(all.join("\n\n--------\n\n"));
}

#[test]
fn errors_of_the_grammar() {
    let lines = [
        "pt apple 1",
        "frobnicate",
        "\"\\xff\\x1b[2J\"",
        "put",
        "put apple",
        "put apple #1",
        "mput apple 1 banana",
        "mget",
        "get apple pear",
        "count 5",
        "put apple one two",
        "advance 5",
        "advance soon",
        "advance 1000000000000000000000000000000s",
        "put a 1 --ttl 0s",
        "events many",
        "events 1000000000000000000000000000000",
        "consistency most",
        "get a --consistency qurum",
        "addnode x --weight NaN",
        "addnode x --weight 0",
        "put a 1 --tll 5s",
        "put a --b",
        "count --all",
        "put a 1 --ttl",
        "get a --ttl=5s",
        "removenode n1 --force=yes",
        "put a 1 --ttl 1s --ttl 2s",
        "clear --yes",
        "help pt",
        "load \"\\xff\"",
        "put a \"1",
        "put a it's",
        "put a \"1\"2",
    ];
    let texts = lines.map(|line| {
        let first = statements(line.as_bytes()).and_then(|mut all| all.next().expect("a statement"));
        let error = first.and_then(parse).expect_err(line);
        format!("{line}\n  {error}")
    });
    insta::assert_snapshot!(texts.join("\n"));
}

//! Every text of `help`, every error of the grammar, completions and man pages, as a person sees them.

#![expect(clippy::expect_used, reason = "a test that cannot run the program must say so")]

#[path = "cli/mod.rs"]
mod cli;

use cli::{kvsim, text};
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
        "events --kind elected",
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
        "partition node1",
        "partition node1 |",
        "partition node1 -> node2 -> node3",
        "heal everything",
        "drop 5",
        "drop 101%",
        "drop NaN%",
        "duplicate -1%",
        "slow node1 ten",
        "slow node1 0x",
        "skew node1 soon",
        "skew node1 +100000d",
        "disk node1 broken",
        "latency",
    ];
    let texts = lines.map(|line| {
        let first = statements(line.as_bytes()).and_then(|mut all| all.next().expect("a statement"));
        let error = first.and_then(parse).expect_err(line);
        format!("{line}\n  {error}")
    });
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn help_fits_a_screen_and_names_every_kind_of_event() {
    assert!(help::overview().len() <= 24);
    assert!(help::overview().iter().all(|line| line.len() < 80));
    let events = kvsim::command::grammar::find("events").expect("events");
    let flag = events.flag("--kind").expect("--kind");
    for (kind, _) in kvsim::cluster::EVENT_KINDS {
        assert!(flag.summary.split([' ', ',', ';']).any(|word| word == kind), "{kind}");
    }
}

/// What the program prints, which must be all there is to say.
fn printed(arguments: &str) -> String {
    let output = kvsim(&std::env::temp_dir()).args(arguments.split(' ')).output().expect("the program");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()), "{arguments}");
    text(&output.stdout)
}

#[test]
fn a_command_lists_only_the_flags_it_takes() {
    let benchmark = printed("benchmark --help");
    for listed in ["--in-flight <N>", "--seed <N>", "--sync <POLICY>"] {
        assert!(benchmark.contains(listed), "{listed} is not in\n{benchmark}");
    }
    for refused in
        ["--data-dir", "--ephemeral", "--cache-entries", "--timeout", "--recover", "--max-value", "--latency", "--bail"]
    {
        assert!(!benchmark.contains(refused), "{refused} is in\n{benchmark}");
    }
    assert!(!printed("completions --help").contains("--data-dir"));
    let serve = printed("serve --help");
    assert!(serve.contains("--seed <N>") && !serve.contains("--format") && !serve.contains("--bail"), "{serve}");
    assert!(printed("run --help").contains("--bail"));
}

#[test]
fn what_means_nothing_is_refused_before_and_after_the_command() {
    for arguments in ["--bail completions bash", "completions bash --bail", "man --bail", "--bail benchmark write"] {
        let output = kvsim(&std::env::temp_dir()).args(arguments.split(' ')).output().expect("the program");
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), String::new()), "{arguments}");
        assert!(said.contains("does not take --bail"), "{said}");
    }
    for (arguments, refused) in [
        ("serve --bail", "serve does not take --bail"),
        ("--format json serve", "serve does not take --format"),
        ("serve --realtime --format text", "serve does not take --format"),
        ("serve --fast --format json", "serve --fast does not take --format"),
        ("serve --fast --seed 2", "serve --fast does not take --seed"),
    ] {
        let output = kvsim(&std::env::temp_dir()).args(arguments.split(' ')).output().expect("the program");
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), String::new()), "{arguments}");
        assert!(text(&output.stderr).contains(refused), "{output:?}");
    }
}

#[test]
fn completions_of_every_shell_know_commands_flags_and_values() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = printed(&format!("completions {shell}"));
        // Those two shells' scripts offer no values.
        let words: &[&str] = if matches!(shell, "elvish" | "powershell") { &[] } else { &["write_batched", "quorum"] };
        for word in ["benchmark", "data-dir"].iter().chain(words) {
            assert!(script.contains(word), "{word} is not in {shell}'s");
        }
    }
}

#[test]
fn man_pages_of_the_program_and_of_each_command() {
    let page = printed("man");
    for part in [".TH kvsim 1", "kvsim\\-benchmark(1)", "\\-\\-data\\-dir", "KVSIM_DATA_DIR", "Exit codes"] {
        assert!(page.contains(part), "{part} is not in\n{page}");
    }
    let benchmark = printed("man benchmark");
    assert!(benchmark.contains(".TH kvsim-benchmark 1") && benchmark.contains("in\\-flight"), "{benchmark}");
    assert!(!benchmark.contains("cache\\-entries"), "{benchmark}");
    let unknown = kvsim(&std::env::temp_dir()).args(["man", "bench"]).output().expect("the program");
    assert_eq!(unknown.status.code(), Some(2));
    assert!(
        text(&unknown.stderr).contains("it is one of run, benchmark, simulate, node, serve, client, completions, man")
    );
}

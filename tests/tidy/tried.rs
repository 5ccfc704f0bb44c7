//! The rules tried on small trees, each seen to pass and to fail.

use super::*;

/// The findings of `rule` in one file.
fn found(rule: fn(&Tree) -> Vec<String>, path: &str, text: &str) -> Vec<String> {
    rule(&Tree::of(&[(path, text)]))
}

#[track_caller]
fn assert_found(rule: fn(&Tree) -> Vec<String>, path: &str, text: &str, place: &str) {
    let findings = found(rule, path, text);
    assert!(findings.len() == 1 && findings[0].starts_with(place), "expected one at {place}, found {findings:?}");
}

#[track_caller]
fn assert_passes(rule: fn(&Tree) -> Vec<String>, path: &str, text: &str) {
    assert_eq!(found(rule, path, text), [""; 0]);
}

#[test]
fn an_upward_import_is_found_however_it_is_written() {
    for text in [
        "use crate::node::Replica;",
        "use crate::{node::Replica, types::Key};",
        "use crate::{types::{Key, Token}, node};",
        "pub use crate::{\n    types as words, node as n};",
        "use kvsim::node;",
        "use super::node::Replica;",
        "fn f() { crate::node::start() }",
        "fn f(node: &crate::node::Replica) {}",
        "mod inner { use super::super::node; }",
        "macro_rules! m { () => { $crate::node::start() } }",
    ] {
        let findings = found(upward_imports, "src/storage/mod.rs", text);
        let line = if text.contains('\n') { 1 } else { text.lines().count() };
        let place = format!("src/storage/mod.rs:{line}: `storage` imports `node`: imports point down only");
        assert!(findings.len() == 1 && findings[0].starts_with(&place), "{text}: {findings:?}");
    }
    assert_found(upward_imports, "src/storage/log.rs", "//\n\nuse super::super::node::X;", "src/storage/log.rs:3:");
    assert_found(upward_imports, "src/types.rs", "use crate::ring::Ring;", "src/types.rs:1:");
    assert_found(upward_imports, "src/cluster.rs", "use crate::command::X;", "src/cluster.rs:1:");
}

#[test]
fn imports_down_and_at_home_pass() {
    for text in [
        "use crate::{types::Key, node, storage::{self, log::Log}};",
        "use crate::sim::clock;",
        "use std::sync::Arc; use serde::{Serialize, Deserialize};",
        "pub(crate) fn f() {} pub(in crate::sim) fn g() {}",
        "// use crate::shell::X;\n/* crate::shell /* nested */ crate::shell */",
        "const TEXT: &str = \"crate::shell::X\"; const RAW: &str = r#\"crate::shell \" x\"#;",
        "mod inner { use super::shell; }",
    ] {
        assert_passes(upward_imports, "src/sim/mod.rs", text);
    }
    assert_passes(upward_imports, "src/sim/faults/disk.rs", "use super::super::shell;");
    assert_passes(upward_imports, "src/sim/faults.rs", "use super::network;");
    assert_passes(upward_imports, "src/main.rs", "use kvsim::{shell, types};");
    assert_passes(upward_imports, "src/lib.rs", "pub use crate::store_api::KeyValueStore;");
}

#[test]
fn neighbours_and_rooms_kept_apart_do_not_import_each_other() {
    for (path, text) in [
        ("src/sim/mod.rs", "use crate::drive::inline;"),
        ("src/store_api.rs", "use crate::cluster::Cluster;"),
        ("src/protocol/repair.rs", "use crate::storage::Store;"),
        ("src/storage/log.rs", "use crate::topology::Topology;"),
        ("src/storage/log.rs", "use crate::ring::Ring;"),
    ] {
        assert_found(upward_imports, path, text, &format!("{path}:1:"));
    }
}

#[test]
fn tests_point_down_too() {
    assert_found(upward_imports, "src/ring/tests.rs", "use crate::topology::Topology;", "src/ring/tests.rs:1:");
    let inline = "\n#[cfg(test)]\nmod tests { use crate::topology::Topology; }";
    assert_found(upward_imports, "src/ring/mod.rs", inline, "src/ring/mod.rs:3:");
}

#[test]
fn a_room_without_a_place_is_found() {
    assert_found(upward_imports, "src/magic/mod.rs", "", "src/magic/mod.rs:1:");
    assert_found(upward_imports, "src/node.rs", "use crate::magic::Wand;", "src/node.rs:1:");
    assert_found(upward_imports, "src/node.rs", "use crate::*;", "src/node.rs:1:");
}

#[test]
fn clocks_and_dice_are_found_below_the_drivers() {
    for path in ["src/node.rs", "src/protocol/x.rs", "src/sim/mod.rs", "src/cluster.rs", "src/command/x.rs"] {
        for text in [
            "\nlet now = Instant::now();",
            "\nuse std::time::SystemTime;",
            "\nstd::thread::sleep(pause);",
            "\nlet x = rand::random();",
            "\nlet map = HashMap::with_hasher(RandomState::new());",
        ] {
            assert_found(clocks, path, text, &format!("{path}:2:"));
        }
    }
}

#[test]
fn clocks_pass_in_drivers_and_tests_and_talk() {
    assert_passes(clocks, "src/drive/inline.rs", "Instant::now()");
    assert_passes(clocks, "src/shell/mod.rs", "Instant::now()");
    assert_passes(clocks, "src/node.rs", "// Instant::now()\nconst A: &str = \"Instant::now()\"; operand::new();");
    assert_passes(clocks, "src/node.rs", "#[cfg(test)]\nmod tests { fn f() { Instant::now(); } }");
    assert_passes(clocks, "src/node.rs", "#[cfg(all(test, unix))]\nfn f() { Instant::now(); }");
    let behind = "#[cfg(test)]\nmod tests { fn f() {} }\nfn g() { Instant::now(); }";
    assert_found(clocks, "src/node.rs", behind, "src/node.rs:3:");
    let not = "#[cfg(not(test))]\nfn g() { Instant::now(); }";
    assert_found(clocks, "src/node.rs", not, "src/node.rs:2:");
}

#[test]
fn what_shuttle_passes_by_is_found() {
    for text in ["\nuse std::sync::Mutex;", "\nstd::thread::spawn(f);", "\nuse arc_swap::ArcSwap;"] {
        assert_found(unscheduled, "src/storage/log/mod.rs", text, "src/storage/log/mod.rs:2:");
    }
    assert_passes(unscheduled, "src/storage/lru.rs", "use crate::sync::{Arc, Mutex};\n// std::sync::Mutex");
    assert_passes(unscheduled, "src/node.rs", "#[cfg(test)]\nmod tests { use std::sync::Mutex; }");
    assert_passes(unscheduled, "src/topology.rs", "use std::sync::Arc;");
}

#[test]
fn long_files_are_found_and_tests_do_not_count() {
    let lines = |count: usize| "// a line\n".repeat(count);
    assert_passes(long_files, "src/node.rs", &lines(500));
    assert_found(long_files, "src/node.rs", &lines(501), "src/node.rs:1: 501 lines");
    let with_tests = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", lines(490), lines(400));
    assert_passes(long_files, "src/node.rs", &with_tests);
    let tree = |declared: &str| {
        Tree::of(&[("src/lib.rs", "mod node;"), ("src/node.rs", declared), ("src/node/model.rs", &lines(600))])
    };
    assert_eq!(long_files(&tree("#[cfg(test)]\nmod model;")), [""; 0], "a file that only tests compile");
    assert_eq!(long_files(&tree("mod model;")).len(), 1);
}

#[test]
fn long_functions_are_found() {
    let function = |lines: usize| {
        format!("struct S;\nimpl S {{\n    fn long(&self) -> [u8; 2] {{\n{}    }}\n}}", "\n".repeat(lines - 2))
    };
    assert_passes(long_functions, "src/node.rs", &function(80));
    assert_found(long_functions, "src/node.rs", &function(81), "src/node.rs:3: `long` has 81 lines");
    assert_passes(long_functions, "src/node.rs", &format!("#[cfg(test)]\nmod tests {{\n{}\n}}", function(200)));
    let declaration =
        format!("trait T {{\n    fn short(&self);\n{}    fn other(run: fn(u8) -> u8);\n}}", "\n".repeat(100));
    assert_passes(long_functions, "src/node.rs", &declaration);
    let odd =
        format!("fn f<'a>(x: &'a str) -> char {{ if x == \"{{\" {{ '{{' }} else {{ '\\'' }} }}\n{}", "\n".repeat(100));
    assert_passes(long_functions, "src/node.rs", &odd);
}

#[test]
fn files_that_nothing_compiles_are_found() {
    let tree = Tree::of(&[
        ("src/lib.rs", "pub mod ring;\npub mod node;"),
        ("src/main.rs", "mod shell;"),
        ("src/ring/mod.rs", "mod naive;\n#[cfg(test)]\nmod tests;\n// mod dead;"),
        ("src/ring/naive.rs", ""),
        ("src/ring/tests.rs", "mod deep;"),
        ("src/ring/tests/deep.rs", ""),
        ("src/ring/dead.rs", ""),
        ("src/node.rs", "#[path = \"elsewhere.rs\"]\nmod odd;\nmod inner;"),
        ("src/elsewhere.rs", ""),
        ("src/node/inner.rs", ""),
        ("src/inner.rs", ""),
        ("src/shell/mod.rs", ""),
        ("tests/support/mod.rs", ""),
    ]);
    let findings = dead_files(&tree);
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert!(findings[0].starts_with("src/inner.rs:1:") && findings[1].starts_with("src/ring/dead.rs:1:"));
}

#[test]
fn unwritten_code_and_homeless_modules_are_found() {
    assert_found(banned_words, "src/node.rs", "fn f() {\n    todo!()\n}", "src/node.rs:2: `todo!`");
    assert_found(banned_words, "tests/x.rs", "fn f() { unimplemented!(\"x\") }", "tests/x.rs:1: `unimplemented!`");
    assert_found(banned_words, "src/node.rs", "\nmod util { }", "src/node.rs:2:");
    assert_found(banned_words, "src/ring/helpers.rs", "", "src/ring/helpers.rs:1:");
    assert_found(banned_words, "tests/common/mod.rs", "", "tests/common/mod.rs:1:");
    assert_passes(banned_words, "src/node.rs", "// todo!()\nmod utility {} fn util() {} const T: &str = \"todo!()\";");
}

#[test]
fn literals_and_lifetimes_do_not_confuse_the_reader() {
    for text in [
        "fn a<'a>(b: &'a u8) { '\"'; crate::shell::x }",
        "const Q: char = '\\''; crate::shell::x",
        "const S: &str = \"a \\\" b \\\\\"; crate::shell::x",
        "const R: &str = r##\"a \"# b\"##; crate::shell::x",
        "const B: &[u8] = br\"\\\"; crate::shell::x",
        "let r#type = b'\"'; crate::shell::x",
        "/* a /* b */ \" */ crate::shell::x",
        "// it's \"\ncrate::shell::x",
        "const U: char = 'ü'; const V: &str = \"ü\"; crate::shell::x",
    ] {
        assert_eq!(found(upward_imports, "src/ring/mod.rs", text).len(), 1, "{text}");
    }
}

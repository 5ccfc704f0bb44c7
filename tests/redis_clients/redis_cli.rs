//! redis-cli: one command, the prompt, mass insertion, and what it finds out about a server.

use std::process::Command as Process;

use assert_cmd::Command;
use expectrl::session::OsSession;
use expectrl::{Eof, Expect, Session};

use crate::server::{Kind, PATIENCE, Server, on_each};
use crate::{installed, outputs};

#[test]
fn one_command() {
    on_each_by_cli(|cli| {
        assert_eq!(cli.says(&["set", "fruit", "apple"]), "OK");
        assert_eq!(cli.says(&["get", "fruit"]), "apple");
        assert_eq!(cli.says(&["-3", "get", "fruit"]), "apple");
        assert_eq!(cli.says(&["-n", "0", "get", "fruit"]), "apple");
        assert_eq!(cli.says(&["-3", "-n", "0", "--no-raw", "get", "nothing"]), "(nil)");
        assert_eq!(cli.says(&["--no-raw", "mget", "fruit", "nothing"]), "1) \"apple\"\n2) (nil)");
        assert_eq!(cli.says(&["-r", "3", "incr", "n"]), "1\n2\n3");
        assert_eq!(cli.says(&["-u", &cli.server.url(), "strlen", "fruit"]), "5");
        assert_eq!(cli.says(&["--json", "mget", "fruit", "nothing"]), r#"["apple",null]"#);
        assert!(cli.says(&["-3", "--no-raw", "hello", "3"]).contains("\"proto\" => (integer) 3"));
        let (said, _) = outputs(cli.command(&["-x", "set", "piped"]).write_stdin("a value"));
        assert_eq!(said, "OK\n");
        assert_eq!(cli.says(&["get", "piped"]), "a value");
    });
}

#[test]
fn errors() {
    on_each_by_cli(|cli| {
        cli.says(&["set", "fruit", "apple"]);
        for (command, expected) in [
            ("incr fruit", "ERR value is not an integer or out of range"),
            ("get", "ERR wrong number of arguments for 'get' command"),
            ("nosuch a b", "ERR unknown command 'nosuch', with args beginning with: 'a' 'b'"),
            ("set fruit pear ex 0", "ERR invalid expire time in 'set' command"),
            ("set fruit pear nosuch", "ERR syntax error"),
            ("select 99", "ERR DB index is out of range"),
            ("exec", "ERR EXEC without MULTI"),
            ("hello 4", "NOPROTO unsupported protocol version"),
        ] {
            let words: Vec<&str> = command.split(' ').collect();
            assert_eq!(cli.says(&words), expected);
            let failed = cli.command(&[&["-e"], &words[..]].concat()).output().unwrap();
            assert!(!failed.status.success(), "-e {command}: {failed:?}");
        }
        assert_eq!(cli.says(&["get", "fruit"]), "apple");
    });
}

#[test]
fn commands_from_a_pipe() {
    let typed = "set a 1\nincr a\nget nothing\nmulti\nset q \"two words\"\nget q\nexec\nnosuch\nget q\n";
    let expected = "OK\n(integer) 2\n(nil)\nOK\nQUEUED\nQUEUED\n1) OK\n2) \"two words\"\n\
                    (error) ERR unknown command 'nosuch', with args beginning with: \n\"two words\"\n";
    on_each_by_cli(|cli| {
        for flags in [&["--no-raw"][..], &["--no-raw", "-3"]] {
            let (said, _) = outputs(cli.command(flags).write_stdin(typed));
            assert_eq!(without_blank_lines(&said), expected, "{flags:?}");
        }
    });
}

#[test]
fn the_prompt() {
    on_each_by_cli(|cli| {
        for protocol in ["-2", "-3"] {
            let mut terminal = cli.prompt(protocol);
            let prompt = format!("127.0.0.1:{}> ", cli.server.port);
            for (typed, answer) in [
                ("set greeting \"hello world\"", "OK"),
                ("get greeting", "\"hello world\""),
                ("get nothing", "(nil)"),
                ("append greeting !", "(integer) 12"),
                ("incr greeting", "(error) ERR value is not an integer or out of range"),
                ("multi", "OK"),
                ("get greeting", "QUEUED"),
                ("exec", "1) \"hello world!\""),
                ("ping", "PONG"),
            ] {
                see(&mut terminal, "> ");
                terminal.send(format!("{typed}\r")).unwrap();
                see(&mut terminal, answer);
            }
            see(&mut terminal, &prompt);
            terminal.send("multi\r").unwrap();
            see(&mut terminal, "(TX)> ");
            terminal.send("discard\r").unwrap();
            see(&mut terminal, &prompt);
            terminal.send("quit\r").unwrap();
            see(&mut terminal, Eof);
        }
    });
}

#[test]
fn mass_insertion() {
    on_each_by_cli(|cli| {
        let count = if cli.server.kind == Kind::Realtime { 500 } else { 20_000 };
        let commands: String = (0..count)
            .map(|n| format!("*3\r\n$3\r\nSET\r\n${0}\r\nkey:{n}\r\n${1}\r\n{n}\r\n", digits(n) + 4, digits(n)))
            .collect();
        let (said, _) = outputs(cli.command(&["--pipe"]).write_stdin(commands));
        assert!(said.ends_with(&format!("errors: 0, replies: {count}\n")), "{said}");
        assert_eq!(cli.says(&["dbsize"]), count.to_string());
        assert_eq!(cli.says(&["get", &format!("key:{}", count - 1)]), (count - 1).to_string());
        // Commands as one types them will do as well, and their errors are counted.
        let inline = "SET a 1\r\nINCR a\r\nINCR a b\r\n";
        let failed = cli.command(&["--pipe"]).write_stdin(inline).output().unwrap();
        assert!(String::from_utf8_lossy(&failed.stdout).ends_with("errors: 1, replies: 3\n"), "{failed:?}");
        assert_eq!(cli.says(&["get", "a"]), "2");
    });
}

#[test]
fn surveys() {
    on_each_by_cli(|cli| {
        for n in 0..25 {
            cli.says(&["set", &format!("user:{n:02}"), "x"]);
        }
        cli.says(&["set", "largest", "seven x"]);
        let users: String = (0..25).map(|n| format!("user:{n:02}\n")).collect();
        assert_eq!(sorted(&cli.says(&["--scan", "--pattern", "user:*"])), users);
        assert_eq!(sorted(&cli.says(&["--scan"])), format!("largest\n{users}"));
        assert_eq!(cli.says(&["--scan", "--pattern", "nothing*"]), "");
        let big = cli.says(&["--bigkeys"]);
        for expected in [
            "Sampled 26 keys in the keyspace!",
            "Biggest string found '\"largest\"' has 7 bytes",
            "26 strings with 32 bytes (100.00% of keys",
        ] {
            assert!(big.contains(expected), "{big}");
        }
        // Minimum, maximum, average, samples: of a second, when nobody watches.
        let latency = cli.says(&["--latency"]);
        assert_eq!(latency.split(' ').count(), 4, "{latency}");
        let mut terminal = cli.spawn(&["--stat", "-i", "0.1"]);
        see(&mut terminal, "------- data ------");
        // The keys, in the line that follows the headings.
        see(&mut terminal, "\n26 ");
        see(&mut terminal, "\n26 ");
    });
}

#[test]
fn the_cluster_under_it() {
    on_each_by_cli(|cli| {
        if !cli.server.kind.is_cluster() {
            return;
        }
        let nodes = cli.says(&["kvsim", "nodes"]);
        assert!((1..=5).all(|n| nodes.contains(&format!("node{n}"))) && !nodes.contains("down"), "{nodes}");
        cli.says(&["set", "before", "1"]);
        assert!(cli.says(&["kvsim", "kill", "node2"]).contains("node2"));
        assert!(cli.says(&["kvsim nodes"]).contains("ERR unknown command"), "one word is one command");
        assert!(cli.says(&["-3", "kvsim", "nodes"]).contains("down"));
        for n in 0..20 {
            assert_eq!(cli.says(&["set", &format!("during:{n}"), "1"]), "OK");
        }
        assert_eq!(cli.says(&["incr", "before"]), "2");
        assert!(cli.says(&["KVSIM", "RESTART", "node2"]).contains("node2"));
        assert!(!cli.says(&["kvsim", "nodes"]).contains("down"));
        assert_eq!(cli.says(&["dbsize"]), "21");
        assert!(cli.says(&["kvsim", "kill", "nosuch"]).contains("KV-E133"));
        let failed = cli.command(&["-e", "kvsim", "kill", "nosuch"]).output().unwrap();
        assert!(!failed.status.success(), "an error reply: {failed:?}");
    });
}

/// redis-cli, pointed at a server.
struct Cli<'a> {
    server: &'a Server,
}

fn on_each_by_cli(test: impl Fn(&Cli<'_>)) {
    if installed("redis-cli") {
        on_each(|server| test(&Cli { server }));
    }
}

impl Cli<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &self.server.port.to_string()]).args(arguments).timeout(PATIENCE);
        command
    }

    /// What it prints, without the end of the last line.
    #[track_caller]
    fn says(&self, arguments: &[&str]) -> String {
        outputs(&mut self.command(arguments)).0.trim_end().to_owned()
    }

    /// On a terminal, as a person meets it.
    fn spawn(&self, arguments: &[&str]) -> OsSession {
        let mut command = Process::new("redis-cli");
        command.args(["-p", &self.server.port.to_string()]).args(arguments);
        command.env("TERM", "xterm").env("REDISCLI_HISTFILE", "/dev/null");
        let mut terminal = Session::spawn(command).unwrap();
        terminal.set_expect_timeout(Some(PATIENCE));
        terminal
    }

    fn prompt(&self, protocol: &str) -> OsSession {
        self.spawn(&[protocol])
    }
}

/// Waits until it is on the screen, behind what was seen before.
#[track_caller]
fn see(terminal: &mut OsSession, expected: impl expectrl::Needle + std::fmt::Debug) {
    let told = format!("{expected:?}");
    if let Err(error) = terminal.expect(expected) {
        panic!("{told} does not come: {error}");
    }
}

/// Errors are followed by an empty line.
fn without_blank_lines(said: &str) -> String {
    said.lines().filter(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect()
}

fn sorted(said: &str) -> String {
    let mut lines: Vec<&str> = said.lines().collect();
    lines.sort_unstable();
    lines.into_iter().map(|line| format!("{line}\n")).collect()
}

fn digits(number: usize) -> usize {
    number.to_string().len()
}

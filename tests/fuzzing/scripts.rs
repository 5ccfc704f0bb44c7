//! Scripts as anybody may write them, run as `kvsim run` runs them.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use kvsim::SyncPolicy;
use kvsim::cluster::ClusterConfig;
use kvsim::shell::{self, Ending, Format, Input, Options, Output};
use kvsim::types::MAX_COPIES;
use serde_json::Value;

use super::supply::Supply;

/// The bytes choose a cluster and a script. Whatever the script does, it ends, every answer and every error is one
/// object of JSON, `check` finds nothing at its end, and the same script says the same again.
pub fn judge(bytes: &[u8]) {
    let mut supply = Supply(bytes);
    let config = config(&mut supply);
    let nodes = supply.one_of(&[3, 1, 5, 0]);
    let script = script(&mut supply);
    let format = if supply.flag() { Format::Text } else { Format::Json };
    runs(
        &script,
        &Options {
            config,
            copies: None,
            vnodes: None,
            nodes: Some(nodes),
            directory: None,
            format,
            bail: false,
            input: Input::Text(String::new()),
        },
    );
}

/// The commands of `script`, for whoever wants to read them.
fn runs(script: &str, options: &Options) {
    let checked = Options {
        format: Format::Json,
        input: Input::Text(format!("{script}check\nheal\nadvance 5s\ncheck\n")),
        ..options.clone()
    };
    let (results, asides) = ran(&checked);
    let objects: Vec<Value> = (results.lines().chain(asides.lines()).filter(|line| line.starts_with('{')))
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}\n{script}")))
        .collect();
    assert!(results.lines().all(|line| line.starts_with('{')), "{script}{results}");
    let checks: Vec<&Value> = objects.iter().filter_map(|object| object.get("violations")).collect();
    assert!(checks.len() >= 2, "not checked:\n{script}{results}{asides}");
    for found in checks {
        assert_eq!(found, &Value::Array(Vec::new()), "{options:?}\n{script}");
    }
    if options.format == Format::Text {
        let again = Options { format: Format::Text, ..checked.clone() };
        assert_eq!(ran(&again), ran(&again), "{script}");
    } else {
        assert_eq!(ran(&checked), (results, asides), "{script}");
    }
}

/// What is written to both streams.
fn ran(options: &Options) -> (String, String) {
    let (results, asides) = (Written::default(), Written::default());
    let output = Output::to(options.format, Box::new(results.clone()), Box::new(asides.clone()));
    match shell::run_into(options, output) {
        Ok(ending) => assert_ne!(ending, Ending::Interrupted),
        // A disk that the script has filled or broken cannot be synced at the end.
        Err(error) => {
            assert!(["KV-E120 ", "KV-E121 "].iter().any(|code| error.to_string().starts_with(code)), "{error}")
        }
    }
    (results.text(), asides.text())
}

/// A stream that keeps what is written.
#[derive(Clone, Default)]
struct Written(Rc<RefCell<Vec<u8>>>);

impl Written {
    fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).expect("what is written is escaped")
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn config(supply: &mut Supply<'_>) -> ClusterConfig {
    let sync = supply.one_of(&[SyncPolicy::Interval, SyncPolicy::Always, SyncPolicy::Never]);
    let copies = supply.one_of(&[3, 1, 2, 5, MAX_COPIES as u8]);
    ClusterConfig { copies, vnodes: 8, cache_entries: 4, sync, seed: supply.byte().into(), ..ClusterConfig::default() }
}

fn script(supply: &mut Supply<'_>) -> String {
    let mut script = String::new();
    for _ in 0..MOST_COMMANDS {
        if supply.is_empty() {
            break;
        }
        let form = supply.one_of(FORMS);
        for word in form.split(' ') {
            script.push_str(&filled(word, supply));
            script.push(' ');
        }
        // A statement of its own line, or behind others on it.
        script.push_str(if supply.byte() < 200 { "\n" } else { ";" });
    }
    script + "\n"
}

/// The word that stands for a choice, chosen; any other as it is.
fn filled(word: &str, supply: &mut Supply<'_>) -> String {
    let choices: &[&str] = match word {
        "NODE" => &["node1", "node2", "node3", "node4", "node5", "nobody"],
        "NEW" => &["node4", "node5", "node6", "Node1", "-x", "a/b"],
        "KEY" => &["k1", "k2", "k3", "k4", "client:1", "\"\\x00\\xff\"", "\"\""],
        "VALUE" => &["1", "two", "''", "\"\\x1b[2J\"", "--ttl"],
        "LEVEL" => &["quorum", "one", "two", "three", "all", "most"],
        "SPAN" => &["100ms", "1us", "0s", "1s", "3s", "20s", "1.5h", "5"],
        // Time that is played: an hour and a half of it would take a minute.
        "WAIT" => &["100ms", "1us", "0s", "1s", "3s", "11s", "-1s"],
        "OFFSET" => &["+400ms", "-2s", "0s", "1000d", "-1000d"],
        "SIDES" => &["node1 | node2,node3", "node1,node2 | node3,node4", "node2 -> node1", "node1 | node1", "a |"],
        "SCOPE" => &["all", "network", "disk", "clock", "nothing"],
        "PERCENT" => &["0%", "5%", "50%", "100%", "101%"],
        "LATENCY" => {
            &["const:1", "uniform:1,30", "exp:2", "pareto:1,0.1", "mix:50%const:1+50%exp:0.01", "const:3600000"]
        }
        "FACTOR" => &["1x", "10x", "10000x", "0x"],
        "DISK" => &["ok", "full", "slow", "failing", "wet"],
        "STAGE" => &["fencing", "copying", "reading", "retiring", "settled"],
        "COUNT" => &["1", "3", "20", "0", "18446744073709551615"],
        "CLIENTS" => &["1", "5", "20", "0", "100000"],
        "WEIGHT" => &["1", "0.5", "3", "0.001", "600"],
        "KIND" => &["elect", "suspect", "kill", "answer", "none"],
        "COMMAND" => &["put", "get", "advance", "pt"],
        "NONSENSE" => {
            &["puf", "\"", "put", "get a b c", "# x", "kill", "--", ";;", "addnode", "\\", "\u{202e}", "{\"a\":1}"]
        }
        _ => return word.to_owned(),
    };
    supply.one_of(choices).to_owned()
}

/// Commands, the data's and the faults' more than once. Left out are `load`, `dump`, `demo` and `benchmark`, which have
/// files or clusters of their own, and `timing`, which tells the wall clock.
#[rustfmt::skip]
const FORMS: &[&str] = &[
    "put KEY VALUE", "put KEY VALUE --via NODE --consistency LEVEL", "put KEY VALUE --ttl SPAN", "put KEY VALUE",
    "get KEY", "get KEY --via NODE --consistency LEVEL", "get -q KEY", "exists KEY", "del KEY", "del KEY --via NODE",
    "mput KEY VALUE KEY VALUE KEY VALUE --consistency LEVEL", "mget KEY KEY KEY", "explain put KEY VALUE", "explain get KEY",
    "addnode NEW", "addnode NEW --weight WEIGHT", "addnode NEW --via NODE", "removenode NODE", "removenode NODE --force",
    "removenode NODE NODE --force", "plan addnode NEW --weight WEIGHT", "plan removenode NODE", "repair", "repair",
    "kill NODE", "kill NODE", "kill NODE --power-loss", "kill NODE --at STAGE", "kill NODE --at STAGE --power-loss",
    "restart NODE", "restart NODE", "restart NODE", "pause NODE", "resume NODE", "resume NODE",
    "partition SIDES", "partition SIDES", "heal SCOPE", "heal", "drop PERCENT", "duplicate PERCENT", "latency LATENCY",
    "slow NODE FACTOR", "skew NODE OFFSET", "disk NODE DISK", "disk NODE DISK",
    "advance WAIT", "advance WAIT", "advance WAIT", "step COUNT", "step", "back", "back COUNT", "goto WAIT",
    "clients CLIENTS --for WAIT", "clients CLIENTS --for WAIT --mix 9/1 --consistency LEVEL", "consistency LEVEL",
    "clear --data --yes", "clear --data", "clear", "keys", "keys NODE", "count", "where KEY", "nodes", "show", "stats",
    "status", "status --as NODE", "members", "members --as NODE", "leader", "ring", "ring --tokens", "metrics",
    "events COUNT", "events --kind KIND --node NODE", "clock", "check", "history", "help", "help COMMAND",
    "NONSENSE", "NONSENSE NONSENSE", "COMMAND KEY NONSENSE", "put KEY VALUE NONSENSE",
];

/// Of one script, so that none takes long.
const MOST_COMMANDS: usize = 40;

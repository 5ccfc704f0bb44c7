//! The servers that clients are pointed at: a cluster of either kind, and Redis itself.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::installed;

/// Only a test that fails waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// `kvsim serve --fast`.
    Fast,
    /// `kvsim serve --realtime`.
    Realtime,
    /// `redis-server`, which shows that the suites ask for nothing that Redis does not do.
    Redis,
}

impl Kind {
    pub(crate) fn is_cluster(self) -> bool {
        self != Kind::Redis
    }

    fn command(self, free_port: u16) -> Command {
        let mut command = match self {
            Kind::Redis => Command::new("redis-server"),
            Kind::Fast | Kind::Realtime => Command::new(assert_cmd::cargo::cargo_bin!("kvsim")),
        };
        match self {
            Kind::Redis => command.args(["--bind", "127.0.0.1", "--save", "", "--port", &free_port.to_string()]),
            Kind::Fast => command.args(["serve", "--redis", "127.0.0.1:0", "--fast"]),
            Kind::Realtime => command.args(["serve", "--redis", "127.0.0.1:0", "--realtime"]),
        };
        command
    }

    /// The port, once this line says that it listens.
    fn listens(self, line: &str, free_port: u16) -> Option<u16> {
        if self == Kind::Redis {
            return line.contains("Ready to accept connections").then_some(free_port);
        }
        let (_, port) = line.split_once("redis://127.0.0.1:")?;
        let end = port.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(port.len());
        Some(port[..end].parse().unwrap())
    }
}

/// One that listens. It ends with its test.
pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) port: u16,
    process: Child,
    _folder: TempDir,
}

impl Server {
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn start(kind: Kind) -> Server {
        let folder = TempDir::new().unwrap();
        let free_port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = kind.command(free_port);
        command.current_dir(folder.path()).env_remove("KVSIM_DATA_DIR").stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let (say, said) = mpsc::channel();
        // To the end, also when nobody listens any more: a full pipe would stop it.
        thread::spawn(move || lines.for_each(|line| drop(say.send(line))));
        let mut server = Server { kind, port: 0, process, _folder: folder };
        while server.port == 0 {
            let line = said.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{kind:?} does not listen"));
            server.port = kind.listens(&line, free_port).unwrap_or_default();
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Runs the test against each server there is.
pub(crate) fn on_each(test: impl Fn(&Server)) {
    for kind in [Kind::Fast, Kind::Realtime, Kind::Redis] {
        if kind.is_cluster() || installed("redis-server") {
            eprintln!("on {kind:?}:");
            test(&Server::start(kind));
        }
    }
}

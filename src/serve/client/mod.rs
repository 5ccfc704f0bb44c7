//! `kvsim client`: the prompt's commands on live nodes.
//!
//! # Promise
//! A request for a key goes to its primary, by the ring that the nodes have; where that does not answer, to the next of
//! its preference list, then to any other. A node that does not answer is named once, and asked last for a while. What is
//! asked of a key ends within twice the patience with one node, whatever the nodes do, and at once on Ctrl-C.
//!
//! # How it works
//! Any node tells the ring; tokens and owners follow from it by the nodes' own code ([`Ring`](crate::ring::Ring)). The ring is
//! asked for again every second while commands come, and at once where a node's answer does not fit it; so nodes that join
//! later are found. `--static` takes the peers for the whole ring, with one copy of each key: then nobody else can be asked.
//!
//! # Caveats
//! - A write that a node may have received before it fell silent is asked for again at the next node: a newer version of
//!   the same value. One that comes between is hidden by it.
//! - What is asked of every key (`keys`, `count`, `stats`) lists the tables of all nodes that answer, and takes memory for
//!   every key; meanwhile others may write.
//! - A node counts as silent after its patience, a quarter more than `--timeout`: it is told that one, and answers by then.

mod chart;
mod flags;
mod http;
mod keys;
mod listing;
mod look;
mod operator;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde_json::Value as Json;

use self::chart::Chart;
pub use self::flags::Flags;
use self::http::{Answer, Http, Question, Silence};
use crate::command::error::lines_are;
use crate::command::render::counted;
use crate::command::{Command, CommandError, Progress, Response, UsageError, aside, live, on_keys};
use crate::error::Error;
use crate::types::{Key, Level, Time};

/// Someone who can be asked.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Contact {
    /// What the node is called.
    pub label: String,
    /// Where it listens: `host:port`.
    pub address: String,
}

impl Contact {
    fn told(&self) -> String {
        format!("node {} ({})", self.label, self.address)
    }
}

/// What a client is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whom it asks first.
    pub peers: Vec<Contact>,
    /// Whether these are the whole ring, with one copy of each key.
    pub is_static: bool,
    /// Tokens of a peer of such a ring.
    pub vnodes: u16,
    /// How many replicas have to answer.
    pub level: Level,
    /// Time an operation has, at the nodes too.
    pub timeout: Time,
}

/// A client of live nodes.
#[derive(Debug)]
pub struct Client {
    settings: Settings,
    http: Http,
    chart: Chart,
    /// When the ring was asked for last.
    fetched: Time,
    /// Whether an answer did not fit the ring.
    is_stale: bool,
    /// By address: who did not answer, and until when it is asked last.
    silent: BTreeMap<String, Time>,
    notes: Vec<String>,
}

impl Client {
    /// A client, and what there is to say of whom it has reached. E145 where nobody answers.
    pub fn connect(settings: Settings) -> Result<(Client, String), Error> {
        let chart = Chart::of_peers(&settings.peers, settings.vnodes);
        let mut client = Client {
            http: Http::new(),
            chart,
            fetched: Time(0),
            is_stale: false,
            silent: BTreeMap::new(),
            notes: Vec::new(),
            settings,
        };
        let opening = client.open()?;
        Ok((client, opening))
    }

    /// Once this is set, what runs ends.
    pub fn set_interrupt(&mut self, interrupt: Arc<AtomicBool>) {
        self.http.set_interrupt(interrupt);
    }

    /// The names of the nodes.
    pub fn nodes(&self) -> Vec<String> {
        self.chart.labels()
    }

    /// Commands that a new user may try.
    pub fn suggestions(&self) -> &'static str {
        match self.settings.is_static {
            true => "Try: put apple 1 | get apple | where apple | nodes | help",
            false => "Try: put apple 1 | get apple | where apple | members | help",
        }
    }

    /// What there was to say since this was asked last: complete sentences.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Executes the command called `name`. What it changes, and where a refusal is the nodes' own, is theirs to say.
    pub fn execute(
        &mut self,
        name: &'static str,
        command: Command,
        progress: Progress<'_>,
    ) -> Result<Response, CommandError> {
        if let Some(instead) = live::instead(name) {
            return Err(CommandError::NotLive { command: name, of: "live nodes", instead });
        }
        self.refresh();
        match self.answer(name, command, progress) {
            // The session looks at these.
            Ok(answer @ (Response::Exit | Response::Timing { .. })) => Ok(answer),
            Ok(answer) => Ok(Response::Live(Box::new(answer))),
            Err(error) if self.http.is_interrupted() => Err(stopped(name, error)),
            Err(error) => Err(error),
        }
    }

    fn answer(
        &mut self,
        name: &'static str,
        command: Command,
        progress: Progress<'_>,
    ) -> Result<Response, CommandError> {
        let command = match on_keys(self, command, progress)? {
            Ok(answer) => return Ok(answer),
            Err(command) => command,
        };
        Ok(match command {
            Command::Where { key } => {
                let placement = self.chart.locate(&Key::new(&key).map_err(Error::from)?);
                Response::Where { key, placement }
            }
            Command::Count => Response::Count(self.count()?),
            Command::ClearData { confirmed: false } => return Err(UsageError::NotConfirmed.into()),
            Command::ClearData { confirmed: true } => Response::Cleared(self.clear()?),
            Command::Nodes => Response::Nodes { nodes: self.node_reports()?, change: None },
            Command::Show => Response::Show(self.stats()?),
            Command::Stats => Response::Stats(self.stats()?),
            Command::Status { seen_by: Some(node) } => self.status_seen_by(node)?,
            Command::Status { seen_by: None } => self.status()?,
            Command::Ring { tokens } => Response::Ring { ring: self.ring(), tokens },
            Command::Metrics => Response::NodeFigures(self.figures()?),
            Command::Consistency { level } => {
                level.into_iter().for_each(|level| self.settings.level = level);
                Response::Consistency { level: self.settings.level, set: level.is_some() }
            }
            command => match aside(&command) {
                Some(answer) => answer,
                None if self.settings.is_static => {
                    let instead = "start them with --join, and the client without --static";
                    let of = "peers that do not know each other";
                    return Err(CommandError::NotLive { command: name, of, instead });
                }
                None => self.answer_of_all(command)?,
            },
        })
    }

    /// What only nodes that know each other can answer.
    fn answer_of_all(&mut self, command: Command) -> Result<Response, CommandError> {
        Ok(match command {
            Command::Members { seen_by } => Response::Members(self.members(seen_by.as_deref())?),
            Command::Leader => Response::Leader(self.leader()?),
            Command::RemoveNode { ids, force } => self.remove(ids, force)?,
            Command::Repair => Response::Repaired(self.repair()?),
            command => unreachable!("it is for simulated clusters alone: {command:?}"),
        })
    }

    /// Asks all peers for the ring, takes the newest, and says whom of it can be reached.
    fn open(&mut self) -> Result<String, Error> {
        let peers = self.settings.peers.clone();
        let pages = self.pages(&peers, "/ring");
        let told: Vec<(&Contact, Option<Chart>)> =
            pages.iter().map(|(peer, page)| (peer, page.as_ref().and_then(Chart::read))).collect();
        let unheard: Vec<&Contact> = pages.iter().filter(|(_, page)| page.is_none()).map(|(peer, _)| peer).collect();
        if unheard.len() == peers.len() {
            let asked = format!("{} {} not answer", addresses(&peers), if peers.len() == 1 { "does" } else { "do" });
            let remedy = "start them (kvsim node PORT), or name others with --peers".to_owned();
            return Err(Error::Unanswered { asked, remedy });
        }
        if self.settings.is_static {
            for (peer, members) in told.iter().filter_map(|(peer, chart)| Some((peer, chart.as_ref()?.members.len()))) {
                if members > 1 {
                    self.notes.push(of_a_ring(peer, members));
                }
            }
        } else {
            let newest = told.into_iter().filter_map(|(_, chart)| chart).max_by_key(|chart| chart.epoch);
            self.chart = newest.ok_or_else(|| Error::Unanswered {
                asked: format!("nobody knows a ring of those that answer ({})", addresses(&peers)),
                remedy: "wait until they have joined, or name others with --peers".to_owned(),
            })?;
        }
        self.fetched = self.http.now();
        for peer in unheard {
            self.notes.push(format!("{} does not answer", self.name_of(peer).told()));
        }
        let members = self.chart.contacts();
        for (peer, page) in &pages {
            if page.is_some() && !members.iter().any(|member| member.address == peer.address) {
                self.notes.push(format!("{} is not of that ring: no key is asked of it", peer.told()));
            }
        }
        Ok(self.opening(&members))
    }

    fn opening(&mut self, members: &[Contact]) -> String {
        let pages = self.pages(members, "/status");
        let statuses = || pages.iter().filter_map(|(_, page)| page.as_ref());
        let reached: Vec<&str> =
            pages.iter().filter(|(_, page)| page.is_some()).map(|(node, _)| &*node.label).collect();
        let of_all = match (reached.len(), self.chart.members.len()) {
            (some, all) if some == all => String::new(),
            (some, _) => format!("{some} of "),
        };
        let nodes = counted(self.chart.members.len() as u64, "node");
        let copies = counted(u64::from(self.chart.copies), "copy");
        let start = format!("{of_all}{nodes} ({}), {copies}, wall clock", listed(&reached));
        if self.settings.is_static {
            return format!("{start}; a ring of the client's own");
        }
        let newest = statuses().max_by_key(|status| status["term"].as_u64());
        let leader = newest.and_then(|status| status["leader"].as_str());
        let leader = leader.map_or("no leader".to_owned(), |leader| format!("leader {leader}"));
        format!("{start}; epoch {}, {leader}", self.chart.epoch.0)
    }

    /// The node at that address, by the name that the ring has for it.
    fn name_of(&self, peer: &Contact) -> Contact {
        let known = self.chart.contacts().into_iter().find(|member| member.address == peer.address);
        known.unwrap_or_else(|| peer.clone())
    }

    /// Asks each of some nodes, at once, and takes note of who answers.
    fn ask_each(&mut self, nodes: &[Contact], path: &str) -> Vec<Option<Answer>> {
        let question = |node: &Contact| (node.clone(), Question::get(path), self.patience_with(node));
        let answers = self.http.ask_all(nodes.iter().map(question).collect());
        let mut heard = Vec::new();
        for (node, answer) in std::iter::zip(nodes, answers) {
            match &answer {
                Ok(_) => drop(self.silent.remove(&node.address)),
                Err(silence) => drop(self.fell_silent(node, silence)),
            }
            heard.push(answer.ok().filter(Answer::is_done));
        }
        heard
    }

    /// A page of each of some nodes; none of one that does not answer with JSON.
    fn pages(&mut self, nodes: &[Contact], path: &str) -> Vec<(Contact, Option<Json>)> {
        let answers = self.ask_each(nodes, path).into_iter();
        let pages = answers.map(|answer| answer.map(|answer| answer.json()).filter(Json::is_object));
        std::iter::zip(nodes.iter().cloned(), pages).collect()
    }

    /// Asks for the ring, if it is time for that. Nobody is waited for long: the old ring still leads to nodes.
    fn refresh(&mut self) {
        let is_due = self.is_stale || self.http.now().since(self.fetched) >= REFRESHED_EVERY;
        if self.settings.is_static || !is_due {
            return;
        }
        let mut all = self.chart.contacts();
        let is_new = |peer: &&Contact| !all.iter().any(|member| member.address == peer.address);
        let others: Vec<Contact> = self.settings.peers.iter().filter(is_new).cloned().collect();
        all.extend(others);
        all.sort_by_key(|node| self.silent.contains_key(&node.address));
        for node in all.iter().take(MOST_ASKED) {
            let Ok(answer) = self.http.ask(node, Question::get("/ring"), SHORT_PATIENCE) else { continue };
            if let Some(chart) = Chart::read(&answer.json()).filter(|chart| chart.epoch >= self.chart.epoch) {
                self.chart = chart;
                break;
            }
        }
        self.is_stale = false;
        self.fetched = self.http.now();
    }

    /// The node of that name.
    fn find(&self, label: &str) -> Result<Contact, Error> {
        let known = self.chart.contacts().into_iter().find(|node| node.label == label);
        known.ok_or_else(|| Error::UnknownNode { label: label.to_owned(), known: self.chart.labels() })
    }

    /// How long a node is waited for: one that did not answer last time not for long.
    fn patience_with(&self, node: &Contact) -> Time {
        let patience = Time(self.settings.timeout.0.saturating_add(self.settings.timeout.0 / 4));
        if self.silent.contains_key(&node.address) { patience.min(SHORT_PATIENCE) } else { patience }
    }

    /// Whether the node is to be asked last.
    fn is_silent(&self, node: &Contact) -> bool {
        self.silent.get(&node.address).is_some_and(|until| self.http.now() < *until)
    }

    /// Takes note that a node did not answer, unless Ctrl-C is why. True for one that did before.
    fn fell_silent(&mut self, node: &Contact, silence: &Silence) -> bool {
        if *silence == Silence::Stopped {
            return false;
        }
        self.is_stale = true;
        self.silent.insert(node.address.clone(), self.http.now().plus(SILENT_FOR)).is_none()
    }
}

/// What became of a command that Ctrl-C has ended.
fn stopped(command: &'static str, error: CommandError) -> CommandError {
    let holds = match error {
        CommandError::Load { line, .. } => format!(": {} acknowledged", lines_are(line.saturating_sub(1))),
        CommandError::Cluster(Error::WriteUnanswered { .. }) => ": what was asked may or may not be done".to_owned(),
        CommandError::Cluster(_) => ": nothing was changed".to_owned(),
        error => return error,
    };
    CommandError::Stopped { command, holds }
}

fn of_a_ring(node: &Contact, members: usize) -> String {
    format!("{} is in a ring of {members} nodes: leave --static out to ask by that", node.told())
}

/// `127.0.0.1:8081, 127.0.0.1:8082`, the first ones.
fn addresses(nodes: &[Contact]) -> String {
    listed(&nodes.iter().map(|node| &*node.address).collect::<Vec<_>>())
}

fn listed(names: &[&str]) -> String {
    let first = names.get(..NAMED_NODES.min(names.len())).unwrap_or_default().join(", ");
    match names.len().saturating_sub(NAMED_NODES) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// How often the ring is asked for, while commands come.
const REFRESHED_EVERY: Time = Time::SECOND;
/// How long a node is waited for that did not answer last time, or that is only to tell the ring.
const SHORT_PATIENCE: Time = Time(250_000);
/// Nodes that are asked for the ring at one time.
const MOST_ASKED: usize = 3;
/// How long a node that did not answer is asked last.
const SILENT_FOR: Time = Time(5_000_000);
/// Nodes that are named one by one.
const NAMED_NODES: usize = 8;

//! One run: a plan is played on a cluster, then everything is healed, and the cluster has to become whole again.

use std::collections::BTreeMap;
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::clients::Clients;
use super::plan::{Disturbance, Plan, Step};
use super::story::key_of;
use crate::cluster::{Backing, Cluster, ClusterConfig, Fault, HealScope, Message, Probe, RequestOptions};
use crate::error::Error;
use crate::protocol::agent::AgentOptions;
use crate::protocol::hints::HintOptions;
use crate::sim::network::Struck;
use crate::storage::log::SyncPolicy;
use crate::types::Time;

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Answers that clients were given, by their code; `ok` for those without.
    pub answers: BTreeMap<&'static str, u64>,
    /// Disturbances that took place, by name, and what became of messages.
    pub faults: BTreeMap<&'static str, u64>,
    /// What ended or mended faults, by name.
    pub mended: BTreeMap<&'static str, u64>,
    /// Situations that were met, and how often.
    pub probes: BTreeMap<Probe, u64>,
    /// Messages between nodes.
    pub messages: u64,
    /// Things that invariants were checked on.
    pub checks: u64,
    /// Virtual time.
    pub took: Time,
    /// Whether it ended without a leader: most voters had forgotten what they promised, and could not be removed.
    pub is_stranded: bool,
    /// The hash of every event.
    pub hash: u64,
    /// When each step was taken.
    pub moments: Vec<Time>,
    /// What must never happen, and did.
    pub violation: Option<Violation>,
    /// Of a run that is [told](recount), for the key that the violation names: the messages that are still in the trace.
    pub messages_about: Option<(String, Vec<Message>)>,
}

/// What must never happen, and did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// A sentence that begins with the invariant's name.
    pub what: String,
    /// When, in virtual time.
    pub at: Time,
    /// After so many steps of the plan it was there; all, where it came with the healing.
    pub steps: usize,
    /// Whether it came with the healing.
    pub is_healed: bool,
}

impl Violation {
    /// The invariant's name.
    pub fn invariant(&self) -> &str {
        self.what.split_whitespace().next().unwrap_or_default()
    }
}

/// Plays a plan to its end, or to the first violation. A panic is one, too.
pub fn play(plan: &Plan) -> Outcome {
    play_or_catch(plan, Cluster::keep_only_counts)
}

/// The same, and what is to be told of it: [`Outcome::messages_about`]. Slower.
pub fn recount(plan: &Plan) -> Outcome {
    play_or_catch(plan, |_| {})
}

fn play_or_catch(plan: &Plan, prepare: fn(&mut Cluster)) -> Outcome {
    let played = panic::catch_unwind(|| play_through(plan, prepare));
    played.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        let what = format!("PANIC {}", text.unwrap_or("without a word"));
        let violation = Violation { what, at: Time(0), steps: plan.steps.len(), is_healed: false };
        Outcome { violation: Some(violation), ..Outcome::default() }
    })
}

fn play_through(plan: &Plan, prepare: fn(&mut Cluster)) -> Outcome {
    let mut episode = match Episode::new(plan) {
        Ok(episode) => episode,
        Err(error) => return Outcome { violation: Some(refused(&error)), ..Outcome::default() },
    };
    prepare(&mut episode.cluster);
    let ended = episode.chaos().and_then(|()| episode.converge());
    episode.outcome(ended.err())
}

fn refused(error: &Error) -> Violation {
    Violation { what: format!("MOVE-4 the cluster does not start: {error}"), at: Time(0), steps: 0, is_healed: false }
}

struct Episode<'a> {
    plan: &'a Plan,
    cluster: Cluster,
    clients: Clients,
    faults: BTreeMap<&'static str, u64>,
    mended: BTreeMap<&'static str, u64>,
    checks: u64,
    /// When each step was taken.
    moments: Vec<Time>,
    is_healed: bool,
    is_stranded: bool,
    /// While it is set, what would wait for a leader or a ring change leaves it at that.
    impatient: Arc<AtomicBool>,
}

type Sound = Result<(), Violation>;

impl Episode<'_> {
    fn new(plan: &Plan) -> Result<Episode<'_>, Error> {
        let config = ClusterConfig {
            nodes: plan.nodes as usize,
            seed: plan.seed,
            copies: plan.copies,
            vnodes: plan.vnodes,
            sync: plan.sync,
            cache_entries: 8,
            segment_bytes: plan.segment_bytes,
            // Few keys; two, so that what spans shards is tried.
            table_shards: 2,
            recover_prefix: plan.recover_prefix,
            hints: HintOptions { keep_for: plan.hints_for, ..HintOptions::default() },
            agents: AgentOptions { repair_every: plan.repair_every, ..AgentOptions::default() },
            ..ClusterConfig::default()
        };
        let (mut cluster, _) = Cluster::open(config, Backing::Memory)?;
        cluster.watch(true);
        let impatient = Arc::new(AtomicBool::new(false));
        cluster.set_interrupt(Arc::clone(&impatient));
        Ok(Episode {
            plan,
            cluster,
            clients: Clients::default(),
            faults: BTreeMap::new(),
            mended: BTreeMap::new(),
            checks: 0,
            moments: Vec::new(),
            is_healed: false,
            is_stranded: false,
            impatient,
        })
    }

    /// Plays the steps.
    fn chaos(&mut self) -> Sound {
        for step in &self.plan.steps {
            self.moments.push(self.cluster.now());
            match step {
                Step::Ask(ask) => self.clients.ask(&mut self.cluster, ask),
                Step::Pass(time) => {
                    self.cluster.advance(*time);
                    self.collect()?;
                }
                Step::Disturb(disturbance) => {
                    self.impatient.store(true, Ordering::Relaxed);
                    let done = self.disturb(disturbance);
                    // What only could not wait for its end goes on by itself.
                    let is_done = done.map_or_else(|error| error.code() == "KV-E301", |()| true);
                    self.impatient.store(false, Ordering::Relaxed);
                    let counts = if disturbance.mends() { &mut self.mended } else { &mut self.faults };
                    *counts.entry(disturbance.name()).or_default() += u64::from(is_done);
                }
                Step::Check => self.check()?,
            }
        }
        self.check()
    }

    fn disturb(&mut self, disturbance: &Disturbance) -> Result<(), Error> {
        let cluster = &mut self.cluster;
        match disturbance {
            Disturbance::Fault(fault) => turn_on(cluster, fault),
            Disturbance::Corrupt(percent) => {
                cluster.corrupt_gossip(*percent);
                Ok(())
            }
            Disturbance::Kill { node, power_loss: false } => cluster.kill(node),
            Disturbance::Kill { node, .. } => cluster.power_loss(node).map(drop),
            Disturbance::Damage { node, damage } => cluster.damage_disk(node, *damage),
            Disturbance::Restart(node) => cluster.restart(node).map(drop),
            Disturbance::Resume(node) => cluster.resume(node).map(drop),
            Disturbance::Heal(scope) => {
                cluster.heal(*scope);
                Ok(())
            }
            Disturbance::Join(node) => cluster.start_add_node(node, 1.0),
            Disturbance::Leave { node, force } => cluster.start_remove_node(node, *force),
            Disturbance::Repair => cluster.repair().map(drop),
        }
    }

    /// Ends every fault, brings everyone back, and demands that the cluster is whole.
    fn converge(&mut self) -> Sound {
        self.is_healed = true;
        self.cluster.heal(HealScope::All);
        self.cluster.corrupt_gossip(0.0);
        // A log that has failed stays so until its node is restarted.
        for node in self.cluster.nodes().into_iter().filter(|node| matches!(node.state, "stopped" | "read-only")) {
            drop(self.cluster.kill(&node.id));
        }
        let mut damaged = Vec::new();
        for node in self.cluster.nodes().into_iter().filter(|node| node.state == "down") {
            let started = self.cluster.restart(&node.id);
            damaged.extend(matches!(started, Err(Error::Storage(error)) if error.is_damage()).then_some(node.id));
        }
        damaged.iter().try_for_each(|node| self.give_up(node))?;
        self.take_out_who_forgot()?;
        if self.is_stranded {
            return self.check();
        }
        self.settle_until(LONGER_THAN_A_CHANGE, |episode| episode.cluster.is_at_rest() && episode.clients.is_idle())?;
        if !self.clients.is_idle() {
            return self.violated("KV-11 a client has no answer though everything was healed");
        }
        self.repaired()?;
        self.check()?;
        self.read_all()?;
        if let Err(error) = self.cluster.add_node("last", 1.0) {
            return self.violated(&format!("MOVE-4 no node can join after the healing: {error}"));
        }
        self.settle_until(LONGER_THAN_VIEWS_NEED, |episode| {
            episode.cluster.is_at_rest() && episode.cluster.is_agreed()
        })?;
        self.check()
    }

    /// Where those that lost what they promised leave no majority of voters, the operator removes them.
    fn take_out_who_forgot(&mut self) -> Sound {
        if self.cluster.leader().forgetful.is_empty() {
            return Ok(());
        }
        self.settle_until(LONGER_THAN_VIEWS_NEED, |episode| episode.cluster.leader().leader.is_some())?;
        let report = self.cluster.leader();
        if report.leader.is_some() {
            return Ok(());
        }
        for node in &report.forgetful {
            drop(self.cluster.kill(node));
            if self.cluster.nodes().len() == 1 {
                // Who is alone votes again once it is started.
                drop(self.cluster.restart(node));
            } else if self.remove_for_good(node)?.is_err() {
                // Outside the contract: only all nodes that start together would have a leader again.
                self.is_stranded = true;
                return Ok(());
            }
        }
        Ok(())
    }

    /// A log that is damaged, and has to be sound, does not come back: the operator removes its node.
    fn give_up(&mut self, node: &str) -> Sound {
        match self.remove_for_good(node)? {
            Err(error) => self.violated(&format!("MOVE-4 {node}, whose log is damaged, cannot be removed: {error}")),
            Ok(()) => Ok(()),
        }
    }

    fn remove_for_good(&mut self, node: &str) -> Result<Result<(), Error>, Violation> {
        let give_up = self.cluster.now().plus(LONGER_THAN_A_CHANGE);
        loop {
            match self.cluster.remove_node(node, true) {
                // Those who were just started have to be believed first.
                Err(_) if self.cluster.now() < give_up => self.settle(Time::SECOND)?,
                removed => return Ok(removed.map(drop)),
            }
        }
    }

    /// REP-2: a pass that leaves nobody out, and one that then moves nothing.
    fn repaired(&mut self) -> Sound {
        let mut last = String::new();
        for _ in 0..PASSES {
            match self.cluster.repair() {
                Ok(report) if !report.left_out.is_empty() => {
                    last = format!("{} did not answer", report.left_out.join(" "));
                }
                Ok(report) => {
                    let moved: u64 = report.pairs.iter().map(|pair| pair.keys).sum();
                    if moved == 0 {
                        return Ok(());
                    }
                    last = format!("each of {PASSES} passes of repair found something, the last {moved} versions");
                }
                Err(error) => last = error.to_string(),
            }
            self.settle(Time::SECOND)?;
        }
        self.violated(&format!("REP-2 the replicas do not become equal: {last}"))
    }

    /// KV-11: whoever asks is answered.
    fn read_all(&mut self) -> Sound {
        for (key, level) in self.clients.keys() {
            let options = RequestOptions { level: Some(*level), ..RequestOptions::default() };
            if let Err(error) = self.cluster.get(key.as_bytes(), &options) {
                return self.violated(&format!("KV-11 {key} cannot be read after the healing: {error}"));
            }
        }
        Ok(())
    }

    /// Lets time pass until it `is_well`, at most so long. Whether it ever was is judged by whoever looks next.
    fn settle_until(&mut self, at_most: Time, is_well: impl Fn(&Self) -> bool) -> Sound {
        let give_up = self.cluster.now().plus(at_most);
        while self.cluster.now() < give_up && !is_well(self) {
            self.settle(BETWEEN_LOOKS)?;
        }
        Ok(())
    }

    fn settle(&mut self, time: Time) -> Sound {
        self.cluster.advance(time);
        self.collect()
    }

    fn collect(&mut self) -> Sound {
        match self.clients.collect(&mut self.cluster) {
            Some(what) => self.violated(&what),
            None => Ok(()),
        }
    }

    fn check(&mut self) -> Sound {
        let report = self.cluster.check();
        self.checks += report.checked.iter().map(|(_, things)| things).sum::<u64>();
        if let Some(what) = report.violations.first() {
            return self.violated(what);
        }
        if !self.is_linearizable() {
            return Ok(());
        }
        match self.clients.judge().first() {
            Some(what) => self.violated(what),
            None => Ok(()),
        }
    }

    /// KV-5 is promised without skew; and what a power loss or a damaged disk took from all who had it is lost, not unread.
    fn is_linearizable(&self) -> bool {
        let lost = |step: &Step| match step {
            Step::Disturb(Disturbance::Fault(Fault::Skew { .. }) | Disturbance::Damage { .. }) => true,
            Step::Disturb(
                Disturbance::Kill { power_loss: true, .. }
                | Disturbance::Fault(Fault::Doom { power_loss: true, .. })
                | Disturbance::Leave { force: true, .. },
            ) => self.plan.sync != SyncPolicy::Always,
            _ => false,
        };
        !self.plan.steps.iter().any(lost)
    }

    fn violated(&self, what: &str) -> Sound {
        let (what, at, steps) = (what.to_owned(), self.cluster.now(), self.moments.len());
        Err(Violation { what, at, steps, is_healed: self.is_healed })
    }

    fn outcome(self, violation: Option<Violation>) -> Outcome {
        let messages_about = violation.as_ref().and_then(|violation| {
            let key = key_of(violation, self.clients.keys().keys())?;
            let messages = self.cluster.messages_about(key.as_bytes());
            Some((key, messages))
        });
        let Struck { dropped, duplicated, corrupted } = self.cluster.struck();
        let struck = [("message lost", dropped), ("message repeated", duplicated), ("message damaged", corrupted)];
        Outcome {
            messages_about,
            moments: self.moments,
            messages: self.cluster.messages_sent(),
            answers: self.clients.answers,
            faults: self.faults.into_iter().chain(struck).collect(),
            mended: self.mended,
            probes: self.cluster.probes(),
            checks: self.checks,
            took: self.cluster.now(),
            is_stranded: self.is_stranded,
            hash: self.cluster.event_hash(),
            violation,
        }
    }
}

fn turn_on(cluster: &mut Cluster, fault: &Fault) -> Result<(), Error> {
    let report = match fault {
        Fault::Partition { sides, is_one_way } => cluster.partition(sides, *is_one_way),
        Fault::Drop { percent } => Ok(cluster.drop_messages(*percent)),
        Fault::Duplicate { percent } => Ok(cluster.duplicate_messages(*percent)),
        Fault::Latency(latency) => Ok(cluster.set_latency(latency.clone())),
        Fault::Slow { node, factor } => cluster.slow(node, *factor),
        Fault::Skew { node, us } => cluster.skew(node, *us),
        Fault::Pause { node } => cluster.pause(node),
        Fault::Doom { node, at, power_loss } => cluster.kill_at(node, *at, *power_loss),
        Fault::Disk { node, fault } => cluster.set_disk(node, *fault),
    };
    report.map(drop)
}

/// After this a change of the ring that was held up has come to its end, and whoever returned has handed over.
const LONGER_THAN_A_CHANGE: Time = Time(15_000_000);
/// After this views agree (MEM-4).
const LONGER_THAN_VIEWS_NEED: Time = Time(12_000_000);
/// How often it is looked whether all is well.
const BETWEEN_LOOKS: Time = Time(250_000);
/// The first passes find who is back, the last finds nothing.
const PASSES: usize = 4;

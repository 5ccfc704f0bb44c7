//! A few commands, clients, and a clock to move.

use std::cell::Cell;
use std::rc::Rc;

use bytes::Bytes;

use super::super::{Pace, Realtime};
use crate::cluster::{Backing, Cluster, ClusterConfig};
use crate::serve::redis::commands::{Reads, Run, Spec, StoreCall};
use crate::serve::redis::engine::{Answer, Call, Engine, Job, Step, Ticket, Watched, Work};
use crate::serve::redis::keyspace::Look;
use crate::serve::redis::view::View;
use crate::types::{Key, Time, Value};
use crate::wire::resp::Reply;

/// A clock that stands until it is moved, or until it is looked at.
#[derive(Clone)]
pub(super) struct Hand {
    at: Rc<Cell<Time>>,
    /// So slow is the machine.
    look: Rc<Cell<Time>>,
}

impl Pace for Hand {
    fn elapsed(&self) -> Time {
        self.at.set(self.at.get().plus(self.look.get()));
        self.at.get()
    }

    fn unix(&self) -> Time {
        UNIX_START.plus(self.at.get())
    }
}

pub(super) const UNIX_START: Time = Time(1_700_000_000_000_000);

/// A request that was answered.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) client: u64,
    pub(super) request: u64,
    pub(super) answer: Answer,
    /// Virtual time.
    pub(super) at: Time,
}

pub(super) struct World {
    pub(super) engine: Realtime<Hand>,
    clock: Hand,
    next_request: u64,
    pub(super) answered: Vec<Answered>,
}

impl World {
    /// Five nodes that have had a second to find each other.
    pub(super) fn new(seed: u64) -> World {
        World::of(ClusterConfig { nodes: 5, seed, ..ClusterConfig::default() })
    }

    pub(super) fn of(config: ClusterConfig) -> World {
        let (cluster, _) = Cluster::open(config, Backing::Memory).unwrap();
        let clock = Hand { at: Rc::new(Cell::new(Time(1))), look: Rc::default() };
        let engine = Realtime::new(cluster, clock.clone(), 1 << 20);
        let mut world = World { engine, clock, next_request: 0, answered: Vec::new() };
        world.pass(Time::SECOND);
        world
    }

    pub(super) fn now(&self) -> Time {
        self.engine.cluster.now()
    }

    /// A client asks. The number of its request.
    pub(super) fn ask(&mut self, client: u64, work: Work) -> u64 {
        let request = self.next_request;
        self.next_request += 1;
        self.engine.begin(Job { ticket: Ticket { place: 0, client, request }, work });
        request
    }

    pub(super) fn call(&mut self, client: u64, spec: &'static Spec, words: &[&str]) -> u64 {
        self.ask(client, Work::One(call(spec, words)))
    }

    /// A line of the prompt.
    pub(super) fn line(&mut self, client: u64, line: &str) -> u64 {
        self.ask(client, Work::One(prompt(line)))
    }

    pub(super) fn turn(&mut self) {
        let answered = &mut self.answered;
        let mut told = Vec::new();
        self.engine.work(&mut |ticket, answer| told.push((ticket, answer)));
        let at = self.engine.cluster.now();
        answered.extend(told.into_iter().map(|(Ticket { client, request, .. }, answer)| Answered {
            client,
            request,
            answer,
            at,
        }));
    }

    /// The clock moves on to the next event. It does so at once, as the endpoint waits.
    pub(super) fn step(&mut self) {
        let idle = self.engine.idles().map_or(Time(1), |idle| Time(idle.as_micros() as u64));
        self.set(self.clock.at.get().plus(idle.max(Time(1))));
        self.turn();
    }

    /// The clock is moved to `at` at one go.
    pub(super) fn set(&mut self, at: Time) {
        self.clock.at.set(at);
    }

    /// From here on so much time passes with each look at the clock.
    pub(super) fn slow_down(&mut self, look: Time) {
        self.clock.look.set(look);
    }

    pub(super) fn elapsed(&self) -> Time {
        self.clock.at.get()
    }

    pub(super) fn pass(&mut self, span: Time) {
        let until = self.elapsed().plus(span);
        self.turn();
        while self.elapsed() < until {
            self.step();
        }
    }

    /// What a request is answered, within a virtual minute.
    pub(super) fn wait(&mut self, request: u64) -> Answer {
        let until = self.elapsed().plus(Time(60 * Time::SECOND.0));
        self.turn();
        loop {
            if let Some(at) = self.answered.iter().position(|answered| answered.request == request) {
                return self.answered.remove(at).answer;
            }
            assert!(self.elapsed() < until, "request {request} has no answer after a minute");
            self.step();
        }
    }

    pub(super) fn reply(&mut self, request: u64) -> Reply {
        match self.wait(request) {
            Answer::Reply(reply) => reply,
            other => panic!("not a reply: {other:?}"),
        }
    }

    pub(super) fn get(&mut self, key: &str) -> Reply {
        let request = self.call(99, &GET, &[key]);
        self.reply(request)
    }

    pub(super) fn set_key(&mut self, key: &str, value: &str) -> Reply {
        let request = self.call(99, &SET, &[key, value]);
        self.reply(request)
    }

    /// A line of the prompt, and its answer.
    pub(super) fn say(&mut self, line: &str) -> Reply {
        let request = self.line(77, line);
        self.reply(request)
    }

    pub(super) fn tell(&mut self, line: &str) -> String {
        match self.say(line) {
            Reply::Text(text) => text,
            other => panic!("{line}: {other:?}"),
        }
    }

    pub(super) fn watch(&mut self, client: u64, keys: &[&str]) -> Vec<Watched> {
        let request = self.ask(client, Work::Watch(keys.iter().map(|key| Key::new(key).unwrap()).collect()));
        match self.wait(request) {
            Answer::Watched(watched) => watched,
            other => panic!("not watched: {other:?}"),
        }
    }

    pub(super) fn exec(&mut self, client: u64, watched: Vec<Watched>, calls: Vec<Call>) -> u64 {
        let steps = calls.into_iter().map(Step::Call).collect();
        self.ask(client, Work::Transaction { watched, steps })
    }
}

pub(super) fn bulk(text: &str) -> Reply {
    Reply::Value(Value::from(text.as_bytes()))
}

pub(super) fn call(spec: &'static Spec, words: &[&str]) -> Call {
    let words = std::iter::once(spec.name).chain(words.iter().copied());
    Call { spec, words: words.map(|word| Bytes::copy_from_slice(word.as_bytes())).collect(), store: None }
}

pub(super) fn prompt(line: &str) -> Call {
    let line = Bytes::copy_from_slice(line.as_bytes());
    Call { spec: &STORE, words: Vec::new(), store: Some(StoreCall::Prompt { line }) }
}

pub(super) fn look(look: Look) -> Call {
    Call { spec: &STORE, words: Vec::new(), store: Some(StoreCall::Look(look)) }
}

pub(super) fn flush() -> Call {
    Call { spec: &STORE, words: Vec::new(), store: Some(StoreCall::Flush) }
}

type Apply = fn(&[Bytes], &mut View) -> Result<Reply, String>;

const fn spec(name: &'static str, last: i32, step: usize, reads: Reads, writes: bool, apply: Apply) -> Spec {
    Spec { name, arity: -1, flags: &[], keys: (1, last, step), run: Run::Keys { reads, writes, apply } }
}

static STORE: Spec =
    Spec { name: "store", arity: -1, flags: &[], keys: (0, 0, 0), run: Run::Store(|_| Err(String::new())) };
pub(super) static GET: Spec = spec("get", 1, 1, Reads::Always, false, |words, view| {
    Ok(view.get(&key(words, 1))?.map_or(Reply::Nil, |held| Reply::Value(held.value)))
});
/// `SET key value [milliseconds]`
pub(super) static SET: Spec = spec("set", 1, 1, Reads::Never, true, |words, view| {
    let expires = words.get(3).map(|span| {
        let span: u64 = std::str::from_utf8(span).unwrap().parse().unwrap();
        view.now().plus(Time(span * 1_000))
    });
    view.put(key(words, 1), Value::from(&words[2][..]), expires)?;
    Ok(Reply::Simple("OK"))
});
/// `PXAT key value milliseconds-since-1970`
pub(super) static PXAT: Spec = spec("pxat", 1, 1, Reads::Never, true, |words, view| {
    let at: u64 = std::str::from_utf8(&words[3]).unwrap().parse().unwrap();
    let at = view.time_of(Time(at * 1_000));
    view.put(key(words, 1), Value::from(&words[2][..]), Some(at))?;
    Ok(Reply::Simple("OK"))
});
/// Milliseconds since 1970.
pub(super) static EXPIRES: Spec = spec("expires", 1, 1, Reads::Always, false, |words, view| {
    let expires = view.get(&key(words, 1))?.and_then(|held| held.expires);
    Ok(expires.map_or(Reply::Nil, |at| Reply::Integer((view.unix_of(at).0 / 1_000) as i64)))
});
pub(super) static DEL: Spec = spec("del", 1, 1, Reads::Always, true, |words, view| {
    let existed = view.get(&key(words, 1))?.is_some();
    view.delete(key(words, 1));
    Ok(Reply::Integer(i64::from(existed)))
});
pub(super) static INCR: Spec = spec("incr", 1, 1, Reads::Always, true, |words, view| {
    let held = view.get(&key(words, 1))?;
    let before = held.map_or(0, |held| std::str::from_utf8(&held.value).unwrap().parse::<i64>().unwrap());
    view.put(key(words, 1), Value::from((before + 1).to_string().as_bytes()), None)?;
    Ok(Reply::Integer(before + 1))
});
pub(super) static MSET: Spec = spec("mset", -1, 2, Reads::Never, true, |words, view| {
    for at in (1..words.len()).step_by(2) {
        view.put(key(words, at), Value::from(&words[at + 1][..]), None)?;
    }
    Ok(Reply::Simple("OK"))
});
pub(super) static MGET: Spec = spec("mget", -1, 1, Reads::Always, false, |words, view| {
    let each =
        (1..words.len()).map(|at| Ok(view.get(&key(words, at))?.map_or(Reply::Nil, |held| Reply::Value(held.value))));
    Ok(Reply::Array(each.collect::<Result<_, String>>()?))
});

fn key(words: &[Bytes], at: usize) -> Key {
    Key::new(&words[at]).unwrap()
}

//! What is asked by HTTP. All that wait at one time are done together, as commands are.

use std::mem::take;
use std::thread;

use super::{Fast, operator};
use crate::command::Parsed;
use crate::serve::redis::engine::Question;
use crate::serve::service::{Read, Votes};
use crate::store_api::{TurnWrite, Voters};
use crate::types::{Entry, Time};

impl Fast {
    pub(super) fn answer_questions(&mut self) {
        if self.questions.is_empty() {
            return;
        }
        let (mut gets, mut puts) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
        let now = self.store.now();
        for question in take(&mut self.questions) {
            match question {
                Question::Read { key, reply } => {
                    gets.0.push(key);
                    gets.1.push(reply);
                }
                Question::Write { key, value, ttl, reply } => {
                    puts.0.push(TurnWrite { key, value, expires: ttl.map(|ttl| now.plus(ttl)) });
                    puts.1.push(reply);
                }
                Question::List { after, limit, reply } => drop(reply.send(self.store.list(after.as_ref(), limit))),
                Question::Operate { statement: Parsed { spec, command }, reply } => {
                    let store = self.store.clone();
                    // It may take its time. Where no thread can be had, nobody is told, as where the server ends.
                    let carry_out = move || drop(reply.send(operator::perform(&store, spec.name, command)));
                    let _ = thread::Builder::new().spawn(carry_out);
                }
            }
        }
        let turn = self.store.turn();
        for (result, reply) in turn.read_with_voters(&gets.0).into_iter().zip(gets.1) {
            let read = result.map(|(entry, voters)| (entry.and_then(|entry| read(entry, now)), votes(voters)));
            let _ = reply.send(read);
        }
        // Persist before replying: the answers wait for the commits.
        for (result, reply) in turn.write_with_voters(puts.0).into_iter().zip(puts.1) {
            let _ = reply.send(result.map(|(stamp, voters)| (stamp, votes(voters))));
        }
    }
}

/// What a client sees of a version.
fn read(entry: Entry, now: Time) -> Option<Read> {
    let value = entry.visible(now)?.clone();
    Some(Read { value, version: entry.stamp, expires: entry.expires })
}

fn votes(Voters { replicas, acks, needed }: Voters) -> Votes {
    Votes { replicas, acks, needed }
}

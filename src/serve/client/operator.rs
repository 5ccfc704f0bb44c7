//! What an operator has the cluster do. Any node has it done by the leader, and answers when it is over; the client waits.
//!
//! Caveat: Ctrl-C ends the waiting, not what is done.

use serde_json::Value as Json;

use super::http::{Question, Silence};
use super::keys::percent_encoded;
use super::{Client, Contact};
use crate::cluster::{PairReport, RepairReport};
use crate::command::Response;
use crate::error::Error;
use crate::protocol::ring_change::Compared;
use crate::types::Time;

impl Client {
    /// Takes nodes out of the ring, one after the other; several only when all are down.
    pub(super) fn remove(&mut self, ids: Vec<String>, force: bool) -> Result<Response, Error> {
        let started = self.http.now();
        self.check_leavers(&ids)?;
        let (mut pairs, mut gone) = (Vec::new(), Vec::new());
        for label in &ids {
            let path = format!("/members/{}/remove?force={force}", percent_encoded(label.as_bytes()));
            let done = self.have_done(&path, Some(label)).map_err(|error| behind(&gone, error))?;
            self.is_stale = true;
            gone.push(label.as_str());
            pairs.extend(pairs_of(&done));
        }
        Ok(Response::Removed { nodes: ids, pairs, took: self.http.now().since(started) })
    }

    fn check_leavers(&mut self, ids: &[String]) -> Result<(), Error> {
        ids.iter().try_for_each(|label| self.find(label).map(drop))?;
        if ids.len() == 1 {
            return Ok(());
        }
        let pages = self.all_pages("/status")?;
        let is_leaver_up = |(node, page): &&(Contact, Option<Json>)| page.is_some() && ids.contains(&node.label);
        match pages.iter().find(is_leaver_up) {
            Some((node, _)) => Err(Error::LeaverUp { label: node.label.clone() }),
            None => Ok(()),
        }
    }

    /// Has the replicas of every range compared and made equal.
    pub(super) fn repair(&mut self) -> Result<RepairReport, Error> {
        let started = self.http.now();
        let done = self.have_done("/repair", None)?;
        let number = |name: &str| done[name].as_u64().unwrap_or_default();
        let left_out = done["left_out"].as_array().into_iter().flatten();
        Ok(RepairReport {
            pairs: pairs_of(&done),
            left_out: left_out.filter_map(|label| label.as_str().map(str::to_owned)).collect(),
            compared: Compared {
                groups: 0,
                digests: number("digests"),
                tombstones: number("tombstones"),
                dropped: number("dropped"),
            },
            took: self.http.now().since(started),
        })
    }

    /// Deletes every key, and says how many there were. Peers that do not know each other are told one by one.
    pub(super) fn clear(&mut self) -> Result<u64, Error> {
        let count = self.count()?;
        if !self.settings.is_static {
            self.have_done("/clear", None)?;
            return Ok(count);
        }
        // All or nothing, as far as that can be known.
        for (peer, page) in self.all_pages("/status")? {
            if page.is_none() {
                let asked = format!("{} does not answer", peer.told());
                return Err(Error::Unanswered { asked, remedy: "start it again".to_owned() });
            }
        }
        let mut cleared = Vec::new();
        let peers = self.chart.contacts();
        for peer in &peers {
            let answer = self.http.ask(peer, Question::post("/clear"), LONGEST);
            let answer = answer.map_err(|silence| unanswered(peer, &silence));
            let done = answer.and_then(|answer| if answer.is_done() { Ok(()) } else { Err(answer.error()) });
            done.map_err(|error| behind(&cleared, error))?;
            cleared.push(peer.label.as_str());
        }
        Ok(count)
    }

    /// Puts it to a node that answers now, rather not to `leaver`, and waits until it is done.
    fn have_done(&mut self, path: &str, leaver: Option<&str>) -> Result<Json, Error> {
        let pages = self.all_pages("/status")?;
        let mut able: Vec<Contact> =
            pages.into_iter().filter(|(_, page)| page.is_some()).map(|(node, _)| node).collect();
        able.sort_by_key(|node| Some(&*node.label) == leaver);
        let Some(node) = able.first() else {
            return Err(Error::NoNodes);
        };
        let answer = self.http.ask(node, Question::post(path), LONGEST);
        let answer = answer.map_err(|silence| unanswered(node, &silence))?;
        if answer.is_done() { Ok(answer.json()) } else { Err(answer.error()) }
    }
}

/// An error behind what was done before it.
fn behind(done: &[&str], error: Error) -> Error {
    match done {
        [] => error,
        done => Error::Relayed { text: format!("{error} (before it, {} was done)", done.join(" and ")) },
    }
}

fn unanswered(node: &Contact, silence: &Silence) -> Error {
    let asked = format!("{} does not answer: {}", node.told(), silence.why());
    match silence {
        Silence::Unreached(_) => Error::Unanswered { asked, remedy: "try again".to_owned() },
        _ => Error::WriteUnanswered { asked },
    }
}

fn pairs_of(done: &Json) -> Vec<PairReport> {
    let label = |pair: &Json, name: &str| pair[name].as_str().unwrap_or("?").to_owned();
    let number = |pair: &Json, name: &str| pair[name].as_u64().unwrap_or_default();
    let pair = |pair: &Json| PairReport {
        from: label(pair, "from"),
        to: label(pair, "to"),
        keys: number(pair, "keys"),
        bytes: number(pair, "bytes"),
    };
    done["pairs"].as_array().into_iter().flatten().map(pair).collect()
}

/// How long a change of the ring may take.
const LONGEST: Time = Time(125_000_000);

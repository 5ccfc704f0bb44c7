//! Requests for keys: whom they go to, and what an answer says.

use std::fmt::Write as _;

use super::http::{Answer, Question, Silence};
use super::{Client, Contact, of_a_ring};
use crate::cluster::{ReadReport, RequestOptions, WriteReport};
use crate::command::Keyspace;
use crate::command::response::Written;
use crate::error::Error;
use crate::types::{Key, MAX_VALUE_CAP, NodeId, Stamp, Time};

/// An answer for a key, and whose it is.
struct Heard {
    node: Contact,
    answer: Answer,
    took: Time,
}

impl Keyspace for Client {
    fn put(&mut self, key: &[u8], value: Vec<u8>, options: &RequestOptions) -> Result<Written, Error> {
        let report = self.write("PUT", key, value.clone(), options)?;
        Ok(Written { value, report, ttl: None })
    }

    fn get(&mut self, key: &[u8], options: &RequestOptions) -> Result<ReadReport, Error> {
        let key = Key::new(key)?;
        let heard = self.ask_for_key("GET", &key, Vec::new(), options)?;
        let is_absent = heard.answer.status == 404 && heard.answer.code().is_empty();
        if !heard.answer.is_done() && !is_absent {
            return Err(heard.answer.error());
        }
        let (replicas, acks, needed) = self.fellows(&key, &heard);
        let Heard { node, answer, took } = heard;
        Ok(ReadReport {
            key: key.bytes().to_vec(),
            version: version(&answer),
            expires: None,
            value: (!is_absent).then_some(answer.body),
            replicas,
            acks,
            needed,
            repaired: Vec::new(),
            took,
            asked: Some(node.label),
        })
    }

    fn delete(&mut self, key: &[u8], options: &RequestOptions) -> Result<WriteReport, Error> {
        self.write("DELETE", key, Vec::new(), options)
    }

    fn keys(&mut self, node: Option<&str>) -> Result<Vec<Vec<u8>>, Error> {
        let held = self.list(node)?;
        Ok(held.visible().into_iter().collect())
    }

    /// What nodes take at most; each refuses what is too large for it.
    fn max_value(&self) -> usize {
        MAX_VALUE_CAP
    }

    fn is_interrupted(&self) -> bool {
        self.http.is_interrupted()
    }
}

impl Client {
    fn write(
        &mut self,
        method: &'static str,
        key: &[u8],
        body: Vec<u8>,
        options: &RequestOptions,
    ) -> Result<WriteReport, Error> {
        let key = Key::new(key)?;
        let heard = self.ask_for_key(method, &key, body, options)?;
        if !heard.answer.is_done() {
            return Err(heard.answer.error());
        }
        let (replicas, acks, needed) = self.fellows(&key, &heard);
        Ok(WriteReport {
            key: key.bytes().to_vec(),
            replicas,
            acks,
            needed,
            version: version(&heard.answer).unwrap_or(Stamp::ZERO),
            newer: None,
            existed: true,
            hinted: Vec::new(),
            took: heard.took,
            asked: Some(heard.node.label),
        })
    }

    /// Asks the key's primary, then the others, until one answers or there is no time left.
    fn ask_for_key(
        &mut self,
        method: &'static str,
        key: &Key,
        body: Vec<u8>,
        options: &RequestOptions,
    ) -> Result<Heard, Error> {
        let level = options.level.unwrap_or(self.settings.level);
        let ttl = options.ttl.map_or(String::new(), |ttl| format!("&ttl={}us", ttl.0));
        let (key_text, timeout) = (percent_encoded(key.bytes()), self.settings.timeout.0);
        let path = format!("/kv/{key_text}?consistency={}&timeout={timeout}us{ttl}", level.name());
        let question = Question::new(method, path, body);
        let started = self.http.now();
        let deadline = started.plus(Time(self.settings.timeout.0.saturating_mul(5) / 2));
        let mut unheard: Vec<(Contact, Silence, bool)> = Vec::new();
        for node in self.route(key, options.via.as_deref())? {
            let left = deadline.since(self.http.now());
            if left == Time(0) || self.http.is_interrupted() {
                break;
            }
            match self.http.ask(&node, question.clone(), self.patience_with(&node).min(left)) {
                // It is about to stop, or has yet to join: nothing was changed.
                Ok(answer) if is_of_no_use(&answer) => {
                    let why = answer.error().to_string();
                    unheard.push((node, Silence::Unreached(why), false));
                }
                Ok(answer) => {
                    self.silent.remove(&node.address);
                    self.note_detour(&unheard, &node);
                    return Ok(Heard { took: self.http.now().since(started), node, answer });
                }
                Err(silence) => {
                    let is_news = self.fell_silent(&node, &silence);
                    unheard.push((node, silence, is_news));
                }
            }
        }
        Err(self.nobody_answers(&unheard, question.is_write()))
    }

    /// Whom to ask for a key, in order: of a ring of one copy the owner alone.
    fn route(&self, key: &Key, via: Option<&str>) -> Result<Vec<Contact>, Error> {
        // What is stored at another is not found again.
        if let Some(label) = via.filter(|_| !self.settings.is_static) {
            return Ok(vec![self.find(label)?]);
        }
        let owners = self.chart.owners(key).into_iter();
        let mut route: Vec<Contact> = owners.filter_map(|owner| self.chart.contact_of(owner)).collect();
        if !self.settings.is_static {
            let others: Vec<Contact> = self.chart.contacts().into_iter().filter(|node| !route.contains(node)).collect();
            route.extend(others);
            route.sort_by_key(|node| self.is_silent(node));
        }
        Ok(route)
    }

    /// Says who did not answer and who was asked instead, of each once until it answers again.
    fn note_detour(&mut self, unheard: &[(Contact, Silence, bool)], node: &Contact) {
        for (silent, ..) in unheard.iter().filter(|(.., is_news)| *is_news) {
            self.notes.push(format!("{} does not answer: asked {}", silent.told(), node.label));
        }
    }

    fn nobody_answers(&self, unheard: &[(Contact, Silence, bool)], is_write: bool) -> Error {
        let each: Vec<String> =
            unheard.iter().map(|(node, why, _)| format!("{} does not answer: {}", node.told(), why.why())).collect();
        let asked = if each.is_empty() { "nobody can be asked".to_owned() } else { each.join("; ") };
        let is_unsure = unheard.iter().any(|(_, why, _)| !matches!(why, Silence::Unreached(_)));
        if is_write && is_unsure {
            return Error::WriteUnanswered { asked };
        }
        let remedy = match self.settings.is_static {
            true => "start it again: the keys of the others are served",
            false => "start nodes again (kvsim node PORT), until a quorum of the key's replicas is up",
        };
        Error::Unanswered { asked, remedy: remedy.to_owned() }
    }

    /// The key's replicas, those that answered, and how many had to: as the node says, which knows.
    fn fellows(&mut self, key: &Key, heard: &Heard) -> (Vec<String>, Vec<String>, usize) {
        let labels = |name| {
            let list = heard.answer.header(name).unwrap_or_default().split(',').map(str::trim);
            list.filter(|label| !label.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        };
        let (replicas, acks) = (labels("kvsim-replicas"), labels("kvsim-acks"));
        let needed = heard.answer.header("kvsim-needed").and_then(|needed| needed.parse().ok()).unwrap_or_default();
        if self.settings.is_static {
            let note = of_a_ring(&heard.node, replicas.len());
            if replicas.len() > 1 && !self.notes.contains(&note) {
                self.notes.push(note);
            }
        } else {
            self.is_stale |= replicas != self.chart.locate(key).replicas;
        }
        (replicas, acks, needed)
    }
}

/// Whether the node says that it can do nothing for anybody: another may.
fn is_of_no_use(answer: &Answer) -> bool {
    answer.status >= 500 && matches!(&*answer.code(), "KV-E135" | "KV-E203")
}

/// The version that an answer names: `"time.coordinator.counter"`.
fn version(answer: &Answer) -> Option<Stamp> {
    stamp(answer.header("etag")?.trim_matches('"'))
}

/// A version as it is printed.
pub(super) fn stamp(text: &str) -> Option<Stamp> {
    let mut parts = text.splitn(3, '.');
    let (time, coordinator) = (Time(parts.next()?.parse().ok()?), NodeId(parts.next()?.parse().ok()?));
    Some(Stamp { time, coordinator, counter: parts.next()?.parse().ok()? })
}

/// Bytes as they can stand in a path or a query.
pub(super) fn percent_encoded(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match char::from(*byte) {
            plain if plain.is_ascii_alphanumeric() || matches!(plain, '-' | '_' | '~') => text.push(plain),
            // Writing to a string does not fail.
            _ => drop(write!(text, "%{byte:02X}")),
        }
    }
    text
}

//! What the nodes hold, key by key: the newest version over all that answer says whether a key has a value.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::http::{Question, Silence};
use super::keys::{percent_encoded, stamp};
use super::{Client, Contact};
use crate::error::Error;
use crate::types::Stamp;

/// A version, and whether it is a value.
type Version = (Stamp, bool);

/// What nodes hold.
#[derive(Debug, Default)]
pub(super) struct Held {
    newest: BTreeMap<Vec<u8>, Version>,
    /// Keys with a value in each node's table.
    pub(super) copies: BTreeMap<String, u64>,
}

impl Held {
    /// The keys with a value.
    pub(super) fn visible(self) -> BTreeSet<Vec<u8>> {
        self.newest.into_iter().filter(|(_, (_, is_value))| *is_value).map(|(key, _)| key).collect()
    }

    fn take(&mut self, node: &str, key: Vec<u8>, version: Version) {
        *self.copies.entry(node.to_owned()).or_default() += u64::from(version.1);
        let known = self.newest.entry(key).or_insert(version);
        *known = version.max(*known);
    }
}

/// How far a node has told what it holds.
struct Reader {
    node: Contact,
    /// The key behind which it goes on.
    after: Option<Vec<u8>>,
}

impl Client {
    /// What one node holds, or all that answer; those that do not are named.
    pub(super) fn list(&mut self, node: Option<&str>) -> Result<Held, Error> {
        let nodes = match node {
            Some(label) => vec![self.find(label)?],
            None => self.chart.contacts(),
        };
        let mut held = Held::default();
        let mut unheard: Vec<(Contact, Silence)> = Vec::new();
        let mut readers: Vec<Reader> = nodes.iter().map(|node| Reader { node: node.clone(), after: None }).collect();
        while !readers.is_empty() {
            let question = |reader: &Reader| (reader.node.clone(), reader.question(), self.patience_with(&reader.node));
            let answers = self.http.ask_all(readers.iter().map(question).collect());
            let mut next = Vec::new();
            for (mut reader, answer) in std::iter::zip(readers, answers) {
                match answer {
                    Ok(answer) if answer.is_done() => {
                        if reader.take_in(&answer.json(), &mut held) {
                            next.push(reader);
                        }
                    }
                    Ok(answer) => return Err(answer.error()),
                    Err(silence) => unheard.push((reader.node, silence)),
                }
            }
            readers = next;
        }
        if self.http.is_interrupted() || unheard.len() == nodes.len() {
            let each: Vec<String> =
                unheard.iter().map(|(node, why)| format!("{} does not answer: {}", node.told(), why.why())).collect();
            let remedy = "start it again (kvsim node PORT)".to_owned();
            return Err(Error::Unanswered { asked: each.join("; "), remedy });
        }
        for (node, silence) in unheard {
            self.fell_silent(&node, &silence);
            self.notes.push(format!("{} does not answer: what it holds is not counted", node.told()));
        }
        Ok(held)
    }

    /// Distinct keys with a value.
    pub fn count(&mut self) -> Result<u64, Error> {
        Ok(self.list(None)?.visible().len() as u64)
    }
}

impl Reader {
    fn question(&self) -> Question {
        let after = self.after.as_ref().map_or(String::new(), |after| format!("&after={}", percent_encoded(after)));
        Question::get(format!("/keys?limit={PAGE_KEYS}{after}"))
    }

    /// Takes in a page. Whether there is another.
    fn take_in(&mut self, page: &Json, held: &mut Held) -> bool {
        for told in page["keys"].as_array().into_iter().flatten() {
            let version = told["version"].as_str().and_then(stamp);
            if let (Some(key), Some(version)) = (bytes(told, "key"), version) {
                held.take(&self.node.label, key, (version, told["value"].as_bool().unwrap_or_default()));
            }
        }
        let after = bytes(page, "next");
        // A node that begins anew would be read for ever.
        let goes_on = after.is_some() && after != self.after;
        self.after = after;
        goes_on
    }
}

/// A field of bytes: as text, or in base64 where they are none.
fn bytes(object: &Json, name: &str) -> Option<Vec<u8>> {
    let text = object[name].as_str().map(|text| text.as_bytes().to_vec());
    text.or_else(|| from_base64(object[&format!("{name}_base64")].as_str()?))
}

/// Standard base64 with padding (RFC 4648, section 4).
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut bits, mut count) = (0_u32, 0);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        (bits, count) = (bits << 6 | u32::from(value), count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}

/// Keys that a node is asked for at one time.
const PAGE_KEYS: usize = 2_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_as_it_is_written() {
        for (text, bytes) in [("", &b""[..]), ("/w==", b"\xff"), ("//8=", b"\xff\xff"), ("AP8Q", b"\x00\xff\x10")] {
            assert_eq!(from_base64(text).as_deref(), Some(bytes), "{text}");
        }
        assert_eq!(from_base64("a b"), None);
    }

    #[test]
    fn the_newest_version_of_all_nodes_says_whether_there_is_a_value() {
        let version = |time| Stamp { time: crate::types::Time(time), ..Stamp::ZERO };
        let mut held = Held::default();
        held.take("a", b"kept".to_vec(), (version(1), true));
        held.take("a", b"gone".to_vec(), (version(1), true));
        held.take("b", b"gone".to_vec(), (version(2), false));
        held.take("c", b"gone".to_vec(), (version(1), true));
        assert_eq!(held.copies.get("a"), Some(&2));
        assert_eq!(held.copies.get("b"), Some(&0));
        assert_eq!(held.visible(), BTreeSet::from([b"kept".to_vec()]));
    }
}

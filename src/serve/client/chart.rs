//! The ring as a client knows it: who owns a key, and where they listen.
//!
//! The tokens are those of the nodes, since they follow from labels and counts alone. Of peers that do not know each
//! other they follow from the addresses: neither their order nor who answers moves a key.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::Contact;
use crate::cluster::Placement;
use crate::ring::{Member, Ring};
use crate::types::{Epoch, Key, MAX_COPIES, MAX_NODES, MAX_VNODES, NodeId, Token};

/// See the module's page.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) epoch: Epoch,
    pub(super) copies: u8,
    pub(super) members: Vec<Member>,
    pub(super) ring: Ring,
    /// The stage of the ring change that is under way.
    pub(super) change: Option<String>,
    addresses: BTreeMap<NodeId, String>,
}

impl Chart {
    /// What a node's page of the ring says; nothing where it is none, or has no members.
    pub(super) fn read(page: &Json) -> Option<Chart> {
        let copies = u8::try_from(page["copies"].as_u64()?).ok().filter(|copies| usize::from(*copies) <= MAX_COPIES)?;
        let (mut members, mut addresses) = (Vec::new(), BTreeMap::new());
        for told in page["members"].as_array()?.iter().take(MAX_NODES) {
            let id = NodeId(u32::try_from(told["number"].as_u64()?).ok()?);
            let vnodes = u16::try_from(told["vnodes"].as_u64()?).ok().filter(|vnodes| *vnodes <= MAX_VNODES)?;
            members.push(Member { id, label: told["node"].as_str()?.into(), vnodes });
            told["address"].as_str().into_iter().for_each(|address| drop(addresses.insert(id, address.to_owned())));
        }
        let ring = Ring::new(&members, copies);
        let epoch = Epoch(page["epoch"].as_u64()?);
        let change = page["ring_change"].as_str().map(str::to_owned);
        (!members.is_empty()).then_some(Chart { epoch, copies, members, ring, change, addresses })
    }

    /// The ring of peers that do not know each other.
    pub(super) fn of_peers(peers: &[Contact], vnodes: u16) -> Chart {
        let numbered = || (1..).map(NodeId).zip(peers);
        let member = |(id, peer): (NodeId, &Contact)| Member { id, label: peer.label.as_str().into(), vnodes };
        let members: Vec<Member> = numbered().map(member).collect();
        let addresses = numbered().map(|(id, peer)| (id, peer.address.clone())).collect();
        let ring = Ring::new(&members, 1);
        Chart { epoch: Epoch(0), copies: 1, members, ring, change: None, addresses }
    }

    /// The members that can be asked, by label.
    pub(super) fn contacts(&self) -> Vec<Contact> {
        let mut contacts: Vec<Contact> = self.members.iter().filter_map(|member| self.contact_of(member)).collect();
        contacts.sort_by(|one, other| one.label.cmp(&other.label));
        contacts
    }

    /// Whoever holds the key, in preference order.
    pub(super) fn owners(&self, key: &Key) -> Vec<&Member> {
        let owners = self.ring.owners(key.token()).as_slice().iter();
        owners.filter_map(|owner| self.members.iter().find(|member| member.id == *owner)).collect()
    }

    pub(super) fn contact_of(&self, member: &Member) -> Option<Contact> {
        let address = self.addresses.get(&member.id)?;
        Some(Contact { label: member.label.to_string(), address: address.clone() })
    }

    /// The names of the members.
    pub(super) fn labels(&self) -> Vec<String> {
        let mut labels: Vec<String> = self.members.iter().map(|member| member.label.to_string()).collect();
        labels.sort();
        labels
    }

    /// Hash, token and preference list of a key.
    pub(super) fn locate(&self, key: &Key) -> Placement {
        let hash = key.token();
        let owner = self.ring.tokens().find(|(token, _)| *token >= hash).or_else(|| self.ring.tokens().next());
        let (Token(token), _) = owner.unwrap_or((hash, NodeId(0)));
        let replicas = self.owners(key).into_iter().map(|member| member.label.to_string()).collect();
        Placement { hash: hash.0, token, replicas }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(ports: &[u16]) -> Vec<Contact> {
        let peer = |port: &u16| Contact { label: port.to_string(), address: format!("127.0.0.1:{port}") };
        ports.iter().map(peer).collect()
    }

    #[test]
    fn the_order_of_peers_moves_no_key() {
        let (one, other) =
            (Chart::of_peers(&peers(&[8081, 8082, 8083]), 128), Chart::of_peers(&peers(&[8083, 8081, 8082]), 128));
        for number in 0..1_000 {
            let key = Key::new(format!("key{number}")).unwrap();
            let owner = |chart: &Chart| chart.locate(&key).replicas;
            assert_eq!(owner(&one), owner(&other));
            assert_eq!(owner(&one).len(), 1);
        }
        assert_eq!(one.locate(&Key::new("username").unwrap()).replicas, ["8082"]);
    }

    #[test]
    fn a_page_that_is_none_is_no_chart() {
        let page = serde_json::json!({
            "epoch": 5, "copies": 2, "ring_change": null,
            "members": [{ "node": "a", "number": 1, "vnodes": 8, "address": "127.0.0.1:1", "share": 1.0 }],
        });
        let chart = Chart::read(&page).unwrap();
        assert_eq!((chart.epoch, chart.copies, chart.labels()), (Epoch(5), 2, vec!["a".to_owned()]));
        for (field, wrong) in [("copies", 200.into()), ("members", Json::Array(Vec::new())), ("epoch", Json::Null)] {
            let mut page = page.clone();
            page[field] = wrong;
            assert!(Chart::read(&page).is_none(), "{field}");
        }
    }
}

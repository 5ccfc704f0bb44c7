//! Where the nodes of the cluster listen, as far as this one knows: what it was told, and what its directory remembers.
//!
//! A node tells of itself in a book of one, and is believed. What others tell of it is believed only of who is not known yet:
//! what they know may be old.

use std::collections::BTreeMap;

use crate::types::{NodeId, check_label};
use crate::wire::{Book, Listing, MAX_ADDRESS_BYTES};

/// The addresses known.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Addresses {
    by_node: BTreeMap<NodeId, Listing>,
}

impl Addresses {
    /// Takes in what another has told. Gives the nodes that are new, or elsewhere.
    pub(super) fn learn(&mut self, told: &[Listing]) -> Vec<NodeId> {
        let is_of_itself = told.len() == 1;
        let mut news = Vec::new();
        for listing in told {
            let known = self.by_node.get(&listing.node);
            let is_news = known.is_none_or(|known| is_of_itself && known != listing);
            if is_news {
                self.by_node.insert(listing.node, listing.clone());
                news.push(listing.node);
            }
        }
        news
    }

    pub(super) fn get(&self, node: NodeId) -> Option<&Listing> {
        self.by_node.get(&node)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Listing> {
        self.by_node.values()
    }

    /// Drops who is no member any more.
    pub(super) fn retain(&mut self, is_known: impl Fn(NodeId) -> bool) {
        self.by_node.retain(|node, _| is_known(*node));
    }

    /// As it is told to others.
    pub(super) fn book(&self) -> Book {
        Book(self.iter().cloned().collect())
    }

    /// As it is kept: a line a node.
    pub(super) fn to_text(&self) -> String {
        self.iter().map(|Listing { node, label, address }| format!("{} {label} {address}\n", node.0)).collect()
    }

    /// What was kept. A line that is none is left out: others will tell.
    pub(super) fn from_text(text: &str) -> Addresses {
        let listing = |line: &str| {
            let mut words = line.split_whitespace();
            let (node, label, address) = (words.next()?.parse().ok()?, words.next()?, words.next()?);
            let is_sound = check_label(label).is_ok() && address.len() <= MAX_ADDRESS_BYTES;
            let listing = Listing { node: NodeId(node), label: label.to_owned(), address: address.to_owned() };
            is_sound.then_some((listing.node, listing))
        };
        Addresses { by_node: text.lines().filter_map(listing).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(node: u32, address: &str) -> Listing {
        Listing { node: NodeId(node), label: format!("n{node}"), address: address.to_owned() }
    }

    #[test]
    fn a_node_is_believed_of_itself_and_others_only_of_who_is_not_known() {
        let mut addresses = Addresses::default();
        assert_eq!(addresses.learn(&[listing(1, "a:1"), listing(2, "a:2")]), [NodeId(1), NodeId(2)]);
        assert_eq!(addresses.learn(&[listing(1, "old:1"), listing(3, "a:3")]), [NodeId(3)]);
        assert_eq!(addresses.learn(&[listing(2, "b:2")]), [NodeId(2)]);
        assert_eq!(addresses.learn(&[listing(2, "b:2")]), []);
        let known: Vec<&str> = addresses.iter().map(|listing| &*listing.address).collect();
        assert_eq!(known, ["a:1", "b:2", "a:3"]);
    }

    #[test]
    fn what_is_kept_is_read_again_and_what_is_no_line_is_left_out() {
        let mut addresses = Addresses::default();
        addresses.learn(&[listing(1, "a:1"), listing(2, "a:2")]);
        let text = addresses.to_text();
        assert_eq!(Addresses::from_text(&text), addresses);
        let spoiled = format!("x\n7 ../up a:7\n8 n8\n{text}");
        assert_eq!(Addresses::from_text(&spoiled), addresses);
    }
}

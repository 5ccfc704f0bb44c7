//! The nodes by their numbers.
//!
//! Each event looks up nodes a dozen times. They are few and large, and seldom come or go: so the numbers lie beside each
//! other, apart from the nodes. O(log nodes) to look up, O(nodes) to insert and remove.

use super::NodeId;
use super::node::Node;

/// A map from numbers to nodes, ascending.
#[derive(Debug, Default)]
pub(super) struct NodeMap {
    numbers: Vec<NodeId>,
    /// Of each of `numbers` its node.
    nodes: Vec<Node>,
}

impl NodeMap {
    pub(super) fn get(&self, id: &NodeId) -> Option<&Node> {
        let place = self.numbers.binary_search(id).ok()?;
        self.nodes.get(place)
    }

    pub(super) fn get_mut(&mut self, id: &NodeId) -> Option<&mut Node> {
        let place = self.numbers.binary_search(id).ok()?;
        self.nodes.get_mut(place)
    }

    pub(super) fn contains_key(&self, id: &NodeId) -> bool {
        self.numbers.binary_search(id).is_ok()
    }

    /// Adds a node, or takes it for the one that had its number.
    pub(super) fn insert(&mut self, id: NodeId, node: Node) {
        self.remove(&id);
        let place = self.numbers.partition_point(|number| *number < id);
        self.numbers.insert(place, id);
        self.nodes.insert(place, node);
    }

    pub(super) fn remove(&mut self, id: &NodeId) -> Option<Node> {
        let place = self.numbers.binary_search(id).ok()?;
        self.numbers.remove(place);
        Some(self.nodes.remove(place))
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (&NodeId, &Node)> {
        self.keys().zip(self.values())
    }

    pub(super) fn keys(&self) -> impl DoubleEndedIterator<Item = &NodeId> + ExactSizeIterator {
        self.numbers.iter()
    }

    pub(super) fn values(&self) -> impl DoubleEndedIterator<Item = &Node> + ExactSizeIterator {
        self.nodes.iter()
    }
}

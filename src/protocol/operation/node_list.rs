//! The nodes of one operation, without a heap.

use std::fmt;

use crate::types::{MAX_COPIES, NodeId};

/// The most distinct nodes one plan names: an old and a new replica set without a common node.
pub(super) const MOST_NODES: usize = 2 * MAX_COPIES;

/// Distinct nodes in order of arrival. At most two replica sets of [`MAX_COPIES`] each, on the stack.
#[derive(Clone, Copy)]
pub struct NodeList {
    nodes: [NodeId; MOST_NODES],
    len: u8,
}

impl NodeList {
    /// No node at all.
    pub const NONE: NodeList = NodeList { nodes: [NodeId(u32::MAX); MOST_NODES], len: 0 };

    /// Adds `node` at the end. Returns false, changing nothing, when it is there already or the list is full.
    #[inline]
    pub fn push(&mut self, node: NodeId) -> bool {
        let free = self.len() < MOST_NODES && !self.contains(node);
        if free {
            self.nodes[self.len()] = node;
            self.len += 1;
        }
        free
    }

    /// The nodes in order of arrival.
    #[inline]
    pub fn as_slice(&self) -> &[NodeId] {
        &self.nodes[..self.len()]
    }

    /// Whether `node` is one of them.
    pub fn contains(&self, node: NodeId) -> bool {
        self.as_slice().contains(&node)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl FromIterator<NodeId> for NodeList {
    fn from_iter<I: IntoIterator<Item = NodeId>>(nodes: I) -> NodeList {
        let mut list = NodeList::NONE;
        for node in nodes {
            list.push(node);
        }
        list
    }
}

impl PartialEq for NodeList {
    fn eq(&self, other: &NodeList) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for NodeList {}

impl fmt::Debug for NodeList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}

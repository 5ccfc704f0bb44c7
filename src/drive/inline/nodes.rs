//! The table of nodes: who can be asked, and what is broken between them. A new one is made for every change of it.

use std::iter;

use super::flight::Outlook;
use super::switches::Switches;
use crate::node::Replica;
use crate::protocol::operation::NodeList;
use crate::sync::Arc;
use crate::topology::Need;
use crate::types::NodeId;

/// The replicas by node number. Numbers are never reused, so the places of nodes that left stay empty.
#[derive(Clone, Debug, Default)]
pub struct Nodes {
    replicas: Vec<Option<Arc<Replica>>>,
    /// None while nothing is broken.
    switches: Option<Arc<Switches>>,
}

impl Nodes {
    /// The replica of `node`.
    pub fn get(&self, node: NodeId) -> Option<&Arc<Replica>> {
        self.replicas.get(place(node))?.as_ref()
    }

    /// All replicas, by number.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Replica>> {
        self.replicas.iter().flatten()
    }

    /// The replicas that are not silent, by number.
    pub fn up(&self) -> impl Iterator<Item = &Arc<Replica>> {
        self.iter().filter(|replica| !self.is_down(replica.id()))
    }

    /// What is broken; none while nothing is.
    #[inline]
    pub fn switches(&self) -> Option<&Switches> {
        self.switches.as_deref()
    }

    /// Whether `node` is silent.
    pub fn is_down(&self, node: NodeId) -> bool {
        self.switches().is_some_and(|switches| switches.is_down(node))
    }

    /// Who coordinates an operation of this plan, and whom it believes dead. See [`Switches`].
    #[inline]
    pub(super) fn outlook(&self, via: Option<NodeId>, current: &Need, next: Option<&Need>) -> Outlook {
        match self.switches() {
            None => (via.unwrap_or(first(current)), Ok(NodeList::NONE)),
            Some(switches) => switches.outlook(via, current, next),
        }
    }

    pub(super) fn with(&self, node: NodeId, replica: Option<Arc<Replica>>) -> Nodes {
        let mut replicas = self.replicas.clone();
        let missing = (place(node) + 1).saturating_sub(replicas.len());
        replicas.extend(iter::repeat_n(None, missing));
        if let Some(slot) = replicas.get_mut(place(node)) {
            *slot = replica;
        }
        Nodes { replicas, switches: self.switches.clone() }.switched(|_| ())
    }

    /// The same nodes, after what `change` breaks or puts right.
    pub(super) fn switched(&self, change: impl Fn(&mut Switches)) -> Nodes {
        let mut switches = self.switches().cloned().unwrap_or_default();
        change(&mut switches);
        let ids: Vec<NodeId> = self.iter().map(|replica| replica.id()).collect();
        switches.keep(&ids);
        switches.choose_leader(&ids);
        let switches = (!switches.are_off()).then(|| Arc::new(switches));
        Nodes { replicas: self.replicas.clone(), switches }
    }
}

/// The head of the preference list.
#[inline]
pub(super) fn first(need: &Need) -> NodeId {
    need.replicas.as_slice().first().copied().unwrap_or(NodeId(0))
}

fn place(node: NodeId) -> usize {
    usize::try_from(node.0).unwrap_or(usize::MAX)
}

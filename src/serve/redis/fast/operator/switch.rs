//! Nodes killed, restarted and parted.

use super::Operator;
use crate::cluster::{Fault, FaultReport, HealReport, HealScope, RestartReport};
use crate::command::Response;
use crate::error::Error;
use crate::types::Partition;

impl Operator<'_> {
    pub(super) fn kill(&self, node: String) -> Result<Response, Error> {
        self.store.kill(&node)?;
        Ok(Response::Killed { node, now: self.store.now() })
    }

    pub(super) fn restart(&self, node: String) -> Result<Response, Error> {
        let caught_up = self.store.restart(&node)?;
        let id = self.store.topology().find(&node).map(|member| member.id);
        let (records, mut notes) = match caught_up {
            Ok(moved) => {
                let received = moved.pairs.iter().filter(|((_, to), _)| Some(*to) == id);
                (received.map(|(_, pair)| pair.keys).sum(), Vec::new())
            }
            Err(error) => (0, vec![error.to_string()]),
        };
        if id.is_some_and(|id| self.store.switches().is_returning(id)) {
            notes.push(format!("{node} answers no reads until it has what it missed: repair gives it that, or heal"));
        }
        Ok(Response::Restarted(RestartReport { node, records, notes }))
    }

    pub(super) fn partition(&self, sides: &[Vec<String>], is_one_way: bool) -> Result<Response, Error> {
        let partition = self.store.partition(sides, is_one_way)?;
        let named: Vec<&String> = sides.iter().flatten().collect();
        Ok(Response::Faulted(FaultReport {
            fault: self.shown(&partition),
            is_on: true,
            bystanders: self.store.servers().into_iter().filter(|label| !named.contains(&label)).collect(),
            waited: 0,
            notes: Vec::new(),
            now: self.store.now(),
        }))
    }

    pub(super) fn heal_network(&self, scope: HealScope) -> Response {
        let (ended, failed) = self.store.heal();
        let mut notes: Vec<String> = failed.map(|error| error.to_string()).into_iter().collect();
        if scope == HealScope::All {
            let down = self.store.topology().nodes().into_iter().filter(|member| self.is_down(member.id));
            notes.extend(down.map(|member| format!("{0} is down: restart {0} brings it back", member.label)));
        }
        self.healed(&ended, notes)
    }

    pub(super) fn healed(&self, ended: &[Partition], notes: Vec<String>) -> Response {
        Response::Healed(HealReport { ended: ended.iter().map(|partition| self.shown(partition)).collect(), notes })
    }

    fn shown(&self, partition: &Partition) -> Fault {
        let sides = partition.sides.iter().map(|side| side.iter().map(|node| self.label(*node)).collect());
        Fault::Partition { sides: sides.collect(), is_one_way: partition.is_one_way }
    }
}

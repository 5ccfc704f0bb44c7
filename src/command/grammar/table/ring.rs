//! Commands that change the ring, and mend what it holds.

use super::{NODE, WEIGHT};
use crate::command::error::UsageError;
use crate::command::grammar::{Argument, Flag, Group, Kind, Spec};
use crate::command::parse::Command;

pub(super) const ADDNODE: Spec = Spec {
    name: "addnode",
    aliases: &[],
    group: Group::Ring,
    arguments: &[Argument { name: "ID", kind: Kind::NewNode, optional: false }],
    repeats: 0,
    flags: &[
        WEIGHT,
        Flag {
            name: "--via",
            value: Some(Argument { name: "NODE", kind: Kind::Node, optional: false }),
            summary: "the node it joins through, which must be up; the others hear of it by gossip",
        },
    ],
    summary: "Adds a node to the ring and copies to it the keys it now owns, while reads and writes go on.",
    example: "addnode node4",
    build: |given| {
        let (weight, via) = (given.weight().unwrap_or(1.0), given.flag_text("--via"));
        Ok(Command::AddNode { id: given.text()?, weight, via })
    },
};

pub(super) const REMOVENODE: Spec = Spec {
    name: "removenode",
    aliases: &[],
    group: Group::Ring,
    arguments: &[NODE],
    repeats: 1,
    flags: &[Flag {
        name: "--force",
        value: None,
        summary: "the node is down, or all of several: copies from the survivors and lists what is lost",
    }],
    summary: "Copies a node's keys to their new owners, then takes it out of the ring; with --force, dead nodes at once.",
    example: "removenode node3",
    build: |given| {
        let (ids, force) = (given.texts()?, given.has("--force"));
        if ids.len() > 1 && !force {
            let problem = "is needed to remove several nodes at once, which must all be down";
            return Err(UsageError::BadFlag { spec: given.spec(), flag: "--force", problem });
        }
        Ok(Command::RemoveNode { ids, force })
    },
};

pub(super) const PLAN: Spec = Spec {
    name: "plan",
    aliases: &[],
    group: Group::Ring,
    arguments: &[
        Argument { name: "addnode|removenode", kind: Kind::RingChange, optional: false },
        Argument { name: "ID", kind: Kind::NewNode, optional: false },
    ],
    repeats: 1,
    flags: &[WEIGHT],
    summary: "Says what adding or removing a node would move, and changes nothing.",
    example: "plan addnode node4",
    build: |given| {
        let (change, ids) = (given.text()?, given.texts()?);
        let joins = change == "addnode";
        match given.weight() {
            Some(_) if !joins => {
                Err(UsageError::BadFlag { spec: given.spec(), flag: "--weight", problem: "goes with addnode" })
            }
            weight if joins => match <[String; 1]>::try_from(ids) {
                Ok([id]) => Ok(Command::PlanAddNode { id, weight: weight.unwrap_or(1.0) }),
                Err(ids) => {
                    let typed = ids.into_iter().nth(1).unwrap_or_default();
                    Err(UsageError::ExtraArgument { spec: given.spec(), typed })
                }
            },
            _ => Ok(Command::PlanRemoveNode { ids }),
        }
    },
};

pub(super) const REPAIR: Spec = Spec {
    name: "repair",
    aliases: &[],
    group: Group::Ring,
    arguments: &[],
    repeats: 0,
    flags: &[],
    summary: "Compares the replicas of every range by digests and makes them equal where they differ: the newest versions win.",
    example: "repair",
    build: |_| Ok(Command::Repair),
};

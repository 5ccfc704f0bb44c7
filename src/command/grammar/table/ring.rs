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
    repeats: false,
    flags: &[
        WEIGHT,
        Flag {
            name: "--via",
            value: Some(Argument { name: "NODE", kind: Kind::Node, optional: false }),
            summary: "the node it is introduced to, which must be up; all nodes hear of it at once",
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
    repeats: false,
    flags: &[Flag {
        name: "--force",
        value: None,
        summary: "the node is down: copies from the survivors and lists what is lost",
    }],
    summary: "Copies a node's keys to their new owners, then takes it out of the ring.",
    example: "removenode node3",
    build: |given| Ok(Command::RemoveNode { id: given.text()?, force: given.has("--force") }),
};

pub(super) const PLAN: Spec = Spec {
    name: "plan",
    aliases: &[],
    group: Group::Ring,
    arguments: &[
        Argument { name: "addnode|removenode", kind: Kind::RingChange, optional: false },
        Argument { name: "ID", kind: Kind::NewNode, optional: false },
    ],
    repeats: false,
    flags: &[WEIGHT],
    summary: "Says what adding or removing a node would move, and changes nothing.",
    example: "plan addnode node4",
    build: |given| {
        let (change, id) = (given.text()?, given.text()?);
        let joins = change == "addnode";
        match given.weight() {
            Some(_) if !joins => {
                Err(UsageError::BadFlag { spec: given.spec(), flag: "--weight", problem: "goes with addnode" })
            }
            weight if joins => Ok(Command::PlanAddNode { id, weight: weight.unwrap_or(1.0) }),
            _ => Ok(Command::PlanRemoveNode { id }),
        }
    },
};

pub(super) const REPAIR: Spec = Spec {
    name: "repair",
    aliases: &[],
    group: Group::Ring,
    arguments: &[],
    repeats: false,
    flags: &[],
    summary: "Makes the replicas of every key equal now: each tells the others of its versions, and the newest win.",
    example: "repair",
    build: |_| Ok(Command::Repair),
};

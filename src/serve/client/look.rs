//! What there is to see of the nodes: each is asked for its own pages, all at once, and one that does not answer is down.

use serde_json::Value as Json;

use super::{Client, Contact};
use crate::cluster::{
    Absence, BeliefReport, LeaderBelief, LeaderReport, MembersReport, NodeReport, OperationCounts, RingReport,
    StatsReport, StatusReport, Vitality, VoterReport, balance,
};
use crate::command::Response;
use crate::command::response::NodeFigures;
use crate::error::Error;
use crate::ring::Member;
use crate::storage::directory::node_uid;
use crate::types::{Epoch, Key};

impl Client {
    /// Each node with its state.
    pub(super) fn node_reports(&mut self) -> Result<Vec<NodeReport>, Error> {
        let pages = self.all_pages("/status")?;
        let report = |(node, page): &(Contact, Option<Json>)| self.node_report(node, page.as_ref());
        Ok(pages.iter().map(report).collect())
    }

    fn node_report(&self, node: &Contact, page: Option<&Json>) -> NodeReport {
        NodeReport {
            id: node.label.clone(),
            state: page.map_or("down", state),
            faults: Vec::new(),
            tokens: self.member(&node.label).map_or(0, |member| member.vnodes),
            keys: 0,
            primaries: 0,
            share: 0.0,
            cache_hits: 0,
            cache_misses: 0,
            log_bytes: page.map_or(0, |page| number(page, "log_bytes")),
        }
    }

    /// Balance, cache and log figures. O(keys).
    pub(super) fn stats(&mut self) -> Result<StatsReport, Error> {
        let mut nodes = self.node_reports()?;
        let figures = self.figures()?;
        let held = self.list(None)?;
        // What the listing says of nodes that are down is said below.
        self.notes.clear();
        let copies = held.copies.clone();
        let keys = held.visible();
        let primaries: Vec<String> = keys
            .iter()
            .filter_map(|key| Some(self.chart.owners(&Key::new(key).ok()?).first()?.label.to_string()))
            .collect();
        for node in &mut nodes {
            node.keys = copies.get(&node.id).copied().unwrap_or_default();
            node.primaries = primaries.iter().filter(|primary| **primary == node.id).count() as u64;
            node.share = if keys.is_empty() { 0.0 } else { node.primaries as f64 / keys.len() as f64 };
            if let Some(figures) = figures.iter().find(|figures| figures.id == node.id) {
                (node.cache_hits, node.cache_misses) = (figures.cache_hits, figures.cache_misses);
            }
        }
        let up = nodes.iter().filter(|node| node.state != "down" && node.tokens > 0);
        let (cv, max_over_mean) = balance(up.map(|node| node.keys as f64 / f64::from(node.tokens)));
        let sum = |count: fn(&OperationCounts) -> u64| figures.iter().map(|node| count(&node.operations)).sum();
        let down: Vec<&str> = nodes.iter().filter(|node| node.state == "down").map(|node| &*node.id).collect();
        let notes = match down.as_slice() {
            [] => Vec::new(),
            [node] => vec![format!("{node} is down: its copies are not counted")],
            nodes => vec![format!("{} are down: their copies are not counted", nodes.join(", "))],
        };
        Ok(StatsReport {
            keys: keys.len() as u64,
            copies: nodes.iter().map(|node| node.keys).sum(),
            cv,
            max_over_mean,
            operations: OperationCounts {
                issued: sum(|count| count.issued),
                ok: sum(|count| count.ok),
                failed: sum(|count| count.failed),
                indeterminate: sum(|count| count.indeterminate),
                in_flight: sum(|count| count.in_flight),
            },
            nodes,
            notes,
        })
    }

    /// What each node that answers counts.
    pub(super) fn figures(&mut self) -> Result<Vec<NodeFigures>, Error> {
        let nodes = self.chart.contacts();
        let known = self.silent.clone();
        let metrics = self.ask_each(&nodes, "/metrics");
        let pages = self.all_pages("/status")?;
        let mut all = Vec::new();
        for ((node, page), metrics) in std::iter::zip(pages, metrics) {
            let (Some(page), Some(metrics)) = (page, metrics) else {
                let is_news = !known.contains_key(&node.address);
                self.notes.extend(is_news.then(|| format!("{} does not answer", node.told())));
                continue;
            };
            let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
            let ended = &page["operations"];
            let (ok, failed) = (number(ended, "ok"), number(ended, "failed"));
            let (indeterminate, in_flight) = (number(ended, "indeterminate"), number(&page, "in_flight"));
            let issued = ok + failed + indeterminate + in_flight;
            all.push(NodeFigures {
                id: node.label,
                operations: OperationCounts { issued, ok, failed, indeterminate, in_flight },
                cache_hits: sample(&metrics, "kvsim_replica_reads_total{from=\"cache\"}"),
                cache_misses: sample(&metrics, "kvsim_replica_reads_total{from=\"log\"}"),
                hints: number(&page, "hints"),
                tombstones: number(&page, "tombstones"),
                log_bytes: number(&page, "log_bytes"),
            });
        }
        Ok(all)
    }

    /// The ring in force, as the client knows it.
    pub(super) fn ring(&self) -> RingReport {
        RingReport::of(&self.chart.members, &self.chart.ring, self.chart.epoch)
    }

    /// As `nodetool status` shows the nodes: by who answers.
    pub(super) fn status(&mut self) -> Result<Response, Error> {
        let pages = self.all_pages("/status")?;
        let ring = self.ring();
        let cluster = pages.iter().find_map(|(_, page)| cluster(page.as_ref()?));
        let status = |(node, page): &(Contact, Option<Json>)| {
            let member = self.member(&node.label)?;
            Some(StatusReport {
                vitality: if page.is_some() { Vitality::Up } else { Vitality::Down },
                load_bytes: page.as_ref().map(|page| number(page, "log_bytes")),
                is_recovering: page.as_ref().is_some_and(|page| page["state"] == "recovering"),
                // Each peer that knows no other is a cluster of its own.
                ..status_of(member, &ring, page.as_ref().and_then(self::cluster).or(cluster), true)
            })
        };
        let nodes = pages.iter().filter_map(status).collect();
        if let Some(stage) = &self.chart.change {
            self.notes.push(format!("a ring change is under way: {stage}"));
        }
        Ok(Response::Status { nodes, seen_by: None, change: None })
    }

    /// The same as one node sees it, by what it was told.
    pub(super) fn status_seen_by(&mut self, label: String) -> Result<Response, Error> {
        let node = self.find(&label)?;
        let [members, own] = ["/members", "/status"].map(|path| self.pages(std::slice::from_ref(&node), path).pop());
        let (Some((_, Some(members))), Some((_, Some(own)))) = (members, own) else {
            return Err(Error::NodeDown { label });
        };
        let ring = self.ring();
        let status = |told: &Json| {
            let (id, label) = (u32::try_from(told["number"].as_u64()?).ok()?, told["node"].as_str()?);
            let unknown = || Member { id: crate::types::NodeId(id), label: label.into(), vnodes: 0 };
            let member = self.member(label).cloned().unwrap_or_else(unknown);
            let vitality = match standing(told) {
                "up" => Vitality::Up,
                "suspect" => Vitality::Unknown,
                _ => Vitality::Down,
            };
            let is_in = told["in_ring"].as_bool().unwrap_or_default();
            Some(StatusReport { vitality, ..status_of(&member, &ring, cluster(&own), is_in) })
        };
        let mut nodes: Vec<StatusReport> =
            members["members"].as_array().into_iter().flatten().filter_map(status).collect();
        nodes.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(Response::Status { nodes, seen_by: Some(label), change: None })
    }

    /// What the nodes believe of each other, or one of them.
    pub(super) fn members(&mut self, seen_by: Option<&str>) -> Result<MembersReport, Error> {
        let asked = match seen_by {
            Some(label) => vec![self.find(label)?],
            None => self.chart.contacts(),
        };
        let (views, statuses) = (self.pages(&asked, "/members"), self.pages(&asked, "/status"));
        let mut report = MembersReport {
            members: Vec::new(),
            leaders: Vec::new(),
            seen_by: seen_by.map(str::to_owned),
            notes: Vec::new(),
        };
        for ((node, view), (_, status)) in std::iter::zip(views, statuses) {
            let (Some(view), Some(status)) = (view, status) else {
                if seen_by.is_some() || self.http.is_interrupted() {
                    return Err(Error::NodeDown { label: node.label });
                }
                report.notes.push(format!("{} does not answer", node.told()));
                continue;
            };
            report.leaders.push(leader_belief(&node, &status));
            report.members.extend(view["members"].as_array().into_iter().flatten().map(|told| BeliefReport {
                id: told["node"].as_str().unwrap_or("?").to_owned(),
                state: standing(told),
                phi: told["phi"].as_f64().unwrap_or_default(),
                incarnation: number(told, "incarnation"),
                epoch: Epoch(number(told, "epoch")),
                as_seen_by: node.label.clone(),
            }));
        }
        report.members.sort_by(|one, other| (&one.id, &one.as_seen_by).cmp(&(&other.id, &other.as_seen_by)));
        Ok(report)
    }

    /// Who leads, by the newest term that any node knows.
    pub(super) fn leader(&mut self) -> Result<LeaderReport, Error> {
        let pages = self.all_pages("/status")?;
        let beliefs: Vec<LeaderBelief> =
            pages.iter().filter_map(|(node, page)| Some(leader_belief(node, page.as_ref()?))).collect();
        let newest = beliefs.iter().filter(|belief| belief.leader.is_some()).max_by_key(|belief| belief.term);
        let leader = newest.and_then(|belief| belief.leader.clone());
        let term = beliefs.iter().map(|belief| belief.term).max().unwrap_or_default();
        let (known, others): (Vec<LeaderBelief>, Vec<LeaderBelief>) =
            beliefs.iter().cloned().partition(|belief| belief.leader == leader);
        let members = self.all_pages("/members")?.into_iter().find_map(|(_, page)| page).unwrap_or_default();
        let voters = members["members"].as_array().into_iter().flatten().filter(|told| told["voter"] == true);
        let absence = leader.is_none().then(|| Absence {
            why: "no node that answers knows of one".to_owned(),
            remedy: "start nodes again until a majority of the voters is up".to_owned(),
        });
        Ok(LeaderReport {
            leader,
            is_ready: true,
            term,
            epoch: self.chart.epoch,
            voters: voters
                .map(|told| VoterReport { id: told["node"].as_str().unwrap_or("?").to_owned(), state: standing(told) })
                .collect(),
            forgetful: Vec::new(),
            known_to: known.into_iter().map(|belief| belief.node).collect(),
            others,
            absence,
        })
    }

    /// A page of every node. E145 where none answers.
    pub(super) fn all_pages(&mut self, path: &str) -> Result<Vec<(Contact, Option<Json>)>, Error> {
        let nodes = self.chart.contacts();
        let pages = self.pages(&nodes, path);
        if pages.iter().any(|(_, page)| page.is_some()) && !self.http.is_interrupted() {
            return Ok(pages);
        }
        let asked = format!("no node answers ({})", super::addresses(&nodes));
        Err(Error::Unanswered { asked, remedy: "start nodes again: kvsim node PORT".to_owned() })
    }

    fn member(&self, label: &str) -> Option<&Member> {
        self.chart.members.iter().find(|member| *member.label == *label)
    }
}

/// What is known of a member without its own word.
fn status_of(member: &Member, ring: &RingReport, cluster: Option<u64>, is_in: bool) -> StatusReport {
    let owns = ring.owners.iter().find(|owner| *owner.id == *member.label).map_or(0.0, |owner| owner.effective);
    StatusReport {
        id: member.label.to_string(),
        vitality: Vitality::Unknown,
        phase: if is_in { 'N' } else { 'J' },
        load_bytes: None,
        tokens: member.vnodes,
        owns,
        host_id: node_uid(cluster.unwrap_or_default(), &member.label, member.id),
        is_recovering: false,
        faults: Vec::new(),
    }
}

/// The number of the cluster that a node says it is of.
fn cluster(status: &Json) -> Option<u64> {
    u64::from_str_radix(status["cluster"].as_str()?, 16).ok()
}

fn leader_belief(node: &Contact, status: &Json) -> LeaderBelief {
    let leader = status["leader"].as_str().map(str::to_owned);
    LeaderBelief { node: node.label.clone(), leader, term: number(status, "term") }
}

/// A node's state, as the prompt calls it.
fn state(status: &Json) -> &'static str {
    let state = status["state"].as_str().unwrap_or_default();
    ["joining", "recovering", "stopped"].into_iter().find(|known| *known == state).unwrap_or("up")
}

/// What is believed of a member.
fn standing(told: &Json) -> &'static str {
    let standing = told["standing"].as_str().unwrap_or_default();
    ["up", "suspect", "left"].into_iter().find(|known| *known == standing).unwrap_or("down")
}

fn number(object: &Json, name: &str) -> u64 {
    object[name].as_u64().unwrap_or_default()
}

/// A figure in the text format of Prometheus.
fn sample(metrics: &str, name: &str) -> u64 {
    let value = metrics.lines().find_map(|line| line.strip_prefix(name));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or_default()
}

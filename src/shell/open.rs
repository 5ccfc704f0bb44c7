//! Opening a cluster, and what is said about it.

use std::path::Path;

use super::complete::free_id;
use super::{Options, ShellError};
use crate::cluster::{Backing, Cluster, ClusterConfig, Opened};
use crate::command::escape;
use crate::command::render::grouped;

/// Nodes of a new cluster unless told otherwise.
const DEFAULT_NODES: usize = 3;

/// Opens the cluster. A new one gets its nodes, `node1` and so on; one that was recovered keeps its own.
pub(super) fn open(options: &Options) -> Result<(Cluster, Opened), ShellError> {
    let backing = match &options.directory {
        None => Backing::Memory,
        Some(path) => Backing::Directory { path: path.clone(), copies: options.copies, vnodes: options.vnodes },
    };
    let config = ClusterConfig { nodes: options.nodes.unwrap_or(DEFAULT_NODES), ..options.config.clone() };
    let (cluster, opened) = Cluster::open(config, backing)?;
    let members: Vec<String> = cluster.nodes().into_iter().map(|node| node.id).collect();
    match (options.nodes, &options.directory) {
        (Some(asked), Some(path)) if asked != members.len() => {
            cluster.close()?;
            Err(ShellError::Members { asked, directory: shown(path), members })
        }
        _ => Ok((cluster, opened)),
    }
}

/// `3 nodes, 3 copies, quorum 2, virtual time, seed 1, ./kvsim-data (new)`.
pub(super) fn opening(cluster: &Cluster, opened: &Opened, directory: Option<&Path>) -> String {
    let config = cluster.config();
    let nodes = cluster.nodes().len();
    let copies = usize::from(config.copies);
    let need = config.level.need(if nodes == 0 { copies } else { copies.min(nodes) });
    let place = match directory {
        None => "in memory".to_owned(),
        Some(path) if opened.is_new => format!("{} (new)", shown(path)),
        Some(path) => {
            let records = match opened.recovered.iter().map(|(_, records)| records).sum() {
                1 => "1 record".to_owned(),
                records => format!("{} records", grouped(records)),
            };
            format!("{} (recovered: {records} in {})", shown(path), counted(opened.recovered.len(), "log"))
        }
    };
    format!(
        "{}, {}, {} {need}, virtual time, seed {}, {place}",
        counted(nodes, "node"),
        if copies == 1 { "1 copy".to_owned() } else { format!("{copies} copies") },
        config.level.name(),
        config.seed,
    )
}

/// The commands a new user may try: only such as work now.
pub(super) fn suggestions(cluster: &Cluster) -> String {
    let nodes = cluster.nodes();
    let taken: Vec<String> = nodes.iter().map(|node| node.id.clone()).collect();
    let free = free_id(&taken);
    let mut each = Vec::new();
    if !nodes.is_empty() {
        each.extend(["put apple 1".to_owned(), "explain get apple".to_owned()]);
    }
    each.extend(free.map(|id| format!("addnode {id}")));
    if nodes.len() > 1 {
        each.extend(nodes.get(1).map(|node| format!("kill {}", node.id)));
    }
    each.push("help".to_owned());
    format!("Try: {}", each.join(" | "))
}

/// `3 logs synced in ./kvsim-data`.
pub(super) fn closing(logs: usize, directory: &Path) -> String {
    format!("{} synced in {}", counted(logs, "log"), shown(directory))
}

fn shown(path: &Path) -> String {
    escape::escaped(path.as_os_str().as_encoded_bytes())
}

fn counted(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests;

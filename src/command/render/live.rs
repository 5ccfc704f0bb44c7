//! Lines on keys of live nodes: which node was asked, and what it did.

use super::{Look, Page};
use crate::cluster::ReadReport;
use crate::command::escape;

pub(super) fn stored(key: &[u8], node: &str) -> String {
    format!("[OK] Stored '{}' on Node {node}", escape::escaped(key))
}

pub(super) fn deleted(key: &[u8], node: &str) -> String {
    format!("[OK] Deleted '{}' on Node {node}", escape::escaped(key))
}

pub(super) fn found(page: &mut Page, read: &ReadReport, value: Option<&[u8]>, node: &str, look: Look) {
    let before = format!("[FOUND] Node {node} returned: ");
    match value {
        Some(value) if look.terminal => page.row(&(before + &escape::escaped(value))),
        Some(value) => page.raw(&[before.as_bytes(), value].concat()),
        None => page.line(&format!("[NOT FOUND] '{}'", escape::escaped(&read.key))),
    }
}

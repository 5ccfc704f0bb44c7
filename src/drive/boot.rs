//! Which boot of the machine this process runs in.
//!
//! What was written but not synced survives the process and goes with the machine. So a log notes the boot in which
//! its writes were acknowledged before they were synced; found again in another boot, without word that the process
//! ended well, it may lack some of them. On Linux the kernel gives each boot a number. Where there is none to be read
//! every opening takes itself for another boot: a process that was killed is then taken for a machine that went down,
//! which costs a merge of all copies and a note too many, but no data.

use std::fs;

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::clock::ProcessClock;

/// The number of this boot, not 0.
pub fn id() -> u128 {
    let boot = fs::read_to_string(LINUX_BOOT_ID).ok().and_then(|text| parse(&text));
    boot.unwrap_or_else(no_other)
}

/// The number of a new cluster: tells its files and its messages from those of others by when it was made, and by whom.
pub fn new_cluster_uid() -> u64 {
    let stamp = ProcessClock::new().stamp();
    let mut bytes = stamp.time.0.to_le_bytes().to_vec();
    bytes.extend_from_slice(&std::process::id().to_le_bytes());
    xxh3_64(&bytes)
}

/// A UUID as a number.
fn parse(text: &str) -> Option<u128> {
    let digits = text.trim().replace('-', "");
    u128::from_str_radix(&digits, 16).ok().filter(|boot| digits.len() == UUID_DIGITS && *boot != 0)
}

/// A number that no other opening has: by when it is, and whose.
fn no_other() -> u128 {
    let stamp = ProcessClock::new().stamp();
    xxh3_128(format!("{} {}", stamp.time.0, std::process::id()).as_bytes()).max(1)
}

const LINUX_BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
const UUID_DIGITS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_uuid_is_a_boot() {
        assert_eq!(parse("00000000-0000-0000-0000-00000000012c\n"), Some(300));
        for other in ["", "\n", "12c", "00000000-0000-0000-0000-000000000000", "zz000000-0000-0000-0000-00000000012c"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_boot_has_one_number() {
        assert!(!cfg!(target_os = "linux") || id() == id());
        assert_ne!(no_other(), 0);
    }
}

//! Commands on all keys: `DBSIZE`, `KEYS`, `SCAN`, `RANDOMKEY`.
//!
//! # Promise
//! They look into the tables of the nodes that are up. The newest version of a key there says whether it is there: what was
//! acknowledged is on a quorum, so that a key is missed, or one that was deleted seen, only while so many nodes are down
//! that it could not be read either. `SCAN` goes by token, and its cursor is where to go on: a key that is there from the
//! beginning to the end is returned exactly once, whatever happens to others, and to the ring, meanwhile.
//!
//! # Caveats
//! `DBSIZE`, `KEYS` and a `SCAN` with a large `COUNT` go through all keys while everybody waits.

use std::hash::{BuildHasher, RandomState};

use bytes::Bytes;

use super::glob;
use crate::types::{Key, Token};
use crate::wire::resp::Reply;

/// All keys of a cluster.
pub(super) trait Keyspace {
    /// The keys with a value among the next ones from `from` on, in (token, key) order, and where to go on. About `limit`
    /// are looked at: a page ends between two tokens.
    fn page(&mut self, from: Token, limit: usize) -> (Vec<Key>, Option<Token>);
}

/// What is asked of all keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Look {
    /// `DBSIZE`.
    Count,
    /// `KEYS`.
    Keys { pattern: Bytes },
    /// `SCAN`: from a token on, about so many keys looked at; none is returned unless they are of the type that is asked for.
    Scan { cursor: u64, pattern: Option<Bytes>, count: usize, has_type: bool },
    /// `RANDOMKEY`.
    Random,
}

impl Look {
    /// Looks.
    pub(super) fn answer(&self, keyspace: &mut impl Keyspace) -> Reply {
        match self {
            Look::Count => {
                let mut count = 0;
                for_each_page(keyspace, Token(0), |keys| count += keys.len());
                Reply::Integer(count as i64)
            }
            Look::Keys { pattern } => {
                let mut found = Vec::new();
                for_each_page(keyspace, Token(0), |keys| found.extend(replies(keys, Some(pattern))));
                Reply::Array(found)
            }
            Look::Scan { cursor, pattern, count, has_type } => {
                let (keys, next) = keyspace.page(Token(*cursor), *count);
                let found = replies(&keys, pattern.as_ref()).filter(|_| *has_type).collect();
                // No page goes on at 0: it would be the first one.
                let next = next.map_or(0, |next| next.0);
                Reply::Array(vec![Reply::bulk(next.to_string()), Reply::Array(found)])
            }
            Look::Random => random(keyspace).map_or(Reply::Nil, |key| reply(&key)),
        }
    }
}

/// The key behind a random place of the ring; from the last place on it is the first.
fn random(keyspace: &mut impl Keyspace) -> Option<Key> {
    let from = Token(RandomState::new().hash_one(()));
    first(keyspace, from).or_else(|| first(keyspace, Token(0)))
}

fn first(keyspace: &mut impl Keyspace, mut from: Token) -> Option<Key> {
    loop {
        let (keys, next) = keyspace.page(from, FEW);
        match keys.into_iter().next() {
            Some(key) => return Some(key),
            None => from = next?,
        }
    }
}

fn for_each_page(keyspace: &mut impl Keyspace, mut from: Token, mut note: impl FnMut(&[Key])) {
    loop {
        let (keys, next) = keyspace.page(from, PAGE);
        note(&keys);
        match next {
            Some(next) => from = next,
            None => return,
        }
    }
}

fn replies(keys: &[Key], pattern: Option<&Bytes>) -> impl Iterator<Item = Reply> {
    keys.iter().filter(move |key| pattern.is_none_or(|pattern| glob::matches(pattern, key.bytes()))).map(reply)
}

fn reply(key: &Key) -> Reply {
    Reply::Bulk(Bytes::copy_from_slice(key.bytes()))
}

/// Keys looked at once where all are.
const PAGE: usize = 10_000;
/// Keys looked at once where the first is wanted.
const FEW: usize = 16;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Keys that are there, or were.
    #[derive(Default)]
    struct Table(BTreeMap<Key, bool>);

    impl Table {
        fn of(keys: impl IntoIterator<Item = (u16, bool)>) -> Table {
            Table(keys.into_iter().map(|(number, is_there)| (key(number), is_there)).collect())
        }
    }

    impl Keyspace for Table {
        fn page(&mut self, from: Token, limit: usize) -> (Vec<Key>, Option<Token>) {
            let mut rest = self.0.iter().filter(|(key, _)| key.token() >= from);
            let page =
                rest.by_ref().take(limit).filter(|(_, is_there)| **is_there).map(|(key, _)| key.clone()).collect();
            (page, rest.next().map(|(key, _)| key.token()))
        }
    }

    fn key(number: u16) -> Key {
        Key::new(number.to_string()).unwrap()
    }

    fn texts(reply: &Reply) -> Vec<String> {
        let Reply::Array(items) = reply else { panic!("{reply:?}") };
        let text = |item: &Reply| match item {
            Reply::Bulk(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            other => panic!("{other:?}"),
        };
        items.iter().map(text).collect()
    }

    fn scan(table: &mut Table, cursor: u64, count: usize) -> (u64, Vec<String>) {
        let look = Look::Scan { cursor, pattern: None, count, has_type: true };
        match look.answer(table) {
            Reply::Array(parts) => match &parts[..] {
                [Reply::Bulk(next), keys] => (std::str::from_utf8(next).unwrap().parse().unwrap(), texts(keys)),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    proptest! {
        /// Others come and go between the pages.
        #[test]
        fn a_scan_returns_what_stays_exactly_once(
            staying in proptest::collection::btree_set(0_u16..500, 0..60),
            others in proptest::collection::vec((500_u16..600, any::<bool>()), 0..60),
            count in 1_usize..20,
        ) {
            let mut table = Table::of(staying.iter().map(|number| (*number, true)));
            let (mut cursor, mut found, mut others) = (0, Vec::new(), others.into_iter());
            loop {
                let (next, keys) = scan(&mut table, cursor, count);
                found.extend(keys.into_iter().filter(|key| key.parse::<u16>().unwrap() < 500));
                table.0.extend(others.next().map(|(number, is_there)| (key(number), is_there)));
                cursor = next;
                if cursor == 0 {
                    break;
                }
            }
            found.sort_by_key(|key| key.parse::<u16>().unwrap());
            prop_assert_eq!(found, staying.iter().map(u16::to_string).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_was_deleted_is_not_counted_nor_drawn() {
        let mut table = Table::of((0..1_000).map(|number| (number, number == 7)));
        assert_eq!(Look::Count.answer(&mut table), Reply::Integer(1));
        assert_eq!(Look::Random.answer(&mut table), Reply::bulk("7"));
        assert_eq!(Look::Random.answer(&mut Table::default()), Reply::Nil);
    }

    #[test]
    fn keys_are_those_that_match() {
        let mut table = Table::of((0..30).map(|number| (number, true)));
        let mut found = texts(&Look::Keys { pattern: "1?".into() }.answer(&mut table));
        found.sort();
        assert_eq!(found, (10..20).map(|number| number.to_string()).collect::<Vec<_>>());
        let (_, of_other_type) = {
            let look = Look::Scan { cursor: 0, pattern: None, count: 100, has_type: false };
            let Reply::Array(parts) = look.answer(&mut table) else { panic!() };
            (parts[0].clone(), texts(&parts[1]))
        };
        assert!(of_other_type.is_empty());
    }
}

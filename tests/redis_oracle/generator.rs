//! Requests at random: every command, its options in any case and order, words that are wrong, too many or too few.
//!
//! What is left out is what is known to differ; `redis_oracle.rs` lists it.

use crate::reply::Compare;

/// SplitMix64 (Steele, Lea and Flood, 2014).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// What was generated for a connection, as far as it decides what may come next.
#[derive(Clone, Default)]
pub(crate) struct State {
    pub(crate) is_queueing: bool,
    pub(crate) is_watching: bool,
}

/// A request.
pub(crate) struct Request {
    pub(crate) words: Vec<Vec<u8>>,
    pub(crate) compare: Compare,
}

impl Request {
    /// For people.
    pub(crate) fn shown(&self) -> String {
        let words: Vec<String> = self.words.iter().map(|word| format!("\"{}\"", word.escape_ascii())).collect();
        words.join(" ")
    }
}

pub(crate) struct Generator {
    pub(crate) dice: Dice,
    /// Grows, so that no two relative times are so close that it decides how fast one is.
    seconds: i64,
}

const KEYS: &[&[u8]] =
    &[b"a", b"b", b"key:1", b"key:2", b"\x00\xff\r\n", "k\u{e9}y".as_bytes(), b"a key of more than twenty-two bytes"];
const VALUES: &[&[u8]] = &[
    b"",
    b"0",
    b"1",
    b"10",
    b"-5",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"abc",
    b"\r\n",
    b"\x00\x01\xfe",
    b"01",
    b" 1",
    b"1.5",
    b"a value that is somewhat longer than others, so that it is no number",
];
const NUMBERS: &[&[u8]] = &[
    b"0",
    b"1",
    b"-1",
    b"7",
    b"100",
    b"-100",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"9223372036854775808",
    b"abc",
    b"",
    b"1.5",
    b"+1",
    b"01",
    b" 1",
];
const PATTERNS: &[&[u8]] =
    &[b"*", b"a*", b"key:?", b"key:[1-1]", b"[^a]*", b"k\xc3?y", b"nothing", b"\\a", b"*y*2", b"[ab]", b"[z-a]"];
const WRONG: &[&[u8]] = &[b"foo", b" ", b"nx", b"EX", b"a\r\nb", b"x\x00y", b"GET", b"10", b"TYPE"];
const FAR: &[&[u8]] = &[b"4000000000", b"4100000000", b"4200000000"];
const FAR_MS: &[&[u8]] = &[b"4000000000123", b"4100000000500", b"4200000000499"];
const PAST: &[&[u8]] = &[b"1", b"1000000000"];
const BAD_TIME: &[&[u8]] = &[b"0", b"-1", b"abc", b"9223372036854775807", b"-9223372036854775808", b""];

impl Generator {
    pub(crate) fn new(seed: u64) -> Generator {
        Generator { dice: Dice::new(seed), seconds: 1_000 }
    }

    /// The next request of a connection; of others `may_flush` says whether they watch nothing.
    pub(crate) fn request(&mut self, state: &mut State, may_flush: bool) -> Request {
        let (line, compare) = self.well_formed(state, may_flush);
        let mut words = line;
        let is_listed = [&b"cluster"[..], b"command", b"hello", b"info"].contains(&&words[0][..]);
        if !is_listed && self.dice.chance(8) {
            if self.dice.chance(50) && words.len() > 1 {
                let at = 1 + self.dice.below(words.len() - 1);
                words.remove(at);
            } else {
                let word = self.dice.pick(WRONG).to_vec();
                let at = 1 + self.dice.below(words.len());
                words.insert(at, word);
            }
        }
        let is_of_clients = |second: &Vec<u8>| [&b"id"[..], b"info", b"list"].contains(&&second[..]);
        let is_own = words[0] == b"client" && words.get(1).is_some_and(is_of_clients);
        let compare = if is_own && compare == Compare::Exact { Compare::Type } else { compare };
        // A value may have come to stand where a key is.
        if let Some(key) = words.get_mut(1).filter(|key| key.is_empty()) {
            key.extend_from_slice(b"b");
        }
        self.mix_case(&mut words[0]);
        Request { words, compare }
    }

    fn mix_case(&mut self, word: &mut [u8]) {
        match self.dice.below(4) {
            0 => word.make_ascii_lowercase(),
            1 => word.make_ascii_uppercase(),
            2 => word.iter_mut().filter(|_| self.dice.chance(50)).for_each(|byte| byte.make_ascii_uppercase()),
            _ => {}
        }
    }

    fn option(&mut self, name: &str) -> Vec<u8> {
        let mut word = name.as_bytes().to_vec();
        self.mix_case(&mut word);
        word
    }

    fn key(&mut self) -> Vec<u8> {
        self.dice.pick(KEYS).to_vec()
    }

    fn value(&mut self) -> Vec<u8> {
        self.dice.pick(VALUES).to_vec()
    }

    fn number(&mut self) -> Vec<u8> {
        self.dice.pick(NUMBERS).to_vec()
    }

    fn keys(&mut self) -> Vec<Vec<u8>> {
        (0..1 + self.dice.below(4)).map(|_| self.key()).collect()
    }

    /// Seconds or milliseconds from now.
    fn relative(&mut self, factor: i64) -> Vec<u8> {
        if self.dice.chance(15) {
            return self.dice.pick(BAD_TIME).to_vec();
        }
        self.seconds += 200;
        (self.seconds * factor).to_string().into_bytes()
    }

    fn absolute(&mut self, far: &[&[u8]]) -> Vec<u8> {
        match self.dice.below(20) {
            0..3 => self.dice.pick(PAST).to_vec(),
            3..5 => self.dice.pick(BAD_TIME).to_vec(),
            _ => self.dice.pick(far).to_vec(),
        }
    }

    fn expiry(&mut self) -> Vec<Vec<u8>> {
        match self.dice.below(4) {
            0 => vec![self.option("ex"), self.relative(1)],
            1 => vec![self.option("px"), self.relative(1_000)],
            2 => vec![self.option("exat"), self.absolute(FAR)],
            _ => vec![self.option("pxat"), self.absolute(FAR_MS)],
        }
    }

    fn set(&mut self) -> Vec<Vec<u8>> {
        let mut words = vec![b"set".to_vec(), self.key(), self.value()];
        while self.dice.chance(45) {
            match self.dice.below(6) {
                0 => words.push(self.option("nx")),
                1 => words.push(self.option("xx")),
                2 => words.push(self.option("get")),
                3 => words.push(self.option("keepttl")),
                _ => words.extend(self.expiry()),
            }
        }
        words
    }

    fn getex(&mut self) -> Vec<Vec<u8>> {
        let mut words = vec![b"getex".to_vec(), self.key()];
        while self.dice.chance(45) {
            if self.dice.chance(30) {
                words.push(self.option("persist"));
            } else {
                words.extend(self.expiry());
            }
        }
        words
    }

    fn expire(&mut self) -> Vec<Vec<u8>> {
        let (name, time) = match self.dice.below(4) {
            0 => ("expire", self.relative(1)),
            1 => ("pexpire", self.relative(1_000)),
            2 => ("expireat", self.absolute(FAR)),
            _ => ("pexpireat", self.absolute(FAR_MS)),
        };
        let mut words = vec![name.as_bytes().to_vec(), self.key(), time];
        while self.dice.chance(35) {
            let option = self.dice.pick(&["nx", "xx", "gt", "lt"]);
            words.push(self.option(option));
        }
        words
    }

    fn scan(&mut self) -> Vec<Vec<u8>> {
        let mut words = vec![b"scan".to_vec(), b"0".to_vec(), self.option("count"), b"1000".to_vec()];
        while self.dice.chance(40) {
            match self.dice.below(8) {
                0..4 => words.extend([self.option("match"), self.dice.pick(PATTERNS).to_vec()]),
                4 => words.extend([self.option("type"), b"String".to_vec()]),
                5 => words.extend([self.option("type"), b"list".to_vec()]),
                6 => words.extend([b"count".to_vec(), self.dice.pick(&[&b"1000"[..], b"0", b"-1", b"abc"]).to_vec()]),
                _ => words[1] = self.dice.pick(&[&b"0"[..], b"abc", b"1x", b" 0", b"99999999999999999999"]).to_vec(),
            }
        }
        words
    }

    fn on_keys(&mut self) -> (Vec<Vec<u8>>, Compare) {
        let name = |name: &str| name.as_bytes().to_vec();
        let with = |name: &str, mut words: Vec<Vec<u8>>| {
            words.insert(0, name.as_bytes().to_vec());
            words
        };
        let words = match self.dice.below(24) {
            0..4 => self.set(),
            4 => vec![name("setnx"), self.key(), self.value()],
            5 => vec![name("setex"), self.key(), self.relative(1), self.value()],
            6 => vec![name("psetex"), self.key(), self.relative(1_000), self.value()],
            7..9 => vec![name(self.dice.pick(&["get", "getdel", "strlen", "type", "get"])), self.key()],
            9 => self.getex(),
            10 => vec![name("getset"), self.key(), self.value()],
            11 => {
                let command = self.dice.pick(&["mset", "msetnx"]);
                let pairs = (0..1 + self.dice.below(3)).flat_map(|_| [self.key(), self.value()]).collect();
                with(command, pairs)
            }
            12 => with("mget", self.keys()),
            13 => {
                let command = self.dice.pick(&["del", "unlink", "exists", "exists"]);
                with(command, self.keys())
            }
            14..17 => self.expire(),
            17 => {
                let command = self.dice.pick(&["ttl", "pttl", "expiretime", "pexpiretime"]);
                return (vec![name(command), self.key()], Compare::Near);
            }
            18 => vec![name("persist"), self.key()],
            19 => vec![name("append"), self.key(), self.value()],
            20 => vec![name(self.dice.pick(&["incr", "decr"])), self.key()],
            21..23 => vec![name(self.dice.pick(&["incrby", "decrby"])), self.key(), self.number()],
            _ => vec![name("set"), self.key(), self.number()],
        };
        (words, Compare::Exact)
    }

    fn well_formed(&mut self, state: &mut State, may_flush: bool) -> (Vec<Vec<u8>>, Compare) {
        match self.dice.below(100) {
            0..68 => self.on_keys(),
            68..76 => self.on_all(state, may_flush),
            76..88 => (self.on_transaction(state), Compare::Exact),
            _ => self.on_connection(state),
        }
    }

    fn on_all(&mut self, state: &State, may_flush: bool) -> (Vec<Vec<u8>>, Compare) {
        let may_flush = may_flush && (state.is_queueing || !state.is_watching);
        match self.dice.below(12) {
            0..2 => (line("dbsize"), Compare::AtLeast),
            2..5 => (vec![b"keys".to_vec(), self.dice.pick(PATTERNS).to_vec()], Compare::Set),
            5..9 => (self.scan(), Compare::Scan),
            9 => (line("randomkey"), Compare::Type),
            _ if may_flush => (
                line(self.dice.pick(&["flushall", "flushdb", "flushall async", "FLUSHDB SYNC", "flushdb now"])),
                Compare::Exact,
            ),
            _ => (line("dbsize"), Compare::AtLeast),
        }
    }

    fn on_transaction(&mut self, state: &mut State) -> Vec<Vec<u8>> {
        match self.dice.below(10) {
            0..3 => {
                state.is_queueing = true;
                line("multi")
            }
            3..6 => {
                *state = State::default();
                line("exec")
            }
            6 => {
                *state = State::default();
                line("discard")
            }
            7..9 => {
                state.is_watching = true;
                let mut words = self.keys();
                words.insert(0, b"watch".to_vec());
                words
            }
            _ => line("unwatch"),
        }
    }

    fn on_connection(&mut self, state: &mut State) -> (Vec<Vec<u8>>, Compare) {
        // What these answer is not known to differ; what they do between MULTI and EXEC is.
        if !state.is_queueing && self.dice.chance(40) {
            let wanted = self.dice.below(7);
            return match wanted {
                0 => (line(self.dice.pick(&["hello", "hello 2", "hello 3", "hello 3"])), Compare::Hello),
                1 => (line(self.dice.pick(HELLOS)), Compare::Hello),
                2 => (line(self.dice.pick(&["client setname ann", "client setname b\u{e9}"])), Compare::Exact),
                3 => {
                    let name = self.dice.pick(VALUES).to_vec();
                    (vec![b"client".to_vec(), self.option("setname"), name], Compare::Exact)
                }
                4 => {
                    *state = State::default();
                    (line("reset"), Compare::Exact)
                }
                _ => (line("client getname"), Compare::Exact),
            };
        }
        let (text, compare) = self.dice.pick(LINES);
        let mut words = line(text);
        if self.dice.chance(20) {
            let name = self.dice.pick(&["ping", "echo"]);
            words = vec![self.option(name), self.value()];
        }
        if text == "foo" {
            words.extend((0..self.dice.below(6)).map(|_| self.dice.pick(UNKNOWN_WORDS).to_vec()));
        }
        (words, compare)
    }
}

fn line(text: &str) -> Vec<Vec<u8>> {
    text.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

const HELLOS: &[&str] = &[
    "hello 1",
    "hello 4",
    "hello abc",
    "hello 3 auth default any",
    "hello 3 AUTH nobody any",
    "hello 2 setname bob",
    "hello 3 SetName eve auth default x",
    "hello 3 setname",
    "hello 3 auth default",
    "hello 3 foo",
    "hello 3 setname a\r\nb",
];
const UNKNOWN_WORDS: &[&[u8]] = &[
    b"a",
    b"",
    b"a\r\nb",
    b"x\x00y",
    b"set",
    "\u{e9}".as_bytes(),
    b"a word that is so long that with another one of its kind there is no room for a third one",
];
/// Commands whose words are as they stand here.
const LINES: &[(&str, Compare)] = &[
    ("ping", Compare::Exact),
    ("ping hello", Compare::Exact),
    ("ping a b", Compare::Exact),
    ("time", Compare::Type),
    ("foo", Compare::Exact),
    ("foo", Compare::Exact),
    ("foo", Compare::Exact),
    ("client|id", Compare::Exact),
    ("incrby|float 1", Compare::Exact),
    ("select 0", Compare::Exact),
    ("select 16", Compare::Exact),
    ("select -1", Compare::Exact),
    ("select abc", Compare::Exact),
    ("select 99999999999", Compare::Exact),
    ("auth any", Compare::Exact),
    ("auth default any", Compare::Exact),
    ("auth nobody any", Compare::Exact),
    ("auth a b c", Compare::Exact),
    ("client id", Compare::Type),
    ("client", Compare::Exact),
    ("client foo", Compare::Exact),
    ("client MAINT_NOTIFICATIONS on", Compare::Exact),
    ("client list", Compare::Type),
    ("client list type normal", Compare::Type),
    ("client list type pubsub", Compare::Exact),
    ("client list type nobody", Compare::Exact),
    ("client list id abc", Compare::Exact),
    ("client list id", Compare::Exact),
    ("client list foo", Compare::Exact),
    ("client info", Compare::Type),
    ("client kill 1.2.3.4:5", Compare::Exact),
    ("client kill addr 1.2.3.4:5", Compare::Exact),
    ("client kill id 0", Compare::Exact),
    ("client kill id abc", Compare::Exact),
    ("client kill id 99999999", Compare::Exact),
    ("client kill type replica", Compare::Exact),
    ("client kill type nobody", Compare::Exact),
    ("client kill user nobody", Compare::Exact),
    ("client kill skipme maybe", Compare::Exact),
    ("client kill id 99999999 foo", Compare::Exact),
    ("client no-evict on", Compare::Exact),
    ("client no-evict maybe", Compare::Exact),
    ("client help", Compare::Type),
    ("command count", Compare::Type),
    ("command list", Compare::Type),
    ("command list filterby", Compare::Exact),
    ("command list filterby pattern gets?t", Compare::Exact),
    ("command list filterby PATTERN a b", Compare::Exact),
    ("command list filterby module any", Compare::Exact),
    ("command list filterby aclcat nothing", Compare::Exact),
    ("command list filterby foo bar", Compare::Exact),
    ("command list foo", Compare::Exact),
    ("command info get", Compare::Type),
    ("command info nothing", Compare::Exact),
    ("command docs nothing", Compare::Exact),
    ("command getkeys set a b", Compare::Exact),
    ("command getkeys mset a b c d", Compare::Exact),
    ("command getkeys mget a b c d", Compare::Exact),
    ("command getkeys ping", Compare::Exact),
    ("command getkeys foo a", Compare::Exact),
    ("command getkeys get", Compare::Exact),
    ("command getkeys get a b", Compare::Exact),
    ("command foo", Compare::Exact),
    ("config get save", Compare::Exact),
    ("config get nothing", Compare::Exact),
    ("config get maxmemory-polic?", Compare::Exact),
    ("config set nothing 1", Compare::Exact),
    ("config set nothing", Compare::Exact),
    ("config set a 1 b", Compare::Exact),
    ("config resetstat", Compare::Exact),
    ("config rewrite", Compare::Exact),
    ("config foo", Compare::Exact),
    ("config", Compare::Exact),
    ("cluster info", Compare::Exact),
    ("cluster slots", Compare::Exact),
    ("cluster", Compare::Exact),
    ("info", Compare::Type),
    ("info nothing", Compare::Exact),
    ("info server clients", Compare::Type),
];

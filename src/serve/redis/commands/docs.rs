//! What `COMMAND DOCS` says of each command. `since`: of Redis, or 0.1.0 for what is kvsim's own.

/// One command in words.
pub(super) struct Doc {
    pub(super) name: &'static str,
    pub(super) since: &'static str,
    pub(super) group: &'static str,
    pub(super) complexity: &'static str,
    /// See [`usage`](super::usage).
    pub(super) arguments: &'static str,
    pub(super) summary: &'static str,
}

type Text = &'static str;

const fn doc(name: Text, since: Text, group: Text, complexity: Text, arguments: Text, summary: Text) -> Doc {
    Doc { name, since, group, complexity, arguments, summary }
}

const CLIENT: Text = "connection";
const KEY: Text = "generic";
const VALUE: Text = "string";
const SERVER: Text = "server";
const TOGETHER: Text = "transactions";
const ONE: Text = "O(1)";
const EACH: Text = "O(n), the number of keys named";
const ALL: Text = "O(n), the number of all keys";
const CONDITION: Text = "key seconds [NX | XX | GT | LT]";
const CONDITION_MS: Text = "key milliseconds [NX | XX | GT | LT]";
const CONDITION_AT: Text = "key unix-time-seconds [NX | XX | GT | LT]";
const CONDITION_AT_MS: Text = "key unix-time-milliseconds [NX | XX | GT | LT]";
const SET: Text = "key value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | \
                   PXAT unix-time-milliseconds | KEEPTTL]";
const GETEX: Text =
    "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]";
const KILL: Text =
    "(address | [ID client-id] [TYPE type] [USER user] [ADDR address] [LADDR address] [SKIPME yes-or-no])";

const FILTER: Text = "[FILTERBY (MODULE module-name | ACLCAT category | PATTERN pattern)]";

/// In the table's order.
pub(super) static DOCS: &[Doc] = &[
    doc("append", "2.0.0", VALUE, "O(length of the value)", "key value", "Put more bytes at the end of a value"),
    doc("auth", "1.0.0", CLIENT, ONE, "[username] password", "Say who you are; there are no passwords here"),
    doc("client", "2.4.0", CLIENT, "As its subcommands", "", "About connections"),
    doc("client|getname", "2.6.9", CLIENT, ONE, "", "The name of this connection"),
    doc("client|help", "5.0.0", CLIENT, ONE, "", "These lines"),
    doc("client|id", "5.0.0", CLIENT, ONE, "", "The number of this connection"),
    doc("client|info", "6.2.0", CLIENT, ONE, "", "This connection, as in the list"),
    doc("client|kill", "2.4.0", CLIENT, "O(n), the number of connections", KILL, "Close connections"),
    doc(
        "client|list",
        "2.4.0",
        CLIENT,
        "O(n), the number of connections",
        "[TYPE type] [ID client-id...]",
        "All connections, one a line",
    ),
    doc("client|no-evict", "7.0.0", CLIENT, ONE, "(ON | OFF)", "Accepted; no connection is closed for want of memory"),
    doc("client|no-touch", "7.2.0", CLIENT, ONE, "(ON | OFF)", "Accepted; no key is kept by when it was used"),
    doc("client|reply", "3.2.0", CLIENT, ONE, "(ON | OFF | SKIP)", "Have answers, none, or none to the next command"),
    doc("client|setinfo", "7.2.0", CLIENT, ONE, "(LIB-NAME name | LIB-VER version)", "Name the client's library"),
    doc("client|setname", "2.6.9", CLIENT, ONE, "name", "Name this connection"),
    doc("cluster", "3.0.0", "cluster", ONE, "subcommand...", "Refused: the nodes are not seen as a Redis cluster"),
    doc("command", "2.8.13", SERVER, "O(n), the number of commands", "", "All commands and what they are like"),
    doc("command|count", "2.8.13", SERVER, ONE, "", "How many commands there are"),
    doc("command|docs", "7.0.0", SERVER, "O(n), the number of commands", "[name...]", "What commands do and take"),
    doc("command|getkeys", "2.8.13", SERVER, EACH, "command [word...]", "The keys among a command's words"),
    doc("command|help", "5.0.0", SERVER, ONE, "", "These lines"),
    doc(
        "command|info",
        "2.8.13",
        SERVER,
        "O(n), the number of commands",
        "[name...]",
        "Commands and what they are like",
    ),
    doc("command|list", "7.0.0", SERVER, "O(n), the number of commands", FILTER, "The names of commands"),
    doc("config", "2.0.0", SERVER, "As its subcommands", "", "About settings"),
    doc("config|get", "2.0.0", SERVER, "O(n), the number of settings", "pattern...", "Settings whose names match"),
    doc("config|help", "5.0.0", SERVER, ONE, "", "These lines"),
    doc("config|resetstat", "2.0.0", SERVER, ONE, "", "Begin to count anew"),
    doc("config|rewrite", "2.8.0", SERVER, ONE, "", "Refused: there is no file of settings"),
    doc("config|set", "2.0.0", SERVER, ONE, "(setting value)...", "Refused: settings are given at the start"),
    doc("dbsize", "1.0.0", SERVER, ALL, "", "How many keys there are"),
    doc("decr", "1.0.0", VALUE, ONE, "key", "Take 1 from a number"),
    doc("decrby", "1.0.0", VALUE, ONE, "key decrement", "Take so much from a number"),
    doc("del", "1.0.0", KEY, EACH, "key...", "Delete keys"),
    doc("discard", "2.0.0", TOGETHER, "O(n), the number of commands queued", "", "Forget what was queued since MULTI"),
    doc("echo", "1.0.0", CLIENT, ONE, "message", "Have the same bytes back"),
    doc(
        "exec",
        "1.2.0",
        TOGETHER,
        "As the commands queued",
        "",
        "Run what was queued since MULTI, nobody else between",
    ),
    doc("exists", "1.0.0", KEY, EACH, "key...", "How many of the keys are there"),
    doc("expire", "1.0.0", KEY, ONE, CONDITION, "Have a key go after so many seconds"),
    doc("expireat", "1.2.0", KEY, ONE, CONDITION_AT, "Have a key go at a time"),
    doc("expiretime", "7.0.0", KEY, ONE, "key", "When a key goes, in seconds since 1970"),
    doc("flushall", "1.0.0", SERVER, ALL, "[ASYNC | SYNC]", "Delete all keys"),
    doc("flushdb", "1.0.0", SERVER, ALL, "[ASYNC | SYNC]", "Delete all keys: there is one database"),
    doc("get", "1.0.0", VALUE, ONE, "key", "The value of a key"),
    doc("getdel", "6.2.0", VALUE, ONE, "key", "The value of a key, which is deleted"),
    doc("getex", "6.2.0", VALUE, ONE, GETEX, "The value of a key, and when it is to go"),
    doc("getset", "1.0.0", VALUE, ONE, "key value", "Set a key, and have the value that was there"),
    doc(
        "hello",
        "6.0.0",
        CLIENT,
        ONE,
        "[version [AUTH username password] [SETNAME name]]",
        "Choose the protocol's version, and hear who is there",
    ),
    doc("incr", "1.0.0", VALUE, ONE, "key", "Add 1 to a number"),
    doc("incrby", "1.0.0", VALUE, ONE, "key increment", "Add so much to a number"),
    doc("info", "1.0.0", SERVER, "O(n), the number of nodes", "[section...]", "The server and the cluster in figures"),
    doc("keys", "1.0.0", KEY, ALL, "pattern", "All keys that match"),
    doc("kvsim", "0.1.0", SERVER, "As the command", "command [word...]", "A command of kvsim's prompt, as kill node2"),
    doc("mget", "1.0.0", VALUE, EACH, "key...", "The values of keys"),
    doc("mset", "1.0.1", VALUE, EACH, "(key value)...", "Set keys"),
    doc("msetnx", "1.0.1", VALUE, EACH, "(key value)...", "Set keys if none of them is there"),
    doc("multi", "1.2.0", TOGETHER, ONE, "", "Queue what follows up to EXEC"),
    doc("persist", "2.2.0", KEY, ONE, "key", "Have a key stay that was to go"),
    doc("pexpire", "2.6.0", KEY, ONE, CONDITION_MS, "Have a key go after so many milliseconds"),
    doc("pexpireat", "2.6.0", KEY, ONE, CONDITION_AT_MS, "Have a key go at a time in milliseconds"),
    doc("pexpiretime", "7.0.0", KEY, ONE, "key", "When a key goes, in milliseconds since 1970"),
    doc("ping", "1.0.0", CLIENT, ONE, "[message]", "Hear that the server is there"),
    doc("psetex", "2.6.0", VALUE, ONE, "key milliseconds value", "Set a key for so many milliseconds"),
    doc("pttl", "2.6.0", KEY, ONE, "key", "After how many milliseconds a key goes"),
    doc("quit", "1.0.0", CLIENT, ONE, "", "Have the connection closed"),
    doc("randomkey", "1.0.0", KEY, ONE, "", "Some key"),
    doc("reset", "6.2.0", CLIENT, ONE, "", "Begin the connection anew"),
    doc(
        "scan",
        "2.8.0",
        KEY,
        "O(n), COUNT",
        "cursor [MATCH pattern] [COUNT count] [TYPE type]",
        "All keys, some at a time; a cursor says where to go on",
    ),
    doc("select", "1.0.0", CLIENT, ONE, "index", "Choose the database: there is one, 0"),
    doc("set", "1.0.0", VALUE, ONE, SET, "Set a key"),
    doc("setex", "2.0.0", VALUE, ONE, "key seconds value", "Set a key for so many seconds"),
    doc("setnx", "1.0.0", VALUE, ONE, "key value", "Set a key if it is not there"),
    doc("strlen", "2.2.0", VALUE, ONE, "key", "How many bytes a value has"),
    doc("time", "2.6.0", SERVER, ONE, "", "Seconds since 1970, and microseconds"),
    doc("ttl", "1.0.0", KEY, ONE, "key", "After how many seconds a key goes"),
    doc("type", "1.0.0", KEY, ONE, "key", "Of what type a key's value is"),
    doc("unlink", "4.0.0", KEY, EACH, "key...", "Delete keys"),
    doc("unwatch", "2.2.0", TOGETHER, ONE, "", "Watch no key any more"),
    doc("watch", "2.2.0", TOGETHER, EACH, "key...", "Have EXEC refused if one of the keys changes before it"),
];

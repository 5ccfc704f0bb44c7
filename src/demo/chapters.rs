//! The chapters' words. What they claim of the answers below them has to hold for every seed.

use super::Step::{Again, Change, Say, Type};
use super::{Chapter, Scene};

/// In the order in which they are shown. Each fits a window of 24 lines, with the question below it.
pub(super) const ALL: &[Chapter] =
    &[PLACES, QUORUM, BALANCE, CACHE, JOINING, LEAVING, DYING, MISSING, RETURNING, TEARING, LEADING, CROWD, BENCHMARK];

const PLACES: Chapter = Chapter {
    title: "a key finds its nodes",
    scene: THREE,
    steps: &[
        Say("All hashes make a circle. Every node has many places on it, its tokens. A key goes to the first token \
             at or after its hash, and its copies to the next other nodes. So whoever knows the members knows where a \
             key is: no table, nobody to ask."),
        Type("ring"),
        Type("where apple"),
    ],
    taught: "The hash alone says where a key lives. The first node is its primary.",
};

const QUORUM: Chapter = Chapter {
    title: "two of three make it safe",
    scene: THREE,
    steps: &[
        Say("A put goes to all three copies and is done when two have it in their logs: a quorum. Time runs \
             downwards, a dot is a node's own work. (Times are virtual: network and disks are simulated.)"),
        Type("explain put banana 2"),
    ],
    taught: "A put waits for a quorum, not for the slowest.",
};

const BALANCE: Chapter = Chapter {
    title: "why a node has many tokens",
    scene: Scene { nodes: 5, vnodes: 1, cache_entries: 1_000 },
    steps: &[
        Say("A thousand keys on five nodes with one token each: luck shares out the ring."),
        Again(FILL),
        Type("show"),
        Say("The same on five nodes with 128 tokens each. Luck evens out."),
        Change(FIVE),
        Again(FILL),
        Type("show"),
    ],
    taught: "Many small pieces a node make fair shares; kvsim gives each node 128.",
};

const CACHE: Chapter = Chapter {
    title: "reading through the cache",
    scene: Scene { nodes: 3, vnodes: 128, cache_entries: 2 },
    steps: &[
        Say("The log on disk is the data; a cache keeps the values used last. These nodes have room for two \
             values each, so the first of three keys is in no cache any more."),
        Again("mput a 1 b 2 c 3  # answers not shown"),
        Type("get a"),
        Say("That was a miss: one positioned read of the log. Now the value is cached."),
        Type("get a"),
        Type("stats"),
    ],
    taught: "A value used lately costs memory to read; any other, one read of the disk.",
};

const JOINING: Chapter = Chapter {
    title: "a node joins",
    scene: FOUR,
    steps: &[
        Again(FILL),
        Say("By hash mod N about twice as many copies would move when N becomes 5. On a ring the new node takes its \
             fair share. (plan addnode node5 tells it first.)"),
        Type("addnode node5"),
        Type("show"),
    ],
    taught: "The new node takes from all alike, and the others exchange nothing.",
};

const LEAVING: Chapter = Chapter {
    title: "a node leaves",
    scene: FOUR,
    steps: &[
        Again(FILL),
        Say("What the leaving node holds goes to those who come next on the ring. It serves until they have it."),
        Type("removenode node2"),
        Type("check"),
    ],
    taught: "Every key has its three copies before the old one is dropped.",
};

const DYING: Chapter = Chapter {
    title: "a node dies",
    scene: THREE,
    steps: &[
        Type("put apple 1"),
        Type("kill node2"),
        Say("Two of three are left, and two are a quorum: reads and writes go on."),
        Type("put apple 3"),
        Type("get apple"),
        Say("Who insists on all three waits until the deadline, and is told the truth:"),
        Type("get apple --consistency all"),
        Say("Why two are enough: the two that took the last write and the two that are asked have a node in \
             common, so every read meets the newest version."),
    ],
    taught: "R + W > N: what is read and what was written always overlap.",
};

const MISSING: Chapter = Chapter {
    title: "writes while a node is away",
    scene: THREE,
    steps: &[
        Again("kill node2; advance 5s  # answers not shown"),
        Say(
            "By now the others take node2 for dead. Whoever coordinates a write does not ask it, and keeps a hint for \
             it: the version. That is no acknowledgement; the two others give those.",
        ),
        Type("put apple 10"),
        Type("restart node2"),
        Type("keys node2"),
        Say("It knows of no apple. As soon as it is heard to be back, it is brought what it has missed."),
        Type("advance 1s"),
        Type("keys node2"),
    ],
    taught: "A hint waits for the node that missed a write, and no client does.",
};

const RETURNING: Chapter = Chapter {
    title: "a node returns",
    scene: THREE,
    steps: &[
        Again("mput apple 1 banana 2 cherry 3; kill node2  # answers not shown"),
        Type("mput apple 10 banana 20"),
        Say("node2 has missed two writes, before anybody knew that it is gone. Its log has what it had acknowledged; \
             what it missed it does not know. No quorum read is fooled: one of the others is asked too."),
        Type("restart node2"),
        Type("get apple"),
        Say("A read brings the copies it meets up to date. One pass of anti-entropy does it for all keys:"),
        Type("repair"),
    ],
    taught: "A log brings back what a node knew, and repair what it missed.",
};

const TEARING: Chapter = Chapter {
    title: "a log is torn",
    scene: THREE,
    steps: &[
        Say("A power cut is worse: what was not synced is gone. Twenty clients write."),
        Again("clients 20 --mix 0/100 --for 250ms; advance 150ms  # answers not shown"),
        Type("kill node2 --power-loss"),
        Type("restart node2"),
        Say("Checksums found the torn end; what it held came back from the other two."),
        Again("advance 2s  # answers not shown"),
        Type("repair"),
    ],
    taught: "One power cut takes no acknowledged write: a quorum had each.",
};

const LEADING: Chapter = Chapter {
    title: "the leader dies",
    scene: FIVE,
    steps: &[
        Again("advance 100ms  # answers not shown"),
        Say("Reads and writes need no leader. Changes of the ring do: one node at a time leads them, elected by a \
             majority of the voters."),
        Type("leader"),
        Again("kill node1  # answers not shown"),
        Type("put apple 1"),
        Again("advance 5s  # answers not shown"),
        Type("leader"),
        Say("The voters heard no heartbeat any more, and elected another. It has a term of its own: whatever the old \
             one still says is refused."),
    ],
    taught: "Who leads is agreed on by a majority, so there are never two.",
};

const CROWD: Chapter = Chapter {
    title: "the ring changes under load",
    scene: THREE,
    steps: &[
        Say("A hundred clients read and write while a node joins and another leaves."),
        Again("clients 100 --mix 50/50 --for 300ms; advance 100ms  # answers not shown"),
        Type("addnode node4"),
        Again("removenode node1  # answers not shown"),
        Type("advance 1s"),
    ],
    taught: "Writes go to old and new owners while ranges move: nobody waits or fails.",
};

const BENCHMARK: Chapter = Chapter {
    title: "how fast, in virtual time",
    scene: FIVE,
    steps: &[
        Say("Five nodes, 64 clients, 95 % reads, half a virtual second. Latencies come from the simulated network \
             and disks, so they are the same on every machine. (kvsim benchmark measures yours.)"),
        Type("clients 64 --mix 95/5 --for 500ms"),
        Type("advance 600ms"),
    ],
    taught: "A put waits for the faster two of three logs; a get asks two, and the third when one is silent.",
};

/// What was seen, and what to try.
pub(super) const CLOSING: &[&str] = &[
    "--- that was it ---",
    "You saw keys find their nodes by hash alone, many tokens make fair shares, a quorum outlive a dead node, hints \
     bring it what it missed, a torn log recover, a leader die, and a ring change while everybody went on. check tried every invariant on the way, and found \
     them kept.",
    "",
    "Now you:  kvsim                     the prompt, on three nodes in ./kvsim-data",
    "          put apple 1; kill node2; get apple; restart node2",
    "          explain get apple         who was asked, and who answered when",
    "          addnode node4             what moves, and what does not",
    "          help                      everything else",
];

const THREE: Scene = Scene { nodes: 3, vnodes: 128, cache_entries: 1_000 };
const FOUR: Scene = Scene { nodes: 4, ..THREE };
const FIVE: Scene = Scene { nodes: 5, ..THREE };
/// A thousand keys, nearly all of them met.
const FILL: &str = "clients 50 --mix 0/100 --for 200ms; advance 300ms  # answers not shown";

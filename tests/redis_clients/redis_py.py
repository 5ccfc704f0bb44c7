"""redis-py 8 against a server: redis_py.py redis://HOST:PORT [kvsim]

Says what Redis answers, and holds on Redis itself. `kvsim`: the server is a cluster, of which a node is lost meanwhile.
"""

import sys
import threading
import time
import warnings
from contextlib import contextmanager

import redis

URL = sys.argv[1]
CLUSTER = sys.argv[2:] == ["kvsim"]
CASES = []
# SETEX and others are deprecated, and programs use them.
warnings.simplefilter("ignore", DeprecationWarning)


def case(function):
    CASES.append(function)
    return function


@contextmanager
def raises(text, kind=redis.ResponseError):
    """What is done within is refused in these words."""
    try:
        yield
    except kind as error:
        assert text in str(error), error
    else:
        raise AssertionError(f"no error, and not {text}")


def fails(text, *command):
    with raises(text):
        connect().execute_command(*command)


def until(what, condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"not within a minute: {what}"
        time.sleep(0.01)


def connect(**options):
    return redis.Redis.from_url(URL, protocol=PROTOCOL, **options)


def in_threads(count, work):
    """Runs work(number) in so many threads at once; the first exception is this one's."""
    errors = []

    def run(number):
        try:
            work(number)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@case
def connection(r):
    assert r.ping()
    assert r.echo("heard") == b"heard"
    assert r.select(0)
    assert r.execute_command("RESET") in (b"RESET", "RESET")
    assert redis.Redis.from_url(URL, db=0, client_name="tester").client_getname() in (b"tester", "tester")


@case
def strings(r):
    assert r.get("nothing") is None
    assert r.set("fruit", "apple") is True
    assert r.get("fruit") == b"apple"
    assert r.type("fruit") == b"string" and r.type("nothing") == b"none"
    assert r.exists("fruit", "fruit", "nothing") == 2
    assert r.strlen("fruit") == 5 and r.strlen("nothing") == 0
    assert r.append("fruit", "-pie") == 9 and r.append("fresh", "ab") == 2
    assert r.get("fruit") == b"apple-pie"
    assert r.getset("fruit", "pear") == b"apple-pie" and r.getset("new", "1") is None
    assert r.getdel("fruit") == b"pear" and r.getdel("fruit") is None
    assert r.set("empty", "") and r.get("empty") == b"" and r.exists("empty") == 1
    assert r.delete("empty", "new", "nothing") == 2
    assert r.unlink("fresh", "nothing") == 1
    assert r.dbsize() == 0


@case
def conditions(r):
    assert r.set("a", "1", nx=True) is True
    assert r.set("a", "2", nx=True) is None
    assert r.set("b", "2", xx=True) is None
    assert r.set("a", "2", xx=True) is True
    assert r.set("a", "3", get=True) == b"2"
    assert r.set("b", "1", get=True) is None
    assert r.set("a", "4", nx=True, get=True) == b"3" and r.get("a") == b"3"
    assert r.set("c", "1", xx=True, get=True) is None and r.exists("c") == 0
    assert r.setnx("a", "5") is False and r.setnx("c", "5") is True


@case
def many_keys(r):
    assert r.mset({f"key:{n}": n for n in range(50)}) is True
    assert r.mget("key:7", "nothing", "key:49", "key:7") == [b"7", None, b"49", b"7"]
    assert r.dbsize() == 50
    assert r.randomkey().startswith(b"key:")
    assert sorted(r.keys("key:1?")) == [b"key:%d" % n for n in range(10, 20)]
    assert sorted(r.keys("key:[1-3]")) == [b"key:1", b"key:2", b"key:3"]
    assert r.keys("nothing*") == []
    assert r.flushall() is True
    assert r.dbsize() == 0 and r.randomkey() is None and r.keys("*") == []
    r.set("a", "1")
    assert r.flushdb() is True and r.dbsize() == 0


@case
def counters(r):
    # Of its own redis-py sends INCRBY and DECRBY.
    assert r.execute_command("INCR", "n") == 1 and r.incr("n", 10) == 11
    assert r.execute_command("DECR", "n") == 10 and r.decr("n", 4) == 6
    assert r.get("n") == b"6"
    assert r.incr("n", -7) == -1
    r.set("word", "x")
    r.set("padded", " 1")
    r.set("large", 2**63 - 1)
    fails("value is not an integer or out of range", "INCR", "word")
    fails("value is not an integer or out of range", "INCR", "padded")
    fails("value is not an integer or out of range", "INCRBY", "n", "x")
    fails("value is not an integer or out of range", "INCRBY", "n", 2**63)
    fails("increment or decrement would overflow", "INCR", "large")
    assert r.get("large") == b"9223372036854775807"


@case
def expiry(r):
    r.set("a", "1")
    assert r.ttl("a") == -1 and r.pttl("a") == -1 and r.ttl("nothing") == -2 and r.pttl("nothing") == -2
    assert r.expire("a", 100) and 0 < r.ttl("a") <= 100
    assert r.pexpire("a", 100_000) and 30_000 < r.pttl("a") <= 100_000
    assert r.persist("a") and r.ttl("a") == -1 and not r.persist("a")
    assert not r.expire("nothing", 100)
    soon = int(time.time()) + 100
    assert r.expireat("a", soon) and 0 < r.ttl("a") <= 101
    r.set("a", "2", keepttl=True)
    assert r.ttl("a") > 0
    assert r.append("a", "2") == 2 and r.incr("a") == 23 and r.ttl("a") > 0
    r.set("a", "3")
    assert r.ttl("a") == -1
    for options in ({"ex": 100}, {"px": 100_000}, {"exat": soon}, {"pxat": soon * 1000}):
        assert r.set("b", "1", **options) and 0 < r.ttl("b") <= 101, options
        assert r.getex("a", **options) == b"3" and 0 < r.ttl("a") <= 101, options
    assert r.getex("a") == b"3" and r.ttl("a") > 0
    assert r.getex("a", persist=True) == b"3" and r.ttl("a") == -1
    assert r.setex("c", 100, "1") and 0 < r.ttl("c") <= 100
    # What is in the past is gone at once.
    assert r.expire("c", -1) and r.get("c") is None
    assert r.set("c", "1", exat=1) and r.exists("c") == 0
    r.set("brief", "1", px=50)
    until("it expires", lambda: r.get("brief") is None)
    assert r.exists("brief") == 0 and r.ttl("brief") == -2 and b"brief" not in r.keys("*")
    assert r.set("brief", "2", nx=True, px=1)
    until("it expires", lambda: r.exists("brief") == 0)


@case
def scanning(r):
    names = {b"user:%d" % n for n in range(300)}
    for start in range(0, 300, 100):
        r.mset({f"user:{n}": "x" for n in range(start, start + 100)})
    r.set("other", "x")
    # A key may come twice, never not at all.
    assert set(r.scan_iter()) == names | {b"other"}
    assert set(r.scan_iter("user:*", count=7)) == names
    assert set(r.scan_iter(match="oth?r")) == {b"other"}
    assert set(r.scan_iter(count=1000)) == names | {b"other"}
    assert list(r.scan_iter("nothing*")) == []
    assert set(r.scan_iter(_type="string")) == names | {b"other"} and list(r.scan_iter(_type="list")) == []
    # What is there from its first call to its last is found, whatever comes and goes meanwhile.
    seen = set()
    for number, name in enumerate(r.scan_iter(count=10)):
        seen.add(name)
        r.set(f"late:{number}", "x")
        r.delete("other")
        assert number < 10_000, "it ends"
    assert names <= seen
    fails("invalid cursor", "SCAN", "x")
    fails("syntax error", "SCAN", 0, "COUNT", 0)


@case
def bytes_as_they_are(r):
    every = bytes(range(256))
    assert r.set(every, every) and r.get(every) == every
    assert r.set(b"a\r\nb", b"$-1\r\n") and r.get(b"a\r\nb") == b"$-1\r\n"
    assert r.mget([every, b"a\r\nb"]) == [every, b"$-1\r\n"]
    assert set(r.scan_iter()) == {every, b"a\r\nb"}
    large = every * 4096
    assert r.set("large", large) and r.get("large") == large and r.strlen("large") == 1 << 20
    umlaut = connect(decode_responses=True)
    assert umlaut.set("schlüssel", "größe") and umlaut.get("schlüssel") == "größe"
    assert umlaut.mget("schlüssel", "nothing") == ["größe", None] and umlaut.keys("schl*") == ["schlüssel"]
    assert umlaut.type("schlüssel") == "string"


@case
def pipelines(r):
    with r.pipeline(transaction=False) as pipe:
        for n in range(300):
            pipe.set(f"p:{n}", n)
        for n in range(300):
            pipe.get(f"p:{n}")
        assert pipe.execute() == [True] * 300 + [b"%d" % n for n in range(300)]
    # An error is the answer of one command, and the others have theirs.
    answers = r.pipeline(transaction=False).set("w", "x").incr("w").get("w").execute(raise_on_error=False)
    assert answers[0] is True and isinstance(answers[1], redis.ResponseError) and answers[2] == b"x"
    with raises("Command # 2 (INCRBY w 1) of pipeline caused error: value is not an integer"):
        r.pipeline(transaction=False).get("w").incr("w").execute()


@case
def transactions(r):
    pipe = r.pipeline(transaction=True)
    assert pipe.set("a", "1").incr("a").get("a").mget("a", "b").execute() == [True, 2, b"2", [b"2", None]]
    # One that fails when it runs undoes nothing.
    answers = r.pipeline().set("w", "x").incr("w").set("after", "1").execute(raise_on_error=False)
    assert answers[0] is True and isinstance(answers[1], redis.ResponseError) and answers[2] is True
    # One that cannot be queued discards all.
    with raises("wrong number of arguments for 'incr' command"):
        r.pipeline().set("a", "9").execute_command("INCR").execute()
    assert r.get("a") == b"2"
    with r.client() as one:
        one.execute_command("MULTI")
        assert one.append("a", "3") == b"QUEUED"
        assert r.get("a") == b"2", "seen before EXEC"
        one.execute_command("DISCARD")
        assert one.get("a") == b"2"
    for text, *commands in (
        ("EXEC without MULTI", "EXEC"),
        ("DISCARD without MULTI", "DISCARD"),
        ("MULTI calls can not be nested", "MULTI", "MULTI"),
        ("WATCH inside MULTI is not allowed", "MULTI", "WATCH a"),
        ("unknown command 'NOSUCH'", "MULTI", "NOSUCH"),
    ):
        # A connection of its own, which takes with it what it began.
        with connect().client() as one:
            *before, last = commands
            for command in before:
                one.execute_command(*command.split())
            with raises(text):
                one.execute_command(*last.split())
    with connect().client() as one:
        one.execute_command("MULTI")
        with raises("wrong number"):
            one.execute_command("GET")
        with raises("Transaction discarded because of previous errors.", redis.exceptions.ExecAbortError):
            one.execute_command("EXEC")
        assert one.get("a") == b"2"


@case
def watching(r):
    r.set("seat", "free")
    with r.pipeline() as pipe:
        pipe.watch("seat")
        assert pipe.get("seat") == b"free"
        connect().set("seat", "taken")
        pipe.multi()
        pipe.set("seat", "mine")
        with raises("", redis.WatchError):
            pipe.execute()
        assert r.get("seat") == b"taken"
        # What was let go of is not watched.
        pipe.watch("seat")
        pipe.unwatch()
        connect().set("seat", "free")
        pipe.multi()
        pipe.set("seat", "mine")
        assert pipe.execute() == [True]
    # A key that was not there before, and one that is not there after.
    for change in (lambda: connect().set("fresh", "1"), lambda: connect().delete("seat")):
        with r.pipeline() as pipe:
            pipe.watch("fresh", "seat")
            change()
            pipe.multi()
            pipe.set("other", "1")
            with raises("", redis.WatchError):
                pipe.execute()

    def one_more(pipe):
        before = int(pipe.get("counter") or 0)
        pipe.multi()
        pipe.set("counter", before + 1)

    def work(_):
        for _ in range(5):
            connection.transaction(one_more, "counter")

    connection = connect()
    in_threads(4, work)
    assert r.get("counter") == b"20"


@case
def threads(r):
    def work(number):
        for _ in range(25):
            r.incr("total")
            r.append("letters", "abcdefgh"[number])

    in_threads(8, work)
    assert r.get("total") == b"200"
    assert sorted(r.get("letters").decode()) == sorted("abcdefgh" * 25)

    # Both keys are always set together, and nobody sees one without the other.
    def pair(number):
        for n in range(25):
            if number < 2:
                r.pipeline().set("left", f"{number}.{n}").set("right", f"{number}.{n}").execute()
            else:
                left, right = r.pipeline().get("left").get("right").execute()
                assert left == right, f"{left} {right}"

    in_threads(4, pair)


@case
def about_the_server(r):
    info = r.info()
    assert info["redis_version"] and info["tcp_port"] == r.connection_pool.connection_kwargs["port"]
    assert r.info("server")["redis_version"] == info["redis_version"]
    assert info["connected_clients"] >= 1 and info["loading"] == 0 and info["role"] == "master"
    r.set("a", "1")
    assert r.info("keyspace")["db0"]["keys"] == 1
    assert "save" in r.config_get("save") and "appendonly" in r.config_get("append*")
    assert r.config_get("nosuch") == {}
    commands = r.command()
    assert commands["get"]["arity"] == 2 and commands["set"]["arity"] == -3
    assert r.command_count() == len(commands)
    with r.client() as one:
        assert one.client_setname("me") is True
        assert one.client_getname() in (b"me", "me")
        mine = one.client_info()
        assert int(mine["id"]) == one.client_id() and mine["name"] == "me" and int(mine["resp"]) == PROTOCOL
        assert any(client["name"] == "me" and int(client["id"]) == int(mine["id"]) for client in r.client_list())


@case
def errors(r):
    r.set("a", "1")
    fails("unknown command 'NOSUCH', with args beginning with: 'a' 'b'", "NOSUCH", "a", "b")
    fails("wrong number of arguments for 'get' command", "GET")
    fails("wrong number of arguments for 'set' command", "SET", "a")
    fails("wrong number of arguments for 'mset' command", "MSET", "a", "1", "b")
    fails("unknown subcommand 'nosuch'. Try CLIENT HELP.", "CLIENT", "nosuch")
    fails("wrong number of arguments for 'client|setname' command", "CLIENT", "SETNAME")
    fails("syntax error", "SET", "a", "1", "NX", "XX")
    fails("syntax error", "SET", "a", "1", "EX", "1", "PX", "1")
    fails("syntax error", "SET", "a", "1", "NOSUCH")
    fails("value is not an integer or out of range", "SET", "a", "1", "EX", "x")
    fails("value is not an integer or out of range", "EXPIRE", "a", "x")
    fails("invalid expire time in 'set' command", "SET", "a", "1", "EX", "0")
    fails("invalid expire time in 'setex' command", "SETEX", "a", "0", "1")
    fails("invalid expire time in 'getex' command", "GETEX", "a", "EX", "0")
    fails("invalid expire time in 'expire' command", "EXPIRE", "a", 2**63 - 1)
    fails("DB index is out of range", "SELECT", "99")
    fails("unsupported protocol version", "HELLO", "4")
    assert r.get("a") == b"1" and r.ttl("a") == -1
    with raises("AUTH <password> called without any password configured", redis.AuthenticationError):
        r.execute_command("AUTH", "x")


def a_node_is_lost(r):
    def cluster(*command):
        return r.execute_command("KVSIM", *command).decode()

    nodes = cluster("nodes")
    assert all(f"node{n}" in nodes for n in range(1, 6)) and "down" not in nodes, nodes
    half, whole = threading.Barrier(5, timeout=60), threading.Barrier(5, timeout=60)

    def work(number):
        for step in range(75):
            if step == 25:
                half.wait()
            if step == 50:
                whole.wait()
            r.incr("total")
            r.set(f"{number}:{step}", step)

    def breaks():
        half.wait()
        assert "node2" in cluster("kill", "node2")
        assert "down" in cluster("nodes")
        whole.wait()
        assert "node2" in cluster("restart", "node2")

    # Four count, the fifth breaks the cluster under them.
    in_threads(5, lambda number: breaks() if number == 4 else work(number))
    assert r.get("total") == b"300"
    names = [f"{number}:{step}" for number in range(4) for step in range(75)]
    assert r.mget(names) == [b"%d" % step for _ in range(4) for step in range(75)]
    assert r.dbsize() == 301 and len(set(r.scan_iter())) == 301
    assert "down" not in cluster("nodes")
    fails("KV-E133", "KVSIM", "kill", "nosuch")
    fails("KV-E136", "KVSIM", "restart", "node2")
    fails("KV-E401", "KVSIM", "nosuch")


if CLUSTER:
    CASES.append(a_node_is_lost)
for PROTOCOL in (2, 3):
    for run in CASES:
        client = connect()
        client.flushall()
        run(client)
        client.close()
        print(f"ok {run.__name__} (RESP{PROTOCOL})", flush=True)

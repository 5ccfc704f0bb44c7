#!/usr/bin/env python3
"""What do the users of a shop see when nodes of its store die? An application test on `kvsim serve`.

    pip install redis
    python examples/application_test.py target/release/kvsim [--fast]

Five nodes hold three copies of each key, and two of the three must answer. So any one node can be lost, and nobody sees
it. Without two nodes, the keys that had copies on both have lost their quorum: the shop is told, and keeps those orders.
"""

import argparse
import subprocess
import threading
import time
from collections import Counter

import redis

USERS, ORDERS_EACH = 8, 20


class Shop:
    """The application. Its store is Redis, as far as it knows."""

    def __init__(self, store):
        self.store = store

    def visit(self, user):
        self.store.set(f"session:{user}", "browsing", ex=1800)

    def order(self, number, item):
        # Each order has a key of its own, so it can be written twice and is still one order: a retry is always right.
        self.store.set(f"order:{number}", item)

    def ordered(self, number):
        return self.store.get(f"order:{number}")


class Phase:
    """What all users have met while the cluster was in one state."""

    def __init__(self, name):
        self.name, self.requests, self.slowest = name, 0, 0.0
        self.errors, self.examples = Counter(), {}
        self.lock = threading.Lock()

    def ask(self, request, *arguments):
        started, error = time.monotonic(), None
        try:
            return request(*arguments)
        except redis.ResponseError as refusal:
            error = str(refusal)
            raise
        finally:
            with self.lock:
                self.requests += 1
                self.slowest = max(self.slowest, time.monotonic() - started)
                if error:
                    code = next((word for word in error.replace(":", " ").split() if word.startswith("KV-E")), error)
                    self.errors[code] += 1
                    self.examples[code] = error

    def insist(self, request, *arguments):
        """Asks again and again, a minute at most."""
        deadline = time.monotonic() + 60
        while True:
            try:
                return self.ask(request, *arguments)
            except redis.ResponseError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def __str__(self):
        errors = ", ".join(f"{count} x {code}" for code, count in sorted(self.errors.items())) or "no errors"
        return f"{self.name:26}{self.requests:4} requests, the slowest {self.slowest * 1000:6.1f} ms, {errors}"


def run_users(name, shop, acknowledged, kept):
    """All users visit and order at once. Numbers of orders go to `acknowledged`, or to `kept` to be tried again."""
    phase = Phase(name)

    def user(who):
        for turn in range(ORDERS_EACH):
            number = f"{name}/{who}/{turn}"
            try:
                phase.ask(shop.visit, f"{who}/{turn}")
                phase.ask(shop.order, number, "a book")
                acknowledged.append(number)
            except redis.ResponseError:
                # KV-E201: nothing was changed. KV-E202: nobody knows, and the order may be there later. Both: once more.
                kept.append(number)

    threads = [threading.Thread(target=user, args=(who,)) for who in range(USERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(phase, flush=True)
    return phase


def test(url):
    store = redis.Redis.from_url(url, decode_responses=True)
    shop, acknowledged, kept = Shop(store), [], []

    whole = run_users("five nodes", shop, acknowledged, kept)
    store.execute_command("KVSIM", "kill", "node2")
    one_dead = run_users("node2 is dead", shop, acknowledged, kept)
    assert not whole.errors and not one_dead.errors, "one node of five is nobody's loss"

    store.execute_command("KVSIM", "kill", "node4")
    two_dead = run_users("node2 and node4 are dead", shop, acknowledged, kept)
    assert two_dead.errors["KV-E201"] > 0
    for example in two_dead.examples.values():
        print(f"  the shop was told: {example}")

    store.execute_command("KVSIM", "restart", "node2")
    store.execute_command("KVSIM", "restart", "node4")
    back = Phase("both are back")
    for number in kept:
        back.insist(shop.order, number, "a book")
    lost = [number for number in acknowledged + kept if back.insist(shop.ordered, number) != "a book"]
    print(back)
    assert not lost, lost
    print(f"{len(acknowledged)} orders acknowledged, {len(kept)} more at the second try, none of them lost")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="An application test on kvsim serve.")
    parser.add_argument("kvsim", nargs="?", default="kvsim", help="the program (from PATH)")
    parser.add_argument("--fast", action="store_true", help="without the delays of a network")
    arguments = parser.parse_args()
    command = [arguments.kvsim, "serve", "--redis", "127.0.0.1:0", "--fast" if arguments.fast else "--realtime"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        # Port 0 is any free one, and the server says which.
        test(next(word for line in server.stdout for word in line.split() if word.startswith("redis://")))
    finally:
        server.kill()
        server.wait()

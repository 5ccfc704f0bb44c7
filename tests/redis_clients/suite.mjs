// What the suites in JavaScript have in common: where clients are, how cases are run and told.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

export { assert };

/** As `.ci/clients` has installed it. */
export const client = createRequire(new URL('../../target/clients/', import.meta.url));

export const [url, ...others] = process.argv.slice(2);

/** Whether the server is a cluster, of which a node can be lost. */
export const isCluster = others[0] === 'kvsim';

/** Runs each function of `cases` in turn, with the client that `emptied` returns. The first that throws ends the program. */
export async function run(cases, label, emptied) {
  for (const [name, body] of Object.entries(cases)) {
    await body(await emptied());
    console.log(`ok ${name} (${label})`);
  }
}

/** Waits until the condition holds, a minute at most. */
export async function until(what, condition) {
  const deadline = Date.now() + 60_000;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, `not within a minute: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Both clients tell the cluster in the same words: `kvsim('kill', 'node2')` answers with text. */
export async function aNodeIsLost(kvsim, increment) {
  const count = (times) => Promise.all(Array.from({ length: times }, increment));
  assert.doesNotMatch(await kvsim('nodes'), /down/);
  const before = count(100);
  assert.match(await kvsim('kill', 'node2'), /node2/);
  assert.match(await kvsim('nodes'), /node2 +down/);
  await before;
  await count(100);
  assert.match(await kvsim('restart', 'node2'), /node2/);
  assert.doesNotMatch(await kvsim('nodes'), /down/);
  await assert.rejects(kvsim('kill', 'nosuch'), /KV-E133/);
  await assert.rejects(kvsim('restart', 'node2'), /KV-E136/);
  assert.equal(await increment(), 201);
}

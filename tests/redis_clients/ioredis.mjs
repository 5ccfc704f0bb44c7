// ioredis 6 against a server: ioredis.mjs redis://HOST:PORT [kvsim]
//
// Says what Redis answers, and holds on Redis itself. `kvsim`: the server is a cluster, of which a node is lost meanwhile.

import { aNodeIsLost, assert, client, isCluster, run, until, url } from './suite.mjs';

const { Redis } = client('ioredis');
let protocol;
const connect = (options) => new Redis(url, { protocol, maxRetriesPerRequest: 0, ...options });

const cases = {
  async strings(redis) {
    assert.equal(await redis.ping(), 'PONG');
    assert.equal(await redis.get('nothing'), null);
    assert.equal(await redis.set('fruit', 'apple'), 'OK');
    assert.equal(await redis.get('fruit'), 'apple');
    assert.equal(await redis.append('fruit', '-pie'), 9);
    assert.equal(await redis.strlen('fruit'), 9);
    assert.equal(await redis.type('fruit'), 'string');
    assert.equal(await redis.exists('fruit', 'nothing'), 1);
    assert.equal(await redis.set('fruit', 'pear', 'NX'), null);
    assert.equal(await redis.set('fruit', 'pear', 'XX', 'GET'), 'apple-pie');
    assert.equal(await redis.getdel('fruit'), 'pear');
    assert.equal(await redis.mset('a', '1', 'b', '2'), 'OK');
    assert.deepEqual(await redis.mget('a', 'nothing', 'b'), ['1', null, '2']);
    assert.deepEqual([await redis.incr('n'), await redis.incrby('n', 9), await redis.decr('n')], [1, 10, 9]);
    assert.equal(await redis.dbsize(), 3);
    assert.equal(await redis.del('a', 'b', 'n', 'nothing'), 3);
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    assert.equal(await redis.set(bytes, bytes), 'OK');
    assert.deepEqual(await redis.getBuffer(bytes), bytes);
  },

  async pipeline(redis) {
    const pipeline = redis.pipeline();
    for (let n = 0; n < 300; n++) pipeline.set(`p:${n}`, n).get(`p:${n}`);
    const answers = await pipeline.exec();
    assert.deepEqual(answers, Array.from({ length: 600 }, (_, n) => [null, n % 2 ? String((n - 1) / 2) : 'OK']));
    const [, [error], after] = await redis.pipeline().set('word', 'x').incr('word').get('word').exec();
    assert.equal(error.message, 'ERR value is not an integer or out of range');
    assert.deepEqual(after, [null, 'x']);
    // Commands of one turn of the event loop, sent together.
    const automatic = connect({ enableAutoPipelining: true });
    const counted = await Promise.all(Array.from({ length: 100 }, () => automatic.incr('n')));
    assert.deepEqual(counted, Array.from({ length: 100 }, (_, n) => n + 1));
    automatic.disconnect();
  },

  async transaction(redis) {
    const answers = await redis.multi().set('a', '1').incr('a').mget('a', 'nothing').exec();
    assert.deepEqual(answers, [[null, 'OK'], [null, 2], [null, ['2', null]]]);
    await redis.multi({ pipeline: false });
    assert.equal(await redis.set('a', '3'), 'QUEUED');
    assert.deepEqual(await redis.exec(), [[null, 'OK']]);
    await redis.multi({ pipeline: false });
    assert.equal(await redis.set('a', '4'), 'QUEUED');
    assert.equal(await redis.discard(), 'OK');
    assert.equal(await redis.get('a'), '3');
    const undone = redis.multi().set('a', '5').call('INCR').exec();
    await assert.rejects(undone, /EXECABORT Transaction discarded because of previous errors\./);
    assert.equal(await redis.get('a'), '3');
  },

  async watch(redis) {
    const other = connect();
    await redis.watch('seat');
    await other.set('seat', 'taken');
    assert.equal(await redis.multi().set('seat', 'mine').exec(), null);
    assert.equal(await redis.get('seat'), 'taken');
    await redis.watch('seat');
    await redis.unwatch();
    await other.set('seat', 'free');
    assert.deepEqual(await redis.multi().set('seat', 'mine').exec(), [[null, 'OK']]);
    other.disconnect();
  },

  async scan(redis) {
    const names = Array.from({ length: 200 }, (_, n) => `user:${n}`);
    await redis.mset(...names.flatMap((name) => [name, 'x']), 'other', 'x');
    const found = async (options) => {
      const all = new Set();
      for await (const keys of redis.scanStream(options)) keys.forEach((key) => all.add(key));
      return [...all].sort();
    };
    assert.deepEqual(await found({ match: 'user:*', count: 7 }), [...names].sort());
    assert.deepEqual(await found(), [...names, 'other'].sort());
    assert.deepEqual(await found({ match: 'nothing*' }), []);
    assert.deepEqual((await redis.keys('user:1?')).sort(), names.slice(10, 20).sort());
  },

  async expiry(redis) {
    assert.equal(await redis.set('a', '1', 'EX', 100), 'OK');
    const left = await redis.ttl('a');
    assert.ok(0 < left && left <= 100, String(left));
    assert.equal(await redis.set('a', '2', 'KEEPTTL'), 'OK');
    assert.ok((await redis.pttl('a')) > 0);
    assert.equal(await redis.persist('a'), 1);
    assert.deepEqual([await redis.ttl('a'), await redis.ttl('nothing')], [-1, -2]);
    assert.equal(await redis.getex('a', 'PX', 100_000), '2');
    assert.ok((await redis.pttl('a')) > 0);
    await redis.set('brief', '1', 'PX', 50);
    await until('it expires', async () => (await redis.get('brief')) === null);
  },

  async errors(redis) {
    await redis.set('word', 'x');
    for (const [command, message] of [
      ['INCR word', 'ERR value is not an integer or out of range'],
      ['GET', "ERR wrong number of arguments for 'get' command"],
      ['NOSUCH a b', "ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b' "],
      ['SET a 1 EX 0', "ERR invalid expire time in 'set' command"],
      ['SET a 1 NOSUCH', 'ERR syntax error'],
      ['SELECT 99', 'ERR DB index is out of range'],
    ]) {
      await assert.rejects(redis.call(...command.split(' ')), { name: 'ReplyError', message });
    }
    assert.equal(await redis.get('word'), 'x');
  },

  async end() {
    const one = connect({ connectionName: 'tester' });
    assert.equal(await one.client('GETNAME'), 'tester');
    assert.match(await one.info('server'), /redis_version:/);
    const ended = new Promise((resolve) => one.once('end', resolve));
    const last = [one.set('a', '1'), one.get('a')];
    assert.equal(await one.quit(), 'OK');
    assert.deepEqual(await Promise.all(last), ['OK', '1']);
    await ended;
    await assert.rejects(one.get('a'), /Connection is closed/);
  },
};

if (isCluster) {
  cases.a_node_is_lost = (redis) =>
    aNodeIsLost((...command) => redis.call('KVSIM', ...command), () => redis.incr('total'));
}

for (protocol of [2, 3]) {
  const redis = connect();
  await run(cases, `RESP${protocol}`, async () => {
    await redis.flushall();
    return redis;
  });
  redis.disconnect();
}

// node-redis 6 against a server: node_redis.mjs redis://HOST:PORT [kvsim]
//
// Says what Redis answers, and holds on Redis itself. `kvsim`: the server is a cluster, of which a node is lost meanwhile.

import { aNodeIsLost, assert, client, isCluster, run, until, url } from './suite.mjs';

const { createClient, createClientPool, RESP_TYPES, WatchError } = client('redis');
let RESP;
const settings = () => ({ url, RESP, socket: { reconnectStrategy: false } });
const connect = () =>
  createClient(settings())
    .on('error', (error) => {
      throw error;
    })
    .connect();

const cases = {
  async strings(redis) {
    assert.equal(await redis.ping(), 'PONG');
    assert.equal(await redis.get('nothing'), null);
    assert.equal(await redis.set('fruit', 'apple'), 'OK');
    assert.equal(await redis.get('fruit'), 'apple');
    assert.equal(await redis.append('fruit', '-pie'), 9);
    assert.equal(await redis.strLen('fruit'), 9);
    assert.equal(await redis.type('fruit'), 'string');
    assert.equal(await redis.exists(['fruit', 'nothing']), 1);
    assert.equal(await redis.set('fruit', 'pear', { condition: 'NX' }), null);
    assert.equal(await redis.set('fruit', 'pear', { condition: 'XX', GET: true }), 'apple-pie');
    assert.equal(await redis.getDel('fruit'), 'pear');
    assert.equal(await redis.mSet({ a: '1', b: '2' }), 'OK');
    assert.deepEqual(await redis.mGet(['a', 'nothing', 'b']), ['1', null, '2']);
    assert.deepEqual([await redis.incr('n'), await redis.incrBy('n', 9), await redis.decr('n')], [1, 10, 9]);
    assert.equal(await redis.dbSize(), 3);
    assert.equal(await redis.del(['a', 'b', 'n', 'nothing']), 3);
    assert.equal(await redis.setNX('a', '1'), 1);
    assert.equal(await redis.randomKey(), 'a');
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    assert.equal(await redis.set(bytes, bytes), 'OK');
    const asBytes = redis.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
    assert.deepEqual(await asBytes.get(bytes), bytes);
  },

  // What is asked in one turn of the event loop goes out together.
  async pipeline(redis) {
    const asked = [];
    for (let n = 0; n < 300; n++) asked.push(redis.set(`p:${n}`, String(n)), redis.get(`p:${n}`));
    const answers = await Promise.all(asked);
    assert.deepEqual(answers, Array.from({ length: 600 }, (_, n) => (n % 2 ? String((n - 1) / 2) : 'OK')));
    const [set, wrong, get] = await Promise.allSettled([redis.set('word', 'x'), redis.incr('word'), redis.get('word')]);
    assert.deepEqual([set.value, get.value], ['OK', 'x']);
    assert.equal(wrong.reason.message, 'ERR value is not an integer or out of range');
    assert.deepEqual(await redis.multi().set('a', '1').get('a').execAsPipeline(), ['OK', '1']);
  },

  async transaction(redis) {
    const answers = await redis.multi().set('a', '1').incr('a').mGet(['a', 'nothing']).exec();
    assert.deepEqual(answers, ['OK', 2, ['2', null]]);
    const failed = await redis.multi().set('word', 'x').incr('word').set('after', '1').exec().catch((error) => error);
    assert.deepEqual(failed.errorIndexes, [1]);
    assert.deepEqual([failed.replies[0], failed.replies[2]], ['OK', 'OK']);
    assert.equal(await redis.get('after'), '1');
    const undone = redis.multi().set('a', '5').addCommand(['INCR']).exec();
    await assert.rejects(undone, /wrong number of arguments for 'incr' command|EXECABORT/);
    assert.equal(await redis.get('a'), '2');
  },

  async watch(redis) {
    const other = await connect();
    await redis.watch('seat');
    await other.set('seat', 'taken');
    await assert.rejects(redis.multi().set('seat', 'mine').exec(), WatchError);
    assert.equal(await redis.get('seat'), 'taken');
    await redis.watch('seat');
    await redis.unwatch();
    await other.set('seat', 'free');
    assert.deepEqual(await redis.multi().set('seat', 'mine').exec(), ['OK']);
    await other.close();
  },

  // Each of a pool's connections watches for itself.
  async pool(redis) {
    const pool = await createClientPool(settings(), { minimum: 1, maximum: 4 }).connect();
    const oneMore = () =>
      pool.execute(async (one) => {
        for (;;) {
          await one.watch('counter');
          const before = Number(await one.get('counter'));
          try {
            return await one.multi().set('counter', String(before + 1)).exec();
          } catch (error) {
            if (!(error instanceof WatchError)) throw error;
          }
        }
      });
    await Promise.all(Array.from({ length: 20 }, oneMore));
    assert.equal(await redis.get('counter'), '20');
    await pool.close();
  },

  async scan(redis) {
    const names = Array.from({ length: 200 }, (_, n) => `user:${n}`);
    await redis.mSet([...names, 'other'].map((name) => [name, 'x']));
    const found = async (options) => {
      const all = new Set();
      for await (const keys of redis.scanIterator(options)) keys.forEach((key) => all.add(key));
      return [...all].sort();
    };
    assert.deepEqual(await found({ MATCH: 'user:*', COUNT: 7 }), [...names].sort());
    assert.deepEqual(await found(), [...names, 'other'].sort());
    assert.deepEqual(await found({ TYPE: 'string', MATCH: 'oth?r' }), ['other']);
    assert.deepEqual((await redis.keys('user:1?')).sort(), names.slice(10, 20).sort());
  },

  async expiry(redis) {
    assert.equal(await redis.set('a', '1', { expiration: { type: 'EX', value: 100 } }), 'OK');
    const left = await redis.ttl('a');
    assert.ok(0 < left && left <= 100, String(left));
    assert.equal(await redis.set('a', '2', { expiration: 'KEEPTTL' }), 'OK');
    assert.ok((await redis.pTTL('a')) > 0);
    assert.equal(await redis.persist('a'), 1);
    assert.deepEqual([await redis.ttl('a'), await redis.ttl('nothing')], [-1, -2]);
    assert.equal(await redis.getEx('a', { type: 'PX', value: 100_000 }), '2');
    assert.ok((await redis.pTTL('a')) > 0);
    assert.equal(await redis.expire('a', 50), 1);
    assert.equal(await redis.expireAt('a', new Date(Date.now() + 100_000)), 1);
    await redis.set('brief', '1', { expiration: { type: 'PX', value: 50 } });
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
      await assert.rejects(redis.sendCommand(command.split(' ')), { message });
    }
    assert.equal(await redis.get('word'), 'x');
  },

  async end() {
    const one = await connect();
    assert.equal(await one.clientSetName('tester'), 'OK');
    assert.equal(await one.clientGetName(), 'tester');
    assert.match(await one.info('server'), /redis_version:/);
    assert.ok('appendonly' in (await one.configGet('appendonly')));
    const last = [one.set('a', '1'), one.get('a')];
    await one.close();
    assert.deepEqual(await Promise.all(last), ['OK', '1']);
    await assert.rejects(one.get('a'), /closed/);
    const another = await connect();
    assert.equal(await another.quit(), 'OK');
    assert.equal(another.isOpen, false);
  },
};

if (isCluster) {
  cases.a_node_is_lost = (redis) =>
    aNodeIsLost((...command) => redis.sendCommand(['KVSIM', ...command]), () => redis.incr('total'));
}

for (RESP of [2, 3]) {
  const redis = await connect();
  await run(cases, `RESP${RESP}`, async () => {
    await redis.flushAll();
    return redis;
  });
  await redis.close();
}

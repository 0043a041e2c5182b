// A7.1, A7.2 and one account for each address, under parallel load: with one process,
// and on PostgreSQL with two processes on one database.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'

import { device, exchange, freshEmail, freshPhone, goodPassword, memoryStorage, must, newShape, operator, person, rawRefresh, sessionOf } from './clients.mjs'
import { sessionMissing, wellFormedSession } from './expect.mjs'
import { eventually, kind, startServer } from './harness.mjs'

const many = (count, one) => Promise.all(Array.from({ length: count }, (_, i) => one(i)))
const tally = (answers) => {
  const counts = {}
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1
  return counts
}

/** The suite; nodes are processes on one database, used in turn. */
function races(start) {
  let nodes
  const node = (i) => nodes[i % nodes.length]
  before(async () => {
    nodes = await start()
  })
  after(async () => {
    for (const server of nodes?.toReversed() ?? []) await server.stop()
  })

  test('A7.1 50 simultaneous refreshes of one token: 50 × 200, one live token', async () => {
    const { session, user } = await person(node(0))
    const answers = await many(50, (i) => rawRefresh(node(i), session.refresh_token))
    assert.deepEqual(tally(answers), { 200: 50 })
    for (const { json } of answers) {
      wellFormedSession(json)
      assert.equal(json.user.id, user.id)
    }
    const tokens = new Set(answers.map(({ json }) => json.refresh_token))
    assert.equal(tokens.size, 1, 'every caller holds the one new token')
    assert.ok(!tokens.has(session.refresh_token))
    const [live] = tokens
    const next = await rawRefresh(node(1), live)
    assert.equal(next.status, 200)
    assert.notEqual(next.json.refresh_token, live)
  })

  test('A7.1 the same, round after round, keeps the session alive', async () => {
    const { session } = await person(node(0))
    let token = session.refresh_token
    for (let round = 0; round < 5; round++) {
      const answers = await many(16, (i) => rawRefresh(node(i), token))
      assert.deepEqual(tally(answers), { 200: 16 }, `round ${round}`)
      const tokens = new Set(answers.map(({ json }) => json.refresh_token))
      assert.equal(tokens.size, 1, `round ${round}`)
      ;[token] = tokens
    }
  })

  test('A7.1 many tabs of one browser refresh at once, and all stay signed in', async () => {
    const { session, user } = await person(node(0))
    const tabs = await many(8, async (i) => {
      const tab = device(node(i), { storage: memoryStorage() })
      await must(tab.auth.setSession(session))
      return tab
    })
    await Promise.all(tabs.map((tab) => must(tab.auth.refreshSession())))
    for (const tab of tabs) assert.equal((await must(tab.auth.getUser())).user.id, user.id)
    assert.equal(new Set(await Promise.all(tabs.map(async (t) => (await sessionOf(t)).refresh_token))).size, 1)
  })

  test('A7.2 a grandparent kills the session: the thief’s and the owner’s tokens both stop', async () => {
    const { session, client } = await person(node(0))
    const stolen = session.refresh_token
    const second = (await rawRefresh(node(0), stolen)).json
    const third = (await rawRefresh(node(1), second.refresh_token)).json
    // Within the grace an older token may still be a lost answer; after it, never.
    const refusal = await eventually('the stolen token is refused', async () => {
      const answer = await rawRefresh(node(1), stolen)
      return answer.status !== 200 && answer
    })
    assert.deepEqual([refusal.status, refusal.json.code], [400, 'refresh_token_already_used'])
    assert.equal(refusal.json.message, 'Invalid Refresh Token: Already Used')
    for (const token of [third.refresh_token, second.refresh_token, stolen]) {
      const { status, json } = await rawRefresh(node(0), token)
      assert.deepEqual([status, json.code], [400, 'refresh_token_not_found'])
    }
    await sessionMissing(device(node(0)).auth.getUser(third.access_token))
    await sessionMissing(client.auth.getUser())
  })

  test('A7.2 a stolen parent used after the grace: when the owner comes back, all is dead', async () => {
    const { session } = await person(node(0))
    const stolen = session.refresh_token
    const owner = (await rawRefresh(node(0), stolen)).json
    // Within the grace the parent gets the token that the owner holds; afterwards a new one.
    const thief = await eventually('the grace is over', async () => {
      const answer = await rawRefresh(node(1), stolen)
      assert.equal(answer.status, 200)
      return answer.json.refresh_token !== owner.refresh_token && answer.json
    })
    const back = await rawRefresh(node(0), owner.refresh_token)
    assert.deepEqual([back.status, back.json.code], [400, 'refresh_token_already_used'])
    const after = await rawRefresh(node(1), thief.refresh_token)
    assert.deepEqual([after.status, after.json.code], [400, 'refresh_token_not_found'])
    for (const token of [owner.access_token, thief.access_token]) await sessionMissing(device(node(1)).auth.getUser(token))
  })

  test('a client that loses the race for its session is signed out, with the right code', async () => {
    const { session } = await person(node(0))
    const second = (await rawRefresh(node(0), session.refresh_token)).json
    await rawRefresh(node(0), second.refresh_token)
    const late = device(node(1))
    const code = await eventually('refused', async () => (await late.auth.refreshSession({ refresh_token: session.refresh_token })).error?.code)
    assert.equal(code, 'refresh_token_already_used')
    assert.equal(await sessionOf(late), null)
  })

  test('refreshes while signing out: no failure, and afterwards nothing lives', async () => {
    const { session } = await person(node(0))
    const bearer = { ...newShape, authorization: `Bearer ${session.access_token}` }
    const answers = await many(20, (i) =>
      i === 10 ? exchange(node(i), 'POST', '/logout?scope=global', { headers: bearer }) : rawRefresh(node(i), session.refresh_token),
    )
    for (const { status, json } of answers) {
      assert.ok([200, 204].includes(status) || (status === 400 && json.code === 'refresh_token_not_found'), `${status} ${JSON.stringify(json)}`)
    }
    for (const { status, json } of answers) {
      if (status === 200) assert.equal((await rawRefresh(node(0), json.refresh_token)).json.code, 'refresh_token_not_found')
    }
  })

  for (const [what, fresh, field] of [['address', freshEmail, 'email'], ['number', freshPhone, 'phone']]) {
    test(`parallel sign-up of one ${what}: one account`, async () => {
      const value = fresh()
      const answers = await many(12, (i) => exchange(node(i), 'POST', '/signup', { headers: newShape, body: { [field]: value, password: goodPassword } }))
      const won = answers.filter(({ status }) => status === 200)
      assert.equal(won.length, 1, JSON.stringify(tally(answers)))
      for (const { status, json } of answers) {
        if (status !== 200) assert.deepEqual([status, json.code], [422, 'user_already_exists'])
      }
      wellFormedSession(won[0].json)
      const { users } = (await exchange(node(1), 'GET', `/admin/users?filter=${value}`, { headers: { authorization: `Bearer ${node(0).keys.SERVICE_ROLE_KEY}` } })).json
      assert.deepEqual(users.map((u) => u.id), [won[0].json.user.id])
      const back = await must(device(node(0)).auth.signInWithPassword({ [field]: value, password: goodPassword }))
      assert.equal(back.user.id, won[0].json.user.id)
    })
  }

  test('parallel changes of one account lose nothing', async () => {
    const { client, session, user } = await person(node(0))
    const bearer = { ...newShape, authorization: `Bearer ${session.access_token}` }
    const answers = await many(12, (i) => exchange(node(i), 'PUT', '/user', { headers: bearer, body: { data: { [`key${i}`]: i } } }))
    assert.deepEqual(tally(answers), { 200: 12 })
    const metadata = (await must(client.auth.getUser())).user.user_metadata
    for (let i = 0; i < 12; i++) assert.equal(metadata[`key${i}`], i)
    assert.equal((await must(operator(node(1)).auth.admin.getUserById(user.id))).user.user_metadata.key11, 11)
  })
}

// Long enough for 50 refreshes on a busy machine, short enough to wait for its end.
const env = { CARDEA_SESSION_REFRESH_GRACE: '4s' }

describe(`races on ${kind}, one process`, () => races(async () => [await startServer({ env })]))

if (kind === 'postgres') {
  describe('races on postgres, two processes', () => {
    races(async () => {
      const first = await startServer({ env })
      return [first, await first.twin()]
    })
  })
}

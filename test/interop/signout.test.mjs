// S0.5 and gotrue.md 7: sign-out with each scope, seen by three devices.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'

import { claimsOf, exchange, device, memoryStorage, must, newShape, operator, person, rawRefresh, sessionOf, signedIn } from './clients.mjs'
import { refused, sessionMissing } from './expect.mjs'
import { eventually, kind, startServer } from './harness.mjs'

describe(`sign-out on ${kind}`, () => {
  let server
  before(async () => {
    server = await startServer()
  })
  after(() => server?.stop())

  async function threeDevices() {
    const account = await person(server)
    const laptop = account.client
    const phone = await signedIn(server, account)
    const tablet = await signedIn(server, account)
    const ids = await Promise.all([laptop, phone, tablet].map(async (c) => claimsOf((await sessionOf(c)).access_token).session_id))
    assert.equal(new Set(ids).size, 3, 'every device has a session of its own')
    return { account, laptop, phone, tablet }
  }

  async function alive(client) {
    await must(client.auth.getUser())
    await must(client.auth.refreshSession())
  }

  /** The refresh fails with the right code; the access token is dead on our own routes. */
  async function dead(client) {
    const { access_token: token, refresh_token: refresh } = await sessionOf(client)
    await sessionMissing(device(server).auth.getUser(token))
    const raw = await exchange(server, 'GET', '/user', { headers: { ...newShape, authorization: `Bearer ${token}` } })
    assert.deepEqual([raw.status, raw.json.code], [403, 'session_not_found'])
    const refreshed = await rawRefresh(server, refresh)
    assert.deepEqual([refreshed.status, refreshed.json.code], [400, 'refresh_token_not_found'])
    assert.match(refreshed.json.message, /Invalid Refresh Token: Refresh Token Not Found/)
  }

  test('local: only this device', async () => {
    const { laptop, phone, tablet } = await threeDevices()
    const { refresh_token: refresh, access_token: token } = await sessionOf(laptop)
    const events = []
    laptop.auth.onAuthStateChange((event) => events.push(event))
    await must(laptop.auth.signOut({ scope: 'local' }))
    assert.equal(await sessionOf(laptop), null)
    await eventually('SIGNED_OUT', () => events.includes('SIGNED_OUT'))
    await sessionMissing(laptop.auth.getUser(token))
    assert.equal((await rawRefresh(server, refresh)).json.code, 'refresh_token_not_found')
    await alive(phone)
    await alive(tablet)
  })

  test('others: every device but this one', async () => {
    const { laptop, phone, tablet } = await threeDevices()
    await must(laptop.auth.signOut({ scope: 'others' }))
    await alive(laptop)
    await dead(phone)
    await dead(tablet)
  })

  test('global: every device; it is the default', async () => {
    for (const options of [undefined, { scope: 'global' }]) {
      const { laptop, phone, tablet } = await threeDevices()
      await must(laptop.auth.signOut(options))
      assert.equal(await sessionOf(laptop), null)
      await dead(phone)
      await dead(tablet)
    }
  })

  test('a device that was signed out elsewhere loses its session and tells subscribers', async () => {
    const account = await person(server)
    const storage = memoryStorage()
    const phone = await signedIn(server, account, { storage })
    const events = []
    phone.auth.onAuthStateChange((event) => events.push(event))
    await must(account.client.auth.signOut())
    await sessionMissing(phone.auth.getUser())
    assert.equal(await sessionOf(phone), null, 'getUser drops the session on session_not_found')
    await eventually('SIGNED_OUT', () => events.includes('SIGNED_OUT'))
    assert.deepEqual([...storage.items.values()].filter((v) => v.includes('access_token')), [])
  })

  test('a refresh after a sign-out elsewhere signs the client out', async () => {
    const account = await person(server)
    const storage = memoryStorage()
    const phone = await signedIn(server, account, { storage })
    await must(account.client.auth.signOut())
    await refused(phone.auth.refreshSession(), { status: 400, code: 'refresh_token_not_found' })
    // The client keeps the session for as long as the access token looks good, no longer.
    for (const [key, text] of storage.items) {
      const stored = JSON.parse(text)
      if (stored.expires_at) storage.setItem(key, JSON.stringify({ ...stored, expires_at: 1_000_000_000 }))
    }
    const later = device(server, { storage })
    const { error } = await later.auth.getSession()
    assert.equal(error?.code, 'refresh_token_not_found')
    assert.equal(await sessionOf(later), null)
  })

  test('signing out twice is no error', async () => {
    const account = await person(server)
    const phone = await signedIn(server, account)
    await must(account.client.auth.signOut({ scope: 'global' }))
    const { error } = await phone.auth.signOut()
    assert.equal(error, null)
    assert.equal(await sessionOf(phone), null)
  })

  test('one person’s global sign-out leaves another person alone', async () => {
    const ada = await person(server)
    const bob = await person(server)
    await must(ada.client.auth.signOut({ scope: 'global' }))
    await alive(bob.client)
  })

  test('admin.signOut with the user’s own token, each scope', async () => {
    const admin = operator(server)
    const { laptop, phone, tablet } = await threeDevices()
    const token = (await sessionOf(laptop)).access_token
    await must(admin.auth.admin.signOut(token, 'others'))
    await alive(laptop)
    await dead(phone)
    await dead(tablet)
    await must(admin.auth.admin.signOut((await sessionOf(laptop)).access_token, 'local'))
    await dead(laptop)
    const second = await threeDevices()
    await must(admin.auth.admin.signOut((await sessionOf(second.laptop)).access_token, 'global'))
    for (const client of [second.laptop, second.phone, second.tablet]) await dead(client)
  })

  test('the wire: 204 without a body, unknown scope 400, no token 401', async () => {
    const { session, client } = await person(server)
    const bearer = { ...newShape, authorization: `Bearer ${session.access_token}` }
    const odd = await exchange(server, 'POST', '/logout?scope=everywhere', { headers: bearer })
    assert.equal(odd.status, 400)
    assert.match(odd.json.message, /Unsupported logout scope "everywhere"/)
    await alive(client)
    const token = (await sessionOf(client)).access_token
    const gone = await exchange(server, 'POST', '/logout', { headers: { ...newShape, authorization: `Bearer ${token}` } })
    assert.deepEqual([gone.status, gone.text], [204, ''])
    const none = await exchange(server, 'POST', '/logout', { headers: newShape })
    assert.deepEqual([none.status, none.json.code], [401, 'no_authorization'])
    assert.match(none.json.message, /Bearer token/)
  })
})

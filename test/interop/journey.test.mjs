// S0.2, S0.4, S0.5: one person's way through the unmodified supabase-js client.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'

import { device, freshEmail, freshPhone, goodPassword, memoryStorage, must, person, recordingFetch, sessionOf, signedIn } from './clients.mjs'
import { refused, sessionMissing, wellFormedSession, wellFormedUser } from './expect.mjs'
import { eventually, kind, startServer } from './harness.mjs'

describe(`journey on ${kind}`, () => {
  let server
  before(async () => {
    server = await startServer()
  })
  after(() => server?.stop())

  test('S0.2 signUp gives a session and tells subscribers', async () => {
    const client = device(server)
    const events = []
    client.auth.onAuthStateChange((event) => events.push(event))
    const email = freshEmail('Ada.Mixed-Case')
    const { user, session } = await must(client.auth.signUp({ email, password: goodPassword, options: { data: { name: 'Ada' } } }))
    wellFormedSession(session)
    assert.equal(user.email, email.toLowerCase())
    assert.equal(user.user_metadata.name, 'Ada')
    assert.deepEqual(user.app_metadata, { provider: 'email', providers: ['email'] })
    assert.ok(user.email_confirmed_at)
    assert.equal(user.is_anonymous, false)
    assert.equal(user.identities.length, 1)
    assert.equal(user.identities[0].provider, 'email')
    assert.equal(user.identities[0].id, user.id)
    assert.equal(user.identities[0].identity_data.email, email.toLowerCase())
    await eventually('SIGNED_IN', () => events.includes('SIGNED_IN'))
  })

  test('S0.2 user_metadata carries what the identity knows', async () => {
    const { user } = await person(server)
    const { sub, email, phone_verified: phoneVerified, email_verified: emailVerified } = user.user_metadata
    assert.deepEqual({ sub, email, phoneVerified }, { sub: user.id, email: user.email, phoneVerified: false })
    assert.equal(typeof emailVerified, 'boolean')
  })

  test('S0.2 signInWithPassword, also with the address in another case', async () => {
    const { email, password, user } = await person(server)
    const client = device(server)
    const answer = await must(client.auth.signInWithPassword({ email: email.toUpperCase(), password }))
    wellFormedSession(answer.session)
    assert.equal(answer.user.id, user.id)
    assert.ok(answer.user.last_sign_in_at)
    assert.ok(answer.user.confirmed_at, 'confirmed_at is there from the first sign-in on')
  })

  test('S0.5 getSession holds the session, getUser asks the server', async () => {
    const { client, user, session } = await person(server)
    const held = await sessionOf(client)
    assert.equal(held.access_token, session.access_token)
    assert.equal(held.user.id, user.id)
    const answer = await must(client.auth.getUser())
    wellFormedUser(answer.user)
    assert.equal(answer.user.id, user.id)
    assert.ok(answer.user.confirmed_at)
    const other = await must(device(server).auth.getUser(session.access_token))
    assert.deepEqual(other.user, answer.user)
  })

  test('S0.4 refreshSession gives a whole new session', async () => {
    const { client, session, user } = await person(server)
    const answer = await must(client.auth.refreshSession())
    wellFormedSession(answer.session)
    assert.equal(answer.user.id, user.id)
    assert.notEqual(answer.session.refresh_token, session.refresh_token)
    assert.equal((await sessionOf(client)).refresh_token, answer.session.refresh_token)
    assert.equal((await must(client.auth.getUser())).user.id, user.id)
  })

  test('S0.4 S0.5 refreshSession with an explicit refresh_token, on a client that has none', async () => {
    const { session, user } = await person(server)
    const client = device(server)
    const answer = await must(client.auth.refreshSession({ refresh_token: session.refresh_token }))
    wellFormedSession(answer.session)
    assert.equal(answer.user.id, user.id)
    assert.equal((await must(client.auth.getUser())).user.id, user.id)
  })

  test('refreshing again and again keeps working', async () => {
    const { client } = await person(server)
    const seen = new Set()
    for (let i = 0; i < 10; i++) seen.add((await must(client.auth.refreshSession())).session.refresh_token)
    assert.equal(seen.size, 10)
  })

  test('setSession takes over a session, fresh or expired', async () => {
    const { session, user } = await person(server)
    const fresh = device(server)
    assert.equal((await must(fresh.auth.setSession(session))).user.id, user.id)
    assert.equal((await must(fresh.auth.getUser())).user.id, user.id)
    // An access token that says it has expired makes the client refresh first.
    const [head, body, tail] = session.access_token.split('.')
    const claims = JSON.parse(Buffer.from(body, 'base64url'))
    claims.exp = 1_000_000_000
    const expired = [head, Buffer.from(JSON.stringify(claims)).toString('base64url'), tail].join('.')
    const late = device(server)
    const answer = await must(late.auth.setSession({ access_token: expired, refresh_token: session.refresh_token }))
    assert.equal(answer.user.id, user.id)
    assert.notEqual(answer.session.access_token, expired)
  })

  test('updateUser merges data key by key; null deletes a key', async () => {
    const { client } = await person(server, { data: { name: 'Grace', unit: 'ICU', tags: { a: 1 } } })
    const events = []
    client.auth.onAuthStateChange((event) => events.push(event))
    const { user } = await must(client.auth.updateUser({ data: { unit: 'ER', name: null, tags: { b: 2 } } }))
    wellFormedUser(user)
    const { unit, name, tags } = user.user_metadata
    assert.deepEqual({ unit, name, tags }, { unit: 'ER', name: undefined, tags: { b: 2 } })
    assert.deepEqual((await must(client.auth.getUser())).user.user_metadata, user.user_metadata)
    await eventually('USER_UPDATED', () => events.includes('USER_UPDATED'))
    const refreshed = await must(client.auth.refreshSession())
    assert.equal(refreshed.user.user_metadata.unit, 'ER')
  })

  test('updateUser changes the password; every other session ends, this one stays', async () => {
    const account = await person(server)
    const phone = await signedIn(server, account)
    const password = 'another-good-passphrase-93'
    await must(account.client.auth.updateUser({ password }))
    await must(account.client.auth.getUser())
    await must(account.client.auth.refreshSession())
    await refused(phone.auth.refreshSession(), { status: 400, code: 'refresh_token_not_found' })
    await refused(device(server).auth.signInWithPassword(account), { code: 'invalid_credentials' })
    await signedIn(server, { email: account.email, password })
  })

  test('updateUser of the e-mail address takes effect at once where nothing needs proof', async () => {
    const account = await person(server)
    const email = freshEmail('moved')
    const { user } = await must(account.client.auth.updateUser({ email }))
    assert.equal(user.email, email)
    assert.equal(user.identities[0].identity_data.email, email)
    await signedIn(server, { email })
    await refused(device(server).auth.signInWithPassword(account), { code: 'invalid_credentials' })
  })

  test('anonymous sign-in, then refresh', async () => {
    const client = device(server)
    const { user, session } = await must(client.auth.signInAnonymously({ options: { data: { theme: 'dark' } } }))
    wellFormedSession(session)
    assert.equal(user.is_anonymous, true)
    assert.deepEqual(user.identities, [])
    assert.deepEqual(user.app_metadata, {})
    assert.equal(user.email, '')
    assert.equal(user.user_metadata.theme, 'dark')
    const again = await must(client.auth.refreshSession())
    assert.equal(again.user.id, user.id)
    assert.equal(again.user.is_anonymous, true)
  })

  test('an anonymous account becomes permanent with an address, then takes a password', async () => {
    const client = device(server)
    const { user } = await must(client.auth.signInAnonymously())
    await refused(client.auth.updateUser({ password: goodPassword }), { status: 422, code: 'validation_failed' })
    const email = freshEmail('upgraded')
    const changed = await must(client.auth.updateUser({ email }))
    assert.equal(changed.user.id, user.id)
    assert.equal(changed.user.is_anonymous, false)
    assert.deepEqual(changed.user.identities.map((i) => i.provider), ['email'])
    await must(client.auth.updateUser({ password: goodPassword }))
    const back = device(server)
    assert.equal((await must(back.auth.signInWithPassword({ email, password: goodPassword }))).user.id, user.id)
  })

  test('phone and password: sign-up, sign-in, number written with + and spaces', async () => {
    const phone = freshPhone()
    const client = device(server)
    const { user, session } = await must(client.auth.signUp({ phone: `+${phone.slice(0, 2)} ${phone.slice(2)}`, password: goodPassword }))
    wellFormedSession(session)
    assert.equal(user.phone, phone)
    assert.equal(user.email, '')
    assert.deepEqual(user.app_metadata, { provider: 'phone', providers: ['phone'] })
    assert.ok(user.phone_confirmed_at)
    const again = await must(device(server).auth.signInWithPassword({ phone: `+${phone}`, password: goodPassword }))
    assert.equal(again.user.id, user.id)
    await refused(device(server).auth.signUp({ phone, password: goodPassword }), { status: 422, code: 'user_already_exists' })
  })

  test('getUserIdentities, mfa.listFactors, mfa.getAuthenticatorAssuranceLevel', async () => {
    const { client, user } = await person(server)
    const { identities } = await must(client.auth.getUserIdentities())
    assert.deepEqual(identities.map((i) => [i.provider, i.user_id]), [['email', user.id]])
    const factors = await must(client.auth.mfa.listFactors())
    assert.deepEqual(factors.all, [])
    const level = await must(client.auth.mfa.getAuthenticatorAssuranceLevel())
    assert.equal(level.currentLevel, 'aal1')
    assert.equal(level.nextLevel, 'aal1')
    assert.deepEqual(level.currentAuthenticationMethods.map((m) => [m.method, typeof m.timestamp]), [['password', 'number']])
  })

  test('a session is found again in the storage by a new client', async () => {
    const storage = memoryStorage()
    const { user } = await person(server, { storage })
    const later = device(server, { storage })
    assert.equal((await sessionOf(later)).user.id, user.id)
    assert.equal((await must(later.auth.getUser())).user.id, user.id)
  })

  test('S0.4 a session that is about to expire is refreshed without being asked', async () => {
    const storage = memoryStorage()
    const { session } = await person(server, { storage })
    for (const [key, text] of storage.items) {
      const stored = JSON.parse(text)
      if (stored.expires_at) storage.setItem(key, JSON.stringify({ ...stored, expires_at: Math.floor(Date.now() / 1000) + 30 }))
    }
    const { fetch, requests } = recordingFetch()
    const client = device(server, { storage, fetch, auth: { autoRefreshToken: true } })
    const events = []
    client.auth.onAuthStateChange((event) => events.push(event))
    try {
      await eventually('TOKEN_REFRESHED', () => events.includes('TOKEN_REFRESHED'))
      const renewed = await sessionOf(client)
      assert.notEqual(renewed.refresh_token, session.refresh_token)
      assert.deepEqual(requests.filter((r) => r === 'POST /auth/v1/token').length, 1)
    } finally {
      await client.auth.stopAutoRefresh()
    }
  })

  test('without a session getUser and updateUser say so, and ask nobody', async () => {
    const { fetch, requests } = recordingFetch()
    const client = device(server, { fetch })
    assert.equal(await sessionOf(client), null)
    await sessionMissing(client.auth.getUser())
    await sessionMissing(client.auth.updateUser({ data: {} }))
    assert.deepEqual(requests, [])
  })
})

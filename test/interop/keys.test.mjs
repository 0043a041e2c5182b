// S0.11, S0.12, C20: the two classes of API keys, in both of their forms.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'

import { claimsOf, device, exchange, freshEmail, goodPassword, must, newShape, operator, person, sessionOf } from './clients.mjs'
import { refused } from './expect.mjs'
import { eventually, kind, parseAssignments, startServer } from './harness.mjs'

describe(`API keys on ${kind}`, () => {
  let server
  before(async () => {
    server = await startServer()
  })
  after(() => server?.stop())

  test('S0.11 status prints what the backend and the frontend are configured with', async () => {
    const { API_URL: api, AUTH_URL: auth, ANON_KEY: anon, SERVICE_ROLE_KEY: service, JWKS_URL: jwks } = server.keys
    assert.deepEqual([api, auth, jwks], [server.url, server.authURL, `${server.authURL}/.well-known/jwks.json`])
    assert.equal(claimsOf(anon).role, 'anon')
    assert.equal(claimsOf(service).role, 'service_role')
    for (const key of [anon, service]) {
      const claims = claimsOf(key)
      assert.equal(claims.sub, undefined)
      assert.ok(claims.exp - claims.iat > 300 * 24 * 3600, 'the keys live for years')
    }
    const json = JSON.parse((await server.cli('status', '-o', 'json')).stdout)
    assert.equal(json.api_url ?? json.API_URL, api)
    // Whatever status printed, earlier or later, works.
    for (const key of [service, parseAssignments((await server.cli('status', '-o', 'env')).stdout).SERVICE_ROLE_KEY]) {
      await must(operator(server, key).auth.admin.listUsers())
    }
  })

  test('S0.11 a backend with SUPABASE_URL and SUPABASE_SERVICE_ROLE_KEY works', async () => {
    const backend = { SUPABASE_URL: server.keys.API_URL, SUPABASE_SERVICE_ROLE_KEY: server.keys.SERVICE_ROLE_KEY }
    const admin = device({ url: backend.SUPABASE_URL }, { key: backend.SUPABASE_SERVICE_ROLE_KEY, auth: { persistSession: false } }).auth.admin
    const { user } = await must(admin.createUser({ email: freshEmail('case-owner'), email_confirm: true }))
    const { data } = await admin.listUsers()
    assert.ok(data.users.some((u) => u.id === user.id))
  })

  test('S0.11 start-up without the address or the key fails at once', () => {
    assert.throws(() => device({ url: '' }, { key: 'x' }), /supabaseUrl is required/)
    assert.throws(() => device(server, { key: '' }), /supabaseKey is required/)
  })

  test('S0.12 the anon key opens the public routes and nothing of an operator', async () => {
    const { session } = await person(server)
    const anon = server.keys.ANON_KEY
    const signIn = await exchange(server, 'GET', '/user', { headers: { ...newShape, apikey: anon, authorization: `Bearer ${session.access_token}` } })
    assert.equal(signIn.status, 200)
    await refused(device(server).auth.admin.listUsers(), { status: 403, code: 'not_admin' })
    // Beside a person's token, the service key in the apikey header gives no more rights.
    const mixed = await exchange(server, 'GET', '/admin/users', { headers: { ...newShape, apikey: server.keys.SERVICE_ROLE_KEY, authorization: `Bearer ${session.access_token}` } })
    assert.equal(mixed.status, 403)
  })

  test('S0.12 the service key is an operator, not a person', async () => {
    await refused(device(server).auth.getUser(server.keys.SERVICE_ROLE_KEY), { status: 403, code: 'bad_jwt' })
    const { status } = await exchange(server, 'PUT', '/user', { headers: { ...newShape, authorization: `Bearer ${server.keys.SERVICE_ROLE_KEY}` }, body: { password: goodPassword } })
    assert.ok(status === 403 || status === 401, `${status}`)
  })

  test('a key that was changed by one letter is nobody', async () => {
    const [head, body] = server.keys.SERVICE_ROLE_KEY.split('.')
    const [anonHead, , anonTail] = server.keys.ANON_KEY.split('.')
    const forged = [anonHead, body, anonTail].join('.')
    for (const key of [forged, `${head}.${body}.`, `${server.keys.SERVICE_ROLE_KEY}x`]) {
      await refused(operator(server, key).auth.admin.listUsers(), { status: 403, code: 'bad_jwt' })
    }
  })

  test('sb_publishable_ and sb_secret_ keys work as apikey and as Bearer, until revoked', async () => {
    const keys = {}
    for (const type of ['publishable', 'secret']) {
      const { stdout } = await server.cli('api-keys', 'create', '--kind', type, '--name', `interop-${type}`)
      keys[type] = new RegExp(`sb_${type}_[A-Za-z0-9_-]+`).exec(stdout)?.[0]
      assert.ok(keys[type], `no key in: ${stdout}`)
    }
    const client = device(server, { key: keys.publishable })
    const email = freshEmail()
    const { user } = await must(client.auth.signUp({ email, password: goodPassword }))
    assert.equal((await must(client.auth.getUser())).user.id, user.id)
    await must(client.auth.refreshSession())
    await must(client.auth.signOut())
    await must(client.auth.signInWithPassword({ email, password: goodPassword }))
    assert.equal((await sessionOf(client)).user.id, user.id)
    await refused(device(server, { key: keys.publishable }).auth.admin.listUsers(), { status: 403, code: 'not_admin' })

    const admin = operator(server, keys.secret).auth.admin
    assert.ok((await must(admin.listUsers())).total >= 1)
    assert.equal((await must(admin.getUserById(user.id))).user.email, email)
    // As in GoTrue, the apikey header is the gateway's business: alone it is nobody.
    const onlyHeader = await exchange(server, 'GET', '/admin/users', { headers: { ...newShape, apikey: keys.secret } })
    assert.deepEqual([onlyHeader.status, onlyHeader.json.code], [401, 'no_authorization'])
    await refused(operator(server, `${keys.secret.slice(0, -1)}${keys.secret.endsWith('A') ? 'B' : 'A'}`).auth.admin.listUsers())
    await refused(operator(server, 'sb_secret_unknown').auth.admin.listUsers())
  })

  test('a listed key shows no secret, and a revoked one is refused', async () => {
    const { stdout } = await server.cli('api-keys', 'create', '--kind', 'secret', '--name', 'to-revoke')
    const [key] = /sb_secret_[A-Za-z0-9_-]+/.exec(stdout)
    await must(operator(server, key).auth.admin.listUsers())
    const list = (await server.cli('api-keys', 'list')).stdout
    assert.ok(!list.includes(key), 'the whole key is listed')
    const line = list.split('\n').find((l) => l.includes('to-revoke'))
    const [id] = /[0-9a-f]{8}-[0-9a-f-]{27}/.exec(line)
    await server.cli('api-keys', 'revoke', id)
    // Another process did it: a server may remember its last answer for 3 s, not longer.
    await eventually('the key is refused', async () => (await operator(server, key).auth.admin.listUsers()).error, { timeout: 5_000 })
    await refused(operator(server, key).auth.admin.listUsers(), { status: 403, code: 'bad_jwt' })
  })
})

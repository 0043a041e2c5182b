// A client that was generated from the document and nothing else: what does not fit the
// document does not compile, and what the server answers otherwise fails here.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import createClient, { type Client } from 'openapi-fetch'

import type { components, paths } from './tmp/api.js'

/** What is used of test/interop/harness.mjs, which has no types. */
interface Server {
  url: string
  keys: { SERVICE_ROLE_KEY: string }
  stop(): Promise<void>
}
const harness = new URL('../../../interop/harness.mjs', import.meta.url).href // from where the compiled file is
const { startServer } = (await import(harness)) as { startServer(options: { env: Record<string, string> }): Promise<Server> }

type Tokens = components['schemas']['Tokens']

const password = 'correct-horse-battery-staple-71'

let server: Server
before(async () => {
  server = await startServer({ env: { CARDEA_VERIFICATION: 'none', CARDEA_DISCLOSURE: 'explicit' } })
})
after(() => server?.stop())

/** A client with a token, or with none. */
function client(tokens?: Tokens): Client<paths> {
  return createClient<paths>({
    baseUrl: server.url,
    ...(tokens ? { headers: { Authorization: `Bearer ${tokens.access_token}` } } : {}),
  })
}

/** The body of a good answer; the error's code says what it was else. */
function good<T>(answer: { data?: T; error?: { code?: string }; response: Response }): T {
  assert.ok(answer.data, `${answer.response.status} ${answer.error?.code}`)
  return answer.data
}

/** An operator gives somebody a tenant; the API of operators is not in this document. */
async function makeTenant(slug: string, owner: string): Promise<string> {
  const answer = await fetch(`${server.url}/admin/v1/tenants`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${server.keys.SERVICE_ROLE_KEY}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ slug, name: slug, owner_id: owner }),
  })
  assert.equal(answer.status, 201)
  return ((await answer.json()) as { id: string }).id
}

test('register, login, me, switch, refresh, logout', async () => {
  const body = { email: 'ada@example.org', password }
  const registered = await client().POST('/api/auth/register', { body: { ...body, full_name: 'Ada Lovelace' } })
  assert.equal(registered.response.status, 201)
  const first = good(registered)
  assert.ok('access_token' in first) // 202 would have a sentence instead
  assert.equal(first.token_type, 'bearer')
  assert.equal(first.expires_in, 1800)

  const login = good(await client().POST('/api/auth/login', { body }))
  const me = good(await client(login).GET('/api/auth/me'))
  assert.equal(me.email, body.email)
  assert.equal(me.full_name, 'Ada Lovelace')
  assert.equal(me.tenant_id, undefined)

  const north = await makeTenant('north', me.id)
  const south = await makeTenant('south', me.id)
  const mine = good(await client(login).GET('/api/tenants')).tenants
  assert.deepEqual(mine.map((t) => [t.tenant.id, t.membership.role, t.current]), [[north, 'owner', false], [south, 'owner', false]])

  const switched = good(await client(login).POST('/api/tenants/{tenant}/switch', { params: { path: { tenant: south } } }))
  assert.equal(switched.tenant_id, south)
  assert.equal(switched.tenant_role, 'owner')
  assert.equal(switched.session_id, login.session_id)
  const there = good(await client(switched).GET('/api/users/me'))
  assert.equal(there.tenant_id, south)

  const refreshed = good(await client().POST('/api/auth/refresh', { body: { refresh_token: switched.refresh_token } }))
  assert.equal(refreshed.tenant_id, south)
  assert.notEqual(refreshed.refresh_token, switched.refresh_token)

  const members = good(await client(refreshed).GET('/api/tenants/{tenant}/members', { params: { path: { tenant: south }, query: { limit: 10 } } }))
  assert.deepEqual(members.members.map((m) => [m.user_id, m.state]), [[me.id, 'active']])

  const out = await client(refreshed).POST('/api/auth/logout')
  assert.equal(out.response.status, 204)
  const gone = await client(refreshed).GET('/api/auth/me')
  assert.equal(gone.response.status, 401)
  assert.equal(gone.error?.code, 'SESSION_ENDED')
})

test('errors have the codes of the document', async () => {
  const wrong = await client().POST('/api/auth/login', { body: { email: 'ada@example.org', password: 'wrong' } })
  assert.equal(wrong.response.status, 401)
  switch (wrong.error?.code) {
    case 'INVALID_CREDENTIALS': // would not compile if the document did not know it
      break
    default:
      assert.fail(`code ${wrong.error?.code}`)
  }
  assert.ok(wrong.error.detail && wrong.error.request_id)

  const taken = await client().POST('/api/auth/register', { body: { email: 'ada@example.org', password } })
  assert.equal(taken.response.status, 409)
  assert.equal(taken.error?.code, 'USER_ALREADY_EXISTS')

  // @ts-expect-error a password is required
  const missing = await client().POST('/api/auth/login', { body: { email: 'ada@example.org' } })
  assert.equal(missing.response.status, 422)

  // @ts-expect-error there is no such route
  const nowhere = await client().GET('/api/auth/nowhere')
  assert.equal((nowhere as { response: Response }).response.status, 404)
})

// auth-js alone, without supabase-js: no apikey header at all.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'

import { AuthClient, GoTrueAdminApi, GoTrueClient } from '@supabase/auth-js'

import { freshEmail, goodPassword, memoryStorage, must } from './clients.mjs'
import { refused, sessionMissing, wellFormedSession } from './expect.mjs'
import { kind, startServer } from './harness.mjs'

describe(`auth-js alone on ${kind}`, () => {
  let server
  before(async () => {
    server = await startServer()
  })
  after(() => server?.stop())

  const plain = (options) => new GoTrueClient({ url: server.keys.AUTH_URL, autoRefreshToken: false, persistSession: true, storage: memoryStorage(), ...options })
  const admin = () => new GoTrueAdminApi({ url: server.keys.AUTH_URL, headers: { Authorization: `Bearer ${server.keys.SERVICE_ROLE_KEY}` } })

  test('the whole journey', async () => {
    const email = freshEmail()
    const client = plain()
    const { session, user } = await must(client.signUp({ email, password: goodPassword, options: { data: { unit: 'ER' } } }))
    wellFormedSession(session)
    assert.equal((await must(client.getUser())).user.id, user.id)
    assert.notEqual((await must(client.refreshSession())).session.refresh_token, session.refresh_token)
    assert.equal((await must(client.updateUser({ data: { unit: 'ICU' } }))).user.user_metadata.unit, 'ICU')
    assert.equal((await must(client.getClaims())).claims.sub, user.id)
    const other = plain()
    await must(other.signInWithPassword({ email, password: goodPassword }))
    await must(client.signOut({ scope: 'others' }))
    await sessionMissing(other.getUser())
    await must(client.signOut())
    assert.equal((await must(client.getSession())).session, null)
    await refused(client.signInWithPassword({ email, password: 'wrong-password' }), { status: 400, code: 'invalid_credentials' })
  })

  test('the PKCE flow type changes nothing about passwords', async () => {
    const client = plain({ flowType: 'pkce' })
    wellFormedSession((await must(client.signUp({ email: freshEmail(), password: goodPassword }))).session)
    await must(client.updateUser({ email: freshEmail() }))
  })

  test('anonymous sign-in, and the client under its other name', async () => {
    const client = new AuthClient({ url: server.keys.AUTH_URL, autoRefreshToken: false, storage: memoryStorage() })
    assert.equal((await must(client.signInAnonymously())).user.is_anonymous, true)
  })

  test('the admin client', async () => {
    const { user } = await must(admin().createUser({ email: freshEmail(), password: goodPassword, email_confirm: true }))
    assert.equal((await must(admin().getUserById(user.id))).user.id, user.id)
    assert.ok((await must(admin().listUsers({ page: 1, perPage: 50 }))).users.some((u) => u.id === user.id))
    await must(admin().deleteUser(user.id))
    await refused(admin().getUserById(user.id), { status: 404, code: 'user_not_found' })
    const nobody = new GoTrueAdminApi({ url: server.keys.AUTH_URL })
    await refused(nobody.listUsers(), { status: 401, code: 'no_authorization' })
  })
})

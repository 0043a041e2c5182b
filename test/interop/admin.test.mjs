// The admin API with the service key: S0.12, C20, C23.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, test } from 'node:test'

import { device, exchange, freshEmail, freshPhone, goodPassword, must, newShape, operator, person, rawRefresh, sessionOf, signedIn } from './clients.mjs'
import { refused, sessionMissing, wellFormedUser } from './expect.mjs'
import { kind, startServer } from './harness.mjs'

// Both are hashes of "imported password 71", made by another implementation.
const importedPassword = 'imported password 71'
const imported = {
  bcrypt: '$2a$10$SvSEldFQgOE1.gFlyhy2MOUlhP56MPrqCMS.8h5NuiB8Qw.1ONfem',
  argon2id: '$argon2id$v=19$m=16384,t=3,p=1$MDEyMzQ1Njc4OWFiY2RlZg$bJxpTEcB+Uos6akauxIwdNHE5kIEDJ6anc9bgfklw1Y',
}

describe(`admin API on ${kind}`, () => {
  let server, admin
  before(async () => {
    server = await startServer()
    admin = operator(server).auth.admin
  })
  after(() => server?.stop())

  test('listUsers: the default, pages, totals', async () => {
    for (let i = 0; i < 7; i++) await must(admin.createUser({ email: freshEmail(`listed${i}`), email_confirm: true }))
    const all = await must(admin.listUsers())
    assert.equal(all.aud, 'authenticated')
    assert.equal(all.total, all.users.length)
    for (const user of all.users) wellFormedUser(user)
    const lastPage = Math.ceil(all.total / 3)
    const seen = []
    for (let page = 1; page <= lastPage; page++) {
      const answer = await must(admin.listUsers({ page, perPage: 3 }))
      assert.equal(answer.total, all.total)
      assert.equal(answer.nextPage, page < lastPage ? page + 1 : null, `nextPage of page ${page}`)
      assert.equal(answer.lastPage, lastPage)
      seen.push(...answer.users.map((u) => u.id))
    }
    assert.deepEqual(seen.sort(), all.users.map((u) => u.id).sort(), 'every user on exactly one page')
    assert.deepEqual((await must(admin.listUsers({ page: 1000, perPage: 3 }))).users, [])
  })

  test('listUsers on the wire: Link, X-Total-Count, filter', async () => {
    const needle = `needle${randomUUID().slice(0, 8)}`
    await must(admin.createUser({ email: `${needle}@example.com` }))
    const bearer = { ...newShape, authorization: `Bearer ${server.keys.SERVICE_ROLE_KEY}` }
    const page = await exchange(server, 'GET', '/admin/users?page=1&per_page=1', { headers: bearer })
    assert.match(page.headers['x-total-count'], /^\d+$/)
    // The client reads one character after the first "=": page has to come first.
    assert.match(page.headers.link, /^<[^>?]*\/admin\/users\?page=2&per_page=1>; rel="next", ?<[^>?]*\/admin\/users\?page=\d+&per_page=1>; rel="last"$/)
    const found = await exchange(server, 'GET', `/admin/users?filter=${needle}`, { headers: bearer })
    assert.deepEqual(found.json.users.map((u) => u.email), [`${needle}@example.com`])
    for (const query of ['?page=', '?page=&per_page=', '?per_page=1&page=1', '?page=0', '?page=-1', '?page=x', '?per_page=100000', '?sort=created_at%20asc', "?filter=%25'--", '?page=99999999999999999999']) {
      const { status } = await exchange(server, 'GET', `/admin/users${query}`, { headers: bearer })
      assert.ok(status < 500, `${query}: ${status}`)
    }
  })

  test('createUser with a password, metadata and confirmation', async () => {
    const email = freshEmail('Made')
    const { user } = await must(
      admin.createUser({ email, password: goodPassword, email_confirm: true, user_metadata: { name: 'Lin' }, app_metadata: { clinic: 7 } }),
    )
    wellFormedUser(user)
    assert.equal(user.email, email.toLowerCase())
    assert.ok(user.email_confirmed_at)
    assert.equal(user.user_metadata.name, 'Lin')
    assert.deepEqual(user.app_metadata, { clinic: 7, provider: 'email', providers: ['email'] })
    assert.deepEqual(user.identities.map((i) => i.provider), ['email'])
    const client = await signedIn(server, { email })
    assert.equal((await sessionOf(client)).user.id, user.id)
    await refused(admin.createUser({ email }), { status: 422, code: 'email_exists' })
    await refused(admin.createUser({ email: freshEmail(), password: 'x7!qz' }), { status: 422, code: 'weak_password', name: 'AuthWeakPasswordError' })
  })

  test('createUser without confirmation stays unconfirmed, with autoconfirm too', async () => {
    const { user } = await must(admin.createUser({ email: freshEmail(), password: goodPassword }))
    assert.equal(user.email_confirmed_at, undefined)
    const confirmed = await must(admin.updateUserById(user.id, { email_confirm: true }))
    assert.ok(confirmed.user.email_confirmed_at)
    await signedIn(server, { email: user.email })
  })

  test('createUser with a phone number and with a chosen id', async () => {
    const phone = freshPhone()
    const id = randomUUID()
    const { user } = await must(admin.createUser({ id, phone: `+${phone}`, password: goodPassword, phone_confirm: true }))
    assert.deepEqual([user.id, user.phone], [id, phone])
    await must(device(server).auth.signInWithPassword({ phone, password: goodPassword }))
    await refused(admin.createUser({ phone }), { status: 422, code: 'phone_exists' })
    const taken = await refused(admin.createUser({ id, email: freshEmail() }))
    assert.equal(typeof taken.code, 'string')
  })

  for (const [form, hash] of Object.entries(imported)) {
    test(`createUser with password_hash: ${form}`, async () => {
      const email = freshEmail(form)
      await must(admin.createUser({ email, password_hash: hash, email_confirm: true }))
      await refused(device(server).auth.signInWithPassword({ email, password: 'not that one' }), { code: 'invalid_credentials' })
      for (let i = 0; i < 2; i++) await signedIn(server, { email, password: importedPassword })
    })
  }

  test('a password_hash of no known form, or together with a password, is refused', async () => {
    for (const hash of ['plain text', '$1$abc$def', '$2a$31$tooexpensive', `$argon2id$v=19$m=4194304,t=9,p=1$${'A'.repeat(22)}$${'A'.repeat(43)}`]) {
      const error = await refused(admin.createUser({ email: freshEmail(), password_hash: hash }))
      assert.equal(error.status < 500, true, hash)
    }
    await refused(admin.createUser({ email: freshEmail(), password: goodPassword, password_hash: imported.bcrypt }), { status: 400, code: 'validation_failed' })
  })

  test('getUserById, and ids that are none', async () => {
    const { user } = await person(server)
    assert.equal((await must(admin.getUserById(user.id))).user.email, user.email)
    await refused(admin.getUserById(randomUUID()), { status: 404, code: 'user_not_found' })
    for (const method of ['GET', 'PUT', 'DELETE']) {
      const { status, json } = await exchange(server, method, '/admin/users/not-a-uuid', {
        headers: { ...newShape, authorization: `Bearer ${server.keys.SERVICE_ROLE_KEY}` },
        body: method === 'GET' ? undefined : {},
      })
      assert.deepEqual([status, json.code, json.message], [404, 'validation_failed', 'user_id must be an UUID'], method)
    }
  })

  test('updateUserById: address at once, password, metadata merged, role', async () => {
    const account = await person(server, { data: { a: 1, b: 2 } })
    const email = freshEmail('renamed')
    const { user } = await must(
      admin.updateUserById(account.user.id, { email, password: 'operator-chosen-pass-55', user_metadata: { b: 3, a: null }, app_metadata: { clinic: 9 } }),
    )
    assert.equal(user.email, email)
    assert.equal(user.new_email, undefined)
    assert.deepEqual([user.user_metadata.a, user.user_metadata.b], [undefined, 3])
    assert.deepEqual(user.app_metadata, { clinic: 9, provider: 'email', providers: ['email'] })
    await signedIn(server, { email, password: 'operator-chosen-pass-55' })
    const other = await person(server)
    await refused(admin.updateUserById(account.user.id, { email: other.email }), { status: 422, code: 'email_exists' })
    const changed = await must(admin.updateUserById(other.user.id, { role: 'auditor' }))
    assert.equal(changed.user.role, 'auditor')
  })

  test('ban and lifting it', async () => {
    const account = await person(server)
    const banned = await must(admin.updateUserById(account.user.id, { ban_duration: '1h30m' }))
    const until = Date.parse(banned.user.banned_until) - Date.now()
    assert.ok(Math.abs(until - 5_400_000) < 60_000, `${until} ms`)
    await refused(device(server).auth.signInWithPassword(account), { status: 400, code: 'user_banned' })
    const lifted = await must(admin.updateUserById(account.user.id, { ban_duration: 'none' }))
    assert.equal(lifted.user.banned_until, undefined)
    await signedIn(server, account)
    await refused(admin.updateUserById(account.user.id, { ban_duration: 'for ever' }), { status: 400, code: 'validation_failed' })
  })

  test('deleteUser for good: gone, tokens dead, address free', async () => {
    const account = await person(server)
    const { access_token: token, refresh_token: refresh } = await sessionOf(account.client)
    const { user } = await must(admin.deleteUser(account.user.id))
    assert.equal(user.id, account.user.id)
    await refused(admin.getUserById(user.id), { status: 404, code: 'user_not_found' })
    await refused(admin.deleteUser(user.id), { status: 404, code: 'user_not_found' })
    await refused(device(server).auth.getUser(token), { status: 403, code: 'user_not_found' })
    assert.equal((await rawRefresh(server, refresh)).json.code, 'refresh_token_not_found')
    await must(device(server).auth.signUp({ email: account.email, password: goodPassword }))
  })

  test('deleteUser softly: cannot sign in, sessions ended, address free', async () => {
    const account = await person(server)
    const { access_token: token, refresh_token: refresh } = await sessionOf(account.client)
    await must(admin.deleteUser(account.user.id, true))
    await refused(device(server).auth.signInWithPassword(account), { code: 'invalid_credentials' })
    assert.equal((await rawRefresh(server, refresh)).json.code, 'refresh_token_not_found')
    const { error } = await device(server).auth.getUser(token)
    assert.ok(error && !(error.status >= 500), `${error}`)
    const again = await must(device(server).auth.signUp({ email: account.email, password: goodPassword }))
    assert.notEqual(again.user.id, account.user.id)
    const listed = await exchange(server, 'GET', `/admin/users?filter=${account.email}`, { headers: { authorization: `Bearer ${server.keys.SERVICE_ROLE_KEY}` } })
    assert.deepEqual(listed.json.users.map((u) => u.id), [again.user.id])
  })

  test('signOut(jwt, scope), also with a token that is already dead', async () => {
    const account = await person(server)
    const other = await signedIn(server, account)
    const token = (await sessionOf(account.client)).access_token
    await must(admin.signOut(token, 'global'))
    await sessionMissing(other.auth.getUser())
    await sessionMissing(admin.signOut(token, 'global'))
    await refused(admin.signOut('garbage', 'global'), { status: 403, code: 'bad_jwt' })
  })

  test('the anon key and a missing key get nowhere', async () => {
    const { admin: nobody } = device(server).auth
    const { user } = await person(server)
    for (const call of [nobody.listUsers(), nobody.createUser({ email: freshEmail() }), nobody.getUserById(user.id), nobody.updateUserById(user.id, { email_confirm: true }), nobody.deleteUser(user.id)]) {
      await refused(call, { status: 403, code: 'not_admin', message: 'User not allowed' })
    }
    const { status, json } = await exchange(server, 'GET', '/admin/users', { headers: newShape })
    assert.deepEqual([status, json.code], [401, 'no_authorization'])
    assert.equal((await must(admin.getUserById(user.id))).user.email, user.email)
  })
})

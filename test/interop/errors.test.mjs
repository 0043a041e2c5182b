// Each error path by error.code, as gotrue.md 2.3 and 2.4 list them.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'

import { device, exchange, freshEmail, freshPhone, goodPassword, must, newShape, operator, person, rawRefresh, sessionOf, signedIn } from './clients.mjs'
import { refused, sessionMissing } from './expect.mjs'
import { kind, startServer } from './harness.mjs'

describe(`errors on ${kind}`, () => {
  let server
  before(async () => {
    server = await startServer()
  })
  after(() => server?.stop())

  const signIn = (credentials) => device(server).auth.signInWithPassword(credentials)
  const signUp = (credentials) => device(server).auth.signUp(credentials)
  const post = (path, body, headers = newShape) => exchange(server, 'POST', path, { headers, body })

  test('invalid_credentials: unknown and wrong look the same', async () => {
    const { email } = await person(server)
    const expected = { status: 400, code: 'invalid_credentials', message: 'Invalid login credentials', name: 'AuthApiError' }
    await refused(signIn({ email, password: 'wrong-password-entirely' }), expected)
    await refused(signIn({ email: freshEmail(), password: goodPassword }), expected)
    await refused(signIn({ phone: freshPhone(), password: goodPassword }), expected)
    const bodies = await Promise.all([email, freshEmail()].map((e) => post('/token?grant_type=password', { email: e, password: 'wrong-password' })))
    assert.equal(bodies[0].text, bodies[1].text)
    const names = bodies.map((b) => Object.keys(b.headers).sort())
    assert.deepEqual(names[0], names[1], 'the headers do not tell either')
  })

  test('user_already_exists', async () => {
    const { email } = await person(server)
    await refused(signUp({ email, password: goodPassword }), { status: 422, code: 'user_already_exists', message: 'User already registered' })
    await refused(signUp({ email: email.toUpperCase(), password: goodPassword }), { code: 'user_already_exists' })
  })

  test('weak_password comes as AuthWeakPasswordError with reasons, at sign-up and at change', async () => {
    const expected = { status: 422, code: 'weak_password', name: 'AuthWeakPasswordError', reasons: ['length'] }
    const error = await refused(signUp({ email: freshEmail(), password: 'x7!qz' }), expected)
    assert.match(error.message, /^Password should be at least \d+ characters/)
    const { client } = await person(server)
    await refused(client.auth.updateUser({ password: 'x7!qz' }), expected)
  })

  test('weak_password in the older shape', async () => {
    const { status, json } = await post('/signup', { email: freshEmail(), password: 'x7!qz' }, {})
    assert.equal(status, 422)
    assert.deepEqual([json.code, json.error_code, json.weak_password], [422, 'weak_password', { reasons: ['length'] }])
  })

  test('validation_failed: what is missing or too much', async () => {
    const email = freshEmail()
    for (const [path, body, message] of [
      ['/signup', { email, phone: freshPhone(), password: goodPassword }, 'Only an email address or phone number should be provided on signup.'],
      ['/signup', { email }, 'Signup requires a valid password'],
      ['/token?grant_type=password', { password: goodPassword }, 'missing email or phone'],
      ['/token?grant_type=password', { email, phone: freshPhone(), password: goodPassword }, undefined],
    ]) {
      const { status, json } = await post(path, body)
      assert.deepEqual([status, json.code], [400, 'validation_failed'], `${path} ${JSON.stringify(body)}: ${json.message}`)
      if (message) assert.equal(json.message, message)
    }
  })

  test('an address that is none: the text that clients match', async () => {
    for (const email of ['nobody', 'a@', '@b.example', 'a b@example.com', 'a@b@c.example']) {
      await refused(signUp({ email, password: goodPassword }), {
        status: 400,
        code: 'validation_failed',
        message: /Unable to validate email address: invalid format/,
      })
    }
    await refused(signUp({ phone: '12ab', password: goodPassword }), { status: 400, code: 'validation_failed', message: /Invalid phone number format \(E\.164 required\)/ })
  })

  test('email_not_confirmed and phone_not_confirmed, only after the right password', async () => {
    const admin = operator(server)
    const email = freshEmail()
    const phone = freshPhone()
    await must(admin.auth.admin.createUser({ email, password: goodPassword }))
    await must(admin.auth.admin.createUser({ phone, password: goodPassword }))
    await refused(signIn({ email, password: goodPassword }), { status: 400, code: 'email_not_confirmed', message: 'Email not confirmed' })
    await refused(signIn({ phone, password: goodPassword }), { status: 400, code: 'phone_not_confirmed', message: 'Phone not confirmed' })
    await refused(signIn({ email, password: 'wrong-password' }), { status: 400, code: 'invalid_credentials' })
    await refused(signIn({ phone, password: 'wrong-password' }), { status: 400, code: 'invalid_credentials' })
  })

  test('user_banned, only after the right password; also for a token and a refresh', async () => {
    const account = await person(server)
    const { access_token: token, refresh_token: refresh } = await sessionOf(account.client)
    await must(operator(server).auth.admin.updateUserById(account.user.id, { ban_duration: '24h' }))
    await refused(signIn(account), { status: 400, code: 'user_banned', message: 'User is banned' })
    await refused(signIn({ email: account.email, password: 'wrong-password' }), { status: 400, code: 'invalid_credentials' })
    await refused(device(server).auth.getUser(token), { status: 403, code: 'user_banned', message: 'User is banned' })
    const { status, json } = await rawRefresh(server, refresh)
    assert.deepEqual([status, json.code, json.message], [400, 'user_banned', 'Invalid Refresh Token: User Banned'])
    await must(operator(server).auth.admin.updateUserById(account.user.id, { ban_duration: 'none' }))
    await signedIn(server, account)
  })

  test('refresh_token_not_found, and what is no token at all', async () => {
    const account = await person(server)
    const { refresh_token: token } = await sessionOf(account.client)
    await must(account.client.auth.signOut())
    await refused(device(server).auth.refreshSession({ refresh_token: token }), {
      status: 400,
      code: 'refresh_token_not_found',
      message: 'Invalid Refresh Token: Refresh Token Not Found',
    })
    const changed = token.slice(0, 30) + (token[30] === 'A' ? 'B' : 'A') + token.slice(31)
    for (const bad of ['short', 'x'.repeat(40), changed, '🙂'.repeat(20)]) {
      const { status, json } = await rawRefresh(server, bad)
      assert.deepEqual([status, json.code], [400, 'validation_failed'], `${bad}: ${json.message}`)
      assert.match(json.message, /Refresh token is not valid/)
    }
    const nul = await rawRefresh(server, `${token}\u0000`)
    assert.deepEqual([nul.status, nul.json.code], [400, 'validation_failed'])
  })

  test('a refresh token in the form of GoTrue’s older ones is unknown, not malformed', async () => {
    const { status, json } = await rawRefresh(server, 'abcdefghijkl')
    assert.deepEqual([status, json.code, json.message], [400, 'refresh_token_not_found', 'Invalid Refresh Token: Refresh Token Not Found'])
  })

  test('bad_jwt, no_authorization, and tokens that belong to nobody', async () => {
    await refused(device(server).auth.getUser('not-a-token'), { status: 403, code: 'bad_jwt', message: /^invalid JWT/ })
    const none = await exchange(server, 'GET', '/user', { headers: newShape })
    assert.deepEqual([none.status, none.json.code], [401, 'no_authorization'])
    assert.match(none.json.message, /requires a valid Bearer token/)
    for (const authorization of ['Bearer', 'Bearer ', 'Basic dTpw', 'bearer', 'Token abc', 'Bearer a b']) {
      const { status, json } = await exchange(server, 'GET', '/user', { headers: { ...newShape, authorization } })
      assert.ok(status === 401 || status === 403, `${authorization}: ${status}`)
      assert.ok(['no_authorization', 'bad_jwt'].includes(json.code), `${authorization}: ${json.code}`)
    }
    // The anon key is a good token without a subject.
    await refused(device(server).auth.getUser(server.keys.ANON_KEY), { status: 403, code: 'bad_jwt' })
    const gone = await person(server)
    await must(operator(server).auth.admin.deleteUser(gone.user.id))
    await refused(device(server).auth.getUser(gone.session.access_token), { status: 403, code: 'user_not_found' })
  })

  test('session_not_found becomes AuthSessionMissingError', async () => {
    const account = await person(server)
    const other = await signedIn(server, account)
    await must(account.client.auth.signOut({ scope: 'global' }))
    await sessionMissing(other.auth.updateUser({ data: { x: 1 } }))
    await sessionMissing(other.auth.getUser())
  })

  test('not_admin: anon key, an ordinary user, and app_metadata by a user', async () => {
    const expected = { status: 403, code: 'not_admin' }
    await refused(device(server).auth.admin.listUsers(), { ...expected, message: 'User not allowed' })
    const { session, client, user } = await person(server)
    const asUser = { headers: { ...newShape, authorization: `Bearer ${session.access_token}` } }
    for (const [method, path] of [['GET', '/admin/users'], ['POST', '/admin/users'], ['GET', `/admin/users/${user.id}`], ['PUT', `/admin/users/${user.id}`], ['DELETE', `/admin/users/${user.id}`]]) {
      const { status, json } = await exchange(server, method, path, { ...asUser, body: method === 'GET' ? undefined : { role: 'service_role' } })
      assert.deepEqual([status, json.code], [403, 'not_admin'], `${method} ${path}`)
    }
    await refused(client.auth.updateUser({ app_metadata: { role: 'boss' } }), expected)
  })

  test('same_password and email_exists on a change', async () => {
    const { client, password } = await person(server)
    const other = await person(server)
    await refused(client.auth.updateUser({ password }), { status: 422, code: 'same_password', message: 'New password should be different from the old password.' })
    await refused(client.auth.updateUser({ email: other.email }), { status: 422, code: 'email_exists', message: 'A user with this email address has already been registered' })
  })

  test('an unknown grant', async () => {
    for (const query of ['', '?grant_type=', '?grant_type=magic', '?grant_type=PASSWORD']) {
      const { status, json } = await post(`/token${query}`, { email: freshEmail(), password: goodPassword })
      assert.deepEqual([status, json.code, json.message], [400, 'invalid_credentials', 'unsupported_grant_type'], query)
    }
  })

  test('a body over 1 MiB is 413, for the client too', async () => {
    await refused(signUp({ email: freshEmail(), password: goodPassword, options: { data: { big: 'x'.repeat(1_200_000) } } }), {
      status: 413,
      code: 'request_entity_too_large',
    })
  })

  test('bad bodies: 400 bad_json and never a server failure', async () => {
    const deep = '['.repeat(20_000) + ']'.repeat(20_000)
    for (const body of ['', '{', 'null', '[]', '5', '{"email":5,"password":"x"}', '{"email":{"a":1}}', `{"email":${deep}}`, Buffer.from([0x7b, 0xff, 0xfe, 0x7d])]) {
      for (const path of ['/signup', '/token?grant_type=password', '/token?grant_type=refresh_token']) {
        const { status, json } = await post(path, body, { ...newShape, 'content-type': 'application/json' })
        assert.ok(status >= 400 && status < 500, `${path} ${String(body).slice(0, 40)}: ${status}`)
        assert.equal(typeof json?.code, 'string', `${path} ${String(body).slice(0, 40)}: ${json}`)
      }
    }
    const empty = await post('/signup', '')
    assert.deepEqual([empty.status, empty.json.code], [400, 'bad_json'])
    assert.equal(empty.json.message, 'Could not parse request body as JSON: unexpected end of JSON input')
    assert.equal((await post('/signup', '{"email":5}')).json.code, 'bad_json')
  })

  test('hostile values are a 4xx with a code', async () => {
    for (const email of ['a\u0000b@example.com', `${'a'.repeat(400)}@example.com`, 'a\nb@example.com', '\ud800@example.com']) {
      const { status, json } = await post('/signup', { email, password: goodPassword })
      assert.ok(status >= 400 && status < 500 && json.code, `${JSON.stringify(email)}: ${status}`)
    }
    for (const password of ['nul\u0000inside-it-12345', 'p'.repeat(5000), '\ud800surrogate-password']) {
      const { status, json } = await post('/signup', { email: freshEmail(), password })
      assert.ok(status >= 400 && status < 500 && json.code, `${JSON.stringify(password).slice(0, 30)}: ${status}`)
    }
    for (const data of [{ 'k\u0000': 1 }, { k: 'v\u0000' }, { k: '\ud800' }]) {
      const { status, json } = await post('/signup', { email: freshEmail(), password: goodPassword, data })
      assert.ok(status >= 400 && status < 500 && json.code, `${JSON.stringify(data)}: ${status}`)
    }
  })
})

describe(`switched off on ${kind}`, () => {
  test('signup_disabled and anonymous_provider_disabled', async () => {
    const server = await startServer({ env: { CARDEA_DISABLE_SIGNUP: 'true', CARDEA_ANONYMOUS_ENABLED: 'false', CARDEA_PHONE_ENABLED: 'false' } })
    try {
      const client = device(server)
      await refused(client.auth.signUp({ email: freshEmail(), password: goodPassword }), { status: 422, code: 'signup_disabled', message: 'Signups not allowed for this instance' })
      await refused(client.auth.signInAnonymously(), { status: 422, code: 'anonymous_provider_disabled', message: 'Anonymous sign-ins are disabled' })
      await refused(client.auth.signInWithPassword({ phone: freshPhone(), password: goodPassword }), { status: 422, code: 'phone_provider_disabled' })
      const email = freshEmail()
      await must(operator(server).auth.admin.createUser({ email, password: goodPassword, email_confirm: true }))
      await signedIn(server, { email })
      const settings = await exchange(server, 'GET', '/settings')
      assert.equal(settings.json.disable_signup, true)
      assert.equal(settings.json.external.anonymous_users, false)
      assert.equal(settings.json.external.phone, false)
    } finally {
      await server.stop()
    }
  })

  test('email_provider_disabled and phone_provider_disabled', async () => {
    const server = await startServer({ env: { CARDEA_EMAIL_ENABLED: 'false', CARDEA_PHONE_ENABLED: 'false' } })
    try {
      const client = device(server)
      await refused(client.auth.signUp({ email: freshEmail(), password: goodPassword }), { status: 400, code: 'email_provider_disabled', message: 'Email signups are disabled' })
      await refused(client.auth.signUp({ phone: freshPhone(), password: goodPassword }), { status: 400, code: 'phone_provider_disabled', message: 'Phone signups are disabled' })
      await refused(client.auth.signInWithPassword({ email: freshEmail(), password: goodPassword }), { status: 422, code: 'email_provider_disabled', message: 'Email logins are disabled' })
    } finally {
      await server.stop()
    }
  })

  test('S0.18 wrong passwords for one account run into a limit, known or not', async () => {
    const server = await startServer({ env: { CARDEA_RATE_LIMIT_ENABLED: 'true', CARDEA_RATE_LIMIT_FAILURES_PER_ACCOUNT: '3' } })
    try {
      const { email } = await person(server)
      const tries = async (address) => {
        const codes = []
        for (let i = 0; i < 5; i++) codes.push((await device(server).auth.signInWithPassword({ email: address, password: 'wrong-password' })).error.code)
        return codes
      }
      const known = await tries(email)
      assert.deepEqual(known, ['invalid_credentials', 'invalid_credentials', 'invalid_credentials', 'over_request_rate_limit', 'over_request_rate_limit'])
      assert.deepEqual(await tries(freshEmail()), known)
    } finally {
      await server.stop()
    }
  })
})

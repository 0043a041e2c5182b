// HTTP as browsers and plain clients see it: CORS, the two error shapes, methods, paths.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'

import { exchange, freshEmail, goodPassword, newShape, person } from './clients.mjs'
import { kind, startServer } from './harness.mjs'

const origin = 'https://app.example.com'
const words = (header) => (header ?? '').toLowerCase().split(',').map((word) => word.trim()).filter(Boolean)

// What supabase-js sends from a browser; a preflight fails if one of them is missing.
const browserHeaders = ['apikey', 'authorization', 'content-type', 'x-client-info', 'x-supabase-api-version', 'traceparent', 'tracestate', 'baggage']

describe(`the wire on ${kind}`, () => {
  let server
  before(async () => {
    server = await startServer({ env: { CARDEA_CORS_ORIGINS: origin } })
  })
  after(() => server?.stop())

  const preflight = (method, path, from = origin) =>
    exchange(server, 'OPTIONS', path, {
      headers: { origin: from, 'access-control-request-method': method, 'access-control-request-headers': browserHeaders.join(',') },
    })

  test('a preflight from the application’s origin is answered', async () => {
    for (const [method, path] of [['POST', '/token?grant_type=password'], ['POST', '/signup'], ['GET', '/user'], ['PUT', '/user'], ['POST', '/logout'], ['GET', '/settings'], ['DELETE', '/admin/users/x'], ['GET', '/.well-known/jwks.json']]) {
      const { status, headers } = await preflight(method, path)
      assert.ok(status === 200 || status === 204, `${method} ${path}: ${status}`)
      assert.equal(headers['access-control-allow-origin'], origin, `${method} ${path}`)
      assert.ok(words(headers['access-control-allow-methods']).includes(method.toLowerCase()), `${method} ${path}: ${headers['access-control-allow-methods']}`)
      const allowed = words(headers['access-control-allow-headers'])
      for (const name of browserHeaders) assert.ok(allowed.includes(name), `${method} ${path}: ${name} is not in ${allowed}`)
      assert.ok(words(headers.vary).includes('origin'), 'caches must keep the origins apart')
    }
  })

  test('the version header is exposed, also on an error, or browsers lose error.code', async () => {
    const answer = await exchange(server, 'POST', '/token?grant_type=password', {
      headers: { ...newShape, origin },
      body: { email: freshEmail(), password: 'wrong-password' },
    })
    assert.equal(answer.status, 400)
    assert.equal(answer.headers['access-control-allow-origin'], origin)
    assert.equal(answer.headers['x-supabase-api-version'], '2024-01-01')
    const exposed = words(answer.headers['access-control-expose-headers'])
    for (const name of ['x-supabase-api-version', 'x-total-count', 'link']) assert.ok(exposed.includes(name), `${name} is not in ${exposed}`)
  })

  test('another origin gets no permission, with no wildcard beside credentials', async () => {
    for (const from of ['https://evil.example', 'https://app.example.com.evil.example', 'http://app.example.com', 'null', 'https://app.example.com:8443']) {
      for (const { headers } of [await preflight('POST', '/signup', from), await exchange(server, 'GET', '/settings', { headers: { origin: from } })]) {
        assert.ok(![from, '*'].includes(headers['access-control-allow-origin']), `${from}: ${headers['access-control-allow-origin']}`)
      }
    }
  })

  test('the older error shape without the version header, the newer one with it', async () => {
    const body = { email: freshEmail(), password: 'wrong-password' }
    for (const headers of [{}, { 'x-supabase-api-version': '2023-01-01' }, { 'x-supabase-api-version': 'soon' }]) {
      const old = await exchange(server, 'POST', '/token?grant_type=password', { headers, body })
      assert.equal(old.status, 400)
      assert.deepEqual(old.json, { code: 400, error_code: 'invalid_credentials', msg: 'Invalid login credentials' })
      assert.equal(old.headers['x-sb-error-code'], 'invalid_credentials')
    }
    for (const version of ['2024-01-01', '2025-06-30']) {
      const now = await exchange(server, 'POST', '/token?grant_type=password', { headers: { 'x-supabase-api-version': version }, body })
      assert.deepEqual(now.json, { code: 'invalid_credentials', message: 'Invalid login credentials' })
      assert.equal(now.headers['x-supabase-api-version'], '2024-01-01')
      assert.equal(now.headers['x-sb-error-code'], 'invalid_credentials')
    }
  })

  test('unknown paths and wrong methods', async () => {
    for (const path of ['/nothing', '/user/nothing', '/admin', '/token/x', '/%2e%2e/secret', '//user', '/.well-known/nothing']) {
      const { status } = await exchange(server, 'GET', path)
      assert.ok(status === 404 || status === 405 || (status >= 300 && status < 400 && path === '//user'), `${path}: ${status}`)
    }
    const unknown = await exchange(server, 'GET', '/nothing')
    assert.equal(unknown.status, 404)
    for (const [method, path, allow] of [['GET', '/signup', 'POST'], ['DELETE', '/user', 'GET'], ['GET', '/token', 'POST'], ['POST', '/health', 'GET'], ['GET', '/logout', 'POST'], ['PROPFIND', '/user', 'GET'], ['PATCH', '/settings', 'GET']]) {
      const { status, headers } = await exchange(server, method, path)
      assert.equal(status, 405, `${method} ${path}`)
      assert.ok(words(headers.allow).includes(allow.toLowerCase()), `${method} ${path}: Allow ${headers.allow}`)
    }
  })

  test('HEAD, trailing slashes, odd content types', async () => {
    const head = await exchange(server, 'HEAD', '/health')
    assert.ok(head.status === 200 || head.status === 405, `${head.status}`)
    assert.equal(head.text, '')
    const { session } = await person(server)
    const bearer = { ...newShape, authorization: `Bearer ${session.access_token}` }
    assert.equal((await exchange(server, 'GET', '/user/', { headers: bearer })).status, 200)
    const email = freshEmail()
    assert.equal((await exchange(server, 'POST', '/signup/', { headers: newShape, body: { email, password: goodPassword } })).status, 200)
    for (const type of ['application/json;charset=UTF-8', 'text/plain', undefined]) {
      const headers = type ? { ...newShape, 'content-type': type } : newShape
      const { status } = await exchange(server, 'POST', '/token?grant_type=password', { headers, body: JSON.stringify({ email, password: goodPassword }) })
      assert.equal(status, 200, String(type))
    }
  })

  test('unknown fields and nulls are accepted, as the client sends them', async () => {
    const email = freshEmail()
    const body = { email, password: goodPassword, data: null, gotrue_meta_security: {}, code_challenge: null, code_challenge_method: null, phone: null, channel: null, factorId: 'stray' }
    const { status, json } = await exchange(server, 'POST', '/signup', { headers: newShape, body })
    assert.equal(status, 200, JSON.stringify(json))
    const signIn = await exchange(server, 'POST', '/token?grant_type=password', { headers: newShape, body: { ...body, data: {}, gotrue_meta_security: { captcha_token: null } } })
    assert.equal(signIn.status, 200, JSON.stringify(signIn.json))
  })

  test('health and settings', async () => {
    const health = await exchange(server, 'GET', '/health')
    assert.equal(health.status, 200)
    assert.equal(health.json.name, 'GoTrue')
    assert.equal(typeof health.json.version, 'string')
    const settings = await exchange(server, 'GET', '/settings')
    assert.equal(settings.status, 200)
    const { external, disable_signup: disabled, mailer_autoconfirm: mail, phone_autoconfirm: phone, saml_enabled: saml } = settings.json
    assert.deepEqual({ disabled, mail, phone, saml }, { disabled: false, mail: true, phone: true, saml: false })
    assert.deepEqual([external.email, external.phone, external.anonymous_users, external.google], [true, true, true, false])
    for (const [name, value] of Object.entries(external)) assert.equal(typeof value, 'boolean', name)
  })

  test('an answer with tokens or a person is never cached and never sniffed', async () => {
    const { session } = await person(server)
    for (const answer of [
      await exchange(server, 'GET', '/user', { headers: { authorization: `Bearer ${session.access_token}` } }),
      await exchange(server, 'POST', '/token?grant_type=refresh_token', { body: { refresh_token: session.refresh_token } }),
    ]) {
      assert.equal(answer.status, 200)
      assert.match(answer.headers['cache-control'] ?? '', /no-store/)
      assert.equal(answer.headers['x-content-type-options'], 'nosniff')
    }
  })

  test('S0.17 redirects that are not allowed change nothing: no error, no foreign address', async () => {
    for (const target of ['https://evil.example/x', 'javascript:alert(1)', `https://evil.example/${'a'.repeat(10_000)}`, 'http://2130706433/']) {
      const { status, text } = await exchange(server, 'POST', `/signup?redirect_to=${encodeURIComponent(target)}`, { headers: newShape, body: { email: freshEmail(), password: goodPassword } })
      assert.ok(status === 200 || status === 414 || status === 431, `${status}`)
      assert.ok(!text.includes('evil.example'))
    }
  })
})

describe(`behind a gateway that strips the prefix, on ${kind}`, () => {
  test('the routes are at the root too, by setting only', async () => {
    const server = await startServer({ env: { CARDEA_ROOT_MOUNT: 'true' } })
    try {
      for (const base of [server.url, server.authURL]) {
        assert.equal((await exchange(server, 'GET', '/settings', { base })).status, 200)
        const { status } = await exchange(server, 'POST', '/signup', { base, headers: newShape, body: { email: freshEmail(), password: goodPassword } })
        assert.equal(status, 200)
      }
    } finally {
      await server.stop()
    }
    const plain = await startServer()
    try {
      assert.equal((await exchange(plain, 'GET', '/settings', { base: plain.url })).status, 404)
    } finally {
      await plain.stop()
    }
  })
})

// S0.2, S0.3, A3.5, A6.3: tokens and keys as clients and other services see them.

import assert from 'node:assert/strict'
import { createPublicKey, randomBytes, verify } from 'node:crypto'
import { after, before, describe, test } from 'node:test'

import { claimsOf, device, exchange, freshEmail, goodPassword, must, person, recordingFetch, sessionOf } from './clients.mjs'
import { refused, wellFormedSession } from './expect.mjs'
import { kind, prepareServer, startServer } from './harness.mjs'

const headerOf = (jwt) => JSON.parse(Buffer.from(jwt.split('.')[0], 'base64url').toString('utf8'))
const jwksOf = async (server) => (await exchange(server, 'GET', '/.well-known/jwks.json')).json

/** Verifies an ES256 or RS256 token with nothing but node's own cryptography. */
function verified(jwt, jwks) {
  const [head, body, signature] = jwt.split('.')
  const jwk = jwks.keys.find((key) => key.kid === headerOf(jwt).kid)
  assert.ok(jwk, 'the key of the token is in the JWKS')
  const key = { key: createPublicKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' }
  return verify('sha256', Buffer.from(`${head}.${body}`), key, Buffer.from(signature, 'base64url'))
}

/** A6.3: whatever the ring holds, only public parts are shown. */
function onlyPublicParts(jwks) {
  assert.deepEqual(Object.keys(jwks), ['keys'])
  for (const key of jwks.keys) {
    assert.notEqual(key.kty, 'oct', 'a symmetric key is in the JWKS')
    for (const secret of ['d', 'k', 'p', 'q', 'dp', 'dq', 'qi', 'oth']) assert.ok(!(secret in key), `member ${secret} is in the JWKS`)
    assert.equal(key.use, 'sig')
    assert.deepEqual(key.key_ops, ['verify'])
    for (const member of ['alg', 'kid', 'kty']) assert.equal(typeof key[member], 'string', member)
  }
}

describe(`tokens on ${kind}`, () => {
  let server
  before(async () => {
    server = await startServer()
  })
  after(() => server?.stop())

  test('S0.2 A3.5 the password call over plain REST, with apikey, gives exactly the session', async () => {
    const { email, password } = await person(server)
    const answer = await exchange(server, 'POST', '/token?grant_type=password', {
      headers: { apikey: server.keys.ANON_KEY, 'content-type': 'application/json' },
      body: JSON.stringify({ email, password }),
    })
    assert.equal(answer.status, 200)
    assert.match(answer.headers['content-type'], /^application\/json/)
    wellFormedSession(answer.json)
    assert.equal(answer.json.user.email, email)
    // RFC 6749 5.1: a token must not be kept by caches.
    assert.match(answer.headers['cache-control'] ?? '', /no-store/)
  })

  test('S0.3 the access token lives an hour and carries GoTrue’s claims', async () => {
    const { session, user, email } = await person(server)
    const head = headerOf(session.access_token)
    assert.deepEqual([head.alg, head.typ, typeof head.kid], ['ES256', 'JWT', 'string'])
    const claims = claimsOf(session.access_token)
    assert.equal(claims.exp - claims.iat, 3600)
    assert.equal(claims.exp, session.expires_at)
    assert.equal(claims.iss, server.keys.AUTH_URL)
    const { sub, aud, email: address, phone, role, aal, is_anonymous: anonymous } = claims
    assert.deepEqual(
      { sub, aud, address, phone, role, aal, anonymous },
      { sub: user.id, aud: 'authenticated', address: email, phone: '', role: 'authenticated', aal: 'aal1', anonymous: false },
    )
    assert.match(claims.session_id, /^[0-9a-f-]{36}$/)
    assert.deepEqual(claims.amr.map((m) => m.method), ['password'])
    assert.equal(typeof claims.amr[0].timestamp, 'number')
    assert.deepEqual(claims.app_metadata, user.app_metadata)
    assert.deepEqual(claims.user_metadata, user.user_metadata)
    assert.ok(verified(session.access_token, await jwksOf(server)))
  })

  test('the claims of an anonymous account', async () => {
    const { session } = await must(device(server).auth.signInAnonymously())
    const claims = claimsOf(session.access_token)
    assert.equal(claims.is_anonymous, true)
    assert.equal(claims.role, 'authenticated')
    assert.deepEqual(claims.amr.map((m) => m.method), ['anonymous'])
  })

  test('a refreshed token is of the same session and keeps its amr', async () => {
    const { client, session } = await person(server)
    await must(client.auth.refreshSession())
    const before = claimsOf(session.access_token)
    const now = claimsOf((await sessionOf(client)).access_token)
    assert.equal(now.session_id, before.session_id)
    assert.deepEqual(now.amr, before.amr)
  })

  test('getClaims verifies locally: no GET /user', async () => {
    const { fetch, requests } = recordingFetch()
    const { client, user } = await person(server, { fetch })
    requests.length = 0
    for (let i = 0; i < 2; i++) {
      const { claims, header } = await must(client.auth.getClaims())
      assert.equal(claims.sub, user.id)
      assert.equal(header.alg, 'ES256')
    }
    assert.deepEqual(requests.filter((r) => r !== 'GET /auth/v1/.well-known/jwks.json'), [])
    assert.ok(requests.length <= 1, 'the keys are cached')
  })

  test('getClaims refuses a changed token, with no help from the server', async () => {
    const { fetch, requests } = recordingFetch()
    const { session } = await person(server)
    const client = device(server, { fetch })
    const [head, body, tail] = session.access_token.split('.')
    const claims = { ...JSON.parse(Buffer.from(body, 'base64url')), role: 'service_role' }
    const forged = [head, Buffer.from(JSON.stringify(claims)).toString('base64url'), tail].join('.')
    const { data, error } = await client.auth.getClaims(forged)
    assert.equal(data, null)
    assert.equal(error.message, 'Invalid JWT signature')
    assert.ok(!requests.includes('GET /auth/v1/user'))
    await refused(device(server).auth.getUser(forged), { status: 403, code: 'bad_jwt' })
  })

  test('A6.3 the JWKS: public parts only, cacheable, ES256', async () => {
    const answer = await exchange(server, 'GET', '/.well-known/jwks.json')
    assert.equal(answer.status, 200)
    assert.match(answer.headers['content-type'], /^application\/json/)
    assert.match(answer.headers['cache-control'], /public, *max-age=600/)
    onlyPublicParts(answer.json)
    assert.ok(answer.json.keys.length >= 1)
    for (const key of answer.json.keys) assert.deepEqual([key.kty, key.crv, key.alg], ['EC', 'P-256', 'ES256'])
    assert.equal(server.keys.JWKS_URL, `${server.authURL}/.well-known/jwks.json`)
  })

  test('unsigned, wrongly signed and expired tokens are refused', async () => {
    const { session } = await person(server)
    const [head, body] = session.access_token.split('.')
    const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const bad = {
      'alg none': `${encode({ alg: 'none', typ: 'JWT' })}.${body}.`,
      'no signature': `${head}.${body}.`,
      'other signature': `${head}.${body}.${randomBytes(64).toString('base64url')}`,
      'other kid': `${encode({ ...headerOf(session.access_token), kid: 'unknown' })}.${body}.${randomBytes(64).toString('base64url')}`,
      'not a token': 'garbage',
      empty: 'a.b.c',
    }
    for (const [name, token] of Object.entries(bad)) {
      const error = await refused(device(server).auth.getUser(token), { status: 403, code: 'bad_jwt', message: /^invalid JWT/ })
      assert.match(error.message, /unable to parse or verify signature/, name)
    }
  })
})

describe(`other signing algorithms on ${kind}`, () => {
  test('A6.3 HS256: the JWKS stays empty and getClaims asks the server', async () => {
    const server = await startServer({ env: { CARDEA_JWT_SECRET: 'an-HS256-secret-of-more-than-32-bytes!' } })
    try {
      const jwks = await jwksOf(server)
      assert.deepEqual(jwks, { keys: [] })
      const { fetch, requests } = recordingFetch()
      const { client, session, user } = await person(server, { fetch })
      assert.equal(headerOf(session.access_token).alg, 'HS256')
      requests.length = 0
      assert.equal((await must(client.auth.getClaims())).claims.sub, user.id)
      assert.ok(requests.includes('GET /auth/v1/user'))
    } finally {
      await server.stop()
    }
  })

  test('A6.3 a secret of 20 bytes stops the start, naming the variable', async () => {
    const server = await prepareServer({ env: { CARDEA_JWT_SECRET: 'x'.repeat(20) } })
    try {
      await assert.rejects(server.cli('serve'), (error) => {
        assert.notEqual(error.code, 0)
        assert.match(error.stderr + error.stdout, /CARDEA_JWT_SECRET/)
        assert.doesNotMatch(error.stderr + error.stdout, /x{20}/, 'the secret itself is printed')
        return true
      })
    } finally {
      await server.discard()
    }
  })

  test('RS256: getClaims verifies locally', async () => {
    const server = await startServer({ env: { CARDEA_JWT_ALGORITHM: 'RS256' } })
    try {
      onlyPublicParts(await jwksOf(server))
      const { fetch, requests } = recordingFetch()
      const { client, session, user } = await person(server, { fetch })
      assert.equal(headerOf(session.access_token).alg, 'RS256')
      requests.length = 0
      assert.equal((await must(client.auth.getClaims())).claims.sub, user.id)
      assert.ok(!requests.includes('GET /auth/v1/user'))
      assert.ok(verified(session.access_token, await jwksOf(server)))
    } finally {
      await server.stop()
    }
  })

  test('S0.3 the lifetime is a setting, and the client refreshes by it', async () => {
    // The client renews from 90 s before the end on: with 60 s each getSession does it.
    const server = await startServer({ env: { CARDEA_JWT_TTL: '60s' } })
    try {
      const client = device(server)
      const { session } = await must(client.auth.signUp({ email: freshEmail(), password: goodPassword }))
      wellFormedSession(session, { expiresIn: 60 })
      const renewed = await sessionOf(client)
      assert.notEqual(renewed.refresh_token, session.refresh_token)
      wellFormedSession(renewed, { expiresIn: 60 })
    } finally {
      await server.stop()
    }
  })
})

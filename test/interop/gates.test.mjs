// What is off, or not built yet, answers with a clear code and never with a server
// failure: an application finds out at once, and a client neither retries nor signs out.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'

import { device, exchange, freshEmail, must, newShape, operator, person, sessionOf } from './clients.mjs'
import { refused } from './expect.mjs'
import { kind, startServer } from './harness.mjs'

const someID = '00000000-0000-4000-8000-000000000000'

describe(`feature gates on ${kind}`, () => {
  let server
  before(async () => {
    server = await startServer()
  })
  after(() => server?.stop())

  const off = { status: 404, code: 'feature_disabled' }

  test('SSO', async () => {
    const expected = { status: 404, code: 'saml_provider_disabled', message: 'SAML 2.0 is disabled' }
    await refused(device(server).auth.signInWithSSO({ domain: 'clinic.example' }), expected)
    await refused(device(server).auth.signInWithSSO({ providerId: someID }), expected)
  })

  test('linkIdentity and unlinkIdentity', async () => {
    const { client, user } = await person(server)
    await refused(client.auth.linkIdentity({ provider: 'google' }), { status: 404, code: 'manual_linking_disabled', message: 'Manual linking is disabled' })
    await refused(client.auth.unlinkIdentity(user.identities[0]))
    await must(client.auth.getUser())
  })

  test('passkeys', async () => {
    const { client } = await person(server)
    const expected = { status: 404, code: 'passkey_disabled' }
    await refused(device(server).auth.passkey.startAuthentication(), expected)
    await refused(client.auth.passkey.startRegistration(), expected)
    await refused(client.auth.passkey.list(), expected)
  })

  test('web3', async () => {
    await refused(
      device(server).auth.signInWithWeb3({ chain: 'ethereum', message: 'x'.repeat(80), signature: `0x${'ab'.repeat(65)}` }),
      { status: 422, code: 'web3_provider_disabled', message: 'Web3 provider is disabled' },
    )
  })

  test('sign-in with a provider’s ID token: the text that clients match', async () => {
    await refused(device(server).auth.signInWithIdToken({ provider: 'google', token: 'bad.id.token' }), { message: /not enabled|Bad ID token/ })
  })

  test('sign-in with a provider: a JSON page, no redirect', async () => {
    const { data } = await device(server).auth.signInWithOAuth({ provider: 'google', options: { skipBrowserRedirect: true } })
    const url = new URL(data.url)
    assert.equal(url.pathname, '/auth/v1/authorize')
    const { status, json } = await exchange(server, 'GET', `/authorize${url.search}`, { headers: newShape })
    assert.deepEqual([status, json.code], [400, 'validation_failed'])
    assert.match(json.message, /Unsupported provider/)
  })

  test('without a mail server: one-time codes, recovery, resending, invitations', async () => {
    const email = freshEmail()
    const { auth } = device(server)
    const { admin } = operator(server).auth
    await refused(auth.signInWithOtp({ email }), off)
    await refused(auth.signInWithOtp({ phone: '+4915112345678' }), off)
    await refused(auth.resetPasswordForEmail(email), off)
    await refused(auth.resend({ type: 'signup', email }), off)
    await refused(admin.inviteUserByEmail(email), off)
    await refused(auth.verifyOtp({ email, token: '123456', type: 'email' }), { code: 'otp_expired', status: 403 })
    await refused(auth.verifyOtp({ token_hash: 'a'.repeat(56), type: 'magiclink' }), { code: 'otp_expired', status: 403 })
    const { properties } = await must(admin.generateLink({ type: 'magiclink', email: freshEmail() }))
    assert.match(properties.hashed_token, /^[0-9a-f]{56}$/, 'an operator can still deliver links by hand')
    const { client } = await person(server)
    await refused(client.auth.reauthenticate(), off)
    await must(client.auth.getUser())
  })

  test('second factors', async () => {
    const { client, user } = await person(server)
    const error = await refused(client.auth.mfa.enroll({ factorType: 'totp', friendlyName: 'phone' }))
    assert.ok(['mfa_totp_enroll_not_enabled', 'feature_disabled'].includes(error.code), error.code)
    for (const call of [
      client.auth.mfa.challenge({ factorId: someID }),
      client.auth.mfa.verify({ factorId: someID, challengeId: someID, code: '123456' }),
      client.auth.mfa.unenroll({ factorId: someID }),
      operator(server).auth.admin.mfa.deleteFactor({ id: someID, userId: user.id }),
    ]) {
      assert.equal(typeof (await refused(call)).code, 'string')
    }
    assert.equal((await sessionOf(client)).user.id, user.id, 'the session is kept')
  })

  test('the OAuth server and what belongs to operators later', async () => {
    const { client } = await person(server)
    const { admin } = operator(server).auth
    await refused(client.auth.oauth.getAuthorizationDetails('x'.repeat(32)), off)
    await refused(client.auth.oauth.listGrants(), off)
    await refused(admin.oauth.listClients(), off)
    await refused(admin.oauth.createClient({ client_name: 'x', redirect_uris: ['https://a.example/cb'] }), off)
    await refused(admin.customProviders.listProviders(), off)
    const metadata = await exchange(server, 'GET', '/.well-known/oauth-authorization-server', { headers: newShape })
    assert.deepEqual([metadata.status, metadata.json.code], [404, 'feature_disabled'])
  })

  test('a provider’s callback without a known state leads home with the error, nowhere else', async () => {
    for (const query of ['', '?state=x&code=y', `?state=${someID}&code=y&redirect_to=https://evil.example`]) {
      const { status, headers } = await exchange(server, 'GET', `/callback${query}`)
      assert.equal(status, 303, query)
      const target = new URL(headers.location)
      assert.equal(target.origin, server.url)
      assert.equal(target.searchParams.get('error'), 'invalid_request')
      assert.match(target.searchParams.get('error_code'), /^bad_oauth_(state|callback)$/)
    }
  })

  test('the PKCE grant without a flow', async () => {
    const { status, json } = await exchange(server, 'POST', '/token?grant_type=pkce', {
      headers: newShape,
      body: { auth_code: someID, code_verifier: 'v'.repeat(43) },
    })
    assert.ok([400, 404].includes(status), `${status}`)
    assert.ok(['flow_state_not_found', 'feature_disabled', 'invalid_credentials'].includes(json.code), json.code)
  })

  test('every one of these answers clearly without a token, too', async () => {
    for (const [method, path] of [
      ['POST', '/otp'], ['POST', '/magiclink'], ['POST', '/recover'], ['POST', '/resend'], ['POST', '/verify'],
      ['GET', '/reauthenticate'], ['POST', '/sso'], ['POST', '/sso/saml/acs'], ['GET', '/sso/saml/metadata'], ['GET', '/authorize'],
      ['POST', '/factors'], ['POST', `/factors/${someID}/challenge`], ['POST', `/factors/${someID}/verify`], ['DELETE', `/factors/${someID}`],
      ['GET', '/passkeys'], ['POST', '/passkeys/authentication/options'], ['POST', '/passkeys/registration/options'], ['POST', '/invite'],
      ['GET', '/user/identities/authorize?provider=google'], ['DELETE', `/user/identities/${someID}`], ['GET', '/user/oauth/grants'],
      ['POST', '/admin/generate_link'], ['GET', '/admin/audit'], ['GET', '/admin/sso/providers'], ['GET', '/admin/oauth/clients'],
      ['GET', '/admin/custom-providers'], ['GET', '/oauth/authorize'], ['POST', '/oauth/token'], ['GET', '/oauth/userinfo'], ['POST', '/oauth/clients/register'],
    ]) {
      const { status, json, text } = await exchange(server, method, path, { headers: newShape, body: method === 'POST' ? {} : undefined })
      assert.ok(status >= 400 && status < 500, `${method} ${path}: ${status} ${text}`)
      assert.equal(typeof json?.code, 'string', `${method} ${path}: ${status} ${text}`)
    }
  })
})

// What the suites say about answers, in one place so that failures read alike.

import assert from 'node:assert/strict'

/**
 * The client must have answered with an error. Every given field must agree; a regular
 * expression must match. Whatever went wrong, it must not be a server failure.
 */
export async function refused(answer, expected = {}) {
  const { error } = await answer
  assert.ok(error, 'the call succeeded; it had to be refused')
  assert.ok(!(error.status >= 500) || expected.status >= 500, `server failure: ${error.status} ${error.message}`)
  assert.notEqual(error.name, 'AuthUnknownError', `not a JSON answer: ${error.message}`)
  assert.notEqual(error.name, 'AuthRetryableFetchError', `the client would try again for ever: ${error.message}`)
  for (const [field, want] of Object.entries(expected)) {
    if (want instanceof RegExp) assert.match(String(error[field]), want, field)
    else assert.deepEqual(error[field], want, `${field}: ${JSON.stringify(error)} ${error.message}`)
  }
  return error
}

/** The client lost its session: the error it makes itself for that. */
export async function sessionMissing(answer) {
  const { error } = await answer
  assert.equal(error?.name, 'AuthSessionMissingError', `${error?.name} ${error?.message}`)
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const instant = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/

/** The user object of gotrue.md 0.1: what is there always, with the right types. */
export function wellFormedUser(user) {
  assert.match(user.id, uuid)
  assert.equal(user.aud, 'authenticated')
  assert.equal(user.role, 'authenticated')
  assert.equal(typeof user.email, 'string', 'email is a string, never null')
  assert.equal(typeof user.phone, 'string', 'phone is a string, never null')
  assert.equal(typeof user.is_anonymous, 'boolean')
  assert.equal(typeof user.app_metadata, 'object')
  assert.equal(typeof user.user_metadata, 'object')
  assert.ok(Array.isArray(user.identities), 'identities is always there')
  for (const [name, value] of Object.entries(user)) {
    assert.notEqual(value, null, `${name} is null: what is missing must be left out`)
    if (name.endsWith('_at')) assert.match(value, instant, name)
  }
  for (const identity of user.identities) {
    assert.match(identity.identity_id, uuid)
    assert.equal(identity.user_id, user.id)
    for (const name of ['id', 'provider', 'created_at', 'updated_at', 'last_sign_in_at']) {
      assert.equal(typeof identity[name], 'string', `identities[].${name}`)
    }
    assert.equal(identity.identity_data.sub, identity.id)
  }
}

/** The session object of gotrue.md 0.2, with no member more. */
export function wellFormedSession(session, { expiresIn = 3600 } = {}) {
  assert.deepEqual(Object.keys(session).sort(), [
    'access_token',
    'expires_at',
    'expires_in',
    'refresh_token',
    'token_type',
    'user',
  ])
  assert.equal(session.token_type, 'bearer')
  assert.equal(session.expires_in, expiresIn)
  const life = session.expires_at - Date.now() / 1000
  assert.ok(life > expiresIn - 60 && life < expiresIn + 5, `expires_at is ${life} s away`)
  assert.equal(session.access_token.split('.').length, 3)
  assert.ok(session.refresh_token.length >= 12)
  wellFormedUser(session.user)
}

// Proof and recovery with the unmodified client: every code and link comes out of a real
// mail or text message. Twice over: with sessions in the fragment (implicit) and with codes
// (PKCE).

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'

import { device, exchange, freshEmail, freshPhone, goodPassword, memoryStorage, must, newShape, operator, sessionOf, claimsOf } from './clients.mjs'
import { refused } from './expect.mjs'
import { kind, startServer } from './harness.mjs'
import { Inbox, startMail } from './mail.mjs'

const site = 'https://app.example'
const otherPassword = 'another-long-password-42'

/** Follows a link as a browser does, up to the redirect: where it leads. */
async function follow(link) {
  const answer = await fetch(link, { redirect: 'manual' })
  assert.equal(answer.status, 303, await answer.text())
  return new URL(answer.headers.get('location'))
}

/** A page of the application behind a link: it takes the session out of its address. */
async function land(server, client, link) {
  const url = await follow(link)
  const fragment = new URLSearchParams(url.hash.slice(1))
  if (url.searchParams.get('code')) return must(client.auth.exchangeCodeForSession(url.searchParams.get('code')))
  assert.equal(fragment.get('error'), null, url.href)
  assert.ok(fragment.get('access_token'), url.href)
  return must(client.auth.setSession({ access_token: fragment.get('access_token'), refresh_token: fragment.get('refresh_token') }))
}

const browser = (server, flowType) => device(server, { auth: { flowType, storage: memoryStorage(), persistSession: true, detectSessionInUrl: false } })

function suite(name, start) {
  for (const flowType of ['implicit', 'pkce']) {
    describe(`${name}, ${flowType}`, () => {
      let server, mail, stop
      before(async () => {
        ;({ server, mail, stop } = await start())
      })
      after(() => stop?.())

      test('C3 sign-up, the link of the mail, a session', async () => {
        const email = freshEmail()
        const client = browser(server, flowType)
        const { user, session } = await must(client.auth.signUp({ email, password: goodPassword, options: { emailRedirectTo: `${site}/welcome` } }))
        assert.equal(session, null)
        assert.ok(user.confirmation_sent_at)
        await refused(client.auth.signInWithPassword({ email, password: goodPassword }), { code: 'email_not_confirmed', status: 400 })
        const { link } = await mail.next(email)
        const landed = await land(server, client, link)
        assert.equal(landed.user.id, user.id)
        assert.ok(landed.user.email_confirmed_at)
        assert.deepEqual(claimsOf((await sessionOf(client)).access_token).amr.map((a) => a.method), ['otp'])
        const again = await follow(link)
        assert.match(again.hash, /error_code=otp_expired/)
        assert.equal(again.origin, site)
        await must(device(server).auth.signInWithPassword({ email, password: goodPassword }))
      })

      test('signing up again sends the mail again and changes nothing', async () => {
        const email = freshEmail()
        const client = browser(server, flowType)
        const first = await must(client.auth.signUp({ email, password: goodPassword }))
        const old = await mail.next(email)
        const second = await must(client.auth.signUp({ email, password: otherPassword }))
        assert.notEqual(second.user.id, first.user.id, 'nothing of the stored account is shown')
        const { link } = await mail.next(email)
        assert.match((await follow(old.link)).hash, /otp_expired/, 'the older link is dead')
        const landed = await land(server, client, link)
        assert.equal(landed.user.id, first.user.id)
        await refused(device(server).auth.signInWithPassword({ email, password: otherPassword }), { code: 'invalid_credentials' })
      })

      test('X28 signing up with a proved address looks like a new account, and tells the owner', async () => {
        const email = freshEmail()
        const client = browser(server, flowType)
        await must(client.auth.signUp({ email, password: goodPassword }))
        await land(server, client, (await mail.next(email)).link)
        const { user } = await must(device(server).auth.signUp({ email, password: otherPassword }))
        assert.equal(user.identities.length, 1)
        const notice = await mail.next(email)
        assert.equal(notice.link, '')
        await refused(device(server).auth.signInWithPassword({ email, password: otherPassword }), { code: 'invalid_credentials' })
      })

      test('sign-in by link, for a stranger and again', async () => {
        const email = freshEmail()
        const client = browser(server, flowType)
        await must(client.auth.signInWithOtp({ email, options: { emailRedirectTo: `${site}/in?from=mail`, data: { name: 'Someone' } } }))
        const first = await land(server, client, (await mail.next(email)).link)
        assert.equal(first.user.user_metadata.name, 'Someone')
        await must(client.auth.signInWithOtp({ email, options: { emailRedirectTo: `${site}/in?from=mail` } }))
        const { link } = await mail.next(email)
        assert.equal(new URL(link).searchParams.get('redirect_to'), `${site}/in?from=mail`)
        assert.equal((await land(server, client, link)).user.id, first.user.id)
      })

      test('A3.6 sign-in by code; the sixth wrong one kills it; one purpose is not another', async () => {
        const email = freshEmail()
        const { auth } = browser(server, 'implicit')
        await must(auth.signInWithOtp({ email }))
        let { code } = await mail.next(email)
        const { session } = await must(auth.verifyOtp({ email, token: code, type: 'email' }))
        assert.equal(session.user.email, email)
        await refused(auth.verifyOtp({ email, token: code, type: 'email' }), { code: 'otp_expired', status: 403, message: 'Token has expired or is invalid' })
        await must(auth.signInWithOtp({ email }))
        ;({ code } = await mail.next(email))
        await refused(auth.verifyOtp({ email, token: code, type: 'recovery' }), { code: 'otp_expired' })
        const wrong = code === '000000' ? '000001' : '000000'
        for (let i = 0; i < 6; i++) await refused(auth.verifyOtp({ email, token: wrong, type: 'email' }), { code: 'otp_expired' })
        await refused(auth.verifyOtp({ email, token: code, type: 'email' }), { code: 'otp_expired' })
      })

      test('two hands, one code: one wins', async () => {
        const email = freshEmail()
        await must(device(server).auth.signInWithOtp({ email }))
        const { code } = await mail.next(email)
        const answers = await Promise.all(Array.from({ length: 16 }, () => device(server).auth.verifyOtp({ email, token: code, type: 'email' })))
        assert.equal(answers.filter((a) => a.data.session).length, 1)
        assert.ok(answers.every((a) => a.data.session || a.error.code === 'otp_expired'))
      })

      test('S1.15 C4 recovery: link, new password, old sessions gone, the owner is told', async () => {
        const email = freshEmail()
        const client = browser(server, flowType)
        await must(client.auth.signUp({ email, password: goodPassword }))
        await land(server, client, (await mail.next(email)).link)
        const thief = device(server)
        await must(thief.auth.signInWithPassword({ email, password: goodPassword }))
        const events = []
        client.auth.onAuthStateChange((event) => events.push(event))
        await must(client.auth.resetPasswordForEmail(email, { redirectTo: `${site}/reset` }))
        const { link, code } = await mail.next(email)
        assert.equal(new URL(link).searchParams.get('type'), 'recovery')
        await land(server, client, link)
        await must(client.auth.updateUser({ password: otherPassword }))
        const notice = await mail.next(email)
        assert.match(notice.subject, /password/i)
        await refused(thief.auth.refreshSession(), { code: 'refresh_token_not_found' })
        await refused(device(server).auth.signInWithPassword({ email, password: goodPassword }), { code: 'invalid_credentials' })
        await must(device(server).auth.signInWithPassword({ email, password: otherPassword }))
        await refused(device(server).auth.verifyOtp({ email, token: code, type: 'recovery' }), { code: 'otp_expired' })
      })

      test('known and unknown addresses: the same answers', async () => {
        const email = freshEmail()
        const client = browser(server, flowType)
        await must(client.auth.signUp({ email, password: goodPassword }))
        await land(server, client, (await mail.next(email)).link)
        for (const [path, body] of [
          ['/recover', (address) => ({ email: address })],
          ['/otp', (address) => ({ email: address, create_user: false })],
          ['/magiclink', (address) => ({ email: address })],
          ['/resend', (address) => ({ type: 'signup', email: address })],
          ['/resend', (address) => ({ type: 'email_change', email: address })],
        ]) {
          const known = await exchange(server, 'POST', path, { headers: newShape, body: body(email) })
          const unknown = await exchange(server, 'POST', path, { headers: newShape, body: body(freshEmail()) })
          assert.equal(known.status, 200, `${path} ${known.text}`)
          assert.deepEqual([unknown.status, unknown.text], [known.status, known.text], path)
          const names = (a) => Object.keys(a.headers).sort()
          assert.deepEqual(names(unknown), names(known), path)
        }
      })

      test('a change of the e-mail address needs both mailboxes', async () => {
        const email = freshEmail('old')
        const next = freshEmail('new')
        const client = browser(server, flowType)
        await must(client.auth.signUp({ email, password: goodPassword }))
        await land(server, client, (await mail.next(email)).link)
        const { user } = await must(client.auth.updateUser({ email: next }, { emailRedirectTo: `${site}/settings` }))
        assert.deepEqual([user.email, user.new_email], [email, next])
        const half = await follow((await mail.next(next)).link)
        assert.match(decodeURIComponent(half.hash.replaceAll('+', ' ')), /proceed to confirm link sent to the other email/)
        assert.equal((await must(client.auth.getUser())).user.email, email)
        const landed = await land(server, client, (await mail.next(email)).link)
        assert.equal(landed.user.email, next)
        assert.match((await mail.next(email)).text, new RegExp(next.replace(/[.]/g, '\\.')), 'the old mailbox hears of it')
        await must(device(server).auth.signInWithPassword({ email: next, password: goodPassword }))
        await refused(device(server).auth.signInWithPassword({ email, password: goodPassword }), { code: 'invalid_credentials' })
      })

      test('resend', async () => {
        const email = freshEmail()
        const client = browser(server, flowType)
        await must(client.auth.signUp({ email, password: goodPassword }))
        const old = await mail.next(email)
        await must(client.auth.resend({ type: 'signup', email, options: { emailRedirectTo: `${site}/welcome` } }))
        const { link, code } = await mail.next(email)
        assert.notEqual(code, '')
        assert.match((await follow(old.link)).hash, /otp_expired/)
        await land(server, client, link)
        await must(client.auth.resend({ type: 'signup', email }))
        await mail.nothing(email)
      })

      test('S1.22 a phone number: sign-in by text message, then a new number', async () => {
        const phone = freshPhone()
        const { auth } = browser(server, 'implicit')
        const { messageId } = await must(auth.signInWithOtp({ phone: `+${phone}` }))
        assert.match(messageId, /^[0-9a-f-]{36}$/)
        const { session } = await must(auth.verifyOtp({ phone: `+${phone}`, token: (await mail.next(phone)).code, type: 'sms' }))
        assert.equal(session.user.phone, phone)
        const next = freshPhone()
        const { user } = await must(auth.updateUser({ phone: next }))
        assert.deepEqual([user.phone, user.new_phone], [phone, next])
        const changed = await must(auth.verifyOtp({ phone: next, token: (await mail.next(next)).code, type: 'phone_change' }))
        assert.equal(changed.user.phone, next)
      })

      test('reauthentication: a nonce by mail', async () => {
        const email = freshEmail()
        const client = browser(server, flowType)
        await must(client.auth.signInWithOtp({ email }))
        await land(server, client, (await mail.next(email)).link)
        await must(client.auth.reauthenticate())
        const { code } = await mail.next(email)
        assert.match(code, /^\d{6}$/)
        await must(client.auth.updateUser({ password: otherPassword, nonce: code }))
      })

      test('an operator invites; the guest comes in and chooses a password', async () => {
        const email = freshEmail('guest')
        const { user } = await must(operator(server).auth.admin.inviteUserByEmail(email, { data: { team: 'cardiology' }, redirectTo: `${site}/join` }))
        assert.ok(user.invited_at)
        const client = browser(server, 'implicit')
        const landed = await land(server, client, (await mail.next(email)).link)
        assert.equal(landed.user.user_metadata.team, 'cardiology')
        await must(client.auth.updateUser({ password: goodPassword }))
        await refused(operator(server).auth.admin.inviteUserByEmail(email), { code: 'email_exists', status: 422 })
      })

      test('links that an operator delivers', async () => {
        const email = freshEmail()
        const { admin } = operator(server).auth
        const made = await must(admin.generateLink({ type: 'signup', email, password: goodPassword, options: { redirectTo: `${site}/welcome` } }))
        assert.deepEqual([made.properties.verification_type, made.properties.redirect_to, made.user.email], ['signup', `${site}/welcome`, email])
        assert.match(made.properties.email_otp, /^\d{6}$/)
        const client = browser(server, 'implicit')
        const { session } = await must(client.auth.verifyOtp({ token_hash: made.properties.hashed_token, type: 'signup' }))
        assert.equal(session.user.id, made.user.id)
        const recovery = await must(admin.generateLink({ type: 'recovery', email }))
        await land(server, client, recovery.properties.action_link)
        await refused(admin.generateLink({ type: 'recovery', email: freshEmail() }), { code: 'user_not_found', status: 404 })
        await mail.nothing(email)
      })

      test('A5.2 a link leads home when its target is not allowed', async () => {
        const email = freshEmail()
        const client = browser(server, flowType)
        await must(client.auth.signInWithOtp({ email, options: { emailRedirectTo: 'https://evil.example/steal' } }))
        const { link } = await mail.next(email)
        assert.equal(new URL(link).searchParams.get('redirect_to').includes('evil'), false)
        const forged = new URL(link)
        forged.searchParams.set('redirect_to', 'https://app.example@evil.example/')
        assert.equal((await follow(forged.href)).origin, site)
      })
    })
  }
}

const settings = {
  CARDEA_SITE_URL: site,
  CARDEA_REDIRECT_URLS: `${site}/**`,
  CARDEA_EMAIL_AUTOCONFIRM: 'false',
  CARDEA_PHONE_AUTOCONFIRM: 'false',
}

suite(`flows over SMTP on ${kind}`, async () => {
  const mail = await startMail()
  const server = await startServer({ env: { ...settings, ...mail.env } })
  return { server, mail, stop: async () => (await server.stop(), await mail.stop()) }
})

if (kind === 'sqlite') {
  suite('flows in cardea dev', async () => {
    const server = await startServer({ command: 'dev', env: settings })
    return { server, mail: new Inbox(server), stop: () => server.stop() }
  })
}

// SQLite belongs to one process.
if (kind === 'postgres') {
  describe(`two processes on ${kind}`, () => {
    test('one code presented to both: one wins', async () => {
      const mail = await startMail()
      const server = await startServer({ env: { ...settings, ...mail.env } })
      const twin = await server.twin()
      try {
        const email = freshEmail()
        await must(device(server).auth.signInWithOtp({ email }))
        const { code } = await mail.next(email)
        const answers = await Promise.all(Array.from({ length: 16 }, (_, i) => device(i % 2 ? server : twin).auth.verifyOtp({ email, token: code, type: 'email' })))
        assert.equal(answers.filter((a) => a.data.session).length, 1)
      } finally {
        await twin.stop()
        await server.stop()
        await mail.stop()
      }
    })
  })
}

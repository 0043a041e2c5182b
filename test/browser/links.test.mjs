// The link of a real mail, clicked in Chromium: the application that it leads to finds its
// session by itself. In `cardea dev` the mail is read in the inbox, in `serve` it has come
// by SMTP.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, test } from 'node:test'

import { startServer } from '../interop/harness.mjs'
import { Inbox, startMail } from '../interop/mail.mjs'
import { startApp } from './app.mjs'
import { as, startChromium } from './chrome.mjs'

const password = 'correct-horse-battery-staple-71'

/** Signs up in the application's own page. */
async function signUp(page, app, flowType, email) {
  await page.goto(`${app.url}/${flowType}`)
  await page.getByLabel('E-mail').fill(email)
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Sign up' }).click()
  await page.getByText('Look into your mail').waitFor()
}

/** The page that a link led to has a session, also after a reload, and no secret in its address. */
async function signedIn(page, app, flowType, email) {
  await page.getByText(`Signed in as ${email}`).waitFor()
  await page.waitForURL((url) => !url.searchParams.has('code') && !url.hash.includes('token'))
  assert.equal(page.url().replace(/#$/, ''), `${app.url}/${flowType}`)
  const user = await page.evaluate(async () => (await globalThis.client.auth.getUser()).data.user)
  assert.equal(user.email, email)
  assert.ok(user.email_confirmed_at)
  await page.reload()
  await page.getByText(`Signed in as ${email}`).waitFor()
}

/** Opens a mail in the inbox of dev and presses the button in its HTML: the new window. */
async function pressInInbox(person, server, to) {
  const inbox = await person.page()
  await inbox.goto(`${server.url}/dev/inbox`)
  await inbox.getByRole('button', { name: to }).first().click() // the newest
  return pressInMail(person, inbox.frameLocator('iframe'))
}

/** Shows a mail as a mail client on the web does: a page of another origin, a frame without scripts. */
async function pressInWebmail(person, message) {
  const webmail = await person.page()
  await webmail.route('http://webmail.example/', (route) =>
    route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>Webmail</title><iframe sandbox="allow-popups allow-popups-to-escape-sandbox"></iframe>' }))
  await webmail.goto('http://webmail.example/')
  await webmail.evaluate((html) => {
    document.querySelector('iframe').srcdoc = html
  }, message.html)
  return pressInMail(person, webmail.frameLocator('iframe'))
}

async function pressInMail(person, frame) {
  const [page] = await Promise.all([person.context.waitForEvent('page'), frame.getByRole('link').first().click()])
  return page
}

function suite(name, start, press) {
  describe(name, () => {
    let chromium, app, server, mail
    before(async () => {
      chromium = await startChromium()
      app = await startApp()
      ;({ server, mail } = await start(app))
      app.connect(server)
    })
    after(async () => {
      await chromium?.close()
      await server?.stop()
      await mail?.stop?.()
      await app?.stop()
    })

    for (const flowType of ['implicit', 'pkce']) {
      test(`C3 sign-up, the button of the mail, a session (${flowType})`, () =>
        as(chromium, {}, async (person) => {
          const email = `ada-${randomUUID()}@example.com`
          const page = await person.page()
          await signUp(page, app, flowType, email)
          const message = await mail.next(email)
          const landed = await press(person, server, message, email)
          await signedIn(landed, app, flowType, email)
          // The window that waited has the session too: they are one browser.
          await page.reload()
          await page.getByText(`Signed in as ${email}`).waitFor()
          // The link is used up, and the application is told.
          const again = await person.page()
          await again.goto(message.link)
          await again.getByText('otp_expired').waitFor()
        }))
    }

    test('C3 PKCE: the link in another browser brings nobody in', () =>
      as(chromium, {}, async (mine) => {
        const email = `ada-${randomUUID()}@example.com`
        await signUp(await mine.page(), app, 'pkce', email)
        const { link } = await mail.next(email)
        await as(chromium, {}, async (other) => {
          const page = await other.page()
          await page.goto(link)
          assert.ok(new URL(page.url()).searchParams.get('code'))
          await page.getByText('INITIAL_SESSION').waitFor()
          assert.equal(await page.locator('#who').textContent(), 'Signed out')
        })
      }))

    test('S1.15 recovery: the application is told that a new password is wanted', () =>
      as(chromium, {}, async (person) => {
        const email = `ada-${randomUUID()}@example.com`
        const page = await person.page()
        await signUp(page, app, 'implicit', email)
        await mail.next(email)
        await page.evaluate(({ email, redirectTo }) => globalThis.client.auth.resetPasswordForEmail(email, { redirectTo }), { email, redirectTo: `${app.url}/implicit` })
        const message = await mail.next(email)
        assert.equal(new URL(message.link).searchParams.get('type'), 'recovery')
        const landed = await press(person, server, message, email)
        await landed.getByText('PASSWORD_RECOVERY').waitFor()
        await landed.getByText(`Signed in as ${email}`).waitFor()
        const { error } = await landed.evaluate(() => globalThis.client.auth.updateUser({ password: 'another-long-password-42' }))
        assert.equal(error, null)
      }))
  })
}

suite(
  'links in cardea dev',
  async (app) => {
    const server = await startServer({ command: 'dev', env: app.env })
    return { server, mail: new Inbox(server) }
  },
  (person, server, message, email) => pressInInbox(person, server, email),
)

suite(
  'links in cardea serve, over SMTP',
  async (app) => {
    const mail = await startMail()
    return { server: await startServer({ env: { ...app.env, ...mail.env } }), mail }
  },
  (person, server, message) => pressInWebmail(person, message),
)

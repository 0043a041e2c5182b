// The inbox of `cardea dev`: what people who develop look at all day.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, test } from 'node:test'

import { eventually, startServer } from '../interop/harness.mjs'
import { Inbox } from '../interop/mail.mjs'
import { startApp } from './app.mjs'
import { accessible, as, shot, startChromium } from './chrome.mjs'

describe('the inbox page', () => {
  let chromium, app, server, mail
  before(async () => {
    chromium = await startChromium()
    app = await startApp()
    server = await startServer({ command: 'dev', env: { ...app.env, CARDEA_APP_NAME: 'The Clinic' } })
    app.connect(server)
    mail = new Inbox(server)
  })
  after(async () => {
    await chromium?.close()
    await server?.stop()
    await app?.stop()
  })

  const address = (name) => `${name}-${randomUUID().slice(0, 8)}@example.com`
  let numbers = 0
  const number = () => `49151${String(10_000_000 + numbers++)}`

  /** Asks the server for a message. */
  async function send(path, body) {
    const answer = await fetch(`${server.authURL}/${path}`, {
      method: 'POST',
      headers: { apikey: server.keys.ANON_KEY, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    assert.equal(answer.status, 200, await answer.text())
  }
  const sendMail = (email, data) => send('otp', { email, data })
  const sendText = (phone) => send('otp', { phone })

  async function open(person) {
    const page = await person.page()
    await page.goto(`${server.url}/dev/inbox`)
    await page.getByRole('status').getByText(/message/).waitFor()
    return page
  }
  const row = (page, to) => page.getByRole('list').getByRole('button', { name: to })

  test('an empty one says what it is for', () =>
    as(chromium, {}, async (person) => {
      await fetch(`${server.url}/dev/inbox/api/messages`, { method: 'DELETE' })
      const page = await open(person)
      await page.getByText('Nothing has been sent yet').waitFor()
      await accessible(page)
      await shot(page, 'inbox-empty')
    }))

  test('mail and text messages come in by themselves, with code and link', () =>
    as(chromium, {}, async (person) => {
      const page = await open(person)
      await page.evaluate(() => {
        globalThis.neverReloaded = true
      })
      const [email, phone] = [address('ada'), number()]
      await sendMail(email)
      await row(page, email).waitFor()
      await sendText(phone)
      await row(page, phone).waitFor()
      assert.equal(await page.evaluate(() => globalThis.neverReloaded), true)

      const sms = await mail.next(phone)
      await row(page, phone).click()
      await page.getByRole('heading', { level: 2 }).waitFor()
      assert.equal(await page.locator('#code').textContent(), sms.code)
      await page.getByText(sms.text, { exact: true }).last().waitFor()
      assert.equal(await page.locator('iframe').isVisible(), false)
      await accessible(page)
      await shot(page, 'inbox-sms')

      const message = await mail.next(email)
      await row(page, email).click()
      await page.getByRole('heading', { name: message.subject }).waitFor()
      assert.equal(await page.locator('#code').textContent(), message.code)
      assert.equal(await page.getByRole('link', { name: 'Open link' }).getAttribute('href'), message.link)
      await page.frameLocator('iframe').getByText(message.code, { exact: true }).waitFor()
      await accessible(page)
      await shot(page, 'inbox-mail')
      const [landed] = await Promise.all([person.context.waitForEvent('page'), page.getByRole('link', { name: 'Open link' }).click()])
      await landed.getByText(`Signed in as ${email}`).waitFor()
    }))

  test('the HTML of a mail is in a sandbox', () =>
    as(chromium, {}, async (person) => {
      const email = address('mallory')
      await sendMail(email)
      const { id } = await mail.next(email)
      const page = await open(person)
      await row(page, email).click()
      const frame = page.locator('iframe')
      assert.equal(await frame.getAttribute('sandbox'), 'allow-popups allow-popups-to-escape-sandbox')
      await page.frameLocator('iframe').getByRole('heading').waitFor()
      assert.equal(await frame.evaluate((f) => f.contentDocument), null, 'it has an origin of its own')
      // Opened alone it is in the same sandbox: its header says so.
      const alone = await person.page()
      const answer = await alone.goto(`${server.url}/dev/inbox/api/messages/${id}/html`)
      assert.match(answer.headers()['content-security-policy'], /^sandbox (?!.*allow-scripts)(?!.*allow-same-origin)/)
      assert.equal(await alone.evaluate(() => globalThis.origin), 'null')
    }))

  test('a Hebrew mail is read from right to left', () =>
    as(chromium, {}, async (person) => {
      const email = address('noa')
      await sendMail(email, { locale: 'he' })
      const message = await mail.next(email)
      assert.equal(message.locale, 'he')
      const page = await open(person)
      await row(page, email).click()
      const html = page.frameLocator('iframe').locator('html')
      assert.equal(await html.getAttribute('dir'), 'rtl')
      assert.equal(await page.locator('#subject').evaluate((e) => getComputedStyle(e).direction), 'rtl')
      await shot(page, 'inbox-hebrew')
      await page.getByRole('tab', { name: 'Text' }).click()
      assert.equal(await page.locator('#text').textContent(), message.text)
      await accessible(page)
      await shot(page, 'inbox-hebrew-text')
    }))

  test('by keyboard: list, message, forms, delete', () =>
    as(chromium, {}, async (person) => {
      const [first, second] = [address('first'), address('second')]
      await sendMail(first)
      await mail.next(first)
      await sendMail(second)
      await mail.next(second)
      const page = await open(person)
      await page.getByRole('searchbox').focus()
      await page.keyboard.type('first-')
      await eventually('the filter', async () => (await page.getByRole('listitem').count()) === 1)
      for (let i = 0; i < 2; i++) await page.keyboard.press('Tab') // past "Delete all"
      await page.keyboard.press('Enter')
      await page.locator('#to').getByText(first).waitFor()
      await page.getByRole('tab', { name: 'HTML' }).focus()
      await page.keyboard.press('ArrowRight')
      assert.equal(await page.getByRole('tab', { name: 'Text' }).getAttribute('aria-selected'), 'true')
      assert.equal(await page.locator('#text').isVisible(), true)
      // A message that comes in takes nobody's place away.
      await sendMail(address('third'))
      await eventually('the new message', async () => /[3-9]|\d\d/.test(await page.getByRole('status').textContent()))
      assert.equal(await page.locator(':focus').textContent(), 'Text')
      await page.getByRole('button', { name: 'Delete', exact: true }).focus()
      await page.keyboard.press('Enter')
      await eventually('the deletion', async () => (await mail.all(first)).length === 0)
      await page.getByText('Choose a message').waitFor()
      assert.equal(await page.locator(':focus').count(), 1, 'the focus is not lost')
      assert.equal((await mail.all(second)).length, 1)
    }))

  test('it is told apart from a filter that finds nothing', () =>
    as(chromium, {}, async (person) => {
      await sendMail(address('someone'))
      const page = await open(person)
      await page.getByRole('searchbox').fill('nobody has this')
      await page.getByText('No message fits').waitFor()
    }))

  test('after a restart of the server the page goes on by itself', () =>
    as(chromium, {}, async (person) => {
      const own = await startServer({ command: 'dev', env: app.env })
      const page = await person.page()
      await page.goto(`${own.url}/dev/inbox`)
      await page.getByRole('status').getByText(/message/).waitFor()
      own.child.kill('SIGTERM')
      await own.exited
      await page.getByRole('status').getByText('does not answer').waitFor()
      await own.launch()
      await page.getByRole('status').getByText(/^\d+ message/).waitFor()
      await own.stop()
      person.problems.splice(0) // requests to a server that was not there
    }))

  test('accessible in the dark and on a tablet', () =>
    as(chromium, {}, async (person) => {
      const [email, phone] = [address('grace'), number()]
      await sendText(phone)
      await sendMail(email)
      await mail.next(email)
      await mail.next(phone)
      const page = await open(person)
      await row(page, email).click()
      await page.frameLocator('iframe').getByRole('heading').waitFor()
      for (const [name, colorScheme, width, height] of [['dark', 'dark', 1280, 800], ['tablet', 'light', 820, 1000]]) {
        await page.emulateMedia({ colorScheme })
        await page.setViewportSize({ width, height })
        await accessible(page)
        await shot(page, `inbox-${name}`)
      }
    }))

  test('on a phone a message takes the place of the list, and gives it back', () =>
    as(chromium, { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true }, async (person) => {
      const email = address('grace')
      await sendMail(email)
      await mail.next(email)
      const page = await open(person)
      const fits = async () => assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360, 'nothing to scroll sideways')
      await accessible(page)
      await fits()
      await shot(page, 'inbox-phone-list')
      await row(page, email).tap()
      await page.frameLocator('iframe').getByRole('heading').waitFor()
      assert.equal(await page.locator('nav').isVisible(), false)
      await accessible(page)
      await fits()
      await shot(page, 'inbox-phone')
      await page.getByRole('button', { name: 'Back' }).tap()
      assert.equal(await row(page, email).evaluate((e) => e === document.activeElement), true)
    }))
})

// CARDEA_MAIL_LINK_PAGE: links survive programs that open them before people do. The page
// behind a link has one button, no script, and works by keyboard, in the dark, on a phone
// and in the language of the browser.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, test } from 'node:test'

import { startServer } from '../interop/harness.mjs'
import { Inbox } from '../interop/mail.mjs'
import { startApp } from './app.mjs'
import { accessible, as, shot, startChromium } from './chrome.mjs'

const password = 'correct-horse-battery-staple-71'

describe('the page behind a link', () => {
  let chromium, app, server, mail
  before(async () => {
    chromium = await startChromium()
    app = await startApp()
    server = await startServer({ command: 'dev', env: { ...app.env, CARDEA_MAIL_LINK_PAGE: 'true', CARDEA_APP_NAME: 'The Clinic' } })
    app.connect(server)
    mail = new Inbox(server)
  })
  after(async () => {
    await chromium?.close()
    await server?.stop()
    await app?.stop()
  })

  /** Somebody signs up in the application; the link that they are sent. */
  async function invited(person, flowType = 'implicit') {
    const email = `ada-${randomUUID()}@example.com`
    const page = await person.page()
    await page.goto(`${app.url}/${flowType}`)
    await page.getByLabel('E-mail').fill(email)
    await page.getByLabel('Password').fill(password)
    await page.getByRole('button', { name: 'Sign up' }).click()
    return { email, page, link: (await mail.next(email)).link }
  }

  /** What mail scanners do: look, look at the head, look again as a browser, follow what is there. */
  async function scan(link) {
    const method = (m, headers = {}) => fetch(link, { method: m, redirect: 'manual', headers })
    const answers = []
    for (const a of [['HEAD'], ['GET'], ['GET', { 'user-agent': 'Mozilla/5.0 (compatible; link scanner)', accept: 'text/html' }], ['HEAD']]) answers.push(await method(...a))
    return answers
  }

  for (const flowType of ['implicit', 'pkce']) {
    test(`a scanner uses nothing up, a person presses the button (${flowType})`, () =>
      as(chromium, {}, async (person) => {
        const { email, page, link } = await invited(person, flowType)
        for (const answer of await scan(link)) {
          assert.equal(answer.status, 200)
          assert.equal(answer.headers.get('location'), null)
          assert.equal(answer.headers.get('cache-control'), 'no-store')
          assert.equal(answer.headers.get('referrer-policy'), 'no-referrer')
          assert.equal(answer.headers.getSetCookie().length, 0)
          const policy = answer.headers.get('content-security-policy')
          assert.match(policy, /default-src 'none'/)
          assert.match(policy, /frame-ancestors 'none'/)
          assert.doesNotMatch(policy, /script-src/)
          assert.doesNotMatch(await answer.text(), /<script|<a\b|javascript:/i)
        }
        // Somebody who has waited for a scanner is as well off as before.
        await page.goto(link)
        await page.getByRole('heading', { name: 'Confirm your email address' }).waitFor()
        assert.equal(await page.getByRole('button').count(), 1)
        assert.equal(await page.getByRole('link').count(), 0)
        await page.getByRole('button', { name: 'Confirm address' }).click()
        await page.getByText(`Signed in as ${email}`).waitFor()
        const user = await page.evaluate(async () => (await globalThis.client.auth.getUser()).data.user)
        assert.equal(user.email, email)
        // The second time the page comes again, and its button says what is wrong.
        await page.goto(link)
        await page.getByRole('button').click()
        await page.getByText('otp_expired').waitFor()
      }))
  }

  test('by keyboard alone', () =>
    as(chromium, {}, async (person) => {
      const { email, page, link } = await invited(person)
      await page.goto(link)
      await page.keyboard.press('Tab')
      const focused = page.locator(':focus')
      assert.equal(await focused.evaluate((e) => e.tagName), 'BUTTON')
      const { outlineStyle, outlineWidth } = await focused.evaluate((e) => ({ ...getComputedStyle(e) }))
      assert.equal(outlineStyle, 'solid', 'the focus can be seen')
      assert.ok(Number.parseFloat(outlineWidth) >= 2)
      await shot(page, 'linkpage-focus')
      await page.keyboard.press('Enter')
      await page.getByText(`Signed in as ${email}`).waitFor()
    }))

  test('nothing of a link becomes a part of the page', () =>
    as(chromium, {}, async (person) => {
      const page = await person.page()
      const bad = '"><img src=x onerror=alert(1)><script>alert(1)</script>'
      const query = new URLSearchParams({ token: bad, type: bad, redirect_to: `javascript:alert(1)//${bad}` })
      await page.goto(`${server.authURL}/verify?${query}`)
      await page.getByRole('heading', { name: 'Sign in' }).waitFor()
      assert.deepEqual(await page.evaluate(() => [document.images.length, document.scripts.length]), [0, 0])
      // The button of a link that is none leads home, with the reason.
      await page.getByRole('button').click()
      await page.waitForURL(`${app.url}/**`)
      await page.locator('#error').getByText(/./).waitFor()
    }))

  test('no other page can show it in a frame', () =>
    as(chromium, {}, async (person) => {
      const { page, link } = await invited(person)
      await page.setContent(`<iframe src="${link.replaceAll('&', '&amp;')}"></iframe>`)
      await page.waitForFunction(() => document.querySelector('iframe').contentDocument === null)
      assert.equal(await page.frameLocator('iframe').getByRole('button').count(), 0)
      assert.ok(person.problems.splice(0).some((p) => /frame-ancestors|ERR_BLOCKED_BY_RESPONSE/.test(p)))
    }))

  const address = (type) => `${server.authURL}/verify?token=none&type=${type}`

  test('accessible in the light, in the dark, with forced colours, on a phone, at 400 %', () =>
    as(chromium, {}, async (person) => {
      const page = await person.page()
      const looks = [
        ['light', {}, 1280, 800],
        ['dark', { colorScheme: 'dark' }, 1280, 800],
        ['phone', {}, 360, 640],
        ['phone-dark', { colorScheme: 'dark' }, 360, 640],
        ['contrast', { forcedColors: 'active' }, 1280, 800],
        ['zoomed', {}, 320, 256], // WCAG 1.4.10: 1280 x 1024 at 400 %
      ]
      for (const [name, media, width, height] of looks) {
        await page.emulateMedia({ colorScheme: 'light', forcedColors: 'none', ...media })
        await page.setViewportSize({ width, height })
        for (const type of ['email_change', 'signup']) {
          await page.goto(address(type))
          await accessible(page)
          assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing to scroll sideways')
          assert.ok((await page.getByRole('button').boundingBox()).height >= 44, 'large enough for a thumb')
        }
        await shot(page, `linkpage-${name}`)
      }
    }))

  test('in the language of the browser', () =>
    as(chromium, { viewport: { width: 560, height: 480 } }, async (person) => {
      const page = await person.page()
      const buttons = {
        'en-GB': 'Confirm address', 'pt-PT,pt;q=0.9': 'Confirmar endereço', 'es-AR': 'Confirmar dirección', 'de-CH,de;q=0.9,en;q=0.8': 'Adresse bestätigen',
        'he-IL': 'אישור הכתובת', hi: 'पते की पुष्टि करें', ja: 'Confirm address', 'ja,de;q=0.5': 'Adresse bestätigen',
      }
      for (const [wish, button] of Object.entries(buttons)) {
        await page.setExtraHTTPHeaders({ 'accept-language': wish })
        await page.goto(address('signup'))
        assert.equal(await page.locator('html').getAttribute('dir'), wish.startsWith('he') ? 'rtl' : 'ltr')
        assert.match(await page.title(), / · The Clinic$/)
        assert.equal(await page.getByRole('button').textContent(), button)
        await accessible(page)
        await shot(page, `linkpage-${await page.locator('html').getAttribute('lang')}`)
      }
    }))
})

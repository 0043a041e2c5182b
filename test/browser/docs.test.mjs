// The page of the REST API, in light and dark, wide and narrow, with and without script, by
// mouse and by keyboard: everything can be read, found and tried.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'

import { startServer } from '../interop/harness.mjs'
import { accessible, as, newPerson, shot, startChromium } from './chrome.mjs'

const password = 'correct-horse-battery-staple-71'

describe('S1.23 /docs', () => {
  let chromium, server
  before(async () => {
    ;[chromium, server] = await Promise.all([startChromium(), startServer({ env: { CARDEA_VERIFICATION: 'none' } })])
  })
  after(async () => {
    await chromium?.close()
    await server?.stop()
  })

  for (const colorScheme of ['light', 'dark']) {
    for (const [name, viewport] of [['wide', { width: 1280, height: 900 }], ['narrow', { width: 390, height: 800 }]]) {
      test(`is readable: ${colorScheme}, ${name}`, () =>
        as(chromium, { colorScheme, viewport }, async (person) => {
          const page = await person.page()
          await page.goto(`${server.url}/docs`)
          await page.getByRole('heading', { name: 'Make an account' }).waitFor()
          const [scroll, client] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth])
          assert.ok(scroll <= client, `the page is ${scroll} wide in a window of ${client}`)
          await shot(page, `docs-${colorScheme}-${name}`)
          // axe looks at what is shown, and the whole page would take it half a minute.
          await page.getByLabel('Filter').fill('switch password')
          await page.locator('article[data-method]:visible').first().getByText('Try it').click()
          await accessible(page)
        }))
    }
  }

  test('is readable without script, from nowhere else', () =>
    as(chromium, { javaScriptEnabled: false }, async (person) => {
      const page = await person.page()
      const hosts = new Set()
      page.on('request', (r) => hosts.add(new URL(r.url()).origin))
      await page.goto(`${server.url}/docs`)
      assert.deepEqual([...hosts], [server.url])
      await page.getByText('/api/tenants/{tenant}/switch').first().waitFor()
      assert.equal(await page.getByText('Try it').count(), 0)
      assert.equal(await page.getByLabel('Filter').isVisible(), false)
    }))

  test('finds operations', () =>
    as(chromium, {}, async (person) => {
      const page = await person.page()
      await page.goto(`${server.url}/docs`)
      await page.getByLabel('Filter').fill('DELETE sessions')
      await page.getByRole('heading', { name: 'End one session' }).waitFor()
      assert.equal(await page.getByRole('heading', { name: 'Make an account' }).isVisible(), false)
      assert.equal(await page.getByRole('link', { name: 'Make an account' }).isVisible(), false)
      await page.getByLabel('Filter').fill('')
      await page.getByRole('heading', { name: 'Make an account' }).waitFor()
    }))

  test('tries operations, by keyboard alone', () =>
    as(chromium, {}, async (person) => {
      const page = await person.page()
      await page.goto(`${server.url}/docs#register`)
      const register = page.locator('#register')
      await register.getByText('Try it').focus()
      await page.keyboard.press('Enter')
      await register.getByLabel('Body').fill(JSON.stringify({ email: 'ada@example.org', password }))
      await page.keyboard.press('Tab')
      await page.keyboard.press('Enter')
      await register.getByRole('status').getByText('201').waitFor()
      assert.match(await register.locator('form pre').textContent(), /"token_type": "bearer"/)

      // The token is there for the operations that need one, and for no longer than the page.
      const me = page.locator('#me')
      await me.getByText('Try it').click()
      await me.getByRole('button', { name: 'Send' }).click()
      await me.getByRole('status').getByText('200').waitFor()
      assert.match(await me.locator('form pre').textContent(), /ada@example\.org/)
      await shot(page, 'docs-tried')
      assert.deepEqual(await page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie]), [0, 0, ''])
      await page.reload()
      assert.equal(await page.getByLabel('Access token').inputValue(), '')
    }))

  test('shows what went wrong', async () => {
    const person = await newPerson(chromium)
    const page = await person.page()
    await page.goto(`${server.url}/docs#getTenant`)
    const one = page.locator('#getTenant')
    await one.getByText('Try it').click()
    await one.getByLabel('tenant').fill('../../x?y=<b>')
    await one.getByRole('button', { name: 'Send' }).click()
    await one.getByRole('status').getByText('401').waitFor()
    assert.match(await one.locator('form pre').textContent(), /AUTH_HEADER_MISSING/)
    // Nothing but that answer, which Chromium notes in two ways.
    assert.ok(person.problems.length > 0 && person.problems.every((p) => p.includes('401')), person.problems.join('\n'))
    await person.context.close()
  })
})

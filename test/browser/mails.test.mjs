// Every built-in mail, in every language, as a browser shows its HTML.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'

import { accessible, as, shot, startChromium } from './chrome.mjs'

const mails = JSON.parse(readFileSync(process.env.CARDEA_MAILS, 'utf8'))
const locales = ['en', 'pt-BR', 'es', 'de', 'he', 'hi']

describe('the built-in mails', () => {
  let chromium
  before(async () => {
    chromium = await startChromium()
  })
  after(() => chromium?.close())

  test('there are as many as there should be', () => {
    assert.deepEqual([...new Set(mails.map((m) => m.locale))], locales)
    assert.equal(mails.length, new Set(mails.map((m) => m.kind)).size * locales.length)
    assert.ok(mails.length >= 100)
  })

  test('what should be noticed is noticed', async () => {
    const page = (body) => `<!doctype html><html lang="en"><title>Bad</title><main><h1>Bad</h1>${body}</main></html>`
    const look = (body) => as(chromium, {}, async (person) => {
      const bad = await person.page()
      await bad.setContent(page(body))
      await accessible(bad)
    })
    await look('<p>Good</p>')
    await assert.rejects(look('<p style="color:#ccc;background:#fff">Faint</p>'), /color-contrast/)
    await assert.rejects(look('<script>console.error("spilt")</script>'), /spilt/)
    await assert.rejects(look('<script>throw new Error("thrown")</script>'), /thrown/)
    await assert.rejects(look('<img alt="" src="http://127.0.0.1:9/">'), /127\.0\.0\.1:9/)
  })

  for (const locale of locales) {
    test(`accessible on a phone, without scripts and requests: ${locale}`, () =>
      as(chromium, { viewport: { width: 360, height: 640 }, deviceScaleFactor: 2 }, async (person) => {
        const page = await person.page()
        page.on('request', (r) => person.problems.push(`a mail asks for ${r.url()}`))
        for (const mail of mails.filter((m) => m.locale === locale)) {
          await page.setContent(mail.html)
          // The dark half is the same structure in other colours: once for a link, for a code, for a notice.
          const schemes = ['confirmation', 'reauthentication', 'new_device'].includes(mail.kind) ? ['dark', 'light'] : ['light']
          for (const colorScheme of schemes) {
            await page.emulateMedia({ colorScheme })
            await accessible(page).catch((error) => {
              throw new Error(`${mail.kind}, ${colorScheme}: ${error.message}`)
            })
          }
          const { lang, dir, width, scripts } = await page.evaluate(() => {
            const root = document.documentElement
            return { lang: root.lang, dir: root.dir, width: root.scrollWidth, scripts: document.scripts.length }
          })
          assert.deepEqual({ lang, dir, width, scripts }, { lang: locale, dir: locale === 'he' ? 'rtl' : 'ltr', width: 360, scripts: 0 }, mail.kind)
        }
        await page.setContent(mails.find((m) => m.locale === locale && m.kind === 'confirmation').html)
        await shot(page, `mail-${locale}-phone`)
        await page.emulateMedia({ colorScheme: 'dark' })
        await shot(page, `mail-${locale}-phone-dark`)
        await page.emulateMedia({ colorScheme: 'light' })
        await page.setViewportSize({ width: 700, height: 800 })
        await shot(page, `mail-${locale}`)
      }))
  }

  test('a right-to-left mail keeps codes, addresses and links in order', () =>
    as(chromium, {}, async (person) => {
      const page = await person.page()
      const mail = mails.find((m) => m.locale === 'he' && m.kind === 'confirmation')
      await page.setContent(mail.html)
      const side = (locator) => locator.evaluate((e) => {
        const range = document.createRange()
        range.selectNodeContents(e)
        const { left, right } = range.getBoundingClientRect()
        const cell = e.closest('td').getBoundingClientRect()
        return cell.right - right < left - cell.left ? 'right' : 'left'
      })
      assert.equal(await side(page.locator('h1')), 'right')
      assert.equal(await page.locator('.code').evaluate((e) => getComputedStyle(e).direction), 'ltr')
      assert.equal(await page.locator('a.link').evaluate((e) => getComputedStyle(e).direction), 'ltr')
    }))
})

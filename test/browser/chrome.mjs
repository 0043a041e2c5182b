// Chromium, and people who use it. A person is a browser context: cookies, storage and
// pages of their own. Whatever goes wrong in one of their pages ends in person.problems.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

import { chromium } from 'playwright-core'

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const shots = process.env.CARDEA_BROWSER_SHOTS

/** A Chromium without window, with an empty profile that it takes along when it ends. */
export function startChromium() {
  const executablePath = process.env.CARDEA_CHROMIUM
  if (!executablePath) throw new Error('CARDEA_CHROMIUM is not set; run.sh sets it')
  return chromium.launch({
    executablePath,
    headless: true,
    // Root can't have Chromium's sandbox. Nothing foreign is loaded: the pages are ours.
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync',
    ],
  })
}

/** A context whose every page is watched from its first request on. */
export async function newPerson(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options })
  context.setDefaultTimeout(15_000)
  const problems = []
  let leaving = false
  const note = (problem) => {
    if (!leaving) problems.push(problem)
  }
  context.on('page', (page) => {
    page.on('console', (m) => {
      if (m.type() === 'error' || m.type() === 'warning') note(`console ${m.type()} in ${m.location().url}: ${m.text()}`)
    })
    page.on('pageerror', (e) => note(`exception in ${page.url()}: ${e}`))
    page.on('requestfailed', (r) => note(`${r.method()} ${r.url()}: ${r.failure()?.errorText}`))
    page.on('response', (r) => {
      if (r.status() >= 400) note(`${r.request().method()} ${r.url()}: ${r.status()}`)
    })
  })
  return {
    context,
    problems,
    page: () => context.newPage(),
    /** Closes everything; fails when anything went wrong. */
    async leave() {
      leaving = true // streams that are cut off now are no failures
      await context.close()
      if (problems.length > 0) throw new Error(`in the browser:\n${problems.join('\n')}`)
    },
  }
}

/** Runs body with a person, who leaves in any case. The body's own failure comes first. */
export async function as(browser, options, body) {
  const person = await newPerson(browser, options)
  try {
    await body(person)
  } catch (error) {
    await person.leave().catch((also) => {
      error.message += `\n${also.message}`
    })
    throw error
  }
  await person.leave()
}

/** Fails when axe finds something serious or critical in the page. */
export async function accessible(page) {
  if (!(await page.evaluate('typeof axe === "object"'))) await page.evaluate(axeSource)
  const { violations, passes } = await page.evaluate(() => axe.run(document, { iframes: false, preload: false, resultTypes: ['violations'] }))
  if (passes.length === 0) throw new Error('axe has looked at nothing')
  const bad = violations.filter((v) => v.impact === 'serious' || v.impact === 'critical')
  if (bad.length > 0) {
    const lines = bad.flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.html}\n${n.failureSummary}`))
    throw new Error(`axe in ${page.url()}:\n${lines.join('\n')}`)
  }
}

/** Writes a picture of the page where pictures are wanted. */
export async function shot(page, name, options = {}) {
  if (shots) await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true, ...options })
}

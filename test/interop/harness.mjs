// Starts and stops real cardea servers for the suites. Every server has a database of
// its own, an empty environment apart from what is listed here, and a loopback port that
// nobody else uses. Nothing in here knows how Cardea works inside.

import { execFile, spawn } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const here = dirname(fileURLToPath(import.meta.url))

/** The database that this run is about: "sqlite" or "postgres". */
export const kind = process.env.CARDEA_TEST_DB ?? 'sqlite'
if (kind !== 'sqlite' && kind !== 'postgres') {
  throw new Error(`CARDEA_TEST_DB is "${kind}"; it must be sqlite or postgres`)
}

/** What every server here allows unless a suite says otherwise. */
const defaults = {
  CARDEA_EMAIL_AUTOCONFIRM: 'true',
  CARDEA_ANONYMOUS_ENABLED: 'true',
  CARDEA_PHONE_ENABLED: 'true',
  CARDEA_PHONE_AUTOCONFIRM: 'true',
  // The suites come from one address and would look like an attack.
  CARDEA_RATE_LIMIT_ENABLED: 'false',
}

let builtBinary

/** The path of the binary: CARDEA_BIN, or one that is built now, once for each process. */
async function binary() {
  if (process.env.CARDEA_BIN) return process.env.CARDEA_BIN
  builtBinary ??= (async () => {
    const folder = mkdtempSync(join(tmpdir(), 'cardea-bin-'))
    process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
    const out = join(folder, 'cardea')
    await run('go', ['build', '-o', out, './cmd/cardea'], {
      cwd: join(here, '..', '..'),
      env: { ...process.env, CGO_ENABLED: '0' },
    })
    return out
  })()
  return builtBinary
}

/** A loopback port that is free now. */
async function freePort() {
  const probe = createServer()
  await new Promise((resolve, reject) => {
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', resolve)
  })
  const { port } = probe.address()
  await new Promise((resolve) => probe.close(resolve))
  return port
}

async function psql(sql) {
  const admin = process.env.CARDEA_TEST_DATABASE_URL
  if (!admin) throw new Error('CARDEA_TEST_DATABASE_URL is not set; run.sh sets it')
  await run('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', admin, '-c', sql])
}

/** An empty database of the requested kind: its URL, and how to remove it. */
async function freshDatabase(folder) {
  if (kind === 'sqlite') {
    return { url: `sqlite://${join(folder, 'cardea.db')}`, drop: async () => {} }
  }
  const name = `interop_${randomUUID().replaceAll('-', '')}`
  await psql(`create database ${name}`)
  const url = new URL(process.env.CARDEA_TEST_DATABASE_URL)
  url.pathname = `/${name}`
  return { url: url.href, drop: () => psql(`drop database if exists ${name} with (force)`) }
}

/** Reads shell assignments as `cardea status -o env` prints them. */
export function parseAssignments(text) {
  const found = {}
  for (const line of text.split('\n')) {
    const match = /^(?:export )?([A-Z][A-Z0-9_]*)=(.*)$/.exec(line.trim())
    if (match) found[match[1]] = match[2].replace(/^(["'])(.*)\1$/, '$2')
  }
  return found
}

/**
 * Waits until condition gives something truthy, asking with growing pauses.
 * Fails with the last error, or with what was awaited, when the time is up.
 */
export async function eventually(what, condition, { timeout = 15_000 } = {}) {
  const end = Date.now() + timeout
  let last
  for (let pause = 10; ; pause = Math.min(pause * 2, 250)) {
    try {
      const value = await condition()
      if (value) return value
    } catch (error) {
      last = error
    }
    if (Date.now() > end) throw new Error(`gave up waiting: ${what}`, { cause: last })
    await delay(pause)
  }
}

class Server {
  constructor(fields) {
    Object.assign(this, fields)
    this.log = ''
    this.exited = null
  }

  /** Runs another command of the binary in this server's environment. */
  async cli(...args) {
    return run(await binary(), args, { env: this.env, cwd: this.folder })
  }

  /** Starts the process and waits for the first healthy answer. */
  async launch() {
    this.child = spawn(await binary(), [this.command], {
      env: this.env,
      cwd: this.folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const keep = (chunk) => {
      this.log = (this.log + chunk).slice(-100_000)
    }
    this.child.stdout.on('data', keep)
    this.child.stderr.on('data', keep)
    this.exited = new Promise((resolve) => {
      this.child.once('exit', (code, signal) => resolve({ code, signal }))
    })
    let gone = null
    this.exited.then((how) => {
      gone = how
    })
    await eventually(`health of ${this.authURL}`, async () => {
      if (gone) return true
      return (await fetch(`${this.authURL}/health`)).ok
    }).catch((error) => {
      this.child.kill('SIGKILL')
      throw new Error(`cardea ${this.command} does not answer:\n${this.log}`, { cause: error })
    })
    if (gone) throw new Error(`cardea ${this.command} ended at once (${gone.code}):\n${this.log}`)
    this.keys = parseAssignments((await this.cli('status', '-o', 'env')).stdout)
    return this
  }

  /** A second process on the same database and with the same keys, on its own port. */
  async twin() {
    const port = await freePort()
    return new Server({
      ...this,
      command: this.command,
      env: { ...this.env, CARDEA_LISTEN: `127.0.0.1:${port}` },
      url: `http://127.0.0.1:${port}`,
      authURL: `http://127.0.0.1:${port}/auth/v1`,
      owned: false,
    }).launch()
  }

  /** Removes database and folder. stop does it; call it where nothing was launched. */
  async discard() {
    await this.drop()
    await rm(this.folder, { recursive: true, force: true })
  }

  /** Stops the process as an operator would and says how it ended. */
  async stop() {
    const dead = delay(20_000, 'timeout', { ref: false })
    this.child.kill('SIGTERM')
    const how = await Promise.race([this.exited, dead])
    if (how === 'timeout') this.child.kill('SIGKILL')
    if (this.owned) await this.discard()
    if (how === 'timeout' || how.code !== 0) {
      throw new Error(`cardea ${this.command} did not stop cleanly: ${JSON.stringify(how)}\n${this.log}`)
    }
  }
}

/** A server that is ready to be launched: database and environment exist, no process yet. */
export async function prepareServer({ env = {}, command = 'serve' } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'cardea-interop-'))
  const database = command === 'dev' ? { drop: async () => {} } : await freshDatabase(folder)
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const settings = {
    PATH: process.env.PATH,
    HOME: folder,
    CARDEA_LISTEN: `127.0.0.1:${port}`,
    CARDEA_DATA: join(folder, 'data'),
    CARDEA_PUBLIC_URL: url,
    ...(command === 'dev'
      ? {}
      : {
          ...defaults,
          DATABASE_URL: database.url,
          CARDEA_ENCRYPTION_KEY: randomBytes(32).toString('hex'),
        }),
    ...env,
  }
  for (const [name, value] of Object.entries(settings)) {
    if (value === undefined) delete settings[name]
  }
  return new Server({
    command,
    folder,
    url,
    authURL: `${url}/auth/v1`,
    env: settings,
    drop: database.drop,
    owned: true,
  })
}

/** A running server with a migrated, empty database. Call its stop() when done. */
export async function startServer(options = {}) {
  const server = await prepareServer(options)
  try {
    if (server.command === 'serve') await server.cli('migrate')
    return await server.launch()
  } catch (error) {
    await server.discard()
    throw error
  }
}

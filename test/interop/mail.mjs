// Where messages arrive: a real mail server and a receiver of text messages for `serve`,
// the inbox for `dev`. Each gives, for an address, the next message that nobody has read.

import { spawn } from 'node:child_process'
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import http from 'node:http'
import { createInterface } from 'node:readline'

import { eventually } from './harness.mjs'

const codeIn = (text) => /(?<![\w-])(\d{6,10})(?![\w-])/.exec(text)?.[1] ?? ''
const linkIn = (text) => /https?:\/\/\S+\/verify\?\S+/.exec(text)?.[0] ?? ''

class Mailbox {
  #read = new Set()

  /** The newest message to an address that no test has read: text, code, link, subject. */
  async next(to) {
    const message = await eventually(`a message to ${to}`, async () => (await this.all(to)).find((m) => !this.#read.has(m.id)))
    this.#read.add(message.id)
    return message
  }

  /** Fails when there is a message that no test has read. */
  async nothing(to) {
    const unread = (await this.all(to)).filter((m) => !this.#read.has(m.id))
    if (unread.length > 0) throw new Error(`an unexpected message to ${to}: ${unread[0].subject || unread[0].text}`)
  }
}

class MailServer extends Mailbox {
  constructor(child, where, texts) {
    super()
    this.child = child
    this.texts = texts
    const [host, port] = where.smtp.split(':')
    const secret = texts.secret
    this.url = where.http
    /** What a server is started with. */
    this.env = {
      CARDEA_SMTP_HOST: host,
      CARDEA_SMTP_PORT: port,
      CARDEA_SMTP_TLS: 'none',
      CARDEA_SMTP_FROM: 'no-reply@clinic.example',
      CARDEA_SMTP_SENDER_NAME: 'The Clinic',
      CARDEA_SMS_PROVIDER: 'webhook',
      CARDEA_SMS_WEBHOOK_URL: `http://127.0.0.1:${texts.port}/`,
      CARDEA_SMS_WEBHOOK_SECRET: `v1,whsec_${secret.toString('base64')}`,
      CARDEA_MAIL_INTERVAL: '0s',
      CARDEA_SMS_INTERVAL: '0s',
    }
  }

  async all(to) {
    if (!to.includes('@')) return this.texts.messages.filter((m) => m.to === `+${to.replace(/^\+/, '')}`)
    const messages = await (await fetch(`${this.url}/messages?to=${encodeURIComponent(to)}`)).json()
    return messages.map((m) => ({ ...m, code: codeIn(m.text), link: linkIn(m.text) }))
  }

  async stop() {
    this.child.stdin.end()
    await new Promise((resolve) => this.texts.server.close(resolve))
  }
}

/** Receives text messages and checks their signature (Standard Webhooks). */
async function textReceiver() {
  const secret = randomBytes(32)
  const messages = []
  const server = http.createServer((request, response) => {
    const chunks = []
    request.on('data', (c) => chunks.push(c))
    request.on('end', () => {
      const body = Buffer.concat(chunks)
      const { 'webhook-id': id, 'webhook-timestamp': at, 'webhook-signature': signature } = request.headers
      const want = `v1,${createHmac('sha256', secret).update(`${id}.${at}.`).update(body).digest('base64')}`
      const right = signature?.length === want.length && timingSafeEqual(Buffer.from(signature), Buffer.from(want))
      if (!right) return response.writeHead(401).end()
      const m = JSON.parse(body.toString('utf8'))
      if (!messages.some((o) => o.id === m.id)) messages.unshift({ ...m, code: codeIn(m.text), link: '' })
      response.writeHead(204).end()
    })
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { server, port: server.address().port, secret, messages }
}

/** A mail server, from CARDEA_MAILBOX_BIN, and a receiver of text messages. */
export async function startMail() {
  const path = process.env.CARDEA_MAILBOX_BIN
  if (!path) throw new Error('CARDEA_MAILBOX_BIN is not set; run.sh sets it')
  const child = spawn(path, [], { stdio: ['pipe', 'pipe', 'inherit'] })
  const line = await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`the mail server ended: ${code}`)))
    createInterface({ input: child.stdout }).once('line', resolve)
  })
  return new MailServer(child, JSON.parse(line), await textReceiver())
}

/** The inbox of a server that runs `cardea dev`. */
export class Inbox extends Mailbox {
  constructor(server) {
    super()
    this.base = `${server.url}/dev/inbox/messages`
  }

  async all(to) {
    const answer = await fetch(`${this.base}?to=${encodeURIComponent(to)}`)
    if (!answer.ok) throw new Error(`the inbox answers ${answer.status}`)
    return answer.json()
  }
}

// Clients as an application makes them, and people who have accounts.

import { randomUUID } from 'node:crypto'
import http from 'node:http'

import { createClient } from '@supabase/supabase-js'

/** A good password: long, and in no list of common ones. */
export const goodPassword = 'correct-horse-battery-staple-71'

/** An address that nobody has used yet. */
export const freshEmail = (name = 'person') => `${name}-${randomUUID()}@example.com`

let phones = 0
/** A phone number that nobody in this process has used yet. */
export const freshPhone = () => `4915${String(10_000_000 + (process.pid % 1000) * 10_000 + phones++)}`

// Node 20 has no WebSocket of its own, and the constructor of supabase-js asks for one.
// No suite opens a channel, so one that refuses to be made is enough.
class NoSocket {
  constructor() {
    throw new Error('these suites open no channels')
  }
}

/** A key-value store with the interface that the clients expect of localStorage. */
export function memoryStorage() {
  const items = new Map()
  return {
    items,
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, value),
    removeItem: (key) => void items.delete(key),
  }
}

/** A fetch that keeps a note of every request: "GET /auth/v1/user". */
export function recordingFetch() {
  const requests = []
  const recording = async (input, init) => {
    const url = new URL(typeof input === 'string' ? input : (input.url ?? input.href))
    requests.push(`${init?.method ?? input.method ?? 'GET'} ${url.pathname}`)
    return fetch(input, init)
  }
  return { fetch: recording, requests }
}

/** An unmodified supabase-js client: one device of one person. */
export function device(server, { key = server.keys.ANON_KEY, storage = memoryStorage(), fetch, auth = {} } = {}) {
  return createClient(server.url, key, {
    auth: { autoRefreshToken: false, persistSession: true, detectSessionInUrl: false, storage, ...auth },
    global: fetch ? { fetch } : {},
    realtime: { transport: NoSocket },
  })
}

/** A client with the service role. */
export function operator(server, key = server.keys.SERVICE_ROLE_KEY) {
  return device(server, { key, auth: { persistSession: false } })
}

/** Takes data out of a client's answer; an error of the client is thrown. */
export async function must(answer) {
  const { data, error } = await answer
  if (error) throw error
  return data
}

/** A new account by sign-up, and its first device. */
export async function person(server, { name = 'person', password = goodPassword, data, ...rest } = {}) {
  const email = freshEmail(name)
  const client = device(server, rest)
  const { user, session } = await must(client.auth.signUp({ email, password, options: { data } }))
  return { email, password, client, user, session }
}

/** Another device of an existing account. */
export async function signedIn(server, { email, password = goodPassword }, options) {
  const client = device(server, options)
  await must(client.auth.signInWithPassword({ email, password }))
  return client
}

/** The session that a client holds now. */
export const sessionOf = async (client) => (await must(client.auth.getSession())).session

/**
 * One HTTP exchange with nothing in between: no client library, no header of its own,
 * no path clean-up. The body is text or bytes; objects are sent as JSON.
 */
export function exchange(server, method, path, { headers = {}, body, base = server.authURL } = {}) {
  const target = new URL(base)
  const payload = body === undefined || typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body)
  const all = { ...headers }
  if (payload !== undefined) {
    all['content-length'] ??= Buffer.byteLength(payload)
    if (typeof body !== 'string' && !Buffer.isBuffer(body)) all['content-type'] ??= 'application/json'
  }
  const options = {
    host: target.hostname,
    port: target.port,
    method,
    path: target.pathname.replace(/\/$/, '') + path,
    headers: all,
    agent: false,
  }
  return new Promise((resolve, reject) => {
    const request = http.request(options, (response) => {
      const chunks = []
      response.on('data', (chunk) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8')
        let json
        try {
          json = JSON.parse(text)
        } catch {
          json = undefined
        }
        resolve({ status: response.statusCode, headers: response.headers, text, json })
      })
    })
    request.on('error', reject)
    request.end(payload)
  })
}

/** The header that makes the server speak the newer error shape, as every client sends it. */
export const newShape = { 'x-supabase-api-version': '2024-01-01' }

/** A refresh without a client library: the status and the document. */
export const rawRefresh = (server, token) =>
  exchange(server, 'POST', '/token?grant_type=refresh_token', { headers: newShape, body: { refresh_token: token } })

/** The claims of a token, unverified. */
export const claimsOf = (jwt) => JSON.parse(Buffer.from(jwt.split('.')[1], 'base64url').toString('utf8'))

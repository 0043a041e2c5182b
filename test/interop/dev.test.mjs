// `cardea dev` as a newcomer meets it: one command, no configuration. It has a database
// of its own (SQLite), so these tests belong to the SQLite run.

import assert from 'node:assert/strict'
import { readdir, stat } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'

import { device, exchange, freshEmail, goodPassword, must, operator, sessionOf } from './clients.mjs'
import { kind, prepareServer, startServer } from './harness.mjs'

if (kind === 'sqlite') {
  describe('cardea dev', () => {
    let server
    before(async () => {
      server = await startServer({ command: 'dev' })
    })
    after(() => server?.stop())

    test('S0.5 sign-up, sign-in, refresh and sign-out with no setting at all', async () => {
      const email = freshEmail()
      const client = device(server)
      const { user } = await must(client.auth.signUp({ email, password: goodPassword }))
      assert.ok(user.email_confirmed_at, 'addresses are confirmed at once in dev')
      await must(client.auth.refreshSession())
      await must(client.auth.signOut())
      await must(client.auth.signInWithPassword({ email, password: goodPassword }))
      assert.equal((await sessionOf(client)).user.id, user.id)
      assert.ok((await must(operator(server).auth.admin.listUsers())).total >= 1)
    })

    test('S0.20 every origin may call', async () => {
      for (const origin of ['http://localhost:3000', 'http://127.0.0.1:5173', 'https://preview.example.net', 'null']) {
        const preflight = await exchange(server, 'OPTIONS', '/token?grant_type=password', {
          headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'apikey,authorization,content-type,x-client-info,x-supabase-api-version' },
        })
        assert.ok(preflight.status === 200 || preflight.status === 204)
        const answer = await exchange(server, 'GET', '/settings', { headers: { origin } })
        for (const { headers } of [preflight, answer]) {
          assert.ok([origin, '*'].includes(headers['access-control-allow-origin']), `${origin}: ${headers['access-control-allow-origin']}`)
        }
      }
    })

    test('the status block shows what to use', async () => {
      for (const name of ['API_URL', 'AUTH_URL', 'ANON_KEY', 'SERVICE_ROLE_KEY', 'JWKS_URL']) assert.ok(server.keys[name], name)
      assert.ok(server.log.includes(server.keys.API_URL))
    })

    test('the data folder is nobody else’s business', async () => {
      const { mode } = await stat(server.env.CARDEA_DATA)
      assert.equal(mode & 0o077, 0, (mode & 0o777).toString(8))
      for (const name of await readdir(server.env.CARDEA_DATA)) {
        const file = await stat(`${server.env.CARDEA_DATA}/${name}`)
        if (file.isFile() && /key|secret/i.test(name)) assert.equal(file.mode & 0o077, 0, name)
      }
    })

    test('it refuses to listen anywhere but on loopback', async () => {
      const open = await prepareServer({ command: 'dev', env: { CARDEA_LISTEN: '0.0.0.0:0', CARDEA_PUBLIC_URL: undefined } })
      try {
        await assert.rejects(open.cli('dev'), (error) => {
          assert.match(error.stderr + error.stdout, /CARDEA_LISTEN|loopback/)
          return true
        })
      } finally {
        await open.discard()
      }
    })
  })
}

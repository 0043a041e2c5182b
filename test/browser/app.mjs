// An application as somebody might build it with Supabase: a page for each of the two ways
// of links, with the unmodified bundle of supabase-js. It is served on loopback, where
// browsers allow what PKCE needs.

import { readFileSync } from 'node:fs'
import http from 'node:http'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

const bundle = readFileSync(join(dirname(createRequire(import.meta.url).resolve('@supabase/supabase-js')), 'umd', 'supabase.js'))

const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>App</title>
<link rel="icon" href="data:,">
<script src="/supabase.js"></script>
<script src="/app.js" type="module"></script>
</head>
<body>
<main>
<h1>App</h1>
<p id="who">Signed out</p>
<p id="event"></p>
<p id="error"></p>
<form id="signup">
<label>E-mail <input name="email" type="email"></label>
<label>Password <input name="password" type="password"></label>
<button>Sign up</button>
</form>
</main>
</body>
</html>
`

/** What runs in the page. The path says how links bring sessions. */
function script({ url, key }) {
  const show = (id, text) => {
    document.getElementById(id).textContent = text
  }
  const inAddress = new URLSearchParams(location.hash.slice(1))
  if (inAddress.get('error_code')) show('error', inAddress.get('error_code'))
  const client = globalThis.supabase.createClient(url, key, {
    auth: { flowType: location.pathname === '/pkce' ? 'pkce' : 'implicit', detectSessionInUrl: true },
  })
  globalThis.client = client
  client.auth.onAuthStateChange((event, session) => {
    show('event', event)
    show('who', session ? `Signed in as ${session.user.email}` : 'Signed out')
  })
  document.getElementById('signup').addEventListener('submit', async (e) => {
    e.preventDefault()
    const form = new FormData(e.target)
    const { error } = await client.auth.signUp({
      email: form.get('email'),
      password: form.get('password'),
      options: { emailRedirectTo: location.origin + location.pathname },
    })
    show('event', error ? error.message : 'Look into your mail')
  })
}

/** Serves the application. connect tells it which server it belongs to. */
export async function startApp() {
  let settings = {}
  const files = {
    '/supabase.js': () => ['text/javascript', bundle],
    '/app.js': () => ['text/javascript', `(${script})(${JSON.stringify(settings)})`],
    '/': () => ['text/html; charset=utf-8', page],
    '/implicit': () => ['text/html; charset=utf-8', page],
    '/pkce': () => ['text/html; charset=utf-8', page],
  }
  const server = http.createServer((request, response) => {
    const file = files[new URL(request.url, 'http://app').pathname]
    if (!file) return response.writeHead(404).end()
    const [type, body] = file()
    response.writeHead(200, { 'content-type': type, 'cache-control': 'no-store' }).end(body)
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${server.address().port}`
  return {
    url,
    connect(cardea) {
      settings = { url: cardea.url, key: cardea.keys.ANON_KEY }
    },
    /** What a server is started with that belongs to this application. */
    env: { CARDEA_SITE_URL: url, CARDEA_REDIRECT_URLS: `${url}/**`, CARDEA_EMAIL_AUTOCONFIRM: 'false', CARDEA_PHONE_AUTOCONFIRM: 'false' },
    async stop() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

// What the page of the API can do beside being read: find operations, and try them. It
// talks to this server only, when somebody presses a button.
'use strict'

const byId = (id) => document.getElementById(id)
const articles = [...document.querySelectorAll('article[data-method]')]
const token = byId('token')

function make(tag, properties = {}, ...children) {
  const e = Object.assign(document.createElement(tag), properties)
  e.append(...children)
  return e
}

// --- finding

const filter = byId('filter')
filter.closest('p').hidden = false
filter.addEventListener('input', () => {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean)
  for (const a of articles) {
    const text = a.textContent.toLowerCase()
    const found = words.every((w) => text.includes(w))
    a.hidden = !found
    document.querySelector(`nav li[data-find="${a.id}"]`).hidden = !found
  }
  for (const group of document.querySelectorAll('.group')) {
    group.hidden = ![...group.querySelectorAll('article')].some((a) => !a.hidden)
  }
})

// --- trying

byId('try').hidden = false

function field(id, name, box) {
  box.id = id
  return make('div', {}, make('label', { htmlFor: id, textContent: name }), box)
}

function form(article) {
  const { method, path } = article.dataset
  const boxes = []
  const f = make('form', { className: 'form', autocomplete: 'off' })
  for (const row of article.querySelectorAll('tr[data-place]')) {
    const name = row.querySelector('code').textContent
    const box = make('input', { type: 'text', autocomplete: 'off', spellcheck: false })
    boxes.push({ name, place: row.dataset.place, box })
    f.append(field(`${article.id}-${name}`, name, box))
  }
  let body = null
  const start = article.querySelector('template.body')
  if (start) {
    const value = start.content.textContent
    body = make('textarea', { value, rows: Math.min(16, value.split('\n').length + 1), spellcheck: false })
    f.append(field(`${article.id}-body`, 'Body', body))
  }
  const button = make('button', { type: 'submit', textContent: 'Send' })
  const said = make('span', { role: 'status' })
  const out = make('pre', { hidden: true, tabIndex: 0 })
  f.append(make('div', {}, button, said), out)
  f.addEventListener('submit', async (event) => {
    event.preventDefault()
    button.disabled = true
    said.textContent = ''
    try {
      await send(article, method, path, boxes, body, said, out)
    } catch (e) {
      said.textContent = `The server could not be reached: ${e.message}`
      out.hidden = true
    }
    button.disabled = false
  })
  return f
}

async function send(article, method, path, boxes, body, said, out) {
  let url = path
  const query = new URLSearchParams()
  for (const { name, place, box } of boxes) {
    if (place === 'path') url = url.replace(`{${name}}`, encodeURIComponent(box.value))
    else if (box.value !== '') query.set(name, box.value)
  }
  if ([...query].length > 0) url += `?${query}`
  const headers = {}
  if (article.dataset.public !== 'true' && token.value !== '') headers.Authorization = `Bearer ${token.value.trim()}`
  if (body) headers['Content-Type'] = 'application/json'
  const answer = await fetch(url, { method, headers, body: body ? body.value : undefined, credentials: 'omit', cache: 'no-store' })
  const text = await answer.text()
  said.textContent = `${answer.status} ${answer.statusText}`
  said.className = answer.ok ? 'good' : 'bad'
  out.hidden = text === ''
  out.textContent = text
  if (text === '') return
  const value = JSON.parse(text)
  out.textContent = JSON.stringify(value, null, 2)
  if (value.access_token) token.value = value.access_token
}

for (const a of articles) {
  const details = make('details', { className: 'call' }, make('summary', { textContent: 'Try it' }))
  details.addEventListener('toggle', () => { if (details.childElementCount === 1) details.append(form(a)) })
  a.append(details)
}

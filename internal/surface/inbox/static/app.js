// The inbox page. Text of messages is only ever set as text, and their HTML is shown in a
// sandboxed frame without scripts.
"use strict";

const api = document.documentElement.dataset.prefix + "/api";
const $ = (id) => document.getElementById(id);
const names = { email: "Mail", sms: "Text message", whatsapp: "WhatsApp message" };
const address = (m) => (/^\d+$/.test(m.to) ? "+" + m.to : m.to);

let messages = [];
let chosen = null;
let form = "html";

async function load() {
  try {
    const answer = await fetch(api + "/messages", { cache: "no-store" });
    if (!answer.ok) throw new Error("status " + answer.status);
    messages = await answer.json();
    say(messages.length === 1 ? "1 message" : messages.length + " messages");
  } catch {
    say("The server does not answer; trying again.");
    return;
  }
  if (chosen && !messages.some((m) => m.id === chosen)) chosen = null;
  drawList();
  drawMessage();
}

function say(text) {
  if ($("status").textContent !== text) $("status").textContent = text;
}

function visible() {
  const words = $("filter").value.trim().toLowerCase();
  return messages.filter((m) => !words || (address(m) + " " + m.subject + " " + m.text).toLowerCase().includes(words));
}

function part(name, text, dir) {
  const span = document.createElement("span");
  span.className = name;
  span.textContent = text;
  if (dir) span.dir = dir;
  return span;
}

function drawList() {
  const shown = visible();
  const focused = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.id : undefined;
  $("list").replaceChildren(...shown.map((m) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.id = m.id;
    if (m.id === chosen) button.setAttribute("aria-current", "true");
    button.append(
      part("to", address(m), "auto"),
      part("time", new Date(m.created_at).toLocaleTimeString()),
      part("line", m.subject || m.text, "auto"),
      part("code", m.code),
    );
    button.addEventListener("click", () => choose(m.id));
    item.append(button);
    return item;
  }));
  if (focused) {
    const again = $("list").querySelector('[data-id="' + CSS.escape(focused) + '"]');
    if (again) again.focus();
  }
  $("empty").hidden = messages.length > 0;
  $("nomatch").hidden = messages.length === 0 || shown.length > 0;
}

function choose(id) {
  chosen = id;
  history.replaceState(null, "", "#" + id);
  drawList();
  drawMessage();
  if (!$("list").offsetParent) $("message").focus(); // on a small screen the message takes the list's place
}

function close() {
  const last = chosen;
  chosen = null;
  history.replaceState(null, "", location.pathname);
  drawList();
  drawMessage();
  const row = $("list").querySelector('[data-id="' + CSS.escape(last) + '"]') || $("list").querySelector("button") || $("filter");
  row.focus();
}

function drawMessage() {
  const m = messages.find((one) => one.id === chosen);
  document.body.classList.toggle("reading", Boolean(m));
  $("hint").hidden = Boolean(m) || messages.length === 0;
  $("shown").hidden = !m;
  if (!m) {
    $("html").removeAttribute("src");
    return;
  }
  $("subject").textContent = m.subject || names[m.channel] || m.channel;
  $("to").textContent = address(m);
  $("when").textContent = new Date(m.created_at).toLocaleString();
  $("kind").textContent = m.kind + " · " + m.locale;
  $("codebox").hidden = !m.code;
  $("code").textContent = m.code;
  const safe = /^https?:\/\//i.test(m.link);
  $("linkbox").hidden = !safe;
  if (safe) $("link").href = m.link;
  else $("link").removeAttribute("href");
  $("text").textContent = m.text;
  const html = Boolean(m.html) && form === "html";
  $("tabs").hidden = !m.html;
  for (const [tab, on] of [["tab-html", html], ["tab-text", !html]]) {
    $(tab).setAttribute("aria-selected", String(on));
    $(tab).tabIndex = on ? 0 : -1; // one stop for the Tab key, arrows between the two
  }
  $("html").hidden = !html;
  $("text").hidden = html;
  const source = api + "/messages/" + encodeURIComponent(m.id) + "/html";
  if (html && $("html").getAttribute("src") !== source) $("html").setAttribute("src", source);
}

function copy(button, text) {
  const label = button.textContent;
  navigator.clipboard.writeText(text).then(() => {
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = label; }, 1200);
  }, () => {});
}

const current = () => messages.find((m) => m.id === chosen);

$("filter").addEventListener("input", drawList);
$("back").addEventListener("click", close);
for (const name of ["html", "text"]) $("tab-" + name).addEventListener("click", () => { form = name; drawMessage(); });
$("tabs").addEventListener("keydown", (e) => {
  const next = { ArrowLeft: "html", Home: "html", ArrowRight: "text", End: "text" }[e.key];
  if (!next) return;
  e.preventDefault();
  form = next;
  drawMessage();
  $("tab-" + next).focus();
});
$("copy").addEventListener("click", (e) => copy(e.currentTarget, current().code));
$("copylink").addEventListener("click", (e) => copy(e.currentTarget, current().link));
$("delete").addEventListener("click", async () => {
  await fetch(api + "/messages/" + encodeURIComponent(chosen), { method: "DELETE" });
  messages = messages.filter((m) => m.id !== chosen);
  close();
});
$("clear").addEventListener("click", async () => {
  await fetch(api + "/messages", { method: "DELETE" });
  load();
});

chosen = location.hash.slice(1) || null;
load();
const events = new EventSource(api + "/events");
events.addEventListener("change", load);
events.addEventListener("error", () => say("The server does not answer; trying again."));

/** The shop's page: it shows the events of the stream. */

const { sse, user, ordersUrl, steps: stepNames } = document.body.dataset;
const { connect } = await import(`${sse}/client.js`);

const STEPS = stepNames.split(" ");
const WORDS = {
  connecting: "Connecting",
  open: "Live",
  waiting: "Reconnecting",
  closed: "Offline",
};
const TOAST_MS = 7000;
const TOASTS_KEPT = 4;
/** The style of an announcement, by its priority. */
const TONES = { low: "low", medium: "normal", high: "urgent" };
const MESSAGES_KEPT = 60;
const COUNT_MS = 20000;
const COUNT_AGAIN_MS = 500;
/** An order under way is loaded again when nothing was heard of it for so long. */
const SILENCE_MS = 5000;

const byId = (id) => document.getElementById(id);
const copyOf = (id) => byId(id).content.firstElementChild.cloneNode(true);

/** Set text and never markup, because users' input is not to be trusted. */
function fill(row, texts) {
  for (const [selector, text] of Object.entries(texts)) {
    row.querySelector(selector).textContent = text;
  }
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** The JSON at an address; null if there is none just now. */
async function get(url) {
  try {
    const response = await fetch(url, { cache: "no-store" });
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}

/**
 * Send a form's fields. Returns the answer; throws an Error with text for the user.
 * Requests run one at a time, because each answer replaces the session cookie.
 */
let lastPost = Promise.resolve();
function post(url, fields) {
  const answer = lastPost.then(async () => {
    let response;
    try {
      response = await fetch(url, { method: "POST", body: new URLSearchParams(fields) });
    } catch {
      throw new Error("The shop cannot be reached. Try again in a moment.");
    }
    const body = await response.json().catch(() => ({}));
    if (!response.ok) throw new Error(body.error ?? `Refused (${response.status}).`);
    return body;
  });
  lastPost = answer.catch(() => {});
  return answer;
}

/**
 * The form's fields. The named ones are cleared at once, because the user may type the
 * next text before the answer arrives. `restore` refills those that are still empty.
 */
function takeFields(form, ...emptied) {
  const fields = Object.fromEntries(new FormData(form));
  for (const name of emptied) form.elements[name].value = "";
  const restore = () => {
    for (const name of emptied) form.elements[name].value ||= fields[name];
  };
  return { fields, restore };
}

/* Toasts */

/** The last element outside the toasts that had the focus. */
let place = null;
document.addEventListener("focusin", ({ target }) => {
  if (!byId("toasts").contains(target)) place = target;
});

/** Remove a toast. If it has the focus, that moves to the next one, or back. */
function dismiss(row) {
  const hasFocus = row.matches(":focus-within");
  const buttons = [...byId("toasts").querySelectorAll(".close")];
  const index = buttons.indexOf(row.querySelector(".close"));
  row.remove();
  if (!hasFocus) return;
  const after = buttons.slice(index + 1);
  const before = buttons.slice(0, index).reverse();
  for (const element of [...after, ...before, place, document.querySelector("main")]) {
    // A hidden element does not take it.
    element?.focus({ preventScroll: true });
    if (element && element === document.activeElement) return;
  }
}

function toast({ title, text, tone = "normal", tag = "" }) {
  const row = copyOf("toast-template");
  row.dataset.tone = tone;
  fill(row, { ".toast-title": title, ".toast-text": text, ".tag": tag });
  row.querySelector(".tag").hidden = !tag;
  row.querySelector(".toast-text").hidden = !text;
  row.querySelector(".close").addEventListener("click", () => dismiss(row));
  if (tone !== "urgent") {
    let timer = setTimeout(dismiss, TOAST_MS, row);
    const pause = () => clearTimeout(timer);
    const resume = () => {
      pause();
      if (!row.matches(":focus-within")) timer = setTimeout(dismiss, TOAST_MS / 2, row);
    };
    row.addEventListener("pointerenter", pause);
    row.addEventListener("focusin", pause);
    row.addEventListener("pointerleave", resume);
    row.addEventListener("focusout", resume);
  }
  const region = byId(tone === "urgent" ? "toasts-urgent" : "toasts-polite");
  region.append(row);
  if (region.childElementCount > TOASTS_KEPT) {
    region.querySelector(".toast:not(:focus-within)").remove();
  }
}

/* Orders */

const orders = new Map();

/** Show a new order or the new state of one. Its step never goes back. */
function showOrder(news) {
  const known = orders.get(news.orderId);
  if (known && news.step < known.order.step) return;
  const row = known?.row ?? copyOf("order-template");
  const order = { ...known?.order, ...news };
  orders.set(order.orderId, { order, row });
  if (!known) byId("orders").prepend(row);
  byId("no-orders").hidden = true;
  document.body.classList.add("has-orders");

  row.dataset.order = order.orderId;
  row.dataset.status = order.status;
  const title = order.item ?? `Order ${order.orderId.slice(0, 6)}`;
  fill(row, {
    ".order-item": title,
    ".order-status": capital(order.status),
    ".order-message": order.message,
    ".order-step": `${order.step}/${order.totalSteps}`,
  });
  const bar = row.querySelector(".bar");
  bar.setAttribute("aria-label", title);
  bar.setAttribute("aria-valuenow", order.step);
  bar.setAttribute("aria-valuemax", order.totalSteps);
  bar.setAttribute("aria-valuetext", `${order.status}, ${order.message}`);
  bar.style.setProperty("--done", order.step / order.totalSteps);
  bar.style.setProperty("--steps", order.totalSteps);
  expectSteps();
}

/**
 * A server that ends takes along the steps it had still to send. An order without its
 * item was placed in another browser, and its state cannot be loaded.
 */
let silence = null;
function expectSteps() {
  clearTimeout(silence);
  const isUnderWay = ({ order }) => order.item && order.step < order.totalSteps;
  if ([...orders.values()].some(isUnderWay)) {
    silence = setTimeout(loadOrders, SILENCE_MS);
  }
}

async function loadOrders() {
  if (!user) return;
  const current = await get(ordersUrl);
  current?.forEach(showOrder);
  if (!current) expectSteps();
}

async function placeOrder(button) {
  if (!user) {
    byId("user").focus();
    byId("login").scrollIntoView({ block: "center" });
    toast({ title: "Log in first", text: "Any name will do." });
    return;
  }
  // A button that is disabled would lose the focus.
  if (button.ariaDisabled === "true") return;
  button.ariaDisabled = "true";
  try {
    const order = await post(ordersUrl, { item: button.dataset.item });
    // The first event may arrive before the answer.
    const known = orders.get(order.orderId)?.order;
    showOrder(known ? { ...known, item: order.item } : order);
    button.textContent = "Ordered";
    setTimeout(() => (button.textContent = "Order"), 1600);
  } catch (error) {
    toast({ title: "Not ordered", text: error.message, tone: "urgent" });
  }
  button.ariaDisabled = "false";
}

/* Chat */

const CHAT_KEY = `chat:${user}`;
const messages = JSON.parse(sessionStorage.getItem(CHAT_KEY) ?? "[]");

function showMessage(message) {
  const list = byId("messages");
  const row = copyOf("message-template");
  row.classList.toggle("mine", message.mine);
  fill(row, {
    ".message-who": message.mine ? `to ${message.who}` : message.who,
    ".message-text": message.text,
    ".message-time": new Date(message.time).toLocaleTimeString([], {
      hour: "2-digit",
      minute: "2-digit",
    }),
  });
  list.append(row);
  list.hidden = false;
  list.scrollTop = list.scrollHeight;
  byId("no-messages").hidden = true;
}

function addMessage(message) {
  if (messages.some((known) => known.id === message.id)) return;
  messages.push(message);
  messages.splice(0, messages.length - MESSAGES_KEPT);
  sessionStorage.setItem(CHAT_KEY, JSON.stringify(messages));
  showMessage(message);
}

async function sendMessage(form) {
  const { fields, restore } = takeFields(form, "message");
  const note = byId("chat-note");
  try {
    const answer = await post(form.action, fields);
    if (fields.to.trim() !== user) {
      addMessage({
        id: answer.messageId,
        mine: true,
        who: fields.to.trim(),
        text: fields.message.trim(),
        time: Date.now(),
      });
    }
    note.textContent =
      answer.connected === false
        ? `${fields.to.trim()} is not here now; the message waits for them.`
        : "";
  } catch (error) {
    restore();
    note.textContent = error.message;
  }
}

/* Announcements */

async function announce(form) {
  const { fields, restore } = takeFields(form, "title", "content");
  const note = byId("announce-note");
  try {
    await post(form.action, fields);
    note.textContent = "Sent.";
  } catch (error) {
    restore();
    note.textContent = error.message;
  }
}

/* How many are connected */

let nextCount = null;
async function showCount() {
  let again = COUNT_MS;
  if (!document.hidden && push.state === "open") {
    const health = await get(`${sse}/health`);
    const count = health?.connectedClients;
    // Another worker than the one with this page's stream may not know of it yet.
    if (count === 0) again = COUNT_AGAIN_MS;
    byId("count").hidden = !(count > 0) || push.state !== "open";
    byId("count").textContent = `${count} connected`;
  }
  clearTimeout(nextCount);
  nextCount = setTimeout(showCount, again);
}

/* The stream */

const push = connect(`${sse}/stream`);

push.onState((state) => {
  byId("state").dataset.state = state;
  byId("state-word").textContent = WORDS[state];
  if (state === "open") {
    showCount();
    // Events may have been missed, also where there is no gap in the log.
    loadOrders();
  } else {
    byId("count").hidden = true;
  }
});

push.on("order-status", (data) => {
  showOrder(data);
  // It was ordered in another tab, or the answer to the order has not arrived yet.
  lastPost.then(() => {
    if (!orders.get(data.orderId).order.item) loadOrders();
  });
  if (data.step === data.totalSteps) {
    const { item } = orders.get(data.orderId).order;
    toast({ title: item ?? "Your order", text: data.message, tone: "success" });
  }
});

push.on("chat-message", (data) => {
  addMessage({
    id: data.messageId,
    mine: false,
    who: data.senderId,
    text: data.message,
    time: data.timestamp,
  });
  if (byId("to").value === "") byId("to").value = data.senderId;
});

push.on("announcement", (data) => {
  const { title, content: text, priority: tag } = data;
  toast({ title, text, tone: TONES[tag], tag });
});

for (const name of ["notification", "user-notification"]) {
  push.on(name, (data) => {
    toast({ title: data.title ?? "For you", text: data.message, tone: data.type });
  });
}

// The missed events will not arrive any more: load the current state.
push.on("sse-push-gap", async () => {
  await loadOrders();
  toast({
    title: "You were away for a while",
    text: "Some news may have passed you by. Your orders are up to date.",
    tone: "low",
  });
});

for (const button of document.querySelectorAll("button.order")) {
  button.addEventListener("click", () => placeOrder(button));
}
for (const [id, send] of [["chat", sendMessage], ["announce", announce]]) {
  byId(id)?.addEventListener("submit", (event) => {
    event.preventDefault();
    send(event.target);
  });
}
if (user) messages.forEach(showMessage);
// The page shows its orders even if no stream can be opened.
await loadOrders();
document.body.dataset.ready = "yes";

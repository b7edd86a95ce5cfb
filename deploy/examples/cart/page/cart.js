// The page of the cart. No framework, nothing from elsewhere.
//
// A change is sent until it is answered, one at a time. An add carries a tag (this device's name and
// a number), so that sending it again cannot add it twice; a removal names the adds that this page
// showed, so that what somebody adds at the same moment stays.

"use strict";

const SEARCH_AFTER_MS = 180;
const CART_EVERY_MS = 3000;
const NODES_EVERY_MS = 2500;
const ATTEMPTS = 6;
const DEVICES_KEPT = 8; // pages of one browser on one cart that keep their name over a reload

const byId = (id) => document.getElementById(id);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function hex(bytes) {
  return [...crypto.getRandomValues(new Uint8Array(bytes))]
    .map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// element("li", {class: "new"}, "text", child): a node with attributes and children.
function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

// ----------------------------------------------------------------------------- talking to the cart

class RequestFailed extends Error {
  constructor(message, code, mayRetry) {
    super(message);
    this.code = code;
    this.mayRetry = mayRetry;
  }
}

async function request(path, body) {
  let response;
  try {
    response = await fetch(path, body === undefined ? {} : {
      method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body),
    });
  } catch {
    throw new RequestFailed("The cart's backend cannot be reached.", "unreachable", true);
  }
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  const error = answer.error ?? {code: "http", message: `The backend said ${response.status}.`};
  const failed = new RequestFailed(error.message, error.code, response.status >= 500);
  failed.retryAfterMs = 1000 * Number(response.headers.get("Retry-After") ?? 0);
  throw failed;
}

// Sends until it is answered, waiting longer from time to time; `onRetry` is told of each failure.
async function insist(path, body, onRetry) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await request(path, body);
    } catch (error) {
      if (!error.mayRetry || attempt === ATTEMPTS) throw error;
      onRetry(error);
      await pause(Math.max(error.retryAfterMs ?? 0, Math.random() * 200 * 2 ** attempt));
    }
  }
}

// ------------------------------------------------------------------------------------- this device

const cartId = (() => {
  const named = /^#([A-Za-z0-9_-]{1,64})$/.exec(location.hash);
  const id = named ? named[1] : localStorage.getItem("gyre.cart") ?? hex(8);
  localStorage.setItem("gyre.cart", id);
  history.replaceState(null, "", `#${id}`);
  return id;
})();
window.addEventListener("hashchange", () => location.reload());

// The name under which this page adds, and its last number. Two pages must never share one, so a
// page keeps a lock on the name that it found; without locks, or when all are taken, it is new.
class Device {
  constructor(slot) {
    this.slot = slot;
    const kept = slot && JSON.parse(localStorage.getItem(slot) ?? "null");
    this.name = kept?.name ?? hex(8);
    this.number = kept?.number ?? 0;
  }

  static async claim() {
    for (let index = 0; navigator.locks && index < DEVICES_KEPT; index++) {
      const slot = `gyre.device.${cartId}.${index}`;
      const mine = await new Promise((resolve) => {
        navigator.locks.request(slot, {ifAvailable: true}, (lock) => {
          resolve(lock !== null);
          return lock && new Promise(() => {}); // held as long as the page lives
        });
      });
      if (mine) return new Device(slot);
    }
    return new Device(null);
  }

  nextTag() {
    this.number++;
    this.keep();
    return `${this.name}:${this.number}`;
  }

  // After the count was lost (the page was closed in the middle of an add that never arrived).
  renew() {
    this.name = hex(8);
    this.number = 0;
    this.keep();
  }

  keep() {
    if (this.slot) {
      localStorage.setItem(this.slot, JSON.stringify({name: this.name, number: this.number}));
    }
  }
}

const claimed = Device.claim();

// ------------------------------------------------------------------------------------------- cart

let changes = Promise.resolve(); // one after the other
let waiting = 0;
let shown = new Map(); // package -> quantity, as on the page

function change(what, path, makeBody) {
  waiting++;
  changes = changes.then(async () => {
    const device = await claimed;
    let body = makeBody(device);
    for (;;) {
      try {
        const cart = await insist(path, body, () => showTrouble(`${what}: trying again …`));
        hideTrouble();
        if (waiting === 1) showCart(cart);
        showAnswers(what, cart.answers);
        byId("said").textContent = `${what}: done. ${cart.quantity} in the cart.`;
        return;
      } catch (error) {
        if (error.code === "out_of_step") {
          device.renew();
          body = makeBody(device);
        } else if (!await offerAgain(what, error)) {
          return;
        }
      }
    }
  }).finally(() => waiting--);
  return changes;
}

function addToCart(name) {
  const path = `api/cart/${cartId}/add`;
  return change(`Add ${name}`, path,
    (device) => ({package: name, quantity: 1, tag: device.nextTag()}));
}

function removeFromCart(name, tags) {
  return change(`Remove ${name}`, `api/cart/${cartId}/remove`, () => ({package: name, tags}));
}

function showCart(cart) {
  const inCart = byId("lines");
  const focused = document.activeElement?.dataset?.key;
  inCart.replaceChildren(...cart.lines.map((line) => {
    const arrived = (shown.get(line.package) ?? 0) < line.quantity;
    return element("li", {class: arrived ? "new" : null},
      element("button", {class: "name", type: "button", onclick: () => showDetails(line.package)},
        line.package),
      element("span", {class: "times"},
        element("span", {class: "visually-hidden"}, "Quantity "), `× ${line.quantity}`),
      element("span", {class: "acts"},
        element("button", {class: "quiet", type: "button", "data-key": `more ${line.package}`,
          "aria-label": `One more ${line.package}`, onclick: () => addToCart(line.package)}, "+1"),
        element("button", {class: "quiet", type: "button", "data-key": `less ${line.package}`,
          "aria-label": `Remove ${line.package} from the cart`,
          onclick: () => removeFromCart(line.package, line.tags)}, "Remove")));
  }));
  shown = new Map(cart.lines.map((line) => [line.package, line.quantity]));
  byId("empty").textContent = "Nothing in it yet. Search for a package and add it.";
  byId("empty").hidden = cart.lines.length > 0;
  byId("count").textContent = cart.quantity;
  byId("count").setAttribute("aria-label", `${cart.quantity} in the cart`);
  if (focused) {
    const again = inCart.querySelector(`[data-key="${CSS.escape(focused)}"]`);
    (again ?? byId("search")).focus();
  }
}

let lastRead = "";

async function refreshCart() {
  if (waiting > 0 || document.hidden) return;
  try {
    const cart = await request(`api/cart/${cartId}`);
    if (waiting > 0) return; // a change made meanwhile knows better
    const now = JSON.stringify(cart.lines);
    if (now !== lastRead) showCart(cart);
    lastRead = now;
    if (!byId("answers").hasChildNodes()) showAnswers("Read the cart", cart.answers);
  } catch {
    byId("empty").textContent = "The cart cannot be read right now. Trying again …";
  }
}

// Resolves to whether to send it again.
function offerAgain(what, error) {
  return new Promise((resolve) => {
    const close = (again) => {
      hideTrouble();
      resolve(again);
    };
    showTrouble(`${what} failed: ${error.message}`, error.mayRetry
      ? element("button", {class: "quiet", type: "button", onclick: () => close(true)}, "Try again")
      : element("button", {class: "quiet", type: "button", onclick: hideTrouble}, "Dismiss"));
    if (!error.mayRetry) resolve(false);
  });
}

function showTrouble(text, button = null) {
  const said = byId("trouble").firstChild?.textContent;
  if (said !== text || button) {
    byId("trouble").replaceChildren(element("span", {}, text), ...(button ? [button] : []));
  }
  byId("trouble").hidden = false;
}

function hideTrouble() {
  byId("trouble").hidden = true;
}

// -------------------------------------------------------------------------------------- catalogue

let searches = 0;

async function search() {
  const query = byId("search").value.trim();
  const turn = ++searches;
  if (query === "") {
    byId("results").replaceChildren();
    byId("found").textContent = await catalogueSize();
    return;
  }
  try {
    const found = await request(`api/search?q=${encodeURIComponent(query)}`);
    if (turn !== searches) return; // a later search is on its way
    byId("results").replaceChildren(...found.packages.map(resultRow));
    const more = found.total > found.packages.length;
    byId("found").textContent = found.total === 0
      ? `No package of ${found.indexed.toLocaleString("en")} has “${query}” in its name.`
      : `${found.total.toLocaleString("en")} found${more
        ? `; the first ${found.packages.length} are shown` : ""}.`;
  } catch (error) {
    if (turn === searches) byId("found").textContent = `${error.message} Trying again …`;
    await pause(1500);
    if (turn === searches) search();
  }
}

function resultRow(found) {
  const facts = element("p", {class: "facts"});
  if (found.version) facts.append(element("span", {class: "version"}, found.version));
  if (found.section) facts.append(` · ${found.section}`);
  return element("li", {},
    element("div", {},
      element("button", {class: "name", type: "button",
        onclick: () => showDetails(found.package)}, found.package),
      found.summary ? element("p", {class: "what"}, found.summary) : null,
      facts.hasChildNodes() ? facts : null),
    element("button", {class: "add", type: "button", "aria-label": `Add ${found.package} to the cart`,
      onclick: () => addToCart(found.package)}, "Add"));
}

async function catalogueSize() {
  try {
    const status = await request("api/status");
    const packages = status.index.packages;
    return packages ? `${packages.toLocaleString("en")} packages to search.`
      : "The catalogue is empty: nothing has been loaded yet.";
  } catch {
    return "";
  }
}

async function showDetails(name) {
  try {
    const found = await request(`api/package/${encodeURIComponent(name)}`);
    const {Package: _, Description: description = "", ...fields} = found.fields;
    const [summary, ...rest] = description.split("\n");
    byId("details-title").textContent = name;
    byId("details-summary").textContent = summary;
    const text = rest.map((line) => line === "." ? "" : line).join("\n");
    const rows = [...(text ? [["Description", text]] : []), ...Object.entries(fields)];
    byId("details-fields").replaceChildren(...rows.flatMap(([key, value]) =>
      [element("dt", {}, key), element("dd", {}, value)]));
    byId("details").showModal();
    showAnswers(`Look up ${name}`, found.answers);
  } catch (error) {
    byId("found").textContent = error.message;
  }
}

// ------------------------------------------------------------------------------------ who answered

const PARTS = {
  coordinator: ["", "coordinated"],
  answered: ["", "answered"],
  repaired: ["repaired", "was behind; brought up to date"],
  no_answer: ["idle", "no answer yet when the reply left"],
  unreachable: ["missing", "cannot be reached"],
  refused: ["missing", "answered with an error"],
  not_asked: ["idle", "not asked: enough others were"],
};

function showAnswers(what, answers) {
  byId("asked").textContent = what;
  byId("answers").replaceChildren(...answers.map((answer) => {
    const slowest = Math.max(1, ...answer.replicas.map((replica) => replica.micros));
    return element("div", {class: "answer"},
      element("h3", {}, answer.operation === "read" ? "Read" : "Write",
        element("span", {}, `${answer.answered} of ${answer.replicas.length} answered, ` +
          `${answer.needed} needed`)),
      ...answer.replicas.map((replica) => replicaRow(replica, slowest)),
      element("p", {class: "foot"}, `served by ${answer.served_by}` +
        (answer.attempts > 1 ? ` at attempt ${answer.attempts}` : "") +
        `, epoch ${answer.epoch}` + (answer.repair_sent ? ", repair sent" : "")));
  }));
}

function replicaRow(replica, slowest) {
  const [kind, text] = PARTS[replica.part] ?? ["idle", replica.part];
  const fill = element("span");
  const timed = kind === "" || kind === "repaired";
  fill.style.width = timed ? `${Math.max(4, 100 * replica.micros / slowest)}%` : "0";
  return element("div", {class: `replica ${kind}`},
    element("span", {class: "who"}, replica.node),
    element("span", {class: "part"}, text),
    element("span", {class: "took"}, timed ? milliseconds(replica.micros) : "–"),
    element("span", {class: "bar", "aria-hidden": "true"}, fill));
}

function milliseconds(micros) {
  return micros === 0 ? "at once" : `${(micros / 1000).toFixed(micros < 10000 ? 2 : 0)} ms`;
}

async function showNodes() {
  if (document.hidden) return;
  try {
    const status = await request("api/status");
    byId("nodes").replaceChildren(...status.nodes.map((node) => {
      const state = !node.reachable ? "away" : node.state === "serving" ? "" : "busy";
      const text = node.reachable ? node.state : "away";
      const title = node.reachable ? `${node.address}, epoch ${node.epoch}` : node.address;
      return element("li", {class: state, title}, `${node.node} ${text}`);
    }));
  } catch {
    byId("nodes").replaceChildren(element("li", {class: "away"}, "backend away"));
  }
}

// ------------------------------------------------------------------------------------------ start

async function copyLink() {
  const button = byId("share");
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(location.href);
    button.textContent = "Copied";
  } catch {
    button.textContent = "The link is in the address bar";
  }
  await pause(2000);
  button.textContent = before;
}

function start() {
  let typed = 0;
  byId("search").addEventListener("input", () => {
    clearTimeout(typed);
    typed = setTimeout(search, SEARCH_AFTER_MS);
  });
  byId("search-form").addEventListener("submit", (event) => {
    event.preventDefault();
    search();
  });
  byId("share").addEventListener("click", copyLink);
  byId("fresh").addEventListener("click", () => { location.hash = hex(8); });
  byId("details-close").addEventListener("click", () => byId("details").close());
  byId("details").addEventListener("click", (event) => {
    if (event.target === byId("details")) byId("details").close();
  });
  const asked = new URLSearchParams(location.search).get("q");
  if (asked) byId("search").value = asked;
  search();
  showNodes();
  refreshCart();
  setInterval(refreshCart, CART_EVERY_MS);
  setInterval(showNodes, NODES_EVERY_MS);
}

start();

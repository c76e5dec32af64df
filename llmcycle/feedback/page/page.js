"use strict";
// One page for three tasks. Whatever people or models wrote goes through `textContent`, never through markup.
const $ = (id) => document.getElementById(id);
const TASKS = {
  choice: { question: "Which answer is better?", names: ["First", "Second"] },
  rating: { question: "How good is this answer?", names: ["Answer"] },
  edit: { question: "What would you have written?", names: ["Answer"] },
};
let state = null;
let busy = false;
let shownAt = 0;

// Marks that turn the direction of writing would show an answer other than it is, so their codes are shown.
const plain = (text) => text.replace(/[\u202a-\u202e\u2066-\u2069]/g, (mark) => `\\u${mark.charCodeAt(0).toString(16)}`);

function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

async function ask(path, body) {
  if (busy) return;
  busy = true;
  buttons(true);
  try {
    const answer = await fetch(path, body === undefined ? {} : {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    });
    if (answer.status === 401) { location.assign("/login"); return; }
    const content = await answer.json();
    if (!answer.ok) throw new Error(content.error);
    show(content);
  } catch (problem) {
    fail(problem instanceof TypeError ? "Not saved: the server does not answer. Try again." : problem.message);
  } finally {
    busy = false;
    buttons(false);
  }
}

function fail(message) {
  $("error").textContent = message;
  $("error").hidden = false;
}

function buttons(disabled) {
  for (const button of $("controls").children) button.disabled = disabled;
}

function label(answer) {
  if (!state || !state.item) return;
  const seconds = Math.min(86400, Math.max(0, (performance.now() - shownAt) / 1000));
  ask("/api/label", { item: state.item.id, answer, seconds });
}

const undo = () => { if (state && state.done) ask("/api/undo", {}); };
const write = () => label($("text").value);

// What can be done, as [keys, name, action, value]: the same list makes the buttons, the keyboard and the line of help.
function actions() {
  const last = [["s"], "Skip", () => label(null)];
  const back = [["u"], "Undo", undo];
  if (!state.item) return state.done ? [back] : [];
  if (state.task === "choice") {
    return [
      [["1", "ArrowLeft"], "First", () => label(0), 0], [["0", "ArrowDown"], "Tie", () => label("tie"), "tie"],
      [["2", "ArrowRight"], "Second", () => label(1), 1], last, back,
    ];
  }
  if (state.task === "rating") {
    const stars = Array.from({ length: state.stars }, (_, place) => place + 1);
    return [...stars.map((n) => [[String(n)], n === 1 ? "worst" : n === state.stars ? "best" : "", () => label(n), n]),
      last, back];
  }
  return [[["Enter"], "Save", write], last, back];
}

const SIGNS = { ArrowLeft: "←", ArrowRight: "→", ArrowDown: "↓", Enter: "Ctrl Enter" };
const sign = (key) => SIGNS[key] || key;

function show(content) {
  state = content;
  $("error").hidden = true;
  $("annotator").textContent = state.annotator;
  $("count").textContent = `${state.done} of ${state.total}`;
  $("progress").max = state.total || 1;
  $("progress").value = state.done;
  $("item").hidden = !state.item;
  $("end").hidden = Boolean(state.item);
  $("text").hidden = !state.item || state.task !== "edit";
  if (state.item) showItem(state.item, TASKS[state.task]);
  showControls();
  shownAt = performance.now();
}

function showItem(item, task) {
  $("question").textContent = task.question;
  $("prompt").replaceChildren(...item.prompt.map((turn) => {
    const box = element("div", "turn", plain(turn.content));
    if (item.prompt.length > 1) box.prepend(element("span", "role", turn.role));
    return box;
  }));
  $("answers").replaceChildren(...item.answers.map((text, place) => {
    const box = element("div", "answer", "");
    box.append(element("h3", "", task.names[place]), element("pre", "", plain(text)));
    return box;
  }));
  $("text").value = state.task === "edit" ? item.before ?? item.answers[0] : "";
  if (state.task === "edit") $("text").focus({ preventScroll: true });
  scrollTo(0, 0);
}

function showControls() {
  const before = state.item ? state.item.before : null;
  const list = actions();
  $("controls").replaceChildren(...list.map(([keys, name, action, value]) => {
    const main = value !== undefined || name === "Save";
    const button = element("button", (main ? "primary" : "") + (before !== null && before === value ? " before" : ""), "");
    button.type = "button";
    button.append(element("kbd", "", sign(keys[0])), name ? ` ${name}` : "");
    button.addEventListener("click", action);
    button.disabled = name === "Undo" && !state.done;
    return button;
  }));
  const leave = state.item && state.task === "edit" ? "Esc leaves the text, Enter goes back to it; then " : "";
  $("keys").textContent = leave + list.map(([keys, name]) => `${keys.map(sign).join(" or ")} ${name}`.trim()).join(" · ");
}

document.addEventListener("keydown", (event) => {
  if (!state || event.altKey || event.metaKey || event.isComposing) return;
  const writing = document.activeElement === $("text");
  if (event.key === "Enter" && state.item && state.task === "edit") {
    if (event.ctrlKey) { event.preventDefault(); write(); return; }
    if (!writing && document.activeElement === document.body) { event.preventDefault(); $("text").focus(); }
    return;
  }
  if (writing) { if (event.key === "Escape") $("text").blur(); return; }
  if (event.ctrlKey || event.repeat) return;
  const action = actions().find(([keys]) => keys.includes(event.key));
  if (action) { event.preventDefault(); action[2](); }
});

ask("/api/state");

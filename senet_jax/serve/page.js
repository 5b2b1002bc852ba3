"use strict";
// The state of the page is its address: ?photo=ID&box=x1,y1,x2,y2&rerank=1&item=ID. What a person
// does changes the address, and show() makes the page what the address says. Names come from files,
// and go into the page as text alone.

const at = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const PAGE = 48;
let photograph = null; // What is asked about: {id, name, width, height, in_index}.
let box = null; // [x1, y1, x2, y2] in pixels of the photograph, or null for the whole.
let searched = null; // The address of the search whose results are shown.
let results = [];
let picked = 0; // The first photograph of the index in the picker.
let turn = 0; // Counts what was asked for: an answer that comes late is dropped.

async function ask(path, options) {
  const response = await fetch(path, options);
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  const detail = answer.detail;
  throw new Error(typeof detail === "string" ? detail : `the server answers ${response.status}`);
}

function say(text, kind = "") {
  at("said").textContent = text;
  at("said").className = kind;
  document.body.classList.toggle("busy", kind === "busy");
}

const fail = (error) => say(error.message, "wrong");
const picture = (id, size) => `api/photographs/${id}/${size}.jpg`;

function read() {
  const given = new URLSearchParams(location.search);
  return {
    photo: given.get("photo"),
    box: given.get("box"),
    rerank: given.get("rerank") === "1",
    item: given.get("item"),
  };
}

function go(state) {
  const given = new URLSearchParams();
  if (state.photo) given.set("photo", state.photo);
  if (state.box) given.set("box", state.box);
  if (state.rerank) given.set("rerank", "1");
  if (state.item) given.set("item", state.item);
  const address = given.size ? `?${given}` : location.pathname;
  if (address !== location.search) history.pushState(null, "", address);
  show();
}

function question(state) {
  const asked = new URLSearchParams({ photograph: state.photo });
  if (state.box) asked.set("box", state.box);
  return asked;
}

async function show() {
  const mine = ++turn;
  const isLate = () => mine !== turn;
  const state = read();
  at("rerank").checked = state.rerank;
  try {
    if (!state.photo) return empty();
    if (photograph?.id !== state.photo) {
      const found = await ask(`api/photographs/${encodeURIComponent(state.photo)}`);
      if (isLate()) return;
      photograph = found;
      searched = null;
      at("photograph").src = picture(photograph.id, "large");
    }
    at("asked").hidden = false;
    at("stage-label").textContent = photograph.name;
    at("photograph").alt = `The photograph ${photograph.name}`;
    setBox(state.box ? state.box.split(",").map(Number) : null);
    await showResults(state, isLate);
    if (!isLate()) await showItem(state, isLate);
  } catch (error) {
    if (!isLate()) fail(error);
  }
}

function empty() {
  photograph = searched = null;
  results = [];
  at("asked").hidden = at("compared").hidden = true;
  at("none").hidden = false;
  at("found").replaceChildren();
  document.title = "Search photographs";
  say("");
}

// The results.

async function showResults(state, isLate) {
  const asked = question(state);
  if (state.rerank) asked.set("rerank", "true");
  const key = String(asked);
  if (searched === key) return;
  say(state.rerank ? "Searching and re-ranking; the first time this takes longer." : "Searching.", "busy");
  const answer = await ask(`api/search?${asked}`);
  if (isLate()) return;
  searched = key;
  results = answer.results;
  at("none").hidden = results.length > 0;
  at("found").replaceChildren(...results.map(tileOfResult));
  document.title = `${photograph.name}: search photographs`;
  const seconds = Object.values(answer.seconds).reduce((sum, part) => sum + part, 0);
  say(`${results.length} photographs found in ${seconds.toFixed(1)} s.`);
}

function tile(id, name, lines, act) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  const image = document.createElement("img");
  image.loading = "lazy";
  image.alt = "";
  image.src = picture(id, "small");
  button.append(image, ...lines);
  button.title = name;
  button.addEventListener("click", act);
  item.append(button);
  return item;
}

function line(kind, text) {
  const span = document.createElement("span");
  span.className = kind;
  span.textContent = text;
  return span;
}

function tileOfResult(result) {
  const moved =
    result.rank_before === null || result.rank_before === result.rank
      ? ""
      : `, was ${result.rank_before}`;
  const lines = [
    line("score", `${result.rank}. ${result.score.toFixed(3)}${moved}`),
    line("file", result.name),
  ];
  const made = tile(result.id, result.name, lines, () => go({ ...read(), item: result.id }));
  made.firstChild.dataset.id = result.id;
  return made;
}

// The box.

const FIELDS = ["x1", "y1", "x2", "y2"];

// Four sides in whole pixels of the photograph, in order; null where they are no box.
function within(sides) {
  if (sides?.length !== 4 || !sides.every(Number.isFinite)) return null;
  const { width, height } = photograph;
  const [x1, y1, x2, y2] = sides.map((side, index) =>
    Math.round(Math.min(Math.max(side, 0), index % 2 ? height : width)),
  );
  if (x1 === x2 || y1 === y2) return null;
  return [Math.min(x1, x2), Math.min(y1, y2), Math.max(x1, x2), Math.max(y1, y2)];
}

function setBox(sides) {
  const { width, height } = photograph;
  box = within(sides);
  FIELDS.forEach((field, index) => {
    at(field).value = box ? box[index] : "";
    at(field).max = index % 2 ? height : width;
  });
  at("box").hidden = !box;
  at("whole").disabled = !box;
  if (!box) return;
  const style = at("box").style;
  style.left = `${(100 * box[0]) / width}%`;
  style.top = `${(100 * box[1]) / height}%`;
  style.width = `${(100 * (box[2] - box[0])) / width}%`;
  style.height = `${(100 * (box[3] - box[1])) / height}%`;
}

function search() {
  go({ photo: photograph.id, box: box?.join(","), rerank: at("rerank").checked });
}

let start = null; // Where a box is being drawn from.

function pixel(event) {
  const frame = at("photograph").getBoundingClientRect();
  return [
    ((event.clientX - frame.left) / frame.width) * photograph.width,
    ((event.clientY - frame.top) / frame.height) * photograph.height,
  ];
}

at("stage").addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  start = pixel(event);
  at("stage").setPointerCapture(event.pointerId);
});
at("stage").addEventListener("pointermove", (event) => {
  if (start) setBox([...start, ...pixel(event)]);
});
at("stage").addEventListener("pointerup", (event) => {
  if (!start) return;
  const [x, y] = pixel(event);
  const least = 0.01 * Math.max(photograph.width, photograph.height);
  const isDrawn = Math.abs(x - start[0]) > least && Math.abs(y - start[1]) > least;
  const drawn = [...start, x, y];
  start = null;
  if (isDrawn) {
    setBox(drawn);
    search();
  } else {
    show(); // A click is no box: what was there stays.
  }
});
at("stage").addEventListener("pointercancel", () => {
  start = null;
  show();
});
at("stage").addEventListener("keydown", (event) => {
  if (event.key === "Enter") search();
  else if (event.key === "Escape") setBox(null);
  else {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (!(event.key in steps) || event.ctrlKey || event.altKey || event.metaKey) return;
    move(...steps[event.key], event.shiftKey);
  }
  event.preventDefault();
});

// Moves the box by a fiftieth of the longer side, or its lower right corner; the first key makes one.
function move(x, y, isCorner) {
  const { width, height } = photograph;
  if (!box) {
    setBox([width / 4, height / 4, (3 * width) / 4, (3 * height) / 4]);
  } else {
    const step = Math.max(1, Math.max(width, height) / 50);
    const [x1, y1, x2, y2] = box;
    if (isCorner) {
      setBox([x1, y1, Math.max(x2 + x * step, x1 + 1), Math.max(y2 + y * step, y1 + 1)]);
    } else {
      const right = Math.min(Math.max(x * step, -x1), width - x2);
      const down = Math.min(Math.max(y * step, -y1), height - y2);
      setBox([x1 + right, y1 + down, x2 + right, y2 + down]);
    }
  }
  say(`Box from ${box[0]}, ${box[1]} to ${box[2]}, ${box[3]}. Enter searches.`);
}

at("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const sides = FIELDS.map((field) => at(field).value);
  const typed = within(sides.map((side) => (side === "" ? NaN : Number(side))));
  if (!typed && sides.some((side) => side !== "")) {
    say("The box needs four numbers: left less than right, top less than bottom.", "wrong");
    return;
  }
  setBox(typed);
  search();
});
at("whole").addEventListener("click", () => {
  setBox(null);
  search();
});
at("rerank").addEventListener("change", search);

// A photograph from outside: chosen, dropped or pasted.

async function give(file) {
  const mine = ++turn;
  say(`Sending ${file.name || "the photograph"}.`, "busy");
  try {
    const known = await ask("api/photographs", { method: "POST", body: file });
    if (mine === turn) go({ photo: known.id, rerank: at("rerank").checked });
  } catch (error) {
    fail(error);
  }
}

function giveFirst(list) {
  const file = [...(list ?? [])].find((one) => one.type.startsWith("image/") || one.type === "");
  if (file) give(file);
  return Boolean(file);
}

at("file").addEventListener("change", () => {
  giveFirst(at("file").files);
  at("file").value = "";
});
document.addEventListener("paste", (event) => giveFirst(event.clipboardData?.files));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dropping");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  if (!giveFirst(event.dataTransfer?.files)) say("That is no photograph.", "wrong");
});

// One of the index.

async function showPicks(from) {
  try {
    const some = await ask(`api/photographs?start=${from}&count=${PAGE}`);
    picked = from;
    at("picks").replaceChildren(
      ...some.photographs.map((one) =>
        tile(one.id, one.name, [line("file", one.name)], () =>
          go({ photo: one.id, rerank: at("rerank").checked }),
        ),
      ),
    );
    at("picks").scrollTop = 0;
    const last = from + some.photographs.length;
    at("picks-where").textContent = `${from + 1} to ${last} of ${some.total}`;
    at("picks-before").disabled = from === 0;
    at("picks-after").disabled = last >= some.total;
  } catch (error) {
    fail(error);
  }
}

at("pick").addEventListener("click", () => {
  const isOpen = at("picker").hidden;
  at("picker").hidden = !isOpen;
  at("pick").setAttribute("aria-expanded", String(isOpen));
  if (isOpen) showPicks(picked);
});
at("picks-before").addEventListener("click", () => showPicks(Math.max(0, picked - PAGE)));
at("picks-after").addEventListener("click", () => showPicks(picked + PAGE));

window.addEventListener("popstate", show);
ask("api/index")
  .then((index) => {
    at("about").textContent =
      `${index.photographs} photographs, described by ${index.network}` +
      (index.trained_on ? `, trained on ${index.trained_on}.` : ".") +
      (index.is_random ? " Its weights are random: nothing is learned in them." : "");
    at("chain").textContent = `(${index.rerank})`;
  })
  .catch(fail);
document.addEventListener("DOMContentLoaded", show); // When compared.js is there as well.

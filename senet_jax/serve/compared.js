"use strict";
// One result beside the query. photograph, box, results and their like are those of page.js.

async function showItem(state, isLate) {
  for (const button of at("found").querySelectorAll("button")) {
    button.setAttribute("aria-current", String(button.dataset.id === state.item));
  }
  const wasHidden = at("compared").hidden;
  at("compared").hidden = !state.item;
  if (!state.item) return;
  const item = await ask(`api/photographs/${encodeURIComponent(state.item)}`);
  if (isLate()) return;
  const result = results.find((one) => one.id === item.id);
  at("compared-heading").textContent = result
    ? `${result.rank}. ${item.name}, similarity ${result.score.toFixed(3)}`
    : item.name;
  if (wasHidden || document.activeElement?.closest("#found")) at("compared-heading").focus();
  if (at("show-similarity").getAttribute("aria-pressed") === "true") drawSimilarity(state);
  else await drawMatches(state, item, isLate);
}

async function drawMatches(state, item, isLate) {
  at("pair").className = "";
  at("pair").replaceChildren();
  at("why").textContent = "Looking for points that both have; the first time this takes longer.";
  const asked = question(state);
  asked.set("item", item.id);
  const found = await ask(`api/matches?${asked}`).catch((error) => ({ error }));
  if (isLate()) return;
  if (found.error) {
    at("why").textContent = found.error.message;
    return;
  }
  const count = found.scores.length;
  at("why").textContent =
    count === 0
      ? "No points of the two match."
      : `${count} points of the two match. On the left your photograph.`;
  at("pair").replaceChildren(pairOf(item, found));
}

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// Both photographs at one height, 1000 units, with lines between the points that match.
function pairOf(item, found) {
  const high = 1000;
  const gap = 30;
  const [one, other] = [photograph, item].map((p) => high / p.height);
  const shift = photograph.width * one + gap;
  const width = shift + item.width * other;
  const unit = width / 400;
  const svg = shape("svg", { viewBox: `0 0 ${width} ${high}`, role: "img" });
  svg.setAttribute("aria-label", `${found.scores.length} points of ${photograph.name} and ${item.name} that match`);
  for (const [p, x, factor] of [[photograph, 0, one], [item, shift, other]]) {
    svg.append(shape("image", { href: picture(p.id, "large"), x, y: 0, width: p.width * factor, height: high }));
  }
  if (box) {
    const [x1, y1, x2, y2] = box.map((side) => side * one);
    svg.append(shape("rect", { class: "part", x: x1, y: y1, width: x2 - x1, height: y2 - y1, "stroke-width": unit }));
  }
  const ends = found.query_points.map(([x, y], index) => {
    const [u, v] = found.item_points[index];
    return { x1: (x + 0.5) * one, y1: (y + 0.5) * one, x2: shift + (u + 0.5) * other, y2: (v + 0.5) * other };
  });
  for (const [kind, thickness] of [["under", 1.6], ["line", 0.7]]) {
    svg.append(...ends.map((end) => shape("line", { class: kind, ...end, "stroke-width": thickness * unit })));
  }
  for (const { x1, y1, x2, y2 } of ends) {
    for (const [cx, cy] of [[x1, y1], [x2, y2]]) {
      svg.append(shape("circle", { class: "point", cx, cy, r: 1.4 * unit, "stroke-width": 0.4 * unit }));
    }
  }
  return svg;
}

function drawSimilarity(state) {
  const asked = question(state);
  asked.set("item", state.item);
  at("pair").className = "two";
  at("why").textContent =
    "Yellow: the network sees something very similar in the other photograph; blue: nothing like it.";
  const images = [["query", "your photograph"], ["item", "the result"]].map(([of, said]) => {
    const image = document.createElement("img");
    image.alt = `Where ${said} is similar to the other`;
    image.src = `api/similarity/${of}.jpg?${asked}`;
    image.addEventListener("error", () => {
      at("why").textContent = "The similarity cannot be drawn.";
    });
    return image;
  });
  at("pair").replaceChildren(...images);
}

for (const name of ["matches", "similarity"]) {
  at(`show-${name}`).addEventListener("click", () => {
    for (const other of ["matches", "similarity"]) {
      at(`show-${other}`).setAttribute("aria-pressed", String(other === name));
    }
    show();
  });
}
at("close").addEventListener("click", () => {
  const { item } = read();
  go({ ...read(), item: null });
  at("found").querySelector(`[data-id="${CSS.escape(item)}"]`)?.focus();
});
at("search-on").addEventListener("click", () => {
  const { item, rerank } = read();
  go({ photo: item, rerank });
  at("stage").focus();
});

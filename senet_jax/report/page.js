"use strict";
// Makes buttons of the headings of sortable tables. Without this the rows stand as they were written.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const falls = heading.getAttribute("aria-sort") === "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", falls ? "descending" : "ascending");
      const body = table.tBodies[0];
      const order = (one, other) =>
        compare(one.cells[column], other.cells[column], falls ? -1 : 1);
      body.append(...[...body.rows].sort(order));
    });
  });
}

// Cells without a number come last in either direction, unless no cell of the two has one.
function compare(one, other, sign) {
  const [a, b] = [one.dataset.value, other.dataset.value];
  if (a === undefined && b === undefined) {
    const options = { numeric: true };
    return sign * one.textContent.localeCompare(other.textContent, undefined, options);
  }
  if (a === undefined || b === undefined) return a === undefined ? 1 : -1;
  return sign * (a - b);
}

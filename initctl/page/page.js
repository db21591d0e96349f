"use strict";

/* Sorts and filters each table. Of a long table, it shows the first rows, and the others on request. Without this script
   the page is complete, and its rows stay in their order. */

const byText = new Intl.Collator("en", { numeric: true }).compare;
const counted = (number) => number.toLocaleString("en");

function compared(rows, column, isNumber, direction) {
  const keys = new Map(rows.map((row) => {
    const text = row.cells[column].textContent;
    return [row, isNumber ? Number.parseFloat(text.replaceAll(",", "")) : text];
  }));
  return (one, other) => {
    const [a, b] = [keys.get(one), keys.get(other)];
    if (!isNumber) return direction * byText(a, b);
    return Number.isNaN(a) - Number.isNaN(b) || direction * (a - b) || 0;
  };
}

/* Whether `text` has all `parts` of a pattern, which are separated by `*`, one after another. */
function matches(text, parts) {
  let from = 0;
  return parts.every((part) => {
    const at = text.indexOf(part, from);
    from = at + part.length;
    return at >= 0;
  });
}

function enliven(table, form, more) {
  const [first, rest] = table.tBodies;
  const limit = first.rows.length;
  const inOrder = [...table.tBodies].flatMap((body) => [...body.rows]);
  const headings = [...table.tHead.rows[0].cells];
  const input = form.querySelector("input");
  const output = form.querySelector("output");
  let rows = inOrder;
  let texts;

  function textOf(row) {
    const cells = [...row.cells].filter((_, column) => ["name", "text", "prose"].includes(headings[column].dataset.kind));
    return cells.map((cell) => cell.textContent).join("\n").toLowerCase();
  }

  function show() {
    texts ??= new Map(inOrder.map((row) => [row, textOf(row)]));
    const parts = input.value.trim().toLowerCase().split("*");
    for (const row of rows) row.hidden = !matches(texts.get(row), parts);
    const found = rows.filter((row) => !row.hidden);
    const sorted = [...found, ...rows.filter((row) => row.hidden)];
    first.replaceChildren(...sorted.slice(0, limit));
    rest?.replaceChildren(...sorted.slice(limit));
    say(found.length);
  }

  function say(count) {
    more.hidden = count <= limit || rest.classList.contains("shown");
    output.value = `${counted(count)} of ${counted(rows.length)} rows`
      + (more.hidden ? "" : `, the first ${counted(limit)} shown`);
  }

  headings.forEach((heading, column) => {
    const { kind } = heading.dataset;
    if (kind === "drawing") return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      const next = { ascending: "descending", descending: "" }[heading.getAttribute("aria-sort")] ?? "ascending";
      headings.forEach((each) => each.removeAttribute("aria-sort"));
      if (next) heading.setAttribute("aria-sort", next);
      const direction = next === "ascending" ? 1 : -1;
      rows = next ? [...inOrder].sort(compared(inOrder, column, kind === "number", direction)) : inOrder;
      show();
    });
  });

  /* Drawings are hidden from screen readers: their numbers are beside them. In the markup, this would be a tenth of the
     page. */
  for (const drawing of table.querySelectorAll("td svg")) drawing.setAttribute("aria-hidden", "true");

  more.addEventListener("click", () => {
    rest.classList.add("shown");
    show();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  input.addEventListener("input", show);
  form.hidden = false;
  say(rows.length);
}

for (const table of document.querySelectorAll(".scroll > table")) {
  const section = table.closest("section");
  enliven(table, section.querySelector("form"), section.querySelector(".more"));
}

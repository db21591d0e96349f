"use strict";

/* Sorts and filters each table. Without it the page is complete, but its rows stay in their order. */

const byText = new Intl.Collator("en", { numeric: true }).compare;

function sortable(table) {
  const body = table.tBodies[0];
  const inOrder = [...body.rows];
  const headings = [...table.tHead.rows[0].cells];

  function sorted(column, isNumber, direction) {
    const keys = new Map(inOrder.map((row) => {
      const text = row.cells[column].textContent;
      return [row, isNumber ? Number.parseFloat(text.replaceAll(",", "")) : text];
    }));
    const compare = (one, other) => {
      const [a, b] = [keys.get(one), keys.get(other)];
      if (!isNumber) return direction * byText(a, b);
      return Number.isNaN(a) - Number.isNaN(b) || direction * (a - b) || 0;
    };
    return [...inOrder].sort(compare);
  }

  headings.forEach((heading, column) => {
    const { kind } = heading.dataset;
    if (kind === "drawing") return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      const next = { ascending: "descending", descending: "" }[heading.ariaSort ?? ""] ?? "ascending";
      headings.forEach((each) => each.removeAttribute("aria-sort"));
      if (next) heading.setAttribute("aria-sort", next);
      const direction = next === "ascending" ? 1 : -1;
      body.append(...(next ? sorted(column, kind === "number", direction) : inOrder));
    });
  });
}

function filterable(table, form) {
  const rows = [...table.tBodies[0].rows];
  const kinds = [...table.tHead.rows[0].cells].map((heading) => heading.dataset.kind);
  const input = form.querySelector("input");
  const output = form.querySelector("output");
  let texts;

  const textOf = (row) => [...row.cells]
    .filter((_, column) => ["name", "text"].includes(kinds[column]))
    .map((cell) => cell.textContent).join("\n").toLowerCase();

  function matches(text, parts) {
    let from = 0;
    return parts.every((part) => {
      const at = text.indexOf(part, from);
      from = at + part.length;
      return at >= 0;
    });
  }

  function show() {
    const parts = input.value.trim().toLowerCase().split("*");
    texts ??= rows.map(textOf);
    let shown = 0;
    rows.forEach((row, number) => {
      row.hidden = !matches(texts[number], parts);
      shown += !row.hidden;
    });
    output.value = `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows`;
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  input.addEventListener("input", show);
  form.hidden = false;
  show();
}

for (const table of document.querySelectorAll(".scroll > table")) {
  sortable(table);
  filterable(table, table.closest("section").querySelector("form"));
}

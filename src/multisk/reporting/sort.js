"use strict";
// Tables sort by any column: a button in each head, by mouse or keyboard. Rows stay in their own body;
// its heading stays first, chance and totals stay last.

function valueOf(row, column) {
  const text = row.cells[column] ? row.cells[column].textContent.trim() : "";
  const number = /^<?[-+−]?[\d,]*\.?\d+(e[-+]?\d+)?/.exec(text);
  if (!number) return { text, number: NaN };
  const value = Number(number[0].replace("<", "").replace("−", "-").replaceAll(",", ""));
  return { text, number: text.startsWith("<") ? value / 2 : value };  // <0.001 comes before 0.001
}

function compare(a, b) {
  const numbers = Number.isNaN(a.number) - Number.isNaN(b.number);
  if (numbers) return numbers;
  if (!Number.isNaN(a.number) && a.number !== b.number) return a.number - b.number;
  return a.text.localeCompare(b.text, "en", { numeric: true });
}

function sortBody(body, column, sign) {
  const rows = [...body.rows];
  const heading = rows.filter((row) => row.classList.contains("group"));
  const last = rows.filter((row) => row.classList.contains("last"));
  const others = rows.filter((row) => !heading.includes(row) && !last.includes(row));
  const keyed = others.map((row) => ({ row, value: valueOf(row, column) }));
  // What is no number stays behind, whichever way the numbers go.
  keyed.sort((a, b) => Number.isNaN(a.value.number) - Number.isNaN(b.value.number) || sign * compare(a.value, b.value));
  body.append(...heading, ...keyed.map(({ row }) => row), ...last);
}

function sortBy(table, column) {
  const heads = [...table.tHead.rows[0].cells];
  const up = heads[column].getAttribute("aria-sort") === "descending" || !heads[column].hasAttribute("aria-sort");
  heads.forEach((head) => head.removeAttribute("aria-sort"));
  heads[column].setAttribute("aria-sort", up ? "ascending" : "descending");
  [...table.tBodies].forEach((body) => sortBody(body, column, up ? 1 : -1));
}

document.querySelectorAll("table[data-sortable]").forEach((table) => {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sortBy(table, column));
    head.append(button);
  });
});

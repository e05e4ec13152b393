"use strict";
// Sorting, language and colours. Without it the page is whole, in English.
const root = document.documentElement;
for (const button of document.querySelectorAll("button[data-language]")) {
  button.addEventListener("click", () => {
    root.lang = button.dataset.language;
    for (const other of document.querySelectorAll("button[data-language]"))
      other.setAttribute("aria-pressed", String(other === button));
  });
}
const colours = document.querySelector("button[data-switch]");
colours.addEventListener("click", () => {
  const dark = root.dataset.colours
    ? root.dataset.colours === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.colours = dark ? "light" : "dark";
});
const value = (row, at) => {
  const cell = row.cells[at];
  const number = Number(cell.dataset.value);
  return cell.dataset.value === undefined || cell.dataset.value === "" ? cell.textContent : number;
};
for (const button of document.querySelectorAll("table.sortable th button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th");
    const body = head.closest("table").tBodies[0];
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = [...body.rows].sort((a, b) => {
      const [x, y] = [value(a, head.cellIndex), value(b, head.cellIndex)];
      return typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
    });
    body.append(...(down ? rows.reverse() : rows));
  });
}
// A link to a figure opens what it stands in.
const reveal = () => document.getElementById(decodeURIComponent(location.hash.slice(1)))?.closest("details")?.setAttribute("open", "");
addEventListener("hashchange", reveal);
reveal();

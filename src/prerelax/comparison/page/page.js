"use strict";
const shown = JSON.parse(document.getElementById("data").textContent);
const body = document.querySelector("#molecules tbody");
const chooser = document.getElementById("method");
const search = document.getElementById("search");
const count = document.getElementById("count");
let sortedBy = null, descending = false, viewer = null;

const columns = {
  id: (m) => m.id, n_atoms: (m) => m.n_atoms, baseline: (m) => of(m, shown.baseline).gradients,
  gradients: (m) => chosen(m).gradients, saved: (m) => chosen(m).saved, delta: (m) => chosen(m).delta,
  note: (m) => [chosen(m).note, chosen(m).fallback].filter(Boolean).join("; "),
};
function of(molecule, method) { return (method === null ? null : molecule.methods[method]) || {}; }
function chosen(molecule) { return of(molecule, Number(chooser.value)); }
function cell(row, value, name) {
  const td = row.insertCell();
  td.textContent = value === undefined || value === null ? "–" : String(value).replace(/^-/, "−");
  if (name) td.className = name;
  return td;
}
function fill() {
  const words = search.value.trim().toLowerCase();
  let rows = shown.molecules.filter((m) => !words ||
    [m.id, m.smiles, columns.note(m)].some((text) => String(text).toLowerCase().includes(words)));
  if (sortedBy) {
    const value = columns[sortedBy];
    rows = [...rows].sort((a, b) => {
      const x = value(a), y = value(b);
      if (x === undefined || x === null) return 1;
      if (y === undefined || y === null) return -1;
      const order = typeof x === "number" ? x - y : String(x).localeCompare(String(y), undefined, { numeric: true });
      return descending ? -order : order;
    });
  }
  body.replaceChildren();
  for (const molecule of rows) {
    const row = body.insertRow();
    cell(row, molecule.id).title = molecule.smiles;
    row.insertCell().innerHTML = molecule.drawing;
    for (const name of ["n_atoms", "baseline", "gradients", "saved", "delta"]) cell(row, columns[name](molecule));
    cell(row, columns.note(molecule) || " ", "words");
    const button = document.createElement("button");
    button.textContent = "3-D";
    button.disabled = !chosen(molecule).xyz;
    button.onclick = () => draw(molecule);
    row.insertCell().append(button);
  }
  count.textContent = `${rows.length} of ${shown.molecules.length}`;
}
function draw(molecule) {
  const words = document.getElementById("viewer-words");
  const method = chooser.selectedOptions[0].textContent;
  try {
    viewer = viewer || $3Dmol.createViewer("viewer", { backgroundColor: "white" });
    viewer.removeAllModels();
    viewer.addModel(chosen(molecule).xyz, "xyz");
    viewer.setStyle({}, { stick: { radius: 0.13 }, sphere: { scale: 0.25 } });
    viewer.zoomTo();
    viewer.render();
    words.textContent = `${molecule.id}, relaxed by ${method}. Drag to turn, scroll to zoom.`;
  } catch (error) {
    words.textContent = "This browser draws nothing in three dimensions (no WebGL).";
  }
}
for (const th of document.querySelectorAll("#molecules th[data-column]")) {
  th.onclick = () => {
    descending = sortedBy === th.dataset.column && !descending;
    sortedBy = th.dataset.column;
    document.querySelectorAll("#molecules th").forEach((each) => { each.className = ""; });
    th.className = descending ? "descending" : "ascending";
    fill();
  };
}
chooser.onchange = fill;
search.oninput = fill;
fill();
const first = shown.molecules.find((m) => chosen(m).xyz);
if (first) draw(first);

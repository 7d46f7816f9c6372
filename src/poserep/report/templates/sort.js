// Click a heading to sort by it, again to turn the order round. Without scripts the table stands in its paper's order.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  const original = [...body.rows];
  const key = (row, i) => {
    const cell = row.cells[i], text = cell.textContent.trim();
    if (heads[i].classList.contains("left")) return text || null;
    return cell.dataset.value === undefined ? null : Number(cell.dataset.value);
  };
  heads.forEach((head, i) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const before = head.getAttribute("aria-sort");
      const sign = before === "ascending" ? -1 : 1;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      // Every third click gives back the order of the paper.
      if (before === "descending") return body.append(...original);
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      body.append(...[...original].sort((a, b) => {
        const x = key(a, i), y = key(b, i);
        if (x === null || y === null) return (x === null) - (y === null);
        return sign * (typeof x === "number" ? x - y : x.localeCompare(y, "en", { numeric: true }));
      }));
    });
  });
}

// The network as a graph from left to right: a box for each row, a line for each connection.
"use strict";

const Graph = (() => {
  const BOX = { width: 84, height: 36 }, STEP = { x: 112, y: 50 }, EDGE = 6;
  const fill = (found, attributes, ...content) => {
    for (const [name, value] of Object.entries(attributes)) found.setAttribute(name, value);
    found.append(...content);
    return found;
  };

  // Draws the graph into `place`; `go` is called with the step whose box is chosen.
  const draw = (place, { graph, steps, input, series }, go) => {
    const svg = place.querySelector("svg");
    svg.replaceChildren();
    const make = (tag, ...rest) => fill(document.createElementNS(svg.namespaceURI, tag), ...rest);
    const corner = (node) => [EDGE + graph.row[node] * STEP.x, EDGE + graph.lane[node] * STEP.y];
    const lanes = Math.max(...graph.lane, ...graph.edges.map(([, , lane]) => lane)) + 1;
    const width = 2 * EDGE + Math.max(...graph.row) * STEP.x + BOX.width, height = 2 * EDGE + (lanes - 1) * STEP.y + BOX.height;
    fill(svg, { viewBox: `0 0 ${width} ${height}`, width, height });
    for (const [source, target, lane] of graph.edges) {
      const [x0, y0] = corner(source), [x1, y1] = corner(target), middle = BOX.height / 2, along = EDGE + lane * STEP.y + middle;
      const from = y0 + middle, to = y1 + middle, gap = STEP.x - BOX.width, start = x0 + BOX.width;
      const bend = (x, y, lower) => (y === lower ? "" : `C${x + gap / 2},${y} ${x + gap / 2},${lower} ${x + gap},${lower}`);
      const line = `M${start},${from}${bend(start, from, along)}L${x1 - (to === along ? 0 : gap)},${along}${bend(x1 - gap, along, to)}`;
      svg.append(make("path", { d: line, class: "edge" }));
    }
    const boxes = graph.row.map((_, node) => {
      const [x, y] = corner(node), step = steps[node - 1], name = step ? step.name : "input", shape = Maps.shapeText(step ? step.output : input, series);
      const text = (words, line, size) => make("text", { x: BOX.width / 2, y: line, "font-size": size, "text-anchor": "middle", ...(words.length * size > 1.7 * BOX.width ? { textLength: BOX.width - 8, lengthAdjust: "spacingAndGlyphs" } : {}) }, words);
      const box = make("g", { transform: `translate(${x},${y})`, class: `box ${step ? step.role : "input"}${step && step.missing ? " missing" : ""}` },
        make("title", {}, step ? `${name}: ${step.words} → ${shape}` : `input ${shape}`), make("rect", { width: BOX.width, height: BOX.height, rx: 6 }), text(name.split(".").pop(), 15, 11), text(shape, 29, 10));
      if (step && step.shown) {
        box.setAttribute("tabindex", "0");
        box.setAttribute("role", "button");
        box.setAttribute("aria-label", `Show ${name}`);
        box.addEventListener("click", () => go(step));
        box.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); go(step); } });
      }
      svg.append(box);
      return box;
    });
    svg.style.width = `clamp(${0.75 * width}px, 100%, ${width}px)`;
    // Marks one box, and those that it reads.
    return (index, sources) => boxes.forEach((box, node) => {
      box.classList.toggle("chosen", node === index);
      box.classList.toggle("source", sources.includes(node));
    });
  };

  // Lines from the maps that feed a cell to its own: `lines` have two boxes and what goes along, null where that is no product.
  const link = (svg, lines) => {
    const largest = Math.max(...lines.map(({ value }) => Math.abs(value || 0)), 1e-12);
    svg.replaceChildren(...lines.map(({ from: [x, y, wide, high], to: [left, top, across, tall], value }) => {
      const down = y + high <= top, start = [x + wide / 2, down ? y + high : y], end = [left + across / 2, down ? top : top + tall], middle = (start[1] + end[1]) / 2;
      const share = value === null ? 0.5 : Math.abs(value) / largest, kind = value === null ? "" : value < 0 ? " negative" : " positive";
      return fill(document.createElementNS(svg.namespaceURI, "path"), { class: `link${kind}`, d: `M${start}C${start[0]},${middle} ${end[0]},${middle} ${end}`, "stroke-width": 0.6 + 4.4 * share, opacity: 0.25 + 0.7 * share });
    }));
  };

  return { draw, link };
})();

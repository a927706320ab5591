// One cell, spelled out: patch times kernel as heat grids that add up, a window's choice, classes as bars.
"use strict";

const Cell = (() => {
  const { eachLink, last, parted } = Layers;
  const MOST_MAPS = 4, WIDEST_GRID = 28, WIDEST_WITH_NUMBERS = 7, MOST_TERMS = 9;

  const number = (value) => (Math.abs(value) >= 1000 || (value !== 0 && Math.abs(value) < 0.001) ? value.toExponential(2) : value.toFixed(3));
  const short = (value) => (value !== 0 && Math.abs(value) < 0.005 ? value.toExponential(0) : value.toFixed(Math.abs(value) >= 100 ? 0 : 2));

  const element = (tag, content = "", looks = {}) => {
    const found = document.createElement(tag);
    Object.assign(found, looks);
    if (typeof content === "string") found.textContent = content; else found.append(...content);
    return found;
  };

  // Black or white, whichever reads better (WCAG 2's luminance).
  const inkOn = (color) => {
    const [red, green, blue] = color.map((level) => (level / 255 <= 0.04045 ? level / 255 / 12.92 : ((level / 255 + 0.055) / 1.055) ** 2.4));
    const light = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    return 1.05 / (light + 0.05) > (light + 0.05) / 0.05 ? "#fff" : "#000";
  };

  // A matrix as a table of colored numbers; null is padding.
  const heat = (title, rows, colors, signed) => {
    const scale = Maps.scaleOf(rows.flat().filter((value) => value !== null), colors, signed);
    const small = rows[0].length > WIDEST_WITH_NUMBERS;
    const body = rows.map((line) => element("tr", line.map((value) => {
      const cell = element("td", value === null || small ? "" : short(value));
      if (value === null) cell.className = "padding";
      else {
        const color = Maps.css(scale.color(value));
        cell.style.background = `rgb(${color})`;
        cell.style.color = inkOn(color);
        cell.title = number(value);
      }
      return cell;
    })));
    return element("figure", [element("figcaption", title), element("table", body, { className: small ? "heat small" : "heat" })]);
  };

  // Bars with names and numbers, from a common zero.
  const bars = (rows) => {
    const largest = Math.max(...rows.map(({ value }) => Math.abs(value)), 1e-12);
    return element("table", rows.map(({ name, value, text }) => {
      const fill = element("div", "", { className: value < 0 ? "bar negative" : "bar" });
      fill.style.width = `${(100 * Math.abs(value)) / largest}%`;
      return element("tr", [element("th", name), element("td", [fill], { className: "track" }), element("td", text || number(value))]);
    }), { className: "bars" });
  };

  // The products by input map: rows and columns of the window, or of the map that was flattened.
  const windowsOf = (network, step, sum, tracedShape) => {
    const maps = new Map();
    for (const { place, tap, value, weight } of sum.list) {
      const [row, column, channel] = place.length === 3 ? place : trace(place[0], tracedShape);
      if (!maps.has(channel)) maps.set(channel, { channel, terms: [], sum: 0 });
      const map = maps.get(channel);
      map.terms.push({ row, column, tap, value, weight });
      map.sum += value * weight;
    }
    return [...maps.values()].sort((a, b) => Math.abs(b.sum) - Math.abs(a.sum));
  };

  const trace = (index, [, columns, channels]) => {
    const cell = Math.floor(index / channels);
    return [Math.floor(cell / columns), cell % columns, index % channels];
  };

  const gridsOf = (map, step, colors, tracedShape) => {
    const isDense = step.op === "dense", [height, width] = isDense ? tracedShape : step.kernel;
    const empty = () => Array.from({ length: height }, () => new Array(width).fill(null));
    const [patch, kernel, product] = [empty(), empty(), empty()];
    for (const { row, column, tap, value, weight } of map.terms) {
      const [y, x] = isDense ? [row, column] : [Math.floor(tap / width), tap % width];
      patch[y][x] = value;
      kernel[y][x] = weight;
      product[y][x] = value * weight;
    }
    return [heat("input", patch, colors), element("span", "×"), heat("kernel", kernel, colors, true), element("span", "="), heat("product", product, colors, true)];
  };

  // Which channels of what it reads count in channel `channel` of a step.
  const channelsOf = (step, channel, ins) => {
    const every = (count, first = 0) => Array.from({ length: count }, (_, k) => first + k), outs = last(step.output);
    const around = (group) => every(group, Math.floor((channel * ins) / outs / group) * group);
    if (step.op === "conv" || step.op === "upconv" || step.op === "gn") return around(step.op === "gn" ? ins / step.groups : parted(step).own);
    if (step.op === "dwconv") return [Math.floor(channel / step.multiplier)];
    if (step.op === "lrn") return every(ins).filter((k) => k >= channel - (step.size >> 1) && k <= channel + ((step.size - 1) >> 1));
    const ofCell = step.role === "norm" && step.op !== "bn" && step.op !== "instancenorm";
    if (ofCell || ["sepconv", "dense", "lstm", "gru"].includes(step.op)) return every(ins);
    return [channel];
  };

  // Which maps feed a cell, and which part of them: for each source its maps, first row and column, rows, columns.
  const reads = (network, run, { step, row, column, channel }) => {
    let before = 0;
    return step.sources.map((index) => {
      const grid = Maps.gridOf(network.shapes[index]), ins = last(network.shapes[index]), whole = [0, 0, grid.rows, grid.columns];
      const found = (maps, [top, left, high, wide]) => ({ index, maps, top, left, high, wide }), first = before;
      before += ins;
      if (step.op === "concat") return found(channel >= first && channel < first + ins ? [channel - first] : [], grid.flat ? [0, channel - first, 1, 1] : [row, column, 1, 1]);
      if (grid.flat) return found([0], step.op === "dense" ? whole : [0, channel, 1, 1]);
      const at = (row * last(step.output.slice(0, -1)) + column) * last(step.output) + channel, chosen = run.chosen[step.index];
      if (chosen && step.role === "rearrange") return found([chosen[at] % ins], [Math.floor(chosen[at] / ins / grid.columns), Math.floor(chosen[at] / ins) % grid.columns, 1, 1]);
      const maps = channelsOf(step, channel, ins);
      if (step.role === "conv" || step.role === "pool" || ["pad", "crop", "upsample"].includes(step.op)) {
        const rows = [], columns = [];
        eachLink(step, (_, from) => { rows.push(Math.floor(from / grid.columns)); columns.push(from % grid.columns); }, step.output.length > 1 ? row * step.output[1] + column : 0);
        const [top, left] = [Math.min(...rows), Math.min(...columns)];
        return found(rows.length ? maps : [], [top, left, Math.max(...rows) - top + 1, Math.max(...columns) - left + 1]);
      }
      const isWhole = step.output.length === 1 || step.op === "instancenorm" || step.op === "gn" || step.bidirectional;
      return found(maps, isWhole ? whole : step.role === "recurrent" ? [0, 0, 1, column + 1] : [row, column, 1, 1]);
    });
  };

  // How much each map that feeds a cell gives to it: the sum of its products, or null where there are none.
  const feeds = (network, run, pinned) => {
    const { step, row, column, channel } = pinned, sum = network.terms(step, run, row, column, channel);
    if (!sum) return reads(network, run, pinned).flatMap(({ index, maps, left, wide }) => (network.shapes[index].length === 1 ? Array.from({ length: wide }, (_, k) => left + k) : maps).map((map) => ({ index, map, value: null })));
    const source = network.steps[step.sources[0] - 1], isFlat = step.op === "dense" && step.output.length === 1;
    const maps = new Map();
    for (const { place, value, weight } of sum.list) {
      const map = !isFlat ? last(place.length === 1 ? [place[0] % last(step.input)] : place) : source && source.op === "flatten" ? place[0] % last(source.input) : place[0];
      maps.set(map, (maps.get(map) || 0) + value * weight);
    }
    return [...maps].map(([map, value]) => ({ index: step.sources[0], map, value }));
  };

  const sumLine = (step, sum, value) => {
    const activation = step.activation && step.activation !== "softmax" ? ` → ${step.activation} ${number(value)}` : "";
    return element("p", `products ${number(sum.sum - sum.bias)} + bias ${number(sum.bias)} = ${number(sum.sum)}${activation}`, { className: "total" });
  };

  // One number of a step without products, as a sum, a rule or where it comes from.
  const inWords = (network, run, pinned, value) => {
    const { step, channel } = pinned, name = (index) => (index ? network.steps[index - 1].name : "the input");
    const found = reads(network, run, pinned).filter(({ maps }) => maps.length), { index, maps: [map], top, left, high, wide } = found[0] || { maps: [] };
    const numberAt = (one) => {
      const grid = Maps.gridOf(network.shapes[one.index]);
      return run.values[one.index][grid.flat ? one.left : (one.top * grid.columns + one.left) * grid.maps + one.maps[0]];
    };
    const x = found.length ? number(numberAt(found[0])) : 0, result = number(value);
    if (step.op === "add") return `${found.map((one) => number(numberAt(one))).join(" + ")}${step.activation ? `, then ${step.activation}` : ""} = ${result}`;
    if (!found.length) return `nothing is read here: ${result}`;
    if (step.op === "scale" || step.op === "mul") return `${found.map((one) => number(numberAt(one))).join(" × ")} = ${result}`;
    if (step.op === "concat") return `map ${map} of ${name(index)}, as it is: ${result}`;
    if (step.op === "bn") {
      const [scale, shift, mean, variance] = ["scale", "shift", "mean", "variance"].map((one) => { const own = network.weight(step, one); return own ? number(own[channel]) : null; });
      return `(${x} − mean ${mean}) / √(variance ${variance} + ${step.eps})${scale ? ` × scale ${scale}` : ""}${shift ? ` + shift ${shift}` : ""} = ${result}`;
    }
    const spread = { instancenorm: "the mean of its map", gn: "the mean of its group of maps", ln: "the mean of its cell's channels" }[step.op];
    if (step.op === "activation" || step.op === "prelu") return `${step.activation || "prelu"}(${x}) = ${result}`;
    if (step.op === "layerscale") return `${x} × ${number(network.weight(step, "scale")[channel])} = ${result}`;
    if (spread) return `${x} less ${spread}, divided by the deviation, scaled and shifted = ${result}`;
    if (step.op === "rmsnorm") return `${x} divided by the root mean square of its cell's channels, and scaled = ${result}`;
    if (step.op === "lrn") return `${x} divided by (k + α/n × the squares of ${found[0].maps.length} neighboring maps)^β = ${result}`;
    if (step.role === "norm") return `${x} divided by the length of its cell's ${found[0].maps.length} channels = ${result}`;
    if (step.role === "recurrent") return `the state of unit ${channel}, which has read the inputs one after the other: ${result}`;
    if (step.op === "gmp" || step.op === "adaptmax") return `the largest of ${high} x ${wide} = ${result}`;
    if (step.op === "gap" || step.op === "adaptavg") return `the mean of ${high} x ${wide} cells of map ${map}, from row ${top}, column ${left} = ${result}`;
    if (step.op === "upsample" && high * wide > 1) return `between ${high} x ${wide} cells of map ${map}, weighed by how near they are: ${result}`;
    if (step.role === "rearrange") return `map ${map}, row ${top}, column ${left} of ${name(index)}, moved here: ${result}`;
    return `${x}, unchanged`;
  };

  // Parts of the explanation of one cell, to be put into the page.
  const explain = (network, run, pinned, colors) => {
    const { step, row, column, channel } = pinned, grid = Maps.gridOf(step.output);
    const at = grid.flat ? channel : (row * grid.columns + column) * grid.maps + channel, value = run.values[step.index][at];
    const sum = network.terms(step, run, row, column, channel), parts = [];
    let total = "";
    if (sum) {
      const source = step.sources[0] ? network.steps[step.sources[0] - 1] : null;
      const flattened = source && source.op === "flatten" && source.input.length === 3 ? source.input : null;
      const picture = sum.list[0].place.length === 3 ? step.input : flattened;
      if (picture && Math.max(...(step.op === "dense" ? picture.slice(0, 2) : step.kernel)) <= WIDEST_GRID) {
        const maps = windowsOf(network, step, sum, picture);
        for (const map of maps.slice(0, MOST_MAPS)) {
          const name = element("p", `input map ${map.channel}: ${number(map.sum)}`);
          parts.push(element("div", [name, element("div", gridsOf(map, step, colors, picture), { className: "grids" })]));
        }
        const rest = maps.slice(MOST_MAPS);
        if (rest.length) parts.push(element("p", `${rest.length} other maps: ${number(rest.reduce((total, map) => total + map.sum, 0))}`));
      } else {
        const terms = [...sum.list].sort((a, b) => Math.abs(b.value * b.weight) - Math.abs(a.value * a.weight));
        const rows = terms.slice(0, MOST_TERMS).map(({ place, value: x, weight }) => ({ name: `[${place.join(",")}] ${number(x)} × ${number(weight)}`, value: x * weight }));
        const left = terms.slice(MOST_TERMS);
        if (left.length) rows.push({ name: `${left.length} others`, value: left.reduce((total, term) => total + term.value * term.weight, 0) });
        parts.push(bars(rows));
      }
      total = sumLine(step, sum, value);
    } else if (step.kernel && step.role === "pool") {
      const [, width, channels] = step.input, source = run.values[step.sources[0]];
      const window = Array.from({ length: step.kernel[0] }, () => new Array(step.kernel[1]).fill(null));
      eachLink(step, (_, from, tap) => { window[Math.floor(tap / step.kernel[1])][tap % step.kernel[1]] = source[from * channels + channel]; }, row * grid.columns + column);
      parts.push(element("div", [heat("window", window, colors)], { className: "grids" }));
      const chosen = run.chosen[step.index];
      if (chosen) {
        const cell = Math.floor(chosen[at] / channels), place = grid.lines ? `time ${cell}` : `row ${Math.floor(cell / width)}, column ${cell % width}`;
        total = element("p", `chosen: ${place}, ${number(value)}; it alone gets the gradient`, { className: "total" });
      } else total = element("p", `the mean is ${number(value)}`, { className: "total" });
    } else {
      const rows = step.sources.map((index) => {
        const name = index ? network.steps[index - 1].name : "the input", values = run.values[index];
        return { name, value: values.length === run.values[step.index].length ? values[at] : NaN };
      }).filter((one) => !Number.isNaN(one.value));
      if (rows.length) parts.push(bars([...rows, { name: step.name, value }]));
      total = element("p", inWords(network, run, pinned, value), { className: "total" });
    }
    const before = run.before[step.index];
    if (step.activation === "softmax" && before) parts.push(softmax(network, before, run.values[step.index], column, row, grid));
    return [element("h2", `${step.name}, ${Maps.placeOf(grid, pinned)} = ${number(value)}`), total, element("div", parts, { className: "grids" })];
  };

  const softmax = (network, logits, shares, column, row, grid) => {
    const classes = network.description.classes, first = grid.flat ? 0 : (row * grid.columns + column) * grid.maps;
    const own = Array.from(logits.slice(first, first + classes.length)), largest = Math.max(...own);
    const rows = (values, text) => bars(classes.map((name, i) => ({ name, value: values[i], text: text(values[i]) })));
    const sets = [
      ["logit", rows(own, number)],
      ["exp(logit − largest)", rows(own.map((logit) => Math.exp(logit - largest)), number)],
      ["softmax: divided by their sum", rows(classes.map((_, i) => shares[first + i]), (share) => `${(100 * share).toFixed(1)} %`)],
    ];
    return element("div", sets.map(([title, table]) => element("figure", [element("figcaption", title), table])), { className: "grids" });
  };

  return { bars, element, explain, feeds, heat, number, reads };
})();

// The layers as canvases: one painted image a layer, scaled up map by map, and marks upon it.
"use strict";

const Maps = (() => {
  const GAP = 6, ACCENT = "#00c46a";
  const SIDES = { many: 64, few: 84, least: 40, unit: 22, largest: 48 };
  const LINE = { wide: 200, high: 44 }; // of a map that is one row: a series

  // 256 colors between evenly spaced stops, as the words of an ImageData.
  const lookUp = (stops) => Uint32Array.from({ length: 256 }, (_, i) => {
    const at = (i / 255) * (stops.length - 1), low = Math.min(Math.floor(at), stops.length - 2), share = at - low;
    const [red, green, blue] = [0, 1, 2].map((k) => Math.round(stops[low][k] + (stops[low + 1][k] - stops[low][k]) * share));
    return (255 << 24) | (blue << 16) | (green << 8) | red;
  });

  const css = (word) => [word & 255, (word >> 8) & 255, (word >> 16) & 255];

  // How numbers become colors: white is 0 where there are negative ones, else black is.
  const scaleOf = (values, colors, signed = false) => {
    let largest = 0, negative = signed;
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      if (value < 0) { negative = true; largest = Math.max(largest, -value); } else largest = Math.max(largest, value);
    }
    const table = negative ? colors.signed : colors.magnitude, span = largest || 1;
    const index = negative ? (value) => Math.round(127.5 + (127.5 * value) / span) : (value) => Math.round((255 * value) / span);
    return { largest, negative, color: (value) => table[Math.max(0, Math.min(255, index(value)))] };
  };

  const gridOf = (shape) => {
    const [rows, columns, maps] = shape.length === 3 ? shape : [1, shape[shape.length - 1], 1];
    return { rows, columns, maps, flat: shape.length !== 3, lines: shape.length === 3 && rows === 1 && columns > 1 };
  };

  // As the network's words have it: a series has no rows.
  const shapeText = (shape, series) => (series && shape.length > 1 ? shape.slice(1) : shape).join("x");

  // What a person is told of a place.
  const placeOf = ({ flat, lines }, { row, column, channel }) => (flat ? `unit ${channel}` : lines ? `channel ${channel}, time ${column}` : `map ${channel}, row ${row}, column ${column}`);

  // How wide and high a cell is, on a canvas `room` pixels wide; where `tall` is given, the largest with which all maps fit into it.
  const cellOf = (grid, room, tall) => {
    const { rows, columns, maps } = grid;
    const fits = ([wide, high]) => {
      const across = Math.floor((room + GAP) / (columns * wide + GAP));
      return across >= 1 && Math.ceil(maps / across) * (rows * high + GAP) <= tall;
    };
    const usual = () => {
      const wanted = grid.lines ? Math.min(LINE.wide, room) : Math.max(SIDES.least, Math.min(maps > 16 ? SIDES.many : SIDES.few, room / 4 - GAP));
      const cell = grid.lines ? wanted / columns : Math.max(1, Math.round(wanted / Math.max(rows, columns)));
      return [cell, grid.lines ? LINE.high : cell];
    };
    if (!tall) return usual();
    for (let size = SIDES.largest; size > 1; size--) {
      const large = grid.lines ? [(size * LINE.wide) / columns / 10, (size * LINE.high) / 10] : [size, size];
      if (fits(large)) return large;
    }
    return usual();
  };

  // Where the maps of a layer go.
  const layout = (grid, room, tall) => {
    if (grid.flat) {
      const most = tall ? SIDES.largest : SIDES.unit, cell = Math.max(6, Math.min(most, Math.floor(room / Math.min(grid.columns, 64))));
      const perLine = Math.max(1, Math.min(grid.columns, Math.floor(room / cell)));
      return { ...grid, cell, cellHigh: cell, perLine, width: perLine * cell, height: Math.ceil(grid.columns / perLine) * cell };
    }
    const [cell, cellHigh] = cellOf(grid, room, tall), mapWidth = grid.columns * cell, mapHeight = grid.rows * cellHigh;
    const perLine = Math.max(1, Math.min(grid.maps, Math.floor((room + GAP) / (mapWidth + GAP))));
    const lines = Math.ceil(grid.maps / perLine);
    return { ...grid, cell, cellHigh, perLine, mapWidth, mapHeight, width: perLine * (mapWidth + GAP) - GAP, height: lines * (mapHeight + GAP) - GAP };
  };

  class Panel {
    constructor(step, colors, grid = gridOf(step.output)) {
      this.step = step;
      this.colors = colors;
      this.grid = grid;
      this.canvas = document.createElement("canvas");
      this.canvas.tabIndex = 0;
      const told = this.grid.plane ? `${this.grid.maps} units, each over the plane of both inputs` : this.grid.flat ? `${this.grid.columns} values` : this.grid.lines ? `${this.grid.maps} lines of ${this.grid.columns} times` : `${this.grid.maps} maps of ${this.grid.rows}x${this.grid.columns}`;
      this.canvas.setAttribute("role", "application");
      this.canvas.setAttribute("aria-label", `${step.name}: ${told}. Enter pins a cell, arrows move it, comma and point change the map.`);
      this.store = document.createElement("canvas"); // all maps below each other, a pixel a cell
      this.store.width = this.grid.columns;
      this.store.height = this.grid.rows * this.grid.maps;
      this.image = new ImageData(this.store.width, this.store.height);
      this.words = new Uint32Array(this.image.data.buffer);
    }

    fit(room, tall) {
      Object.assign(this, layout(this.grid, room, tall));
      const sharp = window.devicePixelRatio || 1;
      this.canvas.width = Math.round(this.width * sharp);
      this.canvas.height = Math.round(this.height * sharp);
      this.canvas.style.width = `${this.width}px`;
      this.canvas.style.height = `${this.height}px`;
      this.brush = this.canvas.getContext("2d");
      this.brush.setTransform(sharp, 0, 0, sharp, 0, 0);
      this.brush.imageSmoothingEnabled = false;
    }

    show(values, signed = false) {
      const { rows, columns, maps } = this.grid, cells = rows * columns, scale = scaleOf(values, this.colors, signed);
      this.scale = scale;
      this.values = values;
      if (this.grid.lines) return;
      for (let map = 0; map < maps; map++) {
        for (let cell = 0; cell < cells; cell++) this.words[map * cells + cell] = scale.color(values[cell * maps + map]);
      }
      this.store.getContext("2d").putImageData(this.image, 0, 0);
    }

    origin(map) {
      return [(map % this.perLine) * (this.mapWidth + GAP), Math.floor(map / this.perLine) * (this.mapHeight + GAP)];
    }

    paint() {
      this.brush.clearRect(0, 0, this.width, this.height);
      if (this.grid.flat) {
        for (let first = 0; first < this.grid.columns; first += this.perLine) {
          const count = Math.min(this.perLine, this.grid.columns - first), top = (first / this.perLine) * this.cell;
          this.brush.drawImage(this.store, first, 0, count, 1, 0, top, count * this.cell, this.cell);
        }
        return;
      }
      for (let map = 0; map < this.grid.maps; map++) {
        const [x, y] = this.origin(map);
        if (this.grid.lines) this.drawLine(map, x, y);
        else this.brush.drawImage(this.store, 0, map * this.grid.rows, this.grid.columns, this.grid.rows, x, y, this.mapWidth, this.mapHeight);
      }
    }

    // One channel over time, about its zero line, on the scale of the layer.
    drawLine(map, left, top) {
      const { brush, grid, scale, mapWidth, mapHeight } = this, ink = getComputedStyle(this.canvas);
      const zero = top + (scale.negative ? mapHeight / 2 : mapHeight - 2), high = (scale.negative ? mapHeight / 2 : mapHeight) - 3;
      brush.fillStyle = ink.getPropertyValue("--card");
      brush.fillRect(left, top, mapWidth, mapHeight);
      brush.fillStyle = ink.getPropertyValue("--line");
      brush.fillRect(left, zero, mapWidth, 1);
      brush.strokeStyle = ink.getPropertyValue("--bar");
      brush.lineWidth = 1.5;
      brush.beginPath();
      for (let time = 0; time < grid.columns; time++) brush.lineTo(left + (time + 0.5) * this.cell, zero - (high * this.values[time * grid.maps + map]) / (scale.largest || 1));
      brush.stroke();
    }

    // Frames rows and columns of some maps, or single units.
    frame(maps, row, column, rows, columns) {
      const top = Math.max(0, row), left = Math.max(0, column);
      const bottom = Math.min(this.grid.rows, row + rows), right = Math.min(this.grid.columns, column + columns);
      if (bottom <= top || right <= left) return;
      for (const map of maps) {
        const [x, y] = this.grid.flat ? [(left % this.perLine) * this.cell, Math.floor(left / this.perLine) * this.cell] : this.origin(map);
        const [dx, dy] = this.grid.flat ? [0, 0] : [left * this.cell, top * this.cellHigh];
        for (const [line, color] of [[4, "#ffffff"], [2, ACCENT]]) {
          this.brush.lineWidth = line;
          this.brush.strokeStyle = color;
          this.brush.strokeRect(x + dx, y + dy, (right - left) * this.cell, (bottom - top) * this.cellHigh);
        }
      }
    }

    // Where a map, or a single unit, lies within `around`: left, top, width and height.
    box(map, around) {
      const { canvas, grid } = this, to = around.getBoundingClientRect(), own = canvas.getBoundingClientRect(), share = own.width / this.width;
      const [x, y] = grid.flat ? [(map % this.perLine) * this.cell, Math.floor(map / this.perLine) * this.cell] : this.origin(map);
      const [wide, high] = grid.flat ? [this.cell, this.cell] : [this.mapWidth, this.mapHeight];
      return [own.left - to.left + x * share, own.top - to.top + y * share, wide * share, high * share];
    }

    dot(row, column, map) {
      const [x, y] = this.origin(map), size = Math.max(1, Math.min(this.cell, this.cellHigh) / 3);
      this.brush.fillStyle = ACCENT;
      this.brush.fillRect(x + (column + 0.5) * this.cell - size / 2, y + (row + 0.5) * this.cellHigh - size / 2, size, size);
    }

    // The cell under a pointer; null between maps.
    locate(event) {
      const box = this.canvas.getBoundingClientRect();
      const x = ((event.clientX - box.left) * this.width) / box.width, y = ((event.clientY - box.top) * this.height) / box.height;
      if (this.grid.flat) {
        const channel = Math.floor(y / this.cell) * this.perLine + Math.floor(x / this.cell);
        return channel >= 0 && channel < this.grid.columns ? { step: this.step, row: 0, column: 0, channel } : null;
      }
      const across = Math.floor(x / (this.mapWidth + GAP)), map = Math.floor(y / (this.mapHeight + GAP)) * this.perLine + across;
      const row = Math.floor((y % (this.mapHeight + GAP)) / this.cellHigh), column = Math.floor((x % (this.mapWidth + GAP)) / this.cell);
      const inside = across < this.perLine && map < this.grid.maps && row >= 0 && row < this.grid.rows && column >= 0 && column < this.grid.columns;
      return inside ? { step: this.step, row, column, channel: map } : null;
    }
  }

  return { Panel, css, gridOf, lookUp, placeOf, scaleOf, shapeText };
})();

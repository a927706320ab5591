// From an opened table to numbers: a series is a row for each time, plain numbers are one row.
"use strict";

const Table = (() => {
  const levels = (text, name, [rows, columns]) => {
    const cells = text.split(/\r?\n/).map((line) => line.trim().split(/[\s,;]+/)).filter((line) => line[0] !== "");
    const isHeader = cells.length && cells[0].some((word) => Number.isNaN(Number(word))), found = isHeader ? cells.slice(1) : cells;
    const numbers = found.flat().map(Number), bad = numbers.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0) throw new Error(`${name} holds ${found.flat()[bad]}, which is no number.`);
    if (numbers.length !== rows * columns) throw new Error(`${name} holds ${found.length} rows of ${found.length ? found[0].length : 0} numbers; the network reads ${columns > 1 ? `${rows} rows of ${columns}` : rows}.`);
    return Float32Array.from(numbers);
  };

  return { levels };
})();

// Draws the charts of the report page with uPlot. Whatever it shows is also in the page as text.
// Texts come from users and servers: they reach the page by `textContent` and the canvas only.
"use strict";
(() => {
  const root = document.documentElement;
  let data = JSON.parse(document.getElementById("data").textContent);
  const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3], [4, 4], [14, 4], [6, 2, 2, 2, 2, 2], [1, 4]];
  const HEIGHT = 250;
  const PRINT_WIDTH = 660;
  let isLog = false;
  let palette = {};
  let printing = false;
  // Charts grow one after the other: meanwhile none of them moves the others.
  let growing = false;

  // Numbers as the rest of the page writes them.
  const digits = (x) => {
    const a = Math.abs(x);
    return x.toFixed(a < 9.995 ? 2 : a < 99.95 ? 1 : 0);
  };
  const time = (ms) => {
    if (ms <= 0) return "0s";
    if (ms >= 59950) return clock(ms / 1000);
    for (const [unit, length] of [["ns", 1e-6], ["µs", 1e-3], ["ms", 1]]) {
      if (ms / length < 999.5) return digits(ms / length) + unit;
    }
    return digits(ms / 1000) + "s";
  };
  const scaled = (n) => {
    if (Number.isInteger(n) && Math.abs(n) < 999.5) return [String(n), ""];
    const prefixes = ["", "k", "M", "G", "T", "P"];
    let i = 0;
    while (Math.abs(n) >= 999.5 && i < prefixes.length - 1) { n /= 1000; i += 1; }
    return [digits(n), prefixes[i]];
  };
  const clock = (s) => {
    const two = (n) => String(n).padStart(2, "0");
    const whole = Math.round(s * 10) / 10;
    if (whole < 60) return whole + "s";
    const n = Math.round(s);
    const [h, m] = [Math.floor(n / 3600), Math.floor(n / 60) % 60];
    if (h > 0) return h + "h" + two(m) + "m" + (n % 60 ? two(n % 60) + "s" : "");
    return m + "m" + (n % 60 ? two(n % 60) + "s" : "");
  };
  const trimmed = (n, places) => String(Number(n.toFixed(places)));
  const quantile = (odds) => "p" + trimmed((1 - 1 / Math.max(odds, 1)) * 100, 4);
  const FORMAT = {
    clock,
    time,
    rate: (n) => scaled(n).join("") + "/s",
    count: (n) => (Math.abs(n) < 1e8 ? trimmed(n, 2) : scaled(n).join("")),
    bytes: (n) => { const [x, p] = scaled(n); return x + " " + p + "B"; },
    cores: (n) => trimmed(n, 2) + " cores",
    share: (n) => trimmed(n * 100, 2) + "%",
    odds: quantile,
  };
  // On an axis there is room for less: no more digits than tell two marks apart.
  const shortTime = (ms) => {
    if (ms === 0) return "0";
    const [unit, length] = ms < 1e-3 ? ["ns", 1e-6] : ms < 1 ? ["µs", 1e-3] : ms < 1000 ? ["ms", 1] : ["s", 1000];
    return ms >= 6e4 ? clock(ms / 1000) : trimmed(ms / length, 2) + unit;
  };
  const compact = (n) => {
    const prefixes = ["", "k", "M", "G", "T"];
    let i = 0;
    while (Math.abs(n) >= 1000 && i < prefixes.length - 1) { n /= 1000; i += 1; }
    return trimmed(n, 2) + prefixes[i];
  };
  const TICK = {
    clock,
    time: shortTime,
    rate: compact,
    count: compact,
    bytes: (n) => compact(n) + "B",
    cores: (n) => trimmed(n, 3),
    share: (n) => trimmed(n * 100, 2) + "%",
    odds: (n) => (n < 1.001 ? "min" : quantile(n)),
  };

  const readPalette = () => {
    const style = getComputedStyle(root);
    const value = (name) => style.getPropertyValue("--" + name).trim();
    palette = { lines: [], heat: [] };
    for (let i = 0; i < 8; i += 1) palette.lines.push(value("line-" + i));
    for (let i = 0; i < 5; i += 1) palette.heat.push(value("heat-" + i));
    for (const name of ["ink", "soft", "rule", "grid", "card", "bad", "good", "warning", "outside", "stage", "beyond"]) {
      palette[name] = value(name);
    }
  };
  const hex = (color) => [1, 3, 5].map((i) => parseInt(color.slice(i, i + 2), 16));
  const heatColor = (share) => {
    const at = Math.min(Math.max(share, 0), 1) * (palette.heat.length - 1);
    const i = Math.min(Math.floor(at), palette.heat.length - 2);
    const [from, to] = [hex(palette.heat[i]), hex(palette.heat[i + 1])];
    return "rgb(" + from.map((c, k) => Math.round(c + (to[k] - c) * (at - i))).join(",") + ")";
  };

  // The views of all charts, by what their horizontal axis is: what shows the same moves together.
  const views = [];
  const group = (view) => views.filter((other) => other !== view && other.axis === view.axis);

  const isSingle = (values) => {
    let known = 0;
    for (const value of values) if (value !== null && value !== undefined && (known += 1) > 1) return false;
    return known === 1;
  };
  const isMove = (type) => type === "mousemove" || type === "mouseleave";

  class View {
    constructor(chart, holder) {
      this.chart = chart;
      this.holder = holder;
      holder.dataset.kind = chart.kind;
      this.figure = holder.closest("figure");
      this.axis = chart.x.unit + chart.x.name;
      this.xs = chart.at || data.at;
      this.plot = null;
      this.full = this.extent();
      this.build();
      holder.addEventListener("keydown", (event) => this.key(event));
    }

    get isLog() {
      return this.chart.y.scale === "log" || (isLog && this.chart.y.scale === "either");
    }

    // All that there is, from left to right. A single point has some room around it.
    extent() {
      const all = this.chart.x.unit === "clock" && data.at.length ? data.at : this.xs;
      const [min, max] = [all[0] ?? 0, all[all.length - 1] ?? 0];
      if (min < max) return { min, max };
      return this.chart.x.scale === "log" ? { min: (min || 1) / 2, max: (min || 1) * 2 } : { min: min - 1, max: min + 1 };
    }

    width() {
      return printing ? PRINT_WIDTH : Math.max(this.holder.clientWidth, 200);
    }

    // The lowest value that a logarithmic axis can show.
    floor(values) {
      return values.map((v) => (this.isLog && v !== null && v <= 0 ? null : v));
    }

    // Areas upon each other: each is drawn to the sum of those up to it.
    stacked() {
      const sum = this.xs.map(() => 0);
      return this.chart.series.map((series) => series.values.map((v, i) => (sum[i] += v || 0)));
    }

    data() {
      const { kind, series } = this.chart;
      if (kind === "heat") return [this.xs, this.xs.map(() => null)];
      // What is drawn first is covered by the rest: the highest sum.
      if (kind === "stack") return [this.xs, ...this.stacked().reverse()];
      return [this.xs, ...series.map((one) => this.floor(one.values))];
    }

    series() {
      const { kind, series, y, right } = this.chart;
      const x = { label: this.chart.x.unit === "odds" ? "percentile" : this.chart.x.unit === "clock" ? "after" : this.chart.x.name,
        value: (u, v) => (v === null ? "–" : FORMAT[this.chart.x.unit](v)) };
      if (kind === "heat") {
        return [x, { label: "in this cell", scale: "y", paths: () => null, points: { show: false }, value: (u) => this.cell(u) }];
      }
      const shown = (one, unit) => (u, v, si, di) => {
        const value = di === null || di === undefined ? null : one.values[di];
        return value === null || value === undefined ? "–" : FORMAT[unit](value);
      };
      const drawn = series.map((one) => {
        const color = palette.lines[one.color % palette.lines.length];
        const isStack = kind === "stack";
        return {
          label: one.name, scale: one.is_right ? "right" : "y", stroke: color, width: isStack ? 1 : 1.6,
          dash: isStack ? [] : DASHES[one.dash % DASHES.length],
          fill: isStack ? color : undefined,
          // A single value makes no line.
          points: { show: (u, i) => Boolean(one.has_points) || isSingle(u.data[i]), size: 6, fill: color },
          value: shown(one, one.is_right ? right.unit : y.unit), spanGaps: true,
        };
      });
      return [x, ...(kind === "stack" ? drawn.reverse() : drawn)];
    }

    // The line of a name in the legend.
    border(i) {
      const dash = this.chart.kind === "stack" ? 0 : this.chart.series[i - 1]?.dash ?? 0;
      return ["solid", "dashed", "dotted"][dash % 3];
    }

    // What lies under the cursor on a map.
    cell(u) {
      const { columns, rows, cells } = this.chart.heat;
      const { idx, top } = u.cursor;
      if (idx === null || idx === undefined || top < 0) return "–";
      const value = u.posToVal(top, "y");
      const row = rows.findIndex((edge, i) => edge <= value && value < rows[i + 1]);
      if (row < 0 || idx >= columns.length - 1) return "–";
      let n = 0;
      for (let i = 0; i < cells[idx].length; i += 2) if (cells[idx][i] === row) n = cells[idx][i + 1];
      return compact(n) + " from " + time(rows[row]) + " to " + time(rows[row + 1]);
    }

    axes() {
      const { x, y, right } = this.chart;
      const font = "12px system-ui, sans-serif";
      const shared = { stroke: palette.soft, font, ticks: { stroke: palette.rule, width: 1, size: 5 } };
      const grid = { stroke: palette.grid, width: 1 };
      const none = (u, marks) => marks.map((v) => (v === null ? "" : TICK[x.unit](v)));
      const bottom = { ...shared, grid, values: none, size: 34, space: x.unit === "clock" ? 70 : 55 };
      if (x.unit === "odds") {
        bottom.splits = (u, a, min, max) => [1, 2, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8].filter((v) => v >= min && v <= max);
        bottom.filter = (u, marks) => marks;
      } else if (x.scale === "log") {
        // The loads that were tried, as far as they do not touch.
        bottom.splits = (u, a, min, max) => {
          let last = -1e9;
          return this.xs.filter((v) => {
            const place = v >= min && v <= max ? (Math.log(v / min) / Math.log(max / min || 2)) * this.width() : last;
            const isFree = place - last > 44;
            if (isFree) last = place;
            return isFree;
          });
        };
        bottom.filter = (u, marks) => marks;
      } else if (x.unit === "clock") {
        bottom.incrs = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];
      }
      const side = (axis, scale) => ({
        ...shared, scale, grid: scale === "y" ? grid : { show: false }, size: 58, side: scale === "y" ? 3 : 1,
        values: (u, marks) => marks.map((v) => (v === null ? "" : TICK[axis.unit](v))),
        ...(this.isLog && scale === "y" ? { splits: (u, a, min, max) => this.tens(min, max), filter: (u, marks) => this.sparse(u, marks) } : {}),
      });
      return right ? [bottom, side(y, "y"), side(right, "right")] : [bottom, side(y, "y")];
    }

    // Where a logarithmic axis has its grid: 1 to 9 of each ten, or the tens alone.
    tens(min, max) {
      const marks = [];
      const steps = max / min > 1e4 ? [1] : [1, 2, 3, 4, 5, 6, 7, 8, 9];
      for (let ten = 10 ** Math.floor(Math.log10(min)); ten <= max; ten *= 10) {
        for (const step of steps) if (step * ten >= min && step * ten <= max) marks.push(step * ten);
      }
      return marks;
    }

    // On a logarithmic axis: 1, 2 and 5 of each ten, or fewer, as there is room.
    sparse(u, marks) {
      const { min, max } = u.scales.y;
      const tens = Math.log10(max / min);
      const keep = tens < 1.6 ? [1, 2, 3, 5, 7] : tens < 4 ? [1, 2, 5] : [1];
      return marks.map((v) => {
        const lead = v / 10 ** Math.floor(Math.log10(v) + 1e-9);
        return keep.some((k) => Math.abs(lead - k) < 1e-6) ? v : null;
      });
    }

    scales() {
      const { x, y, lines, heat } = this.chart;
      const log = this.isLog;
      const flat = lines.filter((line) => !line.is_upright).map((line) => line.at);
      const range = (u, min, max) => {
        if (heat) return [heat.rows[0], heat.rows[heat.rows.length - 1]];
        if (min === null || min === undefined) return log ? [1, 10] : [0, 1];
        // A threshold far above all values would press them flat.
        const near = flat.filter((v) => v <= max * 3 && v > 0);
        max = Math.max(max, ...near);
        if (!log) return [0, max <= 0 ? 1 : max * 1.08];
        min = Math.min(min, ...near);
        return min === max ? [min / 2, max * 2] : [min / 1.15, max * 1.15];
      };
      const xRange = (u, min, max) => {
        const isAll = min === null || min === max || (min === this.xs[0] && max === this.xs[this.xs.length - 1]);
        return isAll ? [this.full.min, this.full.max] : [min, max];
      };
      return {
        x: { time: false, distr: x.scale === "log" ? 3 : 1, log: x.unit === "count" ? 2 : 10, range: xRange },
        y: { distr: log ? 3 : 1, log: 10, range },
        right: { range: (u, min, max) => [0, max > 0 ? max * 1.08 : 1] },
      };
    }

    build() {
      if (this.plot) this.plot.destroy();
      const isPlain = this.chart.kind !== "heat";
      this.plot = new uPlot({
        width: this.width(), height: HEIGHT,
        scales: this.scales(), axes: this.axes(), series: this.series(),
        padding: [8, 12, 0, 0],
        legend: { live: true, markers: { width: 2, show: isPlain, dash: (u, i) => this.border(i) } },
        cursor: {
          sync: { key: this.axis, setSeries: false, scales: ["x", null], filters: { pub: isMove, sub: isMove } }, drag: { x: true, y: false, dist: 6 }, points: { size: 7, show: isPlain },
          bind: { dblclick: () => () => { whole(); return null; } } },
        hooks: {
          drawClear: [(u) => this.behind(u)],
          draw: [(u) => this.before(u)],
          setScale: [(u, key) => { if (key === "x") this.zoomed(u); }],
        },
      }, this.data(), this.holder);
      // The library shows a hundred seconds around a single one.
      if (this.xs.length === 1) this.plot.setScale("x", this.full);
    }

    // Whether all of it is shown.
    isWhole() {
      const { min, max } = this.plot.scales.x;
      return min === null || min === undefined || (min === this.full.min && max === this.full.max);
    }

    // The chart has more points, or more series. Who has zoomed stays where they are.
    grow(wasWhole) {
      this.xs = this.chart.at || data.at;
      this.full = this.extent();
      const { min, max } = this.plot.scales.x;
      const wanted = this.chart.kind === "heat" ? 2 : this.chart.series.length + 1;
      if (this.plot.series.length !== wanted) this.build();
      else this.plot.setData(this.data(), false);
      this.plot.setScale("x", wasWhole ? this.full : { min, max });
    }

    // Bands and the map, under the lines.
    behind(u) {
      const { ctx, bbox } = u;
      const x = (v) => Math.min(Math.max(u.valToPos(v, "x", true), bbox.left), bbox.left + bbox.width);
      ctx.save();
      ctx.beginPath();
      ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
      ctx.clip();
      let stage = 0;
      for (const band of this.chart.bands) {
        if (band.kind === "stage") stage += 1;
        if (band.kind === "stage" && stage % 2 === 0) continue;
        ctx.fillStyle = palette[band.kind];
        ctx.fillRect(x(band.from), bbox.top, Math.max(x(band.to) - x(band.from), 1), bbox.height);
      }
      if (this.chart.heat) this.map(u, x);
      ctx.restore();
    }

    map(u, x) {
      const { columns, rows, cells } = this.chart.heat;
      const { ctx } = u;
      // A few are not shown as if they were many.
      let most = 8;
      for (const column of cells) for (let i = 1; i < column.length; i += 2) most = Math.max(most, column[i]);
      const tops = rows.map((v) => u.valToPos(v, "y", true));
      cells.forEach((column, c) => {
        const [left, right] = [x(columns[c]), x(columns[c + 1])];
        if (right <= left) return;
        for (let i = 0; i < column.length; i += 2) {
          const row = column[i];
          ctx.fillStyle = heatColor(0.12 + 0.88 * Math.log1p(column[i + 1]) / Math.log1p(most));
          ctx.fillRect(Math.floor(left), Math.floor(tops[row + 1]), Math.ceil(right - left), Math.ceil(tops[row] - tops[row + 1]));
        }
      });
    }

    // Names of bands, and lines of thresholds, over everything.
    before(u) {
      const { ctx, bbox } = u;
      const ratio = uPlot.pxRatio;
      ctx.save();
      ctx.font = 11 * ratio + "px system-ui, sans-serif";
      ctx.textBaseline = "top";
      ctx.textAlign = "center";
      ctx.fillStyle = palette.soft;
      for (const band of this.chart.bands) {
        const [from, to] = [band.from, band.to].map((v) => u.valToPos(v, "x", true));
        const left = Math.max(from, bbox.left);
        const room = Math.min(to, bbox.left + bbox.width) - left;
        const names = band.kind === "stage" ? ["stage " + band.name, band.name] : [band.name];
        const name = names.find((text) => ctx.measureText(text).width + 6 * ratio <= room);
        if (!name) continue;
        // Stages in the first row, the rest in the second, so that they do not meet.
        const top = bbox.top + (band.kind === "stage" ? 2 : 16) * ratio;
        const width = ctx.measureText(name).width + 6 * ratio;
        ctx.globalAlpha = 0.7;
        ctx.fillStyle = palette.card;
        ctx.fillRect(left + (room - width) / 2, top - ratio, width, 13 * ratio);
        ctx.globalAlpha = 1;
        ctx.fillStyle = palette.soft;
        ctx.fillText(name, left + room / 2, top);
      }
      const taken = [];
      for (const line of this.chart.lines) {
        const y = u.valToPos(line.at, "y", true);
        if (y < bbox.top || y > bbox.top + bbox.height) continue;
        ctx.strokeStyle = line.is_broken ? palette.bad : palette.good;
        ctx.lineWidth = 1.5 * ratio;
        ctx.setLineDash([6 * ratio, 3 * ratio]);
        ctx.beginPath();
        ctx.moveTo(bbox.left, y);
        ctx.lineTo(bbox.left + bbox.width, y);
        ctx.stroke();
        const text = line.name + (line.is_broken ? " ✗" : "");
        ctx.textAlign = "right";
        const width = ctx.measureText(text).width;
        const top = y - 15 * ratio < bbox.top ? y + 2 * ratio : y - 14 * ratio;
        // Beside the names that stand at this height already.
        const near = taken.filter((other) => Math.abs(other.top - top) < 14 * ratio);
        const right = Math.min(bbox.left + bbox.width, ...near.map((other) => other.left));
        const left = right - width - 7 * ratio;
        taken.push({ top, left });
        ctx.fillStyle = palette.card;
        ctx.globalAlpha = 0.8;
        ctx.fillRect(left, top, width + 6 * ratio, 13 * ratio);
        ctx.globalAlpha = 1;
        ctx.fillStyle = line.is_broken ? palette.bad : palette.good;
        ctx.fillText(text, right - 4 * ratio, top + ratio);
      }
      ctx.restore();
    }

    // One zooms, the others of its axis follow. The library tells us later than it was asked, so that
    // whoever has the range already is left alone.
    zoomed(u) {
      if (growing) return;
      const { min, max } = u.scales.x;
      for (const other of group(this)) {
        const theirs = other.plot ? other.plot.scales.x : null;
        if (theirs && (theirs.min !== min || theirs.max !== max)) other.plot.setScale("x", { min, max });
      }
    }

    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const u = this.plot;
      const last = this.xs.length - 1;
      const at = u.cursor.idx ?? -1;
      const step = event.shiftKey ? Math.max(Math.round(last / 20), 1) : 1;
      const moves = { ArrowRight: at + step, ArrowLeft: at < 0 ? last : at - step, Home: 0, End: last };
      const keys = {
        "+": () => this.zoom(0.5), "=": () => this.zoom(0.5), "-": () => this.zoom(2), 0: whole, Escape: whole,
        l: () => setLog(!isLog), L: () => setLog(!isLog),
      };
      if (event.key in moves) this.point(Math.min(Math.max(moves[event.key], 0), last));
      else if (event.key in keys) keys[event.key]();
      else return;
      event.preventDefault();
    }

    // Moves the cursor to a point, and says its values.
    point(idx) {
      const u = this.plot;
      const value = this.xs[idx];
      const { min, max } = u.scales.x;
      if (value < min || value > max) {
        const half = (max - min) / 2;
        u.setScale("x", { min: value - half, max: value + half });
      }
      const series = this.chart.kind === "heat" ? 0 : Math.max(u.series.findIndex((s, i) => i > 0 && s.show && u.data[i][idx] !== null), 0);
      const top = series > 0 ? u.valToPos(u.data[series][idx], u.series[series].scale) : u.over.clientHeight / 2;
      u.setCursor({ left: u.valToPos(value, "x"), top }, false, true);
      const parts = this.chart.series.map((one) => {
        const unit = one.is_right ? this.chart.right.unit : this.chart.y.unit;
        return one.name + " " + (one.values[idx] === null ? "nothing" : FORMAT[unit](one.values[idx]));
      });
      this.figure.querySelector(".read").textContent = FORMAT[this.chart.x.unit](value) + ": " + (parts.join(", ") || this.cell(u));
    }

    zoom(factor) {
      const u = this.plot;
      const { min, max } = u.scales.x;
      const isLogX = this.chart.x.scale === "log";
      const [f, g] = isLogX ? [Math.log, Math.exp] : [(v) => v, (v) => v];
      const middle = f(u.cursor.idx === null || u.cursor.idx === undefined ? g((f(min) + f(max)) / 2) : this.xs[u.cursor.idx]);
      const half = ((f(max) - f(min)) / 2) * factor;
      const next = { min: Math.max(g(middle - half), this.full.min), max: Math.min(g(middle + half), this.full.max) };
      if (next.max > next.min) u.setScale("x", next);
    }
  }

  const whole = () => {
    for (const view of views) view.plot.setScale("x", view.full);
  };
  const rebuild = () => {
    readPalette();
    for (const view of views) {
      const { min, max } = view.plot.scales.x;
      view.build();
      if (min !== null && min !== undefined) view.plot.setScale("x", { min, max });
    }
  };
  const setLog = (on) => {
    isLog = on;
    document.getElementById("scale")?.setAttribute("aria-pressed", String(on));
    rebuild();
  };

  const themes = ["system", "light", "dark"];
  let theme = 0;
  const paint = (name) => {
    if (name === "system") delete root.dataset.theme;
    else root.dataset.theme = name;
    rebuild();
  };
  let waiting = 0;
  const resized = new ResizeObserver(() => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(() => {
      for (const view of views) {
        if (!printing && view.plot.width !== view.width()) view.plot.setSize({ width: view.width(), height: HEIGHT });
      }
    });
  });
  const add = (holder) => {
    const chart = data.charts.find((one) => one.id === holder.dataset.chart);
    if (chart) views.push(new View(chart, holder));
  };
  // Draws what the page holds, and makes its buttons work.
  const start = () => {
    readPalette();
    views.length = 0;
    for (const holder of document.querySelectorAll(".plot")) add(holder);
    const buttons = document.querySelector(".buttons");
    if (!buttons) return;
    buttons.hidden = false;
    const button = document.getElementById("theme");
    button.textContent = "Theme: " + themes[theme];
    // A live page starts again and again: a click is to count once.
    button.onclick = () => {
      theme = (theme + 1) % themes.length;
      button.textContent = "Theme: " + themes[theme];
      paint(themes[theme]);
    };
    document.getElementById("scale").setAttribute("aria-pressed", String(isLog));
    document.getElementById("scale").onclick = () => setLog(!isLog);
    document.getElementById("whole").onclick = whole;
    document.getElementById("print").onclick = () => window.print();
    resized.disconnect();
    resized.observe(document.querySelector(".charts"));
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", rebuild);
  window.addEventListener("beforeprint", () => { printing = true; paint("light"); });
  window.addEventListener("afterprint", () => { printing = false; paint(themes[theme]); });
  start();

  // A live page gives its charts to be drawn: all of them, and then more of each.
  window.report = {
    get data() { return data; },
    // Other data, in the page as it is now.
    restart(other) {
      for (const view of views) view.plot.destroy();
      data = other;
      start();
    },
    add,
    grow() {
      const whole = views.map((view) => view.isWhole());
      growing = true;
      views.forEach((view, i) => view.grow(whole[i]));
      setTimeout(() => { growing = false; });
    },
    // Of each chart over time: what is shown, and the last second.
    ranges: () => views.filter((view) => view.chart.x.unit === "clock").map((view) => {
      const { min, max } = view.plot.scales.x;
      return [view.chart.id, min, max, data.at[data.at.length - 1]];
    }),
    value: (chart, series, value) => FORMAT[(series.is_right ? chart.right : chart.y).unit](value),
  };
})();

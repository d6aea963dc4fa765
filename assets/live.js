// Makes the report page grow while a run lasts. Its server sends everything so far, then each second,
// and at the end the finished report. Texts reach the page by `textContent` only.
"use strict";
(() => {
  const page = window.report;
  const link = document.getElementById("link");
  const MOST_COLUMNS = 600;
  // Lines of one chart: as many colours as there are, and as many as the report draws.
  const MOST_SERIES = 8;
  let clock = "";
  let source = null;
  // Of a sweep: the steps that are over.
  let steps = null;

  const element = (name, properties, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };

  const say = (text, tone) => {
    link.textContent = text;
    link.className = "link " + tone;
  };

  // A chart's surroundings, at its place among the others.
  const figure = (chart) => {
    const plot = element("div", { className: "plot", tabIndex: 0 });
    plot.dataset.chart = chart.id;
    plot.setAttribute("role", "img");
    const caption = element("figcaption", {}, element("h3", { textContent: chart.title }), element("p", { className: "note", textContent: chart.note }));
    const read = element("p", { className: "read" });
    read.setAttribute("aria-live", "polite");
    const made = element("figure", { className: "card", id: chart.id }, caption, plot, read);
    made.dataset.order = chart.order;
    const others = [...document.querySelectorAll(".charts > figure")];
    const next = others.find((other) => Number(other.dataset.order) > chart.order);
    document.querySelector(".charts").insertBefore(made, next || null);
    return plot;
  };

  const describe = (chart) => {
    const last = chart.series.map((one) => {
      const value = one.values[one.values.length - 1];
      return one.name + " " + (value === null || value === undefined ? "nothing" : page.value(chart, one, value));
    });
    const plot = document.querySelector('.plot[data-chart="' + CSS.escape(chart.id) + '"]');
    if (plot) plot.setAttribute("aria-label", chart.title + ". Last: " + (last.join(", ") || "see the report at the end") + ".");
  };

  // What a series of counts or of times has where nothing came.
  const nothing = (chart) => (chart.counts ? 0 : null);

  const appendSeries = (chart, more, before, added) => {
    if (more && more.right) chart.right = more.right;
    for (const one of chart.series) {
      const theirs = more ? more.series.find((other) => other.name === one.name) : null;
      for (let i = 0; i < added; i += 1) one.values.push(theirs ? theirs.values[i] : nothing(chart));
    }
    for (const theirs of more ? more.series : []) {
      if (chart.series.some((one) => one.name === theirs.name)) continue;
      if (chart.kind === "lines" && chart.series.length >= MOST_SERIES) continue;
      const place = chart.series.length;
      const values = Array.from({ length: before }, () => nothing(chart)).concat(theirs.values);
      chart.series.push({ ...theirs, dash: place, color: place, values });
    }
  };

  // All maps lie on one grid, so that the rows of two of them differ by whole places.
  const appendMap = (chart, more) => {
    const [ours, theirs] = [chart.heat, more.heat];
    const step = Math.log10(ours.rows[1] / ours.rows[0]);
    const place = (edge) => Math.round(Math.log10(edge) / step);
    const ends = (heat) => [place(heat.rows[0]), place(heat.rows[heat.rows.length - 1])];
    const [[low, high], [theirLow, theirHigh]] = [ends(ours), ends(theirs)];
    const [from, to] = [Math.min(low, theirLow), Math.max(high, theirHigh)];
    const moved = (cells, by) => cells.map((column) => column.map((n, i) => (i % 2 === 0 ? n + by : n)));
    ours.cells = moved(ours.cells, low - from).concat(moved(theirs.cells, theirLow - from));
    ours.rows = Array.from({ length: to - from + 1 }, (_, i) => 10 ** ((from + i) * step));
    // Seconds without any time are empty columns.
    const last = ours.columns[ours.columns.length - 1];
    if (theirs.columns[0] > last) {
      ours.cells.splice(ours.cells.length - theirs.cells.length, 0, []);
      ours.columns.push(theirs.columns[0]);
    }
    ours.columns.push(...theirs.columns.slice(1));
    if (ours.cells.length > MOST_COLUMNS) halve(ours);
    chart.at = ours.cells.map((_, i) => (ours.columns[i] + ours.columns[i + 1]) / 2);
  };

  // Two columns become one.
  const halve = (heat) => {
    const sum = (one, other) => {
      const rows = new Map();
      for (const column of [one, other || []]) {
        for (let i = 0; i < column.length; i += 2) rows.set(column[i], (rows.get(column[i]) || 0) + column[i + 1]);
      }
      return [...rows].sort((a, b) => a[0] - b[0]).flat();
    };
    const end = heat.columns[heat.columns.length - 1];
    heat.cells = heat.cells.filter((_, i) => i % 2 === 0).map((column, i) => sum(column, heat.cells[2 * i + 1]));
    heat.columns = heat.columns.slice(0, -1).filter((_, i) => i % 2 === 0).concat(end);
  };

  const showState = (frame) => {
    clock = frame.clock;
    document.querySelector("header .why").textContent = [frame.clock, frame.stage].filter(Boolean).join(", ");
    const tiles = frame.tiles.map((tile) => element("li", { className: tile.tone },
      element("span", { className: "label", textContent: tile.name }), element("b", { textContent: tile.value }),
      element("span", { className: "note", textContent: tile.note })));
    document.querySelector(".tiles").replaceChildren(...tiles);
  };

  // The steps of a sweep that are over, in words, above the charts of the one that runs.
  const showSteps = () => {
    let list = document.getElementById("steps");
    if (!list) {
      list = element("ol", { id: "steps", className: "card" });
      list.setAttribute("aria-label", "steps that are over");
      document.querySelector(".bar").before(list);
    }
    list.hidden = steps.told.length === 0;
    list.replaceChildren(...steps.told.map((line) => element("li", { textContent: line })));
  };

  const takeSteps = (more) => {
    steps = more;
    showSteps();
    const { data } = page;
    const added = [];
    for (const chart of steps.charts) {
      const known = data.charts.find((one) => one.id === chart.id);
      if (known) { Object.assign(known, chart); continue; }
      data.charts.push(chart);
      added.push(figure(chart));
    }
    page.grow();
    added.forEach(page.add);
    steps.charts.forEach(describe);
  };

  const begin = (frame) => {
    document.querySelector(".charts").replaceChildren();
    const charts = (steps ? steps.charts : []).concat(frame.charts);
    for (const chart of charts) figure(chart);
    page.restart({ at: frame.at, charts });
    charts.forEach(describe);
    showState(frame);
    say("Live: updated every second.", "good");
  };

  const append = (frame) => {
    const { data } = page;
    const before = data.at.length;
    data.at.push(...frame.at);
    const added = [];
    for (const chart of data.charts) {
      const more = frame.charts.find((other) => other.id === chart.id);
      if (chart.kind === "heat") { if (more) appendMap(chart, more); }
      else if (!chart.at) appendSeries(chart, more, before, frame.at.length);
      else if (more) Object.assign(chart, { at: more.at, series: more.series });
    }
    for (const chart of frame.charts) {
      if (data.charts.some((one) => one.id === chart.id)) continue;
      if (!chart.at) {
        for (const one of chart.series) one.values = Array.from({ length: before }, () => nothing(chart)).concat(one.values);
      }
      data.charts.push(chart);
      added.push(figure(chart));
    }
    page.grow();
    added.forEach(page.add);
    data.charts.forEach(describe);
    showState(frame);
  };

  // The finished report takes the place of this page. Its scripts are not run again: they are ours.
  const finish = (html) => {
    source.close();
    const report = new DOMParser().parseFromString(html, "text/html");
    document.title = report.title;
    document.body.replaceWith(report.body);
    page.restart(JSON.parse(document.getElementById("data").textContent));
    const save = element("button", { type: "button", textContent: "Save this report" });
    save.addEventListener("click", () => {
      const url = URL.createObjectURL(new Blob([html], { type: "text/html" }));
      element("a", { href: url, download: "report.html" }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60000);
    });
    document.querySelector(".buttons")?.prepend(save);
    document.querySelector("footer").prepend(element("p", { id: "link", textContent: "The run is over and its process has ended. This page is gone when you close it: save it to keep it." }));
  };

  const connect = () => {
    source = new EventSource("events");
    source.addEventListener("all", (event) => begin(JSON.parse(event.data)));
    source.addEventListener("second", (event) => append(JSON.parse(event.data)));
    source.addEventListener("steps", (event) => takeSteps(JSON.parse(event.data)));
    source.addEventListener("report", (event) => finish(JSON.parse(event.data)));
    source.addEventListener("end", (event) => {
      source.close();
      say("The run has ended without a report. " + JSON.parse(event.data), "bad");
    });
    source.addEventListener("error", () => {
      say("Connection lost" + (clock ? ": what you see ends at " + clock : "") + ". Trying again …", "bad");
      if (source.readyState === EventSource.CLOSED) setTimeout(connect, 2000);
    });
  };
  connect();
})();

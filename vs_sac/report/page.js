"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const NS = "http://www.w3.org/2000/svg";
  const $ = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const minus = text => text.replace("-", "−");

  const svg = (name, attributes = {}, parent = null, text = null) => {
    const element = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== null) element.textContent = text;
    if (parent) parent.append(element);
    return element;
  };
  const fill = (select, values, chosen) => {
    select.replaceChildren(...values.map(value => {
      const [key, name] = Array.isArray(value) ? value : [value, value];
      return new Option(name, key, false, key === chosen);
    }));
  };

  // Tables: a click, Enter or the space bar on a heading sorts by it, again the other way round. Missing figures go last.
  for (const table of all("table.sortable")) {
    all("th", table).forEach((head, column) => $("button", head).addEventListener("click", () => {
      const rows = all("tbody tr", table);
      const key = row => {
        const cell = row.cells[column];
        return cell.dataset.value === undefined ? cell.textContent.trim() : Number(cell.dataset.value);
      };
      const numeric = rows.some(row => typeof key(row) === "number");
      const down = head.getAttribute("aria-sort") === (numeric ? "none" : "ascending")
        || (numeric && head.getAttribute("aria-sort") === "ascending");
      rows.map(row => [key(row), row]).sort(([a], [b]) => {
        if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
        const order = typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
        return down ? -order : order;
      }).forEach(([, row]) => table.tBodies[0].append(row));
      for (const other of all("th", table)) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
    }));
  }
  const filter = $("[data-filter]");
  if (filter) filter.addEventListener("change", () => {
    for (const row of all("#all tbody tr")) row.hidden = filter.clip.value !== "" && row.dataset.clip !== filter.clip.value;
  });

  // Charts.
  const nice = (low, high, count) => {
    const raw = (high - low) / Math.max(1, count) || 1;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 2.5, 5, 10].map(f => f * power).find(s => s >= raw) || raw;
    const ticks = [];
    for (let tick = Math.ceil(low / step) * step; tick <= high + step * 1e-6; tick += step) ticks.push(tick);
    return ticks;
  };
  const logTicks = (low, high) => {
    const ticks = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
      for (const factor of high / low > 60 ? [1] : high / low > 8 ? [1, 2, 5] : [1, 1.5, 2, 3, 5, 7])
        if (factor * 10 ** power >= low && factor * 10 ** power <= high) ticks.push(factor * 10 ** power);
    return ticks;
  };
  const short = value => Math.abs(value) >= 10000 ? `${+(value / 1000).toPrecision(3)}k` : String(+value.toPrecision(4));

  // series: [{name, look, points: [{x, y, text, solid}]}]; marks or plain lines with a cursor.
  const draw = (box, series, { xName, yName, logarithmic = false, flip = false, marks = true, digits = 2 }) => {
    const hidden = box.hiddenNames ??= new Set();
    const narrow = box.clientWidth < 520;
    const [width, height] = narrow ? [380, 330] : [960, 400];
    const margin = { left: narrow ? 40 : 54, right: 16, top: 26, bottom: 46 };
    box.replaceChildren();
    const legend = document.createElement("div");
    legend.className = "legend";
    const sample = (look, parent) => {
      const small = svg("svg", { viewBox: "0 0 26 12", "aria-hidden": "true" }, parent);
      svg("line", { x1: 0, x2: 26, y1: 6, y2: 6, stroke: look.colour, "stroke-width": 2, "stroke-dasharray": look.dash }, small);
      if (marks) mark(look, 13, 6, 4, true, small);
    };
    for (const { name, look } of series) {
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-pressed", String(!hidden.has(name)));
      sample(look, button);
      button.append(name);
      button.addEventListener("click", () => {
        hidden.has(name) ? hidden.delete(name) : hidden.add(name);
        draw(box, series, { xName, yName, logarithmic, flip, marks, digits });
        all(".legend button", box).find(other => other.textContent === name)?.focus();
      });
      legend.append(button);
    }
    box.append(legend);
    const shown = series.filter(({ name }) => !hidden.has(name));
    const points = shown.flatMap(s => s.points).filter(p => p.y !== null);
    const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": `${yName} over ${xName}` });
    box.append(root);
    if (!points.length) {
      svg("text", { x: width / 2, y: height / 2, "text-anchor": "middle" }, root, "no figures");
      return;
    }
    const span = (values, share) => {
      const [low, high] = [Math.min(...values), Math.max(...values)];
      const pad = (high - low) * share || Math.abs(high) * .05 || 1;
      return [low - pad, high + pad];
    };
    const place = logarithmic ? Math.log10 : value => value;
    const [xLow, xHigh] = span(points.map(p => place(p.x)), marks ? .04 : 0);
    const [yLow, yHigh] = span(points.map(p => p.y), .06);
    const right = width - margin.right, bottom = height - margin.bottom;
    const x = value => {
      const share = (place(value) - xLow) / (xHigh - xLow || 1);
      return margin.left + (flip ? 1 - share : share) * (right - margin.left);
    };
    const y = value => bottom - (value - yLow) / (yHigh - yLow) * (bottom - margin.top);
    for (const tick of nice(yLow, yHigh, 6)) {
      svg("line", { class: "grid", x1: margin.left, x2: right, y1: y(tick), y2: y(tick) }, root);
      svg("text", { x: margin.left - 8, y: y(tick) + 4, "text-anchor": "end" }, root, minus(short(tick)));
    }
    const ticks = logarithmic ? logTicks(10 ** xLow, 10 ** xHigh) : nice(xLow, xHigh, narrow ? 5 : 8);
    for (const tick of ticks) {
      svg("line", { class: "grid", x1: x(tick), x2: x(tick), y1: margin.top, y2: bottom }, root);
      svg("text", { x: x(tick), y: bottom + 18, "text-anchor": "middle" }, root, short(tick));
    }
    svg("line", { class: "axis", x1: margin.left, x2: right, y1: bottom, y2: bottom }, root);
    svg("text", { x: margin.left, y: 14 }, root, yName);
    svg("text", { x: right, y: height - 8, "text-anchor": "end" }, root, xName);
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.hidden = true;
    tip.setAttribute("role", "status");
    box.append(tip);
    const show = (left, top, lines) => {
      tip.replaceChildren(...lines.map((line, n) => {
        const row = document.createElement("div");
        if (n === 0) row.style.fontWeight = "600";
        row.textContent = line;
        return row;
      }));
      tip.hidden = false;
      const scale = root.clientWidth / width;
      tip.style.left = `${Math.max(0, Math.min(left * scale + 14, box.clientWidth - tip.offsetWidth))}px`;
      tip.style.top = `${root.offsetTop + legend.offsetHeight + 8 + Math.max(0, top * scale - tip.offsetHeight - 12)}px`;
    };
    for (const { look, points: own } of shown) {
      const known = own.filter(p => p.y !== null && p.joined !== false);
      svg("polyline", {
        points: known.map(p => `${x(p.x)},${y(p.y)}`).join(" "), fill: "none", stroke: look.colour,
        "stroke-width": 2, "stroke-dasharray": look.dash, "stroke-linejoin": "round", opacity: marks ? .75 : 1,
      }, root);
    }
    if (marks) {
      for (const { name, look, points: own } of shown) for (const point of own.filter(p => p.y !== null)) {
        const lines = [`${name} ${point.text}`, `${short(point.x)} ${xName}`, minus(`${point.y.toFixed(digits)} ${yName}`)];
        const shape = mark(look, x(point.x), y(point.y), 5, point.solid, root);
        shape.setAttribute("class", "mark");
        shape.setAttribute("tabindex", "0");
        shape.setAttribute("role", "img");
        shape.setAttribute("aria-label", lines.join(", "));
        for (const event of ["pointerenter", "focus"]) shape.addEventListener(event, () => show(x(point.x), y(point.y), lines));
        for (const event of ["pointerleave", "blur"]) shape.addEventListener(event, () => { tip.hidden = true; });
      }
      return;
    }
    const cursor = svg("line", { class: "cursor", y1: margin.top, y2: bottom, visibility: "hidden" }, root);
    root.addEventListener("pointermove", event => {
      const left = (event.clientX - root.getBoundingClientRect().left) * width / root.clientWidth;
      const number = Math.round(xLow + (left - margin.left) / (right - margin.left) * (xHigh - xLow));
      if (number < xLow || number > xHigh) return;
      cursor.setAttribute("x1", x(number));
      cursor.setAttribute("x2", x(number));
      cursor.setAttribute("visibility", "visible");
      const at = own => own.find(p => p.x === number)?.y;
      show(x(number), margin.top + 90, [`frame ${number}`, ...shown.filter(s => at(s.points) != null)
        .map(s => `${s.name}: ${at(s.points).toFixed(digits)} dB`)]);
    });
    root.addEventListener("pointerleave", () => { tip.hidden = true; cursor.setAttribute("visibility", "hidden"); });
  };
  const mark = (look, x, y, size, solid, parent) => {
    const paint = { stroke: look.colour, "stroke-width": 2, fill: solid ? look.colour : "var(--card)" };
    return look.marker === "square"
      ? svg("rect", { x: x - size * .88, y: y - size * .88, width: size * 1.76, height: size * 1.76, ...paint }, parent)
      : svg("circle", { cx: x, cy: y, r: size, ...paint }, parent);
  };

  const curves = $('[data-chart="curves"]');
  fill(curves.clip, Object.keys(data.curves));
  fill(curves.quality, data.qualities.filter(([key]) => Object.values(data.curves).some(rows => rows.some(r => r[key] !== null))));
  const drawCurves = () => {
    const [, name, digits] = data.qualities.find(([key]) => key === curves.quality.value);
    const ratio = curves.rate.value === "ratio";
    const families = new Map();
    for (const row of data.curves[curves.clip.value]) {
      if (!families.has(row.family)) families.set(row.family, { name: row.family, look: row.look, points: [] });
      families.get(row.family).points.push({
        x: row[curves.rate.value], y: row[curves.quality.value], text: row.setting, solid: row.matched, joined: row.joined,
      });
    }
    const series = [...families.values()];
    for (const one of series) one.points.sort((a, b) => a.x - b.x);
    draw($("#curve-chart"), series, {
      xName: ratio ? ": 1 compression" : "kbit/s", yName: name, logarithmic: true, flip: ratio, digits,
    });
  };
  curves.addEventListener("change", drawCurves);

  const frames = $('[data-chart="frames"]');
  fill(frames.clip, Object.keys(data.frames));
  const drawFrames = () => draw($("#frame-chart"), data.frames[frames.clip.value].map(run => ({
    name: run.label, look: run.look, points: run[frames.region.value].map((y, x) => ({ x, y })),
  })), { xName: "frame", yName: `${frames.region.selectedOptions[0].text} PSNR (dB)`, marks: false });
  frames.addEventListener("change", drawFrames);

  // Before and after.
  const pictures = $("[data-pictures]");
  const stack = $(".stack");
  const slide = value => stack.style.setProperty("--at", `${value}%`);
  const showPictures = () => {
    const held = data.pictures[pictures.clip.value];
    const view = Number(pictures.view.value);
    stack.classList.toggle("pixels", view === 1);
    for (const side of ["left", "right"]) {
      const label = pictures[side].value;
      const image = $(`img.${side}`, stack);
      image.src = held[label][view];
      image.alt = `${pictures.clip.value}, ${label}`;
      $(`.tag-${side}`, stack).textContent = held[label][2];
    }
    $("img.left", stack).onload = event => stack.style.setProperty("--shape", event.target.naturalWidth / event.target.naturalHeight);
  };
  const showClip = () => {
    const labels = Object.keys(data.pictures[pictures.clip.value]);
    const keep = side => labels.includes(pictures[side].value) ? pictures[side].value : null;
    // Two encodes of equal bytes, where there are such.
    const [left, right] = data.pairs[pictures.clip.value];
    fill(pictures.left, labels, keep("left") ?? left ?? labels[0]);
    fill(pictures.right, labels, keep("right") ?? right ?? labels.at(-1));
    showPictures();
  };
  if (Object.keys(data.pictures).length) {
    fill(pictures.clip, Object.keys(data.pictures));
    pictures.addEventListener("change", event => event.target === pictures.clip ? showClip() : showPictures());
    $("input", stack).addEventListener("input", event => slide(event.target.value));
    showClip();
  } else {
    $("#pictures").hidden = true;
  }

  let last = 0;
  const redraw = () => {
    if (document.body.clientWidth === last) return;
    last = document.body.clientWidth;
    drawCurves();
    drawFrames();
  };
  addEventListener("resize", redraw);
  redraw();
})();

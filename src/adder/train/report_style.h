// The looks and the script of the report page.
#pragma once

namespace adder::train {

inline constexpr const char* kReportStyle = R"css(
:root { color-scheme: light dark; --page: #fbfbf9; --card: #fff; --ink: #1d2126; --soft: #626a73;
  --line: #e3e4e0; --c1: #2166c4; --c2: #d1570a; --c3: #16805b; --c4: #8b3fa8; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --page: #14171a; --card: #1c2024; --ink: #e6e8ea;
  --soft: #9aa3ac; --line: #33393f; --c1: #6aa9ff; --c2: #ff9b57; --c3: #4fc79a; --c4: #cf90e8;
  --bad: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1180px; padding: 28px 20px 60px; background: var(--page);
  color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; }
h1 { font-size: 26px; margin: 0; letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { font-size: 17px; margin: 34px 0 12px; }
.sub { color: var(--soft); margin: 2px 0 20px; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: 10px; }
.facts div { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 10px 14px; }
.facts b { display: block; font-size: 21px; font-weight: 600; font-variant-numeric: tabular-nums; }
.facts span { color: var(--soft); font-size: 13px; }
.charts { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 12px; }
.charts figure:first-child { grid-column: 1 / -1; }
@media (max-width: 800px) { .charts { grid-template-columns: minmax(0, 1fr); } }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: 12px 14px 6px; position: relative; }
figure svg { width: 100%; height: auto; display: block; touch-action: pan-y; }
figcaption small, .soft { color: var(--soft); }
.key { float: right; margin-left: 16px; font-size: 13px; }
.key i { display: inline-block; width: 16px; height: 3px; border-radius: 2px; background: currentColor;
  margin-right: 6px; vertical-align: middle; }
.c1 { color: var(--c1); } .c2 { color: var(--c2); } .c3 { color: var(--c3); } .c4 { color: var(--c4); }
.axis text { fill: var(--soft); font-size: 11.5px; font-variant-numeric: tabular-nums; }
.axis line { stroke: var(--line); } .axis .base, .axis .tick { stroke: var(--soft); }
path { fill: none; stroke: currentColor; stroke-width: 1.8; stroke-linejoin: round; stroke-linecap: round;
  vector-effect: non-scaling-stroke; }
.faint path { stroke-width: 1; opacity: .32; } circle { fill: currentColor; }
.hover line { stroke: var(--soft); stroke-dasharray: 3 3; } .hover circle { stroke: var(--card); stroke-width: 1.5; }
.tip { position: absolute; pointer-events: none; background: var(--card); color: var(--ink); border: 1px solid var(--line);
  border-radius: 6px; padding: 5px 9px; font-size: 12.5px; line-height: 1.45; box-shadow: 0 2px 10px #0003;
  white-space: nowrap; font-variant-numeric: tabular-nums; z-index: 2; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px; margin: 8px 0;
  white-space: pre-wrap; overflow-wrap: anywhere; font: 13.5px/1.5 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
  max-height: 420px; overflow-y: auto; }
summary { cursor: pointer; padding: 2px 0; } details { margin: 6px 0; }
table { border-collapse: collapse; width: 100%; background: var(--card); border: 1px solid var(--line); font-size: 14px; }
td, th { text-align: left; padding: 5px 14px; border-top: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
th { font-weight: 600; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
td:first-child { white-space: nowrap; }
.columns { columns: 2 420px; column-gap: 12px; } .columns section { break-inside: avoid; margin-bottom: 12px; }
.columns h3 { font-size: 14px; margin: 0 0 4px; } .warn { color: var(--bad); }
@media print { .tip { display: none; } pre { max-height: none; } }
)css";

/// Shows the values nearest to the pointer. Without it the page lacks nothing else.
inline constexpr const char* kReportScript = R"js(
for (const svg of document.querySelectorAll('svg[data-series]')) {
  const [left, right, top, bottom, x0, x1, y0, y1] = svg.dataset.frame.split(',').map(Number);
  const series = JSON.parse(svg.dataset.series).filter(s => s[2].length);
  const hover = svg.querySelector('.hover'), tip = document.createElement('div');
  const format = v => Math.abs(v) >= 1e4 ? Math.round(v).toLocaleString('en') : +v.toPrecision(4) + '';
  const make = (name, attributes) => {
    const node = document.createElementNS('http://www.w3.org/2000/svg', name);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    hover.append(node);
  };
  const row = (text, colour) => {
    const node = document.createElement('div');
    node.textContent = text;
    if (colour) node.className = 'c' + colour;
    tip.append(node);
  };
  tip.className = 'tip';
  const hide = () => { tip.remove(); hover.replaceChildren(); };
  svg.addEventListener('pointerleave', hide);
  svg.addEventListener('pointermove', event => {
    const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    const wanted = x0 + (place.x - left) / (right - left) * (x1 - x0);
    const found = series.map(([name, colour, xs, ys]) => {
      let low = 0, high = xs.length - 1;
      while (low < high) { const mid = low + high >> 1; xs[mid] < wanted ? low = mid + 1 : high = mid; }
      if (low > 0 && wanted - xs[low - 1] < xs[low] - wanted) --low;
      return { name, colour, x: xs[low], y: ys[low] };
    });
    hide();
    const nearest = found.reduce((a, b) => Math.abs(a.x - wanted) <= Math.abs(b.x - wanted) ? a : b);
    const toX = v => left + (v - x0) / (x1 - x0) * (right - left);
    make('line', { x1: toX(nearest.x), x2: toX(nearest.x), y1: top, y2: bottom });
    row('step ' + format(nearest.x));
    for (const f of found) {
      if (Math.abs(f.x - nearest.x) > (x1 - x0) / 50) continue;
      const y = bottom - (f.y - y0) / (y1 - y0) * (bottom - top);
      if (y >= top - 4) make('circle', { cx: toX(f.x), cy: y, r: 3.5, class: 'c' + f.colour });
      row(f.name + ' ' + format(f.y), f.colour);
    }
    svg.parentNode.append(tip);
    const box = svg.parentNode.getBoundingClientRect(), x = event.clientX - box.left;
    tip.style.left = (x > box.width - tip.offsetWidth - 24 ? x - tip.offsetWidth - 12 : x + 14) + 'px';
    tip.style.top = event.clientY - box.top + 12 + 'px';
  });
}
)js";

}  // namespace adder::train

// How charts look: the one style sheet of all of them.
#pragma once

namespace slotcon::view {

/// CSS for line_chart() and bar_chart(), once a page. Colours are custom properties, --chart-*, for
/// light and for dark pages as the reader prefers; a page may set others after it.
inline const char* chart_style() {
  return R"css(:root{--chart-text:#5c6570;--chart-grid:#e3e6ea;--chart-line:#1f6feb;
--chart-reference:#b35900;--chart-halo:#fff}
@media(prefers-color-scheme:dark){:root{--chart-text:#a3adb8;--chart-grid:#30363e;
--chart-line:#6cb0ff;--chart-reference:#f0a55b;--chart-halo:#16191d}}
.chart{display:block;width:100%;height:auto;overflow:visible}
.chart text{font:12px/1 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif;
fill:var(--chart-text);font-variant-numeric:tabular-nums}
.chart .end{text-anchor:end}.chart .middle{text-anchor:middle}
.chart path{fill:none;stroke-linecap:round;stroke-linejoin:round}
.chart .grid{stroke:var(--chart-grid)}
.chart .line{stroke:var(--chart-line);stroke-width:1.8}
.chart .faint{stroke-width:1;opacity:.35}
.chart .reference{stroke:var(--chart-reference);stroke-dasharray:5 4;stroke-width:1.3}
.chart .reference-label{fill:var(--chart-reference);paint-order:stroke;stroke:var(--chart-halo);
stroke-width:3px;stroke-linejoin:round}
.chart .strip{fill:transparent}
.chart .readout text,.chart .readout .dot{visibility:hidden}
.chart .readout:hover text,.chart .readout:hover .dot{visibility:visible}
.chart .readout .dot{stroke:var(--chart-line);stroke-width:7}
.chart .readout text{paint-order:stroke;stroke:var(--chart-halo);stroke-width:4px}
.chart .bar rect{stroke:var(--chart-text);stroke-width:.4}
.chart .bar:hover rect{opacity:.7}
)css";
}

}  // namespace slotcon::view

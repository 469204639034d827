// How reports look: calm, readable at any width, in light and in dark.
#pragma once

namespace examples {

/// The style sheet of a page, after that of its charts.
inline const char* page_style() {
  return R"css(:root{color-scheme:light dark;--page:#f5f6f8;--card:#fff;--text:#1c2128;--muted:#57606a;
--rule:#e0e4e8;--accent:#0a5bcc;--bar:#d9e7fc;--warn:#fff3df;--warn-rule:#c96a00}
@media(prefers-color-scheme:dark){:root{--page:#0f1215;--card:#16191d;--text:#e4e8ec;
--muted:#a3adb8;--rule:#2c3239;--accent:#7db8ff;--bar:#1d3a5f;--warn:#2b2112;--warn-rule:#e39a45}}
*{box-sizing:border-box}
html{scroll-padding-top:3.6rem}
body{margin:0;background:var(--page);color:var(--text);line-height:1.55;
font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif}
header,nav ul,main,footer{max-width:1180px;margin:0 auto;padding:0 20px}
header{padding-top:36px}
h1{font-size:1.9rem;line-height:1.2;margin:0 0 8px;letter-spacing:-.01em}
h2{font-size:1.35rem;line-height:1.25;margin:0 0 6px}
h3{font-size:1rem;margin:0 0 4px}
p{margin:0 0 12px;max-width:75ch}
a{color:var(--accent)}
.lead{font-size:1.05rem;color:var(--muted);overflow-wrap:anywhere}
.note{color:var(--muted);font-size:.92rem;max-width:100ch;overflow-wrap:anywhere}
.status{display:inline-block;vertical-align:middle;font-size:.8rem;font-weight:600;
letter-spacing:.02em;padding:3px 10px;border-radius:99px;background:var(--bar)}
nav{position:sticky;top:0;z-index:1;background:var(--page);border-bottom:1px solid var(--rule)}
nav ul{list-style:none;display:flex;gap:22px;overflow-x:auto;white-space:nowrap}
nav a{display:block;padding:11px 0;text-decoration:none;font-weight:500;font-size:.95rem}
nav a:hover{text-decoration:underline}
a:focus-visible,.scroll:focus-visible,summary:focus-visible{outline:2px solid var(--accent);
outline-offset:2px;border-radius:3px}
section{margin:44px 0}
.warning{border-left:4px solid var(--warn-rule);background:var(--warn);padding:12px 16px;
border-radius:0 8px 8px 0;margin:20px 0 0}
.key-figures{display:flex;flex-wrap:wrap;gap:14px;margin:24px 0 0}
.key-figures div{flex:1 1 190px;max-width:420px}
.key-figures div,.card{background:var(--card);border:1px solid var(--rule);border-radius:10px;
padding:14px 16px;margin:0}
.key-figures dt{color:var(--muted);font-size:.88rem}
.key-figures dd{margin:0;font-size:1.65rem;font-weight:600;line-height:1.3;
font-variant-numeric:tabular-nums}
.key-figures small{display:block;font-size:.85rem;font-weight:400;color:var(--muted);
overflow-wrap:anywhere}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(320px,100%),1fr));
gap:14px;margin:14px 0}
.card figcaption{font-size:.9rem;line-height:1.45;color:var(--muted);margin-top:8px}
.card .values{font-size:.88rem;color:var(--muted);margin:0 0 8px;font-variant-numeric:tabular-nums}
.scroll{overflow-x:auto;margin:14px 0;border:1px solid var(--rule);border-radius:10px;
background:var(--card)}
table{border-collapse:separate;border-spacing:0;width:100%;font-size:.94rem;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--muted);font-size:.9rem;padding:12px 14px}
th,td{padding:6px 14px;text-align:right;white-space:nowrap}
th[scope=row],thead tr:last-child th:first-child{text-align:left;font-weight:500}
thead th{font-weight:600;border-bottom:1px solid var(--rule);vertical-align:bottom}
thead th[scope=colgroup]{text-align:center;border-bottom:0}
tbody+tbody tr:first-child>*{border-top:1px solid var(--rule)}
tbody tr:hover{background:color-mix(in srgb,var(--bar) 30%,transparent)}
td.share{min-width:8.5em;background:linear-gradient(var(--bar),var(--bar)) no-repeat 0 50%/
calc((100% - 5em)*var(--share)) 62%}
td.best{font-weight:700}
th[scope=row]{position:sticky;left:0;background:var(--card)}
@media(max-width:699px){th,td{padding:6px 9px}th{white-space:normal}th[scope=row]{min-width:8em}
td.share{min-width:0;background:none}}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(270px,100%),1fr));
gap:0 28px;margin:10px 0}
.facts div{display:flex;justify-content:space-between;gap:14px;padding:5px 0;
border-bottom:1px solid var(--rule);font-size:.94rem}
.facts dt{color:var(--muted)}
.facts dd{margin:0;text-align:right;overflow-wrap:anywhere}
.protocol{grid-template-columns:1fr;max-width:95ch}
.protocol div{justify-content:flex-start}
.protocol dt{flex:0 0 6.5em}
.protocol dd{text-align:left}
.picture-rows{display:grid;gap:18px;margin:14px 0}
.two{grid-template-columns:repeat(auto-fill,minmax(min(460px,100%),1fr))}
.cells{display:grid;grid-template-columns:repeat(3,1fr);gap:8px;margin-top:8px}
@media(min-width:700px){.cells{grid-template-columns:repeat(6,1fr)}}
.two .cells{grid-template-columns:repeat(5,1fr);gap:6px}
.picture-rows h3{font-size:.92rem}
.cells figure{margin:0}
.cells img{display:block;width:100%;height:auto;border-radius:4px}
.cells figcaption{font-size:.8rem;line-height:1.35;margin-top:4px}
.swatch{display:inline-block;width:.75em;height:.75em;border-radius:2px;margin-right:.35em;
vertical-align:-.02em;border:1px solid color-mix(in srgb,var(--text) 35%,transparent)}
.heat{display:inline-block;width:9em;height:.75em;border-radius:2px;vertical-align:-.05em;
margin:0 .4em;background:linear-gradient(90deg,#00f,#0ff,#0f0,#ff0,#f00)}
details{margin:10px 0}
summary{cursor:pointer;color:var(--accent)}
footer{color:var(--muted);font-size:.88rem;padding-top:10px;padding-bottom:36px}
@media print{nav{display:none}.card,.picture-rows>*,tr{break-inside:avoid}}
)css";
}

}  // namespace examples

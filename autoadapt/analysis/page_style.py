"""How report pages look, and the few lines that sort their tables."""

from autoadapt.analysis.drawing import VARIABLES

LIGHT = "".join(f"--{name}:{colour};" for colour, name in VARIABLES.items())

STYLE = (
    """
:root{color-scheme:light dark;"""
    + LIGHT
    + """--page:#f4f5f7;--paper:#ffffff;--accent:#0b63a5;--good:#0a7a57;--bad:#b04300;
--soft:#eef1f5;--shade:0 1px 2px rgb(20 30 45/.07),0 4px 16px rgb(20 30 45/.05)}
@media (prefers-color-scheme:dark){:root{--ink:#e7eaf0;--muted:#98a1ae;--line:#2f3641;
--paper:#191e26;--page:#10141a;--accent:#7cc0f4;--good:#4fd0a5;--bad:#ff9c66;--soft:#222933;
--blue:#4aa8e6;--vermillion:#f4803a;--green:#2bc79a;--orange:#f2b632;--sky:#8ccdf2;
--purple:#e09cc2;--shade:none}}
*{box-sizing:border-box}
html{scroll-behavior:smooth;-webkit-text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
nav{position:sticky;top:0;z-index:3;display:flex;gap:1.3rem;overflow-x:auto;white-space:nowrap;
padding:.65rem max(1rem,calc(50vw - 35rem));background:var(--paper);
border-bottom:1px solid var(--line);font-size:.87rem}
nav a{color:var(--muted);text-decoration:none}
nav a:hover,nav a:focus-visible{color:var(--accent)}
main{max-width:72rem;margin:0 auto;padding:1.6rem 1rem 4rem}
header{padding:.4rem 0 .6rem}
h1{font-size:clamp(1.55rem,4.5vw,2.15rem);line-height:1.2;letter-spacing:-.015em;
margin:.1rem 0 .7rem;overflow-wrap:anywhere}
h2{font-size:1.2rem;line-height:1.3;margin:0 0 .7rem;letter-spacing:-.005em}
h3{font-size:1rem;margin:1.2rem 0 .5rem}
p{margin:0 0 .7rem;max-width:48rem;overflow-wrap:anywhere}
header p{font-size:1.06rem}
.kicker{color:var(--muted);font-size:.8rem;font-weight:600;letter-spacing:.08em;margin:0;
text-transform:uppercase}
.note{color:var(--muted);font-size:.9rem}
.warning{border-left:4px solid var(--bad);padding:.5rem .9rem;background:var(--soft);
border-radius:0 8px 8px 0}
section{background:var(--paper);border:1px solid var(--line);border-radius:14px;
padding:1.25rem 1.4rem;margin:1.1rem 0;scroll-margin-top:3.4rem;box-shadow:var(--shade)}
.columns{display:grid;gap:1.1rem;grid-template-columns:repeat(auto-fit,minmax(min(26rem,100%),1fr))}
.columns>section{margin:0;min-width:0}
.tiles{display:grid;gap:.8rem;grid-template-columns:repeat(auto-fit,minmax(min(11rem,44%),1fr));
margin:1.2rem 0}
.tile{display:flex;flex-direction:column;background:var(--paper);border:1px solid var(--line);
max-width:24rem;
border-radius:12px;padding:.75rem .95rem;box-shadow:var(--shade);min-width:0}
.tile span,.tile small{color:var(--muted);font-size:.82rem;line-height:1.35}
.tile strong{font-size:1.5rem;line-height:1.35;font-weight:650;letter-spacing:-.01em;
font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
figure{margin:0 0 .4rem}
figcaption{color:var(--muted);font-size:.88rem;margin-top:.4rem;max-width:48rem}
.canvas{overflow-x:auto}
.canvas svg{display:block;width:100%;height:auto;min-width:25rem}
.canvas svg *{stroke-linejoin:round;stroke-linecap:butt}
.columns .canvas{max-width:42rem}
.small .canvas svg{min-width:0}
.wide .canvas svg{min-width:36rem}
.grid{display:grid;gap:1rem;grid-template-columns:repeat(auto-fill,minmax(min(18rem,100%),1fr))}
.scroll{overflow:auto;max-height:36rem;border:1px solid var(--line);border-radius:10px}
table{border-collapse:separate;border-spacing:0;width:100%;font-size:.88rem;
font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.42rem .65rem;white-space:nowrap;border-bottom:1px solid var(--line);
vertical-align:top}
tbody tr:last-child td{border-bottom:0}
.scroll+p{margin-top:.6rem}
thead th{position:sticky;top:0;z-index:1;background:var(--soft);font-weight:600}
td.number,th.number{text-align:right}
td.words{white-space:normal;min-width:13rem;max-width:26rem;overflow-wrap:anywhere}
td.mono,code{font-family:ui-monospace,SFMono-Regular,Menlo,"DejaVu Sans Mono",monospace;
font-size:.93em}
tr.winner td{background:color-mix(in srgb,var(--orange) 17%,transparent)}
tr.failed td{color:var(--muted)}
tr.total td{font-weight:650;border-top:2px solid var(--line)}
tr.control td{color:var(--muted)}
.first{position:sticky;left:0;background:var(--paper)}
th button{all:unset;cursor:pointer;font-weight:600}
th button:focus-visible,.scroll:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
th button::after{content:"\\2195";color:var(--muted);margin-left:.35em;font-weight:400}
th[aria-sort=ascending] button::after{content:"\\2191";color:var(--accent)}
th[aria-sort=descending] button::after{content:"\\2193";color:var(--accent)}
.state{font-weight:600}
.state.finished{color:var(--good)}
.state.failed{color:var(--bad)}
.facts{display:grid;gap:0 2.2rem;margin:0;
grid-template-columns:repeat(auto-fill,minmax(min(19rem,100%),1fr))}
.facts div{display:flex;justify-content:space-between;gap:1rem;padding:.3rem 0;
border-bottom:1px solid var(--line);font-size:.9rem}
.facts dt{color:var(--muted)}
.facts dd{margin:0;text-align:right;overflow-wrap:anywhere;min-width:0}
.samples{display:grid;gap:1.1rem}
.sample h3{margin:0 0 .35rem;overflow-wrap:anywhere}
.strip{display:grid;gap:.6rem;grid-template-columns:repeat(auto-fit,minmax(min(13rem,45%),1fr))}
.strip img{width:100%;height:auto;display:block;border-radius:8px;border:1px solid var(--line)}
.legend{display:flex;flex-wrap:wrap;gap:.35rem 1.1rem;list-style:none;padding:0;margin:0 0 1rem;
font-size:.88rem}
.legend li{display:flex;align-items:center;gap:.45em}
.swatch{width:1em;height:1em;border-radius:3px;border:1px solid var(--muted);
print-color-adjust:exact;-webkit-print-color-adjust:exact}
ul.plain{margin:0;padding-left:1.2rem}
ul.plain li{overflow-wrap:anywhere;margin:.2rem 0}
@media (max-width:40rem){main{padding:1rem .7rem 3rem}
section{padding:1rem .95rem;border-radius:12px}
header p{font-size:1rem}.tile strong{font-size:1.25rem}}
@media print{:root{"""
    + LIGHT
    + """--page:#fff;--paper:#fff;--soft:#f3f4f6;--shade:none;color-scheme:light}
nav{display:none}body{font-size:10.5pt}main{max-width:none;padding:0}
.scroll{max-height:none;overflow:visible;border:0}section{break-inside:auto;padding:.6rem 0;
border:0;border-top:1px solid var(--line);border-radius:0}
figure,.tile,.sample,tr{break-inside:avoid}.scroll+p{margin-top:.6rem}
thead th{position:static}
th button::after{content:""}th,td{white-space:normal;padding:.25rem .4rem}}
"""
)

SCRIPT = """
"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  const key = (row, column) => {
    const cell = row.cells[column], value = cell.dataset.value;
    return value === undefined ? cell.textContent : value === "" ? null : Number(value);
  };
  const compare = (a, b) => typeof a === "number" && typeof b === "number"
    ? a - b : String(a).localeCompare(String(b), undefined, {numeric: true});
  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = [...body.rows].map(row => [key(row, column), row]);
    rows.sort(([a], [b]) => a === null ? (b === null ? 0 : 1) : b === null ? -1
      : down ? compare(b, a) : compare(a, b));
    body.append(...rows.map(([, row]) => row));
  }));
}
"""

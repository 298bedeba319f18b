//! How the page looks: one column on a phone, two on a desk, light or dark as its reader likes it.

/// The whole style. [`crate::health::page::CONTENT_SECURITY_POLICY`] has its hash.
pub const STYLE: &str = "\
:root{color-scheme:light dark;--back:#f5f6f8;--card:#fff;--ink:#1c2127;--soft:#5a6470;--line:#e5e8ec;--track:#e9ecf0;\
--good:#116329;--warn:#7d4e00;--bad:#a91422;--fill-good:#2da44e;--fill-warn:#d4a72c;--fill-bad:#d1242f;--fill-quiet:#8c959f}\
@media(prefers-color-scheme:dark){:root{--back:#0d1014;--card:#15191f;--ink:#e7eaee;--soft:#98a2ae;--line:#262c34;\
--track:#262c34;--good:#4ac26b;--warn:#d9a72e;--bad:#ff7b72;--fill-good:#2ea043;--fill-warn:#bb8009;--fill-bad:#f85149;\
--fill-quiet:#6e7681}}\
*{box-sizing:border-box}\
body{margin:0;padding:1.5rem 1rem 2rem;background:var(--back);color:var(--ink);font:1rem/1.5 Inter,system-ui,sans-serif;\
overflow-wrap:anywhere;-webkit-text-size-adjust:100%}\
header,main,footer{max-width:66rem;margin:0 auto}\
h1,h2,h3,p,dl,dd,ol,table{margin:0;padding:0}\
h1{font-size:1.75rem;line-height:1.2;letter-spacing:-.02em}\
h2{font-size:1rem;margin-bottom:.75rem}\
h3{font-size:1rem}\
small,.note,footer,dt,thead{color:var(--soft);font-size:.8125rem}\
small{display:block;font-weight:400}\
code{font:.92em ui-monospace,SFMono-Regular,Menlo,monospace}\
time,td,dd{font-variant-numeric:tabular-nums}\
a{color:inherit}\
header{display:flex;flex-wrap:wrap;gap:.25rem 1rem;align-items:center;justify-content:space-between}\
.over{color:var(--soft);font-size:.8125rem}\
header .over,header .note{width:100%}\
main{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));gap:1rem;margin-block:1.25rem;\
align-items:start}\
section{background:var(--card);border:1px solid var(--line);border-radius:.75rem;padding:1rem 1.125rem}\
.column{display:contents}.last{order:1}\
@media(min-width:56rem){.column{display:grid;gap:1rem;min-width:0}}\
.wide,.tiles{grid-column:1/-1}\
.good{color:var(--good)}.quiet{color:var(--soft)}.warn{color:var(--warn)}.bad{color:var(--bad)}\
.verdict,.mark{font-size:.8125rem;font-weight:600}\
.verdict{border-radius:2rem;padding:.25rem .875rem;background:color-mix(in srgb,currentColor 12%,transparent)}\
.mark:before,.verdict:before{content:'';display:inline-block;width:.5em;height:.5em;border-radius:50%;\
background:currentColor;margin-right:.45em;vertical-align:.1em}\
h2 .mark,h3 .mark{margin-left:.5rem}\
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(8rem,1fr));gap:1rem}\
.tiles>div{background:var(--card);border:1px solid var(--line);border-radius:.75rem;padding:.75rem 1rem}\
@media(max-width:30rem){.tiles>div:last-child:nth-child(odd){grid-column:1/-1}}\
.tiles dd{font-size:1.125rem;font-weight:600}\
.tiles .note{font-size:.8125rem;font-weight:400}\
.tiles .quiet dd{color:var(--ink)}.tiles dd.note,.tiles .quiet dd.note{color:var(--soft)}\
table{width:100%;border-collapse:collapse}\
.halves{table-layout:fixed}\
time,.keep,.voters small,.voters .mark{white-space:nowrap}.halves time{white-space:normal}\
.halves th:first-child{width:46%}\
th,td{text-align:left;vertical-align:top;padding:.5rem .5rem .5rem 0;border-top:1px solid var(--line);font-size:.9375rem}\
thead th{font-weight:400;font-size:.8125rem;border:0;padding-top:0}\
th:last-child,td:last-child{padding-right:0}\
.number{text-align:right}\
.bar{display:block;width:100%;height:.375rem;margin:.45rem 0 .3rem;border-radius:1rem;background:var(--track)}\
.bar.good{fill:var(--fill-good)}.bar.warn{fill:var(--fill-warn)}.bar.bad{fill:var(--fill-bad)}.bar.quiet{fill:var(--fill-quiet)}\
b.good{color:inherit}\
.facts{display:flex;flex-wrap:wrap;gap:.5rem 1.5rem;margin:.875rem 0 1.125rem}\
.facts dd{font-weight:600}\
.rows{display:grid;grid-template-columns:minmax(6rem,auto) 1fr;gap:.625rem 1rem}\
.rows dt{padding-top:.1rem}\
.rows+h3{margin-top:1rem}\
h3+.rows{margin-top:.5rem}\
article{border-left:.25rem solid;padding:.125rem 0 .125rem .875rem}\
article+article{margin-top:1rem}\
article p{color:var(--ink)}article .note{color:var(--soft)}\
.try code{display:inline-block;background:var(--track);border-radius:.375rem;padding:.1rem .5rem;user-select:all}\
.events{list-style:none}\
.events li{padding:.5rem 0;border-top:1px solid var(--line);font-size:.9375rem}\
.events li:first-child{border:0;padding-top:0}\
.events time{color:var(--soft);font-size:.8125rem;margin-left:.5rem}\
footer p+p{margin-top:.25rem}\
";

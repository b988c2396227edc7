// SPDX-License-Identifier: ISC
// The status page: asks api/status every few seconds and shows the answer. Every text of the answer
// becomes a text node or an attribute's value; nothing is ever read as HTML.
'use strict';

const EVERY = 5000;        // ms between two answers
const SLOWEST = 60000;     // ... when there is no answer
const OLD = 12;            // seconds after which what is shown counts as old
const LONGEST = 72;        // characters of a name that are shown
const SVG = 'http://www.w3.org/2000/svg';

const by = id => document.getElementById(id);
let last = null;           // the newest answer
let before = null;         // the one before it, for rates
let shownAt = 0;           // when it came (performance.now)
let delay = EVERY;
let timer = 0;
let asking = false;
let trouble = '';

// ---- building elements ----

function el(tag, props, ...children) {
    const e = document.createElement(tag);
    for (const [k, v] of Object.entries(props || {})) {
        if (v === null || v === undefined || v === false) continue;
        if (k === 'class') e.className = v;
        else e.setAttribute(k, v === true ? '' : String(v));
    }
    e.append(...children.filter(c => c !== null && c !== undefined && c !== ''));
    return e;
}

function svg(tag, props, ...children) {
    const e = document.createElementNS(SVG, tag);
    for (const [k, v] of Object.entries(props || {})) e.setAttribute(k, String(v));
    e.append(...children);
    return e;
}

// Control characters, and those that are invisible or turn the direction of text around, are shown by number.
function visible(text) {
    return String(text).replace(/[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g,
        c => '\u27e8' + c.codePointAt(0).toString(16).toUpperCase().padStart(2, '0') + '\u27e9');
}

// A name from outside: isolated, so that its direction stays its own matter; shortened, whole in the title.
function name(text) {
    const whole = visible(text);
    const chars = Array.from(whole);
    if (chars.length <= LONGEST) return el('bdi', null, whole);
    return el('bdi', { title: whole.slice(0, 2000) }, chars.slice(0, LONGEST).join('') + '\u2026');
}

// ---- numbers ----

function count(n) {
    if (n === null || n === undefined) return '\u2013';
    if (n < 100000) return n.toLocaleString('en', { maximumFractionDigits: n < 10 && n % 1 ? 1 : 0 });
    const i = n < 999500 ? 0 : n < 999.5e6 ? 1 : 2;
    const v = n / [1e3, 1e6, 1e9][i];
    return v.toLocaleString('en', { maximumFractionDigits: v < 100 ? 1 : 0 }) + ['k', 'M', 'G'][i];
}

function seconds(s) {
    if (s === null || s === undefined) return '\u2013';
    if (s <= 0) return '0 s';
    if (s < 0.001) return Math.round(s * 1e6) + ' \u00b5s';
    if (s < 0.0095) return (s * 1000).toFixed(1) + ' ms';
    if (s < 0.9995) return Math.round(s * 1000) + ' ms';
    if (s < 9.95) return s.toFixed(1) + ' s';
    return span(s);
}

function span(s) {
    const t = Math.round(s);
    if (t < 120) return t + ' s';
    if (t < 7200) return Math.floor(t / 60) + ' min';
    if (t < 172800) return Math.floor(t / 3600) + ' h ' + Math.floor(t % 3600 / 60) + ' min';
    return Math.floor(t / 86400) + ' days';
}

function bytes(n) {
    if (n === null || n === undefined) return '\u2013';
    const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
    let i = 0;
    while (n >= 1024 && i < units.length - 1) { n /= 1024; i++; }
    return (i && n < 100 ? n.toFixed(1) : Math.round(n)) + ' ' + units[i];
}

const percent = share => share === null || share === undefined ? '\u2013' : Math.round(share * 100) + ' %';
const time = at => new Date(at * 1000).toISOString().replace('T', ' ').replace(/\.\d+Z$/, ' UTC');

// ---- tables and bars ----

// columns: [heading, class, cell of a row]; the first cell heads its row. The roles hold where the style makes
// blocks of rows, on narrow screens.
function table(rows, columns, caption, nothing) {
    if (!rows.length) return el('p', { class: 'none' }, nothing);
    const head = el('tr', { role: 'row' }, ...columns.map(c => el('th', { scope: 'col', role: 'columnheader', class: c[1] }, c[0])));
    const body = rows.map(r => el('tr', { role: 'row' }, ...columns.map((c, i) => {
        const cell = [].concat(c[2](r));
        return i ? el('td', { role: 'cell', class: (c[1] + ' ' + (c[3] ? c[3](r) || '' : '')).trim(), 'data-label': c[0] }, ...cell)
            : el('th', { scope: 'row', role: 'rowheader', class: c[1] }, ...cell);
    })));
    return el('table', { class: 'rows', role: 'table' }, caption ? el('caption', null, caption) : '',
        el('thead', { role: 'rowgroup' }, head), el('tbody', { role: 'rowgroup' }, ...body));
}

const cut = (list, what) => list.total > list.list.length
    ? `The ${list.list.length} ${what} under most pressure of ${count(list.total)}; ${count(list.total - list.list.length)} more are not shown.` : '';

// A share of a whole: its bar with the threshold, and the number.
function meter(share, also, marks, label) {
    marks = marks.filter(m => m);
    const level = share > Math.max(0.9, ...marks) ? 'bad' : marks.some(m => share > m) ? 'warn' : '';
    const full = el('b'), rest = el('u');
    full.style.width = Math.min(100, share * 100) + '%';
    rest.style.width = Math.max(0, Math.min(100 - share * 100, also * 100)) + '%';
    const lines = marks.map(m => { const s = el('s'); s.style.left = m * 100 + '%'; return s; });
    return el('div', { class: 'meter' },
        el('div', { class: ('bar ' + level).trim(), role: 'meter', 'aria-label': label, 'aria-valuemin': 0, 'aria-valuemax': 100,
            'aria-valuenow': Math.min(100, Math.round(share * 100)), 'aria-valuetext': percent(share) + (level ? ', over the threshold' : '') }, full, rest, ...lines),
        el('span', { class: 'pc' + (level ? ' ' + level + '-text' : ''), 'aria-hidden': 'true' }, percent(share)));
}

function put(id, ...content) {
    by(id).replaceChildren(...content);
}

// ---- what is shown ----

// Per second since the answer before, of a counter that a function finds in both.
function rate(find) {
    if (!before || before.program.started !== last.program.started) return null;
    const span = last.now - before.now, a = find(before), b = find(last);
    return span > 0 && a !== undefined && b !== undefined && b >= a ? (b - a) / span : null;
}

const refusedIn = answer => answer.refusals.statements.reduce((n, r) => n + r.count, 0);
const database = (answer, d) => (answer.databases.list.find(x => x.name === d.name) || {});
const slow = w => Boolean(w && last.thresholds.query_p95_seconds && w.p95 > last.thresholds.query_p95_seconds);

function showVerdict() {
    const n = last.alerts ? last.alerts.firing : 0, critical = n ? last.alerts.list.filter(a => a.state === 'firing' && a.severity === 'critical').length : 0;
    let text = 'All is well', level = 'good';
    if (last.program.state === 'shutting_down') [text, level] = ['Shutting down', 'warn'];
    else if (last.program.state === 'paused') [text, level] = ['Paused', 'warn'];
    else if (n) [text, level] = [count(n) + (n > 1 ? ' alerts' : ' alert') + (critical ? ', ' + critical + ' critical' : ''), critical ? 'bad' : 'warn'];
    else if (last.backends.list.some(b => !b.up)) [text, level] = ['A database server does not answer', 'bad'];
    else if (!last.configuration.reload_ok) [text, level] = ['The last reload failed', 'warn'];
    else if (last.clients.waiting) [text, level] = [count(last.clients.waiting) + (last.clients.waiting > 1 ? ' clients wait' : ' client waits'), 'warn'];
    if (by('verdict').textContent !== text) by('verdict').textContent = text;
    by('verdict').className = 'verdict ' + level;
    document.title = (level === 'good' ? '' : '\u25cf ' + text + ' \u2013 ') + 'pgbulkhead ' + location.host;
}

function figure(label, value, unit, note, level) {
    return el('div', { class: level }, el('dt', null, label),
        el('dd', { class: 'v' }, value, unit ? el('small', null, ' ' + unit) : ''), note ? el('dd', { class: 'n' }, note) : '');
}

function showFigures() {
    const c = last.clients, qps = rate(a => a.databases.queries), cpu = rate(a => a.process.cpu_seconds), refused = rate(refusedIn);
    const p = last.process, cores = p.cpu_limit_cores || 1, full = p.memory_limit_bytes ? p.resident_bytes / p.memory_limit_bytes : 0;
    const errors = rate(a => a.databases.errors);
    const p95 = last.latency && last.latency.query ? last.latency.query['5m'] : null;
    put('figures',
        figure('Clients', count(c.connections), c.connections_max ? 'of ' + count(c.connections_max) : '', `${count(c.active)} active, ${count(c.idle)} idle`,
            c.connections_max && c.connections >= c.connections_max * 0.9 ? 'warn' : ''),
        figure('Waiting', count(c.waiting), '', c.waiting ? 'longest ' + seconds(c.max_wait_seconds) : 'nobody', c.waiting ? 'warn' : ''),
        figure('Servers', count(last.servers), '', `in ${count(last.pools.total)} ${last.pools.total === 1 ? 'pool' : 'pools'}`),
        figure('Queries', qps === null ? '\u2013' : count(qps), '/s', errors === null ? '' : count(errors) + ' errors/s'),
        ...(p95 ? [figure('p95, 5 min', seconds(p95.p95), '', 'median ' + seconds(p95.p50), slow(p95) ? 'warn' : '')] : []),
        figure('Refused', count(refusedIn(last)), '', refused ? count(refused) + '/s now' : 'statements', refused ? 'bad' : ''),
        figure('Processor', cpu === null ? '\u2013' : percent(cpu / cores), '', 'of ' + count(cores) + (cores === 1 ? ' core' : ' cores'), cpu / cores > 0.8 ? 'bad' : cpu / cores > 0.6 ? 'warn' : ''),
        figure('Memory', bytes(p.resident_bytes), '', p.memory_limit_bytes ? 'of ' + bytes(p.memory_limit_bytes) : '', full > 0.9 ? 'bad' : full > 0.7 ? 'warn' : ''));
}

// A value of an alert, in its unit.
function inUnit(v, unit) {
    if (v === null || v === undefined) return '\u2013';
    return unit === 'percent' ? Math.round(v * 10) / 10 + ' %' : unit === 'seconds' ? seconds(v) : count(v);
}

function alertItem(a) {
    const level = a.state !== 'firing' ? '' : a.severity === 'critical' ? 'bad' : 'warn';
    const about = [a.database, a.user, a.backend].filter(t => t);
    const subject = a.database && a.user ? [name(a.database), ' as ', name(a.user)] : about.map(name);
    const measured = a.unit === 'flag' ? '' : `: ${inUnit(a.value, a.unit)}, threshold ${inUnit(a.threshold, a.unit)}`;
    return el('li', { class: a.state === 'firing' ? a.severity : '' },
        el('div', null, el('span', { class: 'tag ' + level }, a.state === 'firing' ? a.severity : a.state), ' ', el('span', { class: 'what' }, a.alert), ' ', ...subject),
        el('div', { class: 'more' }, `${a.description}${measured}. ${a.state === 'resolved' ? 'Since' : 'For'} ${span(Math.max(0, last.now - a.since))}. See ${a.runbook}`));
}

function showAlerts() {
    const a = last.alerts;
    by('s-alerts').hidden = !a;
    if (!a) return;
    put('alerts', a.list.length ? el('ul', { class: 'alerts' }, ...a.list.map(alertItem)) : el('p', { class: 'none' }, `None of ${a.known} fires.`),
        a.total > a.list.length ? el('p', { class: 'none' }, `${count(a.total - a.list.length)} more are not shown.`) : '');
}

function showPools() {
    const wanted = by('filter').value.trim().toLowerCase();
    const list = last.pools.list.filter(p => !wanted || p.database.toLowerCase().includes(wanted) || p.user.toLowerCase().includes(wanted));
    put('pools', table(list, [
        ['Pool', '', p => [name(p.database), el('span', { class: 'user' }, ' as ', name(p.user)), ...(p.guarded ? [' ', el('span', { class: 'tag', title: 'servers of tenants\u2019 clients' }, 'tenants')] : [])]],
        ['Utilisation', 'wait', p => p.utilisation === null ? el('span', { class: 'none' }, count(p.active) + ' in use, no limit')
            : meter(p.utilisation, p.size ? (p.idle + p.used) / p.size : 0, [last.thresholds.pool_utilisation], `${visible(p.database)} as ${visible(p.user)}: ${p.active} of ${p.size} servers in use`)],
        ['In use', 'num', p => p.size ? `${count(p.active)} of ${count(p.size)}` : count(p.active)],
        ['Idle', 'num', p => count(p.idle + p.used)],
        ['Clients', 'num', p => count(p.clients)],
        ['Waiting', 'num', p => count(p.waiting), p => p.waiting ? 'warn' : ''],
        ['Longest wait', 'num', p => p.waiting ? seconds(p.max_wait_seconds) : '\u2013'],
    ], cut(last.pools, 'pools'), wanted ? 'No pool has that in its name.' : 'No pool yet: nobody has connected.'));
}

function showDatabases() {
    const lat = d => d.latency && d.latency.query ? d.latency.query : null;
    const window = w => d => lat(d) && lat(d)[w] ? seconds(lat(d)[w].p95) : '\u2013';
    const high = w => d => lat(d) && slow(lat(d)[w]) ? 'warn' : '';
    const some = last.databases.list.some(lat);
    put('databases', table(last.databases.list, [
        ['Database', '', d => [name(d.name), ...(d.state !== 'active' ? [' ', el('span', { class: 'tag warn' }, d.state)] : [])]],
        ['Clients', 'num', d => count(d.clients)],
        ['Servers', 'num', d => d.servers_max ? `${count(d.servers)} of ${count(d.servers_max)}` : count(d.servers)],
        ['Queries/s', 'num', d => count(rate(a => database(a, d).queries))],
        ...(some ? [['p95 1 min', 'num', window('1m'), high('1m')], ['5 min', 'num', window('5m'), high('5m')], ['15 min', 'num', window('15m'), high('15m')]] : []),
        ...(last.databases.list.some(d => d.size_bytes !== null) ? [['Size', 'num', d => bytes(d.size_bytes)]] : []),
        ['Oldest query', 'num', d => d.oldest_query_seconds ? seconds(d.oldest_query_seconds) : '\u2013', d => last.configuration.slow_query_threshold_seconds && d.oldest_query_seconds > last.configuration.slow_query_threshold_seconds ? 'warn' : ''],
        ['Slow', 'num', d => count(d.slow_queries)],
        ['Errors', 'num', d => count(d.errors)],
        ['Refused', 'num', d => d.guarded ? count(d.refused) : '\u2013', d => d.refused ? 'bad' : ''],
    ], cut(last.databases, 'databases'), 'No database yet: nobody has connected.'));
}

function showBackends() {
    const t = last.thresholds, marks = [t.backend_connections_warning, t.backend_connections_high, t.backend_connections_critical];
    const v = f => b => b.values ? f(b.values) : '\u2013';
    const list = last.backends.list, some = member => list.some(b => b.values && b.values[member] !== null);
    put('backends', table(list, [
        ['Server', '', b => [name(b.name), el('span', { class: 'user' }, b.values && b.values.version ? ' ' + b.values.version : '')]],
        ['State', '', b => el('span', { class: 'tag ' + (b.up ? 'good' : 'bad') }, b.up ? b.values ? b.values.role : 'up' : 'no answer')],
        ['Connections', 'wait', b => b.values && b.values.utilisation !== null ? meter(b.values.utilisation, 0, marks, `${visible(b.name)}: ${b.values.connections_used} connections in use`) : '\u2013'],
        ['In use', 'num', v(x => x.utilisation === null ? count(x.connections_used) : `${count(x.connections_used)} of ${count(x.connections_max - x.connections_reserved)}`)],
        ['Oldest transaction', 'num', v(x => x.oldest_transaction_seconds ? seconds(x.oldest_transaction_seconds) : '\u2013')],
        ...(some('replication_lag_seconds') ? [['Lag', 'num', v(x => x.replication_lag_seconds === null ? '\u2013' : seconds(x.replication_lag_seconds))]] : []),
        ['Our databases', 'num', v(x => bytes(x.database_bytes) + (x.storage_capacity_bytes ? ' of ' + bytes(x.storage_capacity_bytes) : '')),
            b => b.values && b.values.storage > 0.9 ? 'bad' : b.values && b.values.storage > 0.85 ? 'warn' : ''],
        ['Probed', 'num', b => b.probed ? span(Math.max(0, last.now - b.probed)) + ' ago' : 'never'],
    ], cut(last.backends, 'servers'), 'No server has been probed: probe_interval is 0, or there is no user to probe as (catalog_user).'));
}

function showTenants() {
    const t = last.tenants;
    const all = last.databases.list.reduce((n, d) => n + d.tenants, 0);
    const nothing = t.busy ? `${count(t.busy)}${t.more ? ' or more' : ''} tenants work now. Their names are shown where a login is asked for (metrics_login), or with metrics_top_tenants.` : all ? 'No tenant waits or works now.' : 'No tenant has clients now.';
    put('tenants', table(t.list, [
        ['Tenant', '', x => [name(x.tenant), el('span', { class: 'user' }, ' in ', name(x.database))]],
        ['Waiting', 'num', x => count(x.waiting), x => x.waiting ? 'warn' : ''],
        ['Longest wait', 'num', x => x.waiting ? seconds(x.max_wait_seconds) : '\u2013'],
        ['Active', 'num', x => count(x.active)],
    ], t.more && t.list.length ? 'The busiest; there are more.' : '', nothing));
}

function showRefusals() {
    const rows = [...last.refusals.statements.map(r => ['statement', r]), ...last.refusals.clients.map(r => ['client', r])];
    const was = ([kind, r]) => a => (a.refusals[kind + 's'].find(x => x.reason === r.reason) || { count: 0 }).count;
    put('refusals', table(rows, [
        ['Reason', '', ([, r]) => r.reason],
        ['Of', '', ([kind]) => kind === 'client' ? 'clients' : 'statements'],
        ['Since the start', 'num', ([, r]) => count(r.count)],
        ['Now', 'num', x => { const n = rate(was(x)); return n ? count(n) + '/s' : '\u2013'; }, x => rate(was(x)) ? 'bad' : ''],
    ], '', 'Nothing was refused since the start.'));
}

function showCertificates() {
    put('certificates', table(last.certificates, [
        ['Certificate', '', c => [{ client: 'Towards clients', server: 'Towards servers', ca: 'Authority', metrics: 'This page' }[c.role] || c.role, el('span', { class: 'user' }, ' ', name(c.file.replace(/^.*\//, '')))]],
        ['Ends', '', c => time(c.not_after)],
        ['Left', 'num', c => c.seconds_left > 0 ? span(c.seconds_left) : 'expired', c => c.seconds_left < 7 * 86400 ? 'bad' : c.seconds_left < 30 * 86400 ? 'warn' : ''],
    ], '', 'No TLS certificate is configured.'));
}

function showProgram() {
    const p = last.program, c = last.configuration;
    const facts = [['Version', p.version], ['Running for', span(p.uptime_seconds) + ', since ' + time(p.started)], ['Process', `${p.pid}, ${p.workers} ${p.workers === 1 ? 'worker' : 'workers'}, ${count(last.process.open_fds)} of ${count(last.process.max_fds)} descriptors`],
        ['Configuration', el('span', { class: c.reload_ok ? '' : 'bad-text' }, c.reload_ok ? 'loaded ' + time(c.reloaded) : 'the last reload failed; in force is that of ' + time(c.reloaded))],
        ['Libraries', `OpenSSL ${p.openssl}, libevent ${p.libevent}`]];
    put('program', ...facts.flatMap(([k, v]) => [el('dt', null, k), el('dd', null, v)]));
}

// ---- curves ----

// Round numbers for an axis that reaches `top`.
function ticks(top) {
    if (!(top > 0)) return [0, 1];
    const raw = top / 3, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map(m => m * power).find(s => s >= raw);
    const out = [];
    for (let v = 0; v < top + step * 0.999; v += step) out.push(v);
    return out;
}

// One chart. lines: [label, class, values]; null = nothing known for that minute. ends: when the minutes ended.
function chart(title, lines, show, limit, ends) {
    const W = 600, H = 176, left = 2, right = 4, above = 10, below = 22;
    const n = Math.max(10, ends.length), empty = n - ends.length, length = n * 60;
    const known = lines.flatMap(l => l[2]).filter(v => v !== null);
    const most = Math.max(0, ...known);
    const marks = ticks(limit && most > limit * 0.4 ? Math.max(most, limit * 1.15) : most);
    const top = marks[marks.length - 1];
    const x = i => left + (W - left - right) * i / (n - 1), y = v => above + (H - above - below) * (1 - v / top);
    const box = svg('svg', { viewBox: `0 0 ${W} ${H}`, preserveAspectRatio: 'none', role: 'img', tabindex: 0 });
    const words = lines.map(l => { const v = l[2].filter(q => q !== null); return `${l[0]} ${v.length ? 'now ' + show(v[v.length - 1]) + ', at most ' + show(Math.max(...v)) : 'unknown'}`; });
    box.setAttribute('aria-label', `${title}, last ${ends.length} minutes: ${words.join('; ')}`);
    for (const m of marks) {
        box.append(svg('line', { class: 'grid', x1: left, x2: W - right, y1: y(m), y2: y(m), 'vector-effect': 'non-scaling-stroke' }));
    }
    if (limit && limit <= top) box.append(svg('line', { class: 'limit', x1: left, x2: W - right, y1: y(limit), y2: y(limit), 'vector-effect': 'non-scaling-stroke' }));
    for (const [, cls, values] of lines) {
        let d = '', dots = '', open = false;
        values.forEach((v, i) => {
            if (v === null) { open = false; return; }
            const at = `${x(i + empty).toFixed(1)} ${y(v).toFixed(1)}`;
            if (!open && (i + 1 >= values.length || values[i + 1] === null)) { dots += `M${at}h0.01`; return; }
            d += (open ? 'L' : 'M') + at;
            open = true;
        });
        box.append(svg('path', { class: 'curve ' + cls, d, 'stroke-linecap': 'round' }));
        if (dots) box.append(svg('path', { class: 'curve dot ' + cls, d: dots, 'stroke-linecap': 'round' })); // a minute between two idle ones
    }
    const cursor = svg('line', { class: 'cursor', y1: above, y2: H - below, x1: -9, x2: -9, 'vector-effect': 'non-scaling-stroke' });
    box.append(cursor);
    const read = el('div', { class: 'read' });
    let at = -1;
    const point = i => {
        at = Math.max(empty, Math.min(n - 1, i));
        cursor.setAttribute('x1', x(at));
        cursor.setAttribute('x2', x(at));
        const when = new Date(ends[at - empty] * 1000).toTimeString().slice(0, 5);
        read.textContent = when + '  ' + lines.map(l => { const v = l[2][at - empty]; return l[0] + ' ' + (v === undefined || v === null ? '\u2013' : show(v)); }).join('  ');
    };
    box.addEventListener('pointermove', e => { const r = box.getBoundingClientRect(); point(Math.round(((e.clientX - r.left) / r.width * W - left) / (W - left - right) * (n - 1))); });
    box.addEventListener('keydown', e => {
        if (e.key !== 'ArrowLeft' && e.key !== 'ArrowRight') return;
        e.preventDefault();
        point((at < 0 ? n : at) + (e.key === 'ArrowLeft' ? -1 : 1));
    });
    const leave = () => { at = -1; cursor.setAttribute('x1', -9); cursor.setAttribute('x2', -9); read.textContent = ''; };
    box.addEventListener('pointerleave', leave);
    box.addEventListener('blur', leave);
    return el('figure', null, el('figcaption', null, el('b', null, title),
        lines.length > 1 ? el('span', { class: 'keys' }, ...lines.flatMap(l => [el('i', { class: l[1] }), l[0]])) : ''), plot(box, marks, y, H, show, length), read);
}

// The drawing with its labels beside it, so that they keep their shape when it is stretched.
function plot(box, marks, y, H, show, spanned) {
    const labels = marks.map(m => { const e = el('span', { class: 'y' }, show(m)); e.style.top = y(m) / H * 100 + '%'; return e; });
    const from = el('span', { class: 'x from' }, '\u2212' + span(spanned)), to = el('span', { class: 'x to' }, 'now');
    return el('div', { class: 'plot' }, box, ...[...labels, from, to].map(e => { e.setAttribute('aria-hidden', 'true'); return e; }));
}

function showCurves() {
    const c = last.curves, names = [null, ...last.databases.list.map(d => d.name)], select = by('curve');
    by('s-curves').hidden = !last.databases.list.length;
    if (JSON.stringify(names) !== select.dataset.names) {
        const chosen = select.value;
        select.replaceChildren(...names.map(n => el('option', { value: n === null ? '' : 'd' + n }, n === null ? 'All' : visible(n).slice(0, LONGEST))));
        select.dataset.names = JSON.stringify(names);
        if ([...select.options].some(o => o.value === chosen)) select.value = chosen;
    }
    const key = JSON.stringify([c.database, c.ends[c.ends.length - 1], last.thresholds.query_p95_seconds]);
    if (by('curves').dataset.of === key) return; // a point comes once a minute
    by('curves').dataset.of = key;
    if (!c.ends.length) {
        put('curves', el('p', { class: 'none' }, 'A point comes every minute; there is none yet.'));
        return;
    }
    put('curves',
        chart('Query time', [['p50', 'c1', c.p50], ['p95', 'c2', c.p95], ['p99', 'c3', c.p99]], seconds, last.thresholds.query_p95_seconds, c.ends),
        chart('Queries per second', [['queries/s', 'c1', c.queries_per_second]], count, 0, c.ends),
        chart('Servers, clients', [['in use', 'c1', c.active], ['waiting', 'c2', c.waiting]], count, 0, c.ends));
}

function show() {
    showVerdict();
    showFigures();
    showAlerts();
    showPools();
    showCurves();
    showDatabases();
    showBackends();
    showTenants();
    showRefusals();
    showCertificates();
    showProgram();
}

// ---- asking, and how old the answer is ----

function showAge() {
    const age = last ? Math.round((performance.now() - shownAt) / 1000) : 0;
    const old = Boolean(trouble) && (!last || age >= OLD);
    by('fresh').textContent = last ? (age < 2 ? 'updated just now' : 'updated ' + span(age) + ' ago') : '';
    document.documentElement.classList.toggle('old', old && Boolean(last));
    by('stale').hidden = !old;
    // Said once, not every second.
    const said = old ? `No answer: ${trouble}.` : '';
    if (by('said').textContent !== said) by('said').textContent = said;
    if (old) {
        const text = last ? `No answer for ${span(age)}: ${trouble}. What is shown is old.` : `No answer yet: ${trouble}.`;
        by('stale').textContent = text;
        if (last) {
            by('verdict').textContent = 'No answer';
            by('verdict').className = 'verdict bad';
            document.title = '\u25cf no answer \u2013 pgbulkhead ' + location.host;
        }
    }
}

async function ask() {
    if (asking) return;
    asking = true;
    clearTimeout(timer);
    const chosen = by('curve').value.slice(1);
    const abort = new AbortController(), limit = setTimeout(() => abort.abort(), 10000);
    try {
        const r = await fetch('api/status' + (chosen ? '?database=' + encodeURIComponent(chosen) : ''), { cache: 'no-store', credentials: 'same-origin', signal: abort.signal });
        if (!r.ok) throw new Error(r.status === 401 ? 'it wants a login; load the page again' : 'it answers ' + r.status);
        const answer = await r.json();
        if (answer.schema !== 1) throw new Error('it has another version; load the page again');
        before = last;
        last = answer;
        shownAt = performance.now();
        trouble = '';
        delay = EVERY;
        show();
    } catch (e) {
        trouble = e.name === 'AbortError' ? 'it takes longer than 10 s' : e instanceof TypeError ? 'it cannot be reached' : e.message;
        delay = Math.min(SLOWEST, delay * 1.6);
    } finally {
        clearTimeout(limit);
        asking = false;
        showAge();
        timer = setTimeout(() => document.hidden || ask(), last && !before && !trouble ? 1200 : delay); // rates need a second answer
    }
}

by('where').textContent = location.host;
by('refresh').addEventListener('click', ask);
by('filter').addEventListener('input', () => last && showPools());
by('curve').addEventListener('change', ask);
document.addEventListener('visibilitychange', () => document.hidden || ask());
setInterval(showAge, 1000);
ask();

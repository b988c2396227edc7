// SPDX-License-Identifier: ISC
// Drives Debian's Chromium for Bulkhead::Browser: reads one command as JSON per line, writes one answer per line.
//   {"do":"open","url","width","height","dark","still","login","answers"}  a page of its own, which becomes the
//   present one; answers: what paths are answered with, by path, instead of asking the server
//   {"do":"eval","js"}  {"do":"shot","file","full"}  {"do":"press","key"}  {"do":"report"}  {"do":"end"}
'use strict';
const { chromium } = require(process.argv[2] + '/node_modules/playwright-core');
const readline = require('readline');

let browser, page;
const seen = { errors: [], requests: [], violations: [] };

async function open(c) {
    const context = await browser.newContext({ viewport: { width: c.width || 1280, height: c.height || 900 }, deviceScaleFactor: c.width && c.width < 500 ? 2 : 1,
        colorScheme: c.dark ? 'dark' : 'light', reducedMotion: c.still ? 'reduce' : 'no-preference', timezoneId: 'UTC', httpCredentials: c.login });
    page = await context.newPage();
    page.setDefaultTimeout(60000); // a busy machine
    page.on('console', m => { if (m.type() === 'error' || m.type() === 'warning') seen.errors.push(m.type() + ': ' + m.text()); });
    page.on('pageerror', e => seen.errors.push('exception: ' + e.message));
    page.on('dialog', d => { seen.errors.push('dialog: ' + d.message()); d.dismiss(); });
    page.on('request', r => seen.requests.push(r.url()));
    if (c.answers) {
        for (const [path, body] of Object.entries(c.answers)) await page.route(u => u.pathname === path, r => r.fulfill({ contentType: 'application/json', body }));
    }
    await page.exposeFunction('bhViolation', text => seen.violations.push(text));
    await page.addInitScript(() => document.addEventListener('securitypolicyviolation',
        e => window.bhViolation(`${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`)));
    const r = await page.goto(c.url, { timeout: 60000 });
    return { status: r.status(), headers: r.headers() };
}

async function run(c) {
    switch (c.do) {
    case 'open': return open(c);
    case 'eval': return page.evaluate(c.js);
    case 'press': await page.keyboard.press(c.key); return true;
    case 'shot': await page.screenshot({ path: c.file, fullPage: c.full !== false, animations: 'disabled' }); return true;
    case 'report': return seen;
    default: throw new Error('what is ' + c.do);
    }
}

(async () => {
    browser = await chromium.launch({ executablePath: '/usr/bin/chromium', chromiumSandbox: false,
        args: ['--disable-dev-shm-usage', '--disable-gpu', '--disable-background-networking', '--no-first-run', '--disable-component-update'] });
    process.stdout.write(JSON.stringify({ ok: browser.version() }) + '\n');
    for await (const line of readline.createInterface({ input: process.stdin })) {
        const c = JSON.parse(line);
        if (c.do === 'end') break;
        let answer;
        try {
            answer = { ok: await run(c) };
        } catch (e) {
            answer = { error: String(e.message || e) };
        }
        process.stdout.write(JSON.stringify(answer) + '\n');
    }
    await browser.close();
})().catch(e => { process.stderr.write(e + '\n'); process.exit(1); });

// SPDX-License-Identifier: MIT
// wait.js - what a browser sees that has opened a model which does not run: how the model starts, and then its own page.
import { look } from "./api.js";
import { clock, span, write } from "./words.js";

const LOOK_MS = 1500;
const LOG_LINES = 12;

const at = (id) => document.getElementById(id);
const name = decodeURIComponent(location.pathname.split("/").find(Boolean) ?? "");
const path = `/api/inference/models/${encodeURIComponent(name)}`;

let began = 0;
let isOver = false;

// A request like any program's: NGINX holds it until the model is ready. Only its status is wanted.
async function start() {
    const stop = new AbortController();
    try {
        const response = await fetch(`/${name}/`, { headers: { Accept: "*/*" }, cache: "no-store", redirect: "manual", signal: stop.signal });
        if (![502, 503, 504].includes(response.status)) {
            stop.abort();
            location.reload();
            return;
        }
        const answer = await response.json().catch(() => ({}));
        fail(answer.error?.message ?? answer.message ?? `It answers ${response.status}.`);
    } catch {
        fail("The machine does not answer.");
    }
}

function fail(cause) {
    isOver = true;
    document.querySelector(".model").dataset.state = "failed";
    write(at("word"), "Not started");
    write(at("cause"), cause);
    at("again").hidden = false;
    at("again").focus();
    showLog().catch(() => {});
}

async function showLog() {
    const { lines } = await look(`${path}/logs?lines=${LOG_LINES}`);
    write(at("log"), lines.map((line) => line.message).join("\n"));
}

// From another machine this wants a token, which is not asked for here: then there is no log.
async function watch() {
    if (isOver) return;
    try {
        if (!document.hidden) await showLog();
        setTimeout(watch, LOOK_MS);
    } catch (refusal) {
        if (!refusal.wantsToken) setTimeout(watch, LOOK_MS);
    }
}

// Who may not look is not told.
async function showUsual() {
    const { load_seconds: load } = await look(path);
    write(at("usual"), load === null ? "" : `Usually ready after ${span(Math.ceil(load))}`);
}

function begin() {
    isOver = false;
    began = performance.now();
    document.querySelector(".model").dataset.state = "loading";
    write(at("word"), "Starting");
    write(at("cause"), "");
    at("again").hidden = true;
    start();
    watch();
}

write(at("name"), name);
document.title = `${name} is starting`;
at("again").addEventListener("click", begin);
showUsual().catch(() => {});
setInterval(() => isOver || write(at("elapsed"), clock((performance.now() - began) / 1000)), 1000);
begin();

// SPDX-License-Identifier: MIT
// models.js - the models: what each does, why, and what it logs; start and stop.
//
// What a model has chosen itself (names, causes, lines of its log) is written as text and never as HTML.
import { look } from "./api.js";
import { Day } from "./day.js";
import { change } from "./token.js";
import { bytes, isSecond, moment, part, requests, span, tell, write } from "./words.js";

const WORDS = { unloaded: "Stopped", loading: "Loading", loaded: "Ready", failed: "Failed", stopping: "Stopping" };
const ENDS = ["recently_used", "idle"]; // reasons with which an idle time ends in a stop
const KEEP_HOURS = 4;
const DRAIN_SECONDS = 300; // for requests in flight, before a model is stopped
const LOG_LINES = 100;
const DECISIONS = 5;
const NOT_ROUTED = ["api", "models", "v1"]; // names that NGINX has for itself

const rows = new Map(); // of each model, by its name
const list = document.getElementById("models");

const path = (name) => `/api/inference/models/${encodeURIComponent(name)}`;

class Row {
    constructor(name) {
        this.name = name;
        this.element = document.getElementById("model").content.cloneNode(true).firstElementChild;
        this.at = (selector) => this.element.querySelector(selector);
        this.at("h3").textContent = name;
        this.day = new Day(this.at(".day svg"), name);
        this.at(".day svg").setAttribute("aria-label", `The last 24 hours of ${name}`);
        this.at("progress").setAttribute("aria-label", `Idle time of ${name}`);
        this.at(".log").setAttribute("aria-label", `Log of ${name}`);
        this.at(".open").setAttribute("aria-label", `Open ${name} in a new tab`);
        this.at(".open").href = `/${name}/`; // a name has no character that would mean something here
        this.at("summary").append(Object.assign(document.createElement("span"), { className: "unseen", textContent: ` of ${name}` }));
        this.at(".act").addEventListener("click", (event) => isSecond(event) || this.act());
        this.at(".keep").addEventListener("click", (event) => isSecond(event) || this.keep());
        this.at("details").addEventListener("toggle", () => dispatchEvent(new Event("changed")));
    }

    get isOpen() {
        return this.at("details").open;
    }

    show(model, use, now) {
        const stops = use.reason === "stopping" || this.isDraining;
        const state = stops ? "stopping" : model.status;
        if (this.state && this.state !== state) tell(`${this.name}: ${WORDS[state]}`);
        this.isNew = this.state !== state;
        this.state = state;
        this.element.dataset.state = state;
        write(this.at(".word"), WORDS[state] ?? state);
        this.used = this.usage(use, now);
        this.tellUsage();
        this.offerKeep(use);
        const bar = this.at("progress");
        bar.hidden = state !== "loaded" || !ENDS.includes(use.reason);
        bar.max = use.threshold_seconds || 1;
        bar.value = Math.min(use.idle_seconds ?? 0, bar.max);
        this.at(".open").hidden = state !== "loaded" || model.port === null || NOT_ROUTED.includes(this.name);
        if (!["failed", "loading"].includes(state)) write(this.at(".cause"), model.file_error ?? "");
        this.offer();
    }

    tellUsage() {
        const load = this.load && (this.state === "loading" ? `Usually ready after ${this.load}` : `Loads in ${this.load}`);
        write(this.at(".usage"), [this.used, this.memory, ["failed", "stopping"].includes(this.state) ? "" : load].filter(Boolean).join(" · "));
    }

    usage(use, now) {
        if (this.isDraining) return use.in_flight > 0 ? `${requests(use.in_flight)}, which may end` : "What it works on may end";
        if (use.in_flight > 0) return requests(use.in_flight);
        if (this.state === "loaded" && use.kept_until)
            return `Kept until ${moment(use.kept_until, { hour: "2-digit", minute: "2-digit" })}, idle for ${span(use.idle_seconds ?? 0)}`;
        if (this.state === "loaded" && ENDS.includes(use.reason)) return `Idle ${part(use.idle_seconds, use.threshold_seconds)}`;
        if (this.state === "loaded" && use.idle_seconds !== null) return `Idle for ${span(use.idle_seconds)}, and kept`;
        if (this.state !== "unloaded") return "";
        return use.last_activity ? `Last used ${span((now - new Date(use.last_activity)) / 1000)} ago` : "Not used yet";
    }

    // Only a model that would be stopped at some time.
    offerKeep(use) {
        const button = this.at(".keep");
        button.hidden = this.state !== "loaded" || use.threshold_seconds === null;
        button.dataset.seconds = use.kept_until ? 0 : KEEP_HOURS * 3600;
        write(button, button.hidden ? "" : use.kept_until ? "Keep no longer" : `Keep for ${KEEP_HOURS} h`);
        button.setAttribute("aria-label", `${button.textContent}: ${this.name}`);
    }

    async keep() {
        write(this.at(".error"), "");
        try {
            await change(`${path(this.name)}/keep?seconds=${this.at(".keep").dataset.seconds}`);
        } catch (refusal) {
            write(this.at(".error"), refusal.message);
        }
        dispatchEvent(new Event("changed"));
    }

    offer() {
        const does = this.isDraining ? "now" : ["loaded", "loading", "stopping"].includes(this.state) ? "stop" : "start";
        const button = this.at(".act");
        button.dataset.does = does;
        write(button, { start: "Start", stop: "Stop", now: "Stop now" }[does]);
        button.setAttribute("aria-label", `${button.textContent} ${this.name}`);
        if (this.isBusy || (this.state === "stopping" && !this.isDraining)) button.setAttribute("aria-disabled", "true");
        else button.removeAttribute("aria-disabled");
    }

    async act() {
        const button = this.at(".act"), does = button.dataset.does;
        if (button.getAttribute("aria-disabled") === "true") return;
        write(this.at(".error"), "");
        if (does === "stop") this.isDraining = true;
        else this.isBusy = true;
        this.offer();
        try {
            if (does === "start") await change(`${path(this.name)}/start?wait=none`);
            else if (does === "stop") await change(`${path(this.name)}/stop?drain=${DRAIN_SECONDS}`);
            else await change(`${path(this.name)}/stop`);
        } catch (refusal) {
            write(this.at(".error"), refusal.message);
        }
        if (does === "stop") this.isDraining = false;
        else this.isBusy = false;
        this.offer();
        dispatchEvent(new Event("changed"));
    }

    // What its server and all that it keeps in the page cache take; and its day.
    async measure() {
        this.day.refresh(this.isNew).catch(() => {}); // a bar that is old does no harm
        if (this.isNew || this.state === "loaded") {
            const { memory_bytes: size, load_seconds: load } = await look(path(this.name));
            this.memory = size === null || this.state !== "loaded" ? "" : bytes(size);
            this.load = load === null ? "" : span(Math.ceil(load));
        }
        this.tellUsage();
    }

    // What /why says: of a model that failed once, of one that loads each time, and of one that is looked at.
    async explain() {
        if (!this.isOpen && this.state !== "loading" && !(this.state === "failed" && (this.isNew || !this.isExplained))) return;
        const why = await look(`/api/monitor/models/${encodeURIComponent(this.name)}/why`);
        this.isExplained = this.state === "failed";
        if (["failed", "loading"].includes(this.state)) write(this.at(".cause"), why.cause ?? "");
        if (!this.isOpen) return;
        write(this.at(".why"), `Now: ${why.explanation}.`);
        this.at(".decisions").replaceChildren(...why.decisions.slice(-DECISIONS).map((each) => {
            const line = document.createElement("li");
            line.textContent = `${moment(each.time)}: ${each.message}`;
            return line;
        }));
        await this.readLog();
    }

    async readLog() {
        const { lines } = await look(`${path(this.name)}/logs?lines=${LOG_LINES}`);
        const log = this.at(".log"), isAtEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
        const time = { hour: "2-digit", minute: "2-digit", second: "2-digit" };
        const text = lines.map((line) => `${moment(line.time, time)}  ${line.message}`).join("\n") || "Nothing is logged.";
        if (log.textContent !== text) log.textContent = text;
        if (isAtEnd) log.scrollTop = log.scrollHeight;
    }
}

// Whether somebody reads what a model does, and logs.
export const isOneOpen = () => [...rows.values()].some((row) => row.isOpen);

// Whether something moves, so that the next look should come soon.
export async function refresh() {
    const [{ models, data }, { activity_status: uses, timestamp }] =
        await Promise.all([look("/api/inference/models"), look("/api/monitor/models/activity")]);
    const states = new Map(data.map((each) => [each.id, each.status.failed ? "failed" : each.status.value]));
    const known = models.filter((each) => uses[each.model_name]); // a file may come or go between the two answers
    for (const [name, row] of rows)
        if (!known.some((each) => each.model_name === name)) {
            row.element.remove();
            rows.delete(name);
        }
    known.forEach((model, index) => {
        const name = model.model_name;
        if (!rows.has(name)) rows.set(name, new Row(name));
        const { element } = rows.get(name);
        if (list.children[index] !== element) list.insertBefore(element, list.children[index] ?? null);
        rows.get(name).show({ ...model, status: states.get(name) }, uses[name], new Date(timestamp));
    });
    document.getElementById("no-models").hidden = known.length > 0;
    for (const row of rows.values()) row.measure().catch(() => {}); // nobody waits for it, and the next look says the trouble
    await Promise.all([...rows.values()].map((row) => row.explain().catch((refusal) => write(row.at(".why"), refusal.message))));
    return { names: [...rows.keys()], isMoving: [...rows.values()].some((row) => ["loading", "stopping"].includes(row.state)) };
}

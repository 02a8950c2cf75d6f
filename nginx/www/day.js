// SPDX-License-Identifier: MIT
// day.js - a model's last 24 hours as a bar: when it ran, and where it failed.
import { look } from "./api.js";
import { count, rect, span } from "./words.js";

const WIDTH = 1440; // a minute each
const LEAST = 4; // of a short run, so that it is seen
const FRESH_MS = 600000; // a bar moves by a hundredth of its length in a quarter of an hour
const SETTLE_MS = 3000; // in which the journal has the end of what has ended

function mark(from, to, name) {
    const left = Math.min(from, WIDTH - LEAST);
    return rect(left, Math.max(to - left, LEAST), name);
}

export class Day {
    constructor(svg, name) {
        this.svg = svg;
        this.name = name;
        this.notBefore = 0;
    }

    // It is drawn anew where something has changed, and now and then.
    async refresh(hasChanged) {
        if (!hasChanged && performance.now() < this.notBefore) return;
        this.notBefore = performance.now() + (hasChanged ? SETTLE_MS : FRESH_MS);
        const { from, to, runs } = await look(`/api/monitor/models/${encodeURIComponent(this.name)}/history?hours=24`);
        const start = new Date(from), end = new Date(to);
        const place = (time) => (Math.max(time - start, 0) / (end - start)) * WIDTH;
        let seconds = 0, failures = 0;
        const bars = runs.flatMap((run) => {
            const began = Math.max(run.started ? new Date(run.started) : start, start), ended = run.ended ? new Date(run.ended) : end;
            const hasFailed = run.result !== null && run.result !== "success";
            seconds += (ended - began) / 1000;
            failures += hasFailed;
            const bar = mark(place(began), place(ended), "ran");
            return hasFailed ? [bar, mark(place(ended) - LEAST, place(ended), "fell")] : [bar];
        });
        this.svg.replaceChildren(...bars);
        const fell = failures ? `, and failed ${count(failures, "time")}` : "";
        this.svg.setAttribute("aria-label", runs.length
            ? `${this.name} ran for ${span(seconds)} of the last 24 hours, in ${count(runs.length, "run")}${fell}`
            : `${this.name} did not run in the last 24 hours`);
    }
}

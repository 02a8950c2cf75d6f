// SPDX-License-Identifier: MIT
// events.js - hears from the machine that something has changed, while somebody sees the page.
//
// A stream of one's own, because EventSource can send no token. What has changed is looked at as ever: an event is a hint.
import { stream } from "./api.js";

const AGAIN_MS = 60000; // after there was no place to listen from

let stop = null; // of the stream that there is
let notBefore = 0; // by performance.now()
let hears = false;

// Whether a change would be heard.
export const isListening = () => hears;

async function hear(response, changed) {
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = ""; ;) {
        const { done, value } = await reader.read();
        if (done) return;
        const lines = (rest + value).split("\n");
        rest = lines.pop();
        hears = true;
        if (lines.some((line) => line.startsWith("data:"))) changed();
    }
}

// Calls changed() from now on, until hush(). Where nothing is to be heard, or no longer, the next call tries again.
export async function listen(changed) {
    if (stop || document.hidden || performance.now() < notBefore) return;
    const mine = stop = new AbortController();
    try {
        await hear(await stream("/api/monitor/events", mine.signal), changed);
    } catch {
        if (stop === mine && !hears) notBefore = performance.now() + AGAIN_MS;
    }
    if (stop === mine) hush();
}

export function hush() {
    stop?.abort();
    stop = null;
    hears = false;
}

// For a token that may do what the one before could not.
export function forget() {
    hush();
    notBefore = 0;
}

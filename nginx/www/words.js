// SPDX-License-Identifier: MIT
// words.js - times and spans for people.

const MINUTE = 60, HOUR = 3600, DAY = 86400;

export const count = (number, what) => `${number} ${what}${number === 1 ? "" : "s"}`;

export const requests = (number) => `${count(number, "request")} in flight`;

// "2 days", "3 h", "12 min", "45 s": the largest unit alone.
export function span(seconds) {
    if (seconds >= 2 * DAY) return count(Math.floor(seconds / DAY), "day");
    if (seconds >= 2 * HOUR) return `${Math.floor(seconds / HOUR)} h`;
    if (seconds >= 2 * MINUTE) return `${Math.floor(seconds / MINUTE)} min`;
    return `${Math.floor(seconds)} s`;
}

// "12 of 30 min", "1.5 of 4 h": both in one unit.
export function part(seconds, whole) {
    if (whole < 3 * MINUTE) return `${Math.floor(seconds)} of ${whole} s`;
    if (whole < 4 * HOUR) return `${Math.floor(seconds / MINUTE)} of ${Math.round(whole / MINUTE)} min`;
    return `${(seconds / HOUR).toFixed(1)} of ${(whole / HOUR).toFixed(1).replace(".0", "")} h`;
}

// "0:29:41", or with days before it.
export function clock(seconds) {
    const two = (number) => String(number).padStart(2, "0");
    const days = Math.floor(seconds / DAY), rest = Math.max(0, Math.ceil(seconds % DAY));
    const text = `${Math.floor(rest / HOUR)}:${two(Math.floor((rest % HOUR) / MINUTE))}:${two(rest % MINUTE)}`;
    return days ? `${count(days, "day")} ${text}` : text;
}

// "812 MB", "12.4 GB": as people count memory.
export function bytes(number) {
    const mega = number / 2 ** 20;
    return mega < 1000 ? `${Math.ceil(mega)} MB` : `${(mega / 1024).toFixed(1)} GB`;
}

// A time of the machine's, as this browser's clock shows it.
export function moment(time, options = { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }) {
    return new Date(time).toLocaleString("en-GB", options);
}

// Written only where it changes, so that nothing blinks and no reader speaks twice.
export function write(element, text) {
    if (element.textContent !== text) element.textContent = text;
    element.hidden = text === "";
}

// For who cannot see it change.
export function tell(text) {
    document.getElementById("news").textContent = text;
}

// A part of a bar, which is as high as it is drawn.
export function rect(x, width, name) {
    const it = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    for (const [key, value] of Object.entries({ x, y: 0, width, height: 8, class: name })) it.setAttribute(key, value);
    return it;
}

// Of a double click: after the first one the button may do something else.
export const isSecond = (event) => event.detail > 1;

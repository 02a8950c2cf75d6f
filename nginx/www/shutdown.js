// SPDX-License-Identifier: MIT
// shutdown.js - the next shutdown with its countdown, and the form that schedules and cancels.
import { look } from "./api.js";
import { change } from "./token.js";
import { clock, isSecond, moment, tell, write } from "./words.js";

const ACTIONS = { poweroff: "Power off", reboot: "Reboot", halt: "Halt" };

const at = (id) => document.getElementById(id);
const form = at("schedule"), button = at("shutdown-button");

let end = null; // of the countdown, by this page's own clock: the browser's may be wrong
let shown = null;

export function show(shutdown) {
    shown = shutdown;
    end = shutdown && performance.now() + shutdown.remaining_seconds * 1000;
    at("scheduled").hidden = !shutdown;
    write(at("unscheduled"), shutdown ? "" : "No shutdown is scheduled.");
    for (const each of form.querySelectorAll("label, input, span, select")) each.hidden = Boolean(shutdown);
    button.textContent = shutdown ? "Cancel" : "Schedule";
    button.dataset.does = shutdown ? "cancel" : "schedule";
    if (!shutdown) return;
    const others = shutdown.source === "external" ? ", by somebody on the machine" : "";
    at("action").textContent = ACTIONS[shutdown.action] ?? shutdown.action;
    at("at").dateTime = shutdown.scheduled_time;
    write(at("at"), moment(shutdown.scheduled_time) + others);
    count();
}

function count() {
    if (end !== null) write(at("left"), `in ${clock((end - performance.now()) / 1000)}`);
}

export async function refresh() {
    show((await look("/api/shutdown/shutdown")).shutdown);
}

form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    write(at("shutdown-error"), "");
    try {
        const wanted = shown
            ? { scheduled: false }
            : { scheduled: true, minutes: at("minutes").valueAsNumber, action: at("how").value };
        const answer = await change("/api/shutdown/shutdown", wanted);
        show(answer.shutdown ?? null);
        tell(answer.shutdown ? `${ACTIONS[answer.shutdown.action]} is scheduled` : "The shutdown is cancelled");
    } catch (refusal) {
        write(at("shutdown-error"), refusal.message);
    }
    button.removeAttribute("aria-disabled");
});

button.addEventListener("click", (event) => isSecond(event) && event.preventDefault());

setInterval(() => document.hidden || count(), 1000);

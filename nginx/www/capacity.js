// SPDX-License-Identifier: MIT
// capacity.js - what the machine has for its models, who holds it, and who waits for it.
import { look } from "./api.js";
import { bytes, rect, span, write } from "./words.js";

const WIDTH = 1000; // of a bar, whatever its resource has

const at = (id) => document.getElementById(id);

function bar(element, { resource, capacity_bytes: capacity, claimed_bytes: claimed }, models) {
    const holders = models.filter((each) => each.holds_as).map((each) => ({
        name: each.model_name, keep: each.keep, size: each.claims.find((claim) => claim.resource === resource)?.bytes ?? 0,
    })).filter((each) => each.size > 0);
    const whole = Math.max(capacity ?? 0, claimed, 1);
    const words = holders.map((each) => `${each.name} ${bytes(each.size)}${each.keep ? ", kept" : ""}`).join(" · ") || "Nobody holds any";
    const sum = capacity === null ? `${bytes(claimed)} claimed` : `${bytes(claimed)} of ${bytes(capacity)}`;
    write(element.querySelector("h3"), resource.replace(/^gpu/, "GPU").replace(/^memory/, "Memory"));
    write(element.querySelector(".sum"), sum);
    write(element.querySelector(".holders"), words);
    let from = 0;
    element.querySelector("svg").replaceChildren(...holders.map((each) => {
        const width = (each.size / whole) * WIDTH, part = rect(from, Math.max(width - 2, 1), "held");
        from += width;
        return part;
    }));
}

export async function refresh() {
    const { resources, models, waiting } = await look("/api/inference/capacity");
    const list = at("resources"), now = Date.now();
    at("capacity").hidden = resources.length + waiting.length === 0;
    while (list.children.length > resources.length) list.lastElementChild.remove();
    while (list.children.length < resources.length) list.append(at("resource").content.cloneNode(true));
    resources.forEach((each, index) => bar(list.children[index], each, models));
    const lines = waiting.map(({ model_name: name, waits_since: since }) => {
        const why = models.find((each) => each.model_name === name)?.explanation;
        return `${name} waits for room, for ${span(Math.max(now - new Date(since), 0) / 1000)}${why ? `: ${why}` : ""}`;
    });
    at("waiting").replaceChildren(...lines.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
}

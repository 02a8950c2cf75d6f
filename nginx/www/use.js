// SPDX-License-Identifier: MIT
// use.js - what to tell other programs, with this machine's own address and a model's name in it.

const choice = document.getElementById("use-model");
const cards = document.getElementById("cards");
const site = location.origin;
const isLocal = /^(localhost|127\.[0-9.]+|\[::1\])$/.test(location.hostname);
const key = isLocal ? "any" : "hls_…";
const bearer = isLocal ? "" : " \\\n    -H 'Authorization: Bearer hls_…'";

// "tiny-llama" as Home Assistant's ids have it.
const id = (name) => name.toLowerCase().replace(/[^a-z0-9]+/g, "_");

const CARDS = [
    ["Any OpenAI client", "The base URL and a key. The first request to a stopped model starts it, and waits.",
        () => `Base URL  ${site}/v1\nAPI key   ${key}`],
    ["curl", "One question, one answer.",
        (name) => `curl ${site}/v1/chat/completions${bearer} \\
    -H 'Content-Type: application/json' \\
    -d '{"model": "${name}", "messages": [{"role": "user", "content": "Hello"}]}'`],
    ["Open WebUI", "Its environment, or Settings, Connections, OpenAI API. A token with control may load and unload models.",
        () => `OPENAI_API_BASE_URL=${site}/v1\nOPENAI_API_KEY=${key}`],
    ["Claude Code", "The model's server must speak Anthropic's messages, as llama.cpp's does.",
        (name) => `ANTHROPIC_BASE_URL=${site} \\
ANTHROPIC_AUTH_TOKEN=${key} \\
ANTHROPIC_MODEL=${name} \\
ANTHROPIC_DEFAULT_HAIKU_MODEL=${name} \\
claude`],
    ["Home Assistant", "A switch for the model, in configuration.yaml. The token needs the scope control.",
        (name) => `switch:
  - platform: rest
    name: "${name}"
    unique_id: home_lab_${id(name)}
    resource: "${site}/api/inference/models/${name}"
    headers:
      Authorization: "Bearer hls_…"
    body_on: '{"running": true, "wait": "none"}'
    body_off: '{"running": false, "wait": "none"}'
    is_on_template: "{{ value_json.running }}"`],
];

const texts = CARDS.map(([title, hint, text]) => {
    const card = document.getElementById("card").content.cloneNode(true).firstElementChild;
    const shown = card.querySelector("pre"), button = card.querySelector("button");
    card.querySelector("h3").textContent = title;
    card.querySelector("p").textContent = hint;
    shown.setAttribute("aria-label", title);
    button.setAttribute("aria-label", `Copy for ${title}`);
    button.addEventListener("click", () => copy(shown, button));
    cards.append(card);
    return () => { shown.textContent = text(choice.value); };
});

// Browsers have a clipboard for pages by TLS or of this host alone; the old way works everywhere.
async function copy(shown, button) {
    getSelection().selectAllChildren(shown);
    let done = false;
    try {
        await navigator.clipboard.writeText(shown.textContent);
        done = true;
    } catch {
        done = document.execCommand("copy");
    }
    button.textContent = done ? "Copied" : "Selected";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
}

function fill() {
    for (const text of texts) text();
}

export function show(names) {
    document.getElementById("use").hidden = names.length === 0;
    if ([...choice.options].map((each) => each.value).join() === names.join()) return;
    const chosen = choice.value;
    choice.replaceChildren(...names.map((name) => new Option(name, name)));
    if (names.includes(chosen)) choice.value = chosen;
    fill();
}

document.getElementById("use-hint").textContent = isLocal
    ? "This address is the machine's own: programs on it need no token, and any key will do. From other machines, the site’s “listen” line must let them in."
    : "hls_… stands for a token: sudo home-lab-services token add NAME --scope use.";
choice.addEventListener("change", fill);

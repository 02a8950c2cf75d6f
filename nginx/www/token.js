// SPDX-License-Identifier: MIT
// token.js - the token that changes need, and looks from another machine.
//
// Models' pages have the same origin as this page. So the token is kept in a variable, and in nothing that they could read:
// no storage, no cookie, no address, no form that a browser would save.
import { change as send, hasToken, useToken } from "./api.js";

const dialog = document.getElementById("token-dialog");
const input = document.getElementById("token-input");
const button = document.getElementById("token");

let waiting = null; // for the person's answer
let isOther = false; // there is another token than when it was asked for

function show() {
    button.textContent = hasToken() ? "Token ✓" : "Token";
    button.setAttribute("aria-label", hasToken() ? "Token: there is one" : "Token: there is none");
}

function keep(secret) {
    isOther = true;
    useToken(secret);
    show();
    dialog.close();
    dispatchEvent(new Event("token"));
}

// Whether there is another token than before.
export function askForToken(why) {
    document.getElementById("token-why").textContent = why;
    document.getElementById("token-forget").hidden = !hasToken();
    if (waiting) return waiting;
    isOther = false;
    input.value = "";
    dialog.showModal();
    input.focus();
    waiting = new Promise((resolve) => {
        dialog.addEventListener("close", () => {
            waiting = null;
            input.value = "";
            resolve(isOther);
        }, { once: true });
    });
    return waiting;
}

const take = () => input.value.trim() && keep(input.value.trim());
document.getElementById("token-take").addEventListener("click", take);
document.getElementById("token-forget").addEventListener("click", () => keep(""));
document.getElementById("token-cancel").addEventListener("click", () => dialog.close());
input.addEventListener("keydown", (event) => event.key === "Enter" && take());
button.addEventListener("click", () => askForToken("What this machine shows and does for you, it does by a token."));
show();

// A change. Where that wants a token, the person is asked for one, and it is tried again.
export async function change(path, body) {
    for (;;) {
        try {
            return await send(path, body);
        } catch (refusal) {
            if (!refusal.wantsToken || !(await askForToken(refusal.message))) throw refusal;
        }
    }
}

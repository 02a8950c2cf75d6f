// SPDX-License-Identifier: MIT
// api.js - what the services are asked and told.

const LOOK_MS = 15000; // for an answer to a question
const CHANGE_MS = 400000; // for an answer to a change: a model may first finish what it has begun

let token = ""; // here alone: see token.js

export class Refusal extends Error {
    constructor(status, code, message) {
        super(message);
        this.status = status;
        this.code = code;
    }

    get wantsToken() {
        return ["token_required", "token_invalid", "scope_too_small"].includes(this.code);
    }
}

async function ask(method, path, body, limit) {
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    if (body) headers["Content-Type"] = "application/json";
    let response, answer;
    try {
        response = await fetch(path, {
            method, headers, body: body && JSON.stringify(body), cache: "no-store", signal: AbortSignal.timeout(limit),
        });
    } catch (error) {
        throw error.name === "TimeoutError"
            ? new Refusal(0, "timeout", "The machine takes too long to answer.")
            : new Refusal(0, "unreachable", "The machine does not answer.");
    }
    try {
        answer = await response.json();
    } catch {
        throw new Refusal(response.status, "bad_answer", `${path} answered ${response.status}, and not in our words.`);
    }
    if (response.ok) return answer;
    const { code = "", message = `${path} answered ${response.status}.` } = answer;
    throw new Refusal(response.status, code, message.replace(/^./, (first) => first.toUpperCase()));
}

// An answer that goes on.
export async function stream(path, signal) {
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    const response = await fetch(path, { headers, cache: "no-store", signal });
    if (!response.ok) throw new Refusal(response.status, "", `${path} answered ${response.status}.`);
    return response;
}

export const look = (path) => ask("GET", path, null, LOOK_MS);
export const change = (path, body) => ask("POST", path, body, CHANGE_MS);

export const hasToken = () => token !== "";
export function useToken(secret) {
    token = secret;
}

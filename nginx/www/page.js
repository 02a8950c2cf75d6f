// SPDX-License-Identifier: MIT
// page.js - the page: looks when it hears of a change, and now and then, while somebody sees it; and not at all else.
import { look } from "./api.js";
import * as capacity from "./capacity.js";
import { forget, hush, isListening, listen } from "./events.js";
import * as models from "./models.js";
import * as shutdown from "./shutdown.js";
import { askForToken } from "./token.js";
import * as use from "./use.js";
import { moment, span, write } from "./words.js";

const REST_MS = 3000; // from one look to the next, where no change is heard of
const QUIET_MS = 10000; // where it is: nobody tells of requests and of time that goes by
const MOVING_MS = 1000; // while something starts or stops
const TROUBLE_MS = 6000; // where there was no answer

const trouble = document.getElementById("trouble");

let timer = null;
let isLooking = false, isAgain = false;
let head = null; // the machine's name and when it came up
let hasAsked = false; // for a token, by itself: once for each
let since = null; // the last good answer
let isTroubled = false; // so one question alone is asked at first: a refused one is a line in the journal

async function readHead() {
    const { hostname, uptime, boot_time: boot } = await look("/api/shutdown/system");
    document.title = `${hostname} · Home Lab Services`;
    write(document.getElementById("host"), hostname);
    head = { boot, began: performance.now() / 1000 - uptime.total_seconds };
}

function showUptime() {
    write(document.getElementById("uptime"), `Up since ${moment(head.boot)}, for ${span(performance.now() / 1000 - head.began)}`);
}

async function once() {
    try {
        if (isTroubled) await shutdown.refresh();
        const [{ names, isMoving }] = await Promise.all([models.refresh(), shutdown.refresh(), capacity.refresh(), head || readHead()]);
        showUptime();
        use.show(names);
        since = new Date();
        isTroubled = false;
        write(trouble, "");
        listen(go);
        return isMoving ? MOVING_MS : isListening() && !models.isOneOpen() ? QUIET_MS : REST_MS;
    } catch (refusal) {
        head = null; // it may have been started anew
        isTroubled = true;
        const stale = since ? ` What is below is of ${moment(since, { hour: "2-digit", minute: "2-digit", second: "2-digit" })}.` : "";
        write(trouble, refusal.message + stale);
        if (!refusal.wantsToken) return TROUBLE_MS;
        if (!hasAsked) askForToken(refusal.message);
        hasAsked = true;
        return null; // not before there is another token
    }
}

async function go() {
    clearTimeout(timer);
    if (isLooking) {
        isAgain = true;
        return;
    }
    if (document.hidden) return;
    isLooking = true;
    let pause;
    do {
        isAgain = false;
        pause = await once();
    } while (isAgain && !document.hidden);
    isLooking = false;
    if (pause !== null) timer = setTimeout(go, pause);
}

document.addEventListener("visibilitychange", () => {
    if (document.hidden) hush();
    go();
});
addEventListener("online", go);
addEventListener("changed", go);
addEventListener("token", () => {
    hasAsked = false;
    forget();
    go();
});
go();

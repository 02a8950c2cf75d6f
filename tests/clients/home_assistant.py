# SPDX-License-Identifier: MIT
"""home_assistant.py FOLDER - Home Assistant with the configuration in FOLDER, as its users run it but without a browser's part.
Speaks on stdin and stdout as pypi.py does:

    call    DOMAIN.SERVICE  DATA    a service, with data as the user would write it; what it answers
    states  ENTITY…                 their states and attributes, after each was asked for anew
    log                             warnings and errors since the last time

It says first which version it is, and the components that it has set up.
"""
import asyncio
import json
import logging
import sys
import time

from homeassistant import bootstrap, config, core, loader
from homeassistant.const import MAJOR_VERSION, MINOR_VERSION, PATCH_VERSION
from homeassistant.helpers import template, update_coordinator

SLOW_SECONDS = 10  # when Home Assistant itself gives up


class Log(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.lines = []

    def emit(self, record):
        line = f"{record.name}: {record.getMessage()}"
        if "Support for the running Python version" not in line:  # of a release that is the last one for it
            self.lines.append(line)


async def start(folder):
    """What bootstrap.async_setup_hass() does, without what is set up unasked: the user interface and all that it needs."""
    bootstrap.DEFAULT_INTEGRATIONS &= {"network"}  # of which its clients ask for addresses
    update_coordinator.REQUEST_REFRESH_DEFAULT_COOLDOWN = 0  # seconds between two questions of whoever wants to know now
    hass = core.HomeAssistant(folder)
    hass.config.skip_pip = True  # what it needs is there
    loader.async_setup(hass)
    if await bootstrap.async_from_config_dict(await config.async_hass_config_yaml(hass), hass) is None:
        raise RuntimeError("it does not take the configuration")
    await hass.async_start()
    return hass


class Asked:
    def __init__(self, hass, log):
        self.hass, self.log_handler = hass, log

    async def call(self, service, data):
        """Data is rendered as it is in a script; the answer is a response_variable's."""
        domain, name = service.split(".")
        data = {key: template.Template(value, self.hass).async_render() if isinstance(value, str) else value
                for key, value in json.loads(data).items()}
        answers = self.hass.services.supports_response(domain, name) is not core.SupportsResponse.NONE
        began = time.monotonic()
        answer = await self.hass.services.async_call(domain, name, data, blocking=True, return_response=answers)
        assert time.monotonic() - began < SLOW_SECONDS, f"{service} takes too long"
        return answer

    async def states(self, *entities):
        await self.hass.services.async_call("homeassistant", "update_entity", {"entity_id": list(entities)}, blocking=True)
        states = map(self.hass.states.get, entities)
        return [state and {"state": state.state, "attributes": json.loads(json.dumps(dict(state.attributes), default=str))}
                for state in states]

    async def log(self):
        lines, self.log_handler.lines = self.log_handler.lines, []
        return lines


async def main(folder):
    log = Log()
    logging.getLogger().addHandler(log)
    hass = await start(folder)
    asked = Asked(hass, log)
    version = f"{MAJOR_VERSION}.{MINOR_VERSION}.{PATCH_VERSION}"
    print(json.dumps({"got": {"version": version, "components": sorted(hass.config.components)}}), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        what, *fields = line.rstrip("\n").split("\t")
        try:
            answer = {"got": await getattr(asked, what)(*fields)}
        except Exception as error:  # whatever its user would see
            answer = {"error": {"status": None, "message": f"{type(error).__name__}: {error}"}}
        print(json.dumps(answer), flush=True)
    await hass.async_stop(force=True)


asyncio.run(main(sys.argv[1]))

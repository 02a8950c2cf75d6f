# SPDX-License-Identifier: MIT
"""No process without requests. The files before this one have machines of their own: nobody has asked this machine for long."""
from machines import wait_until


def test_nobody_is_left_when_nobody_asks(web):
    web.sh("systemctl stop fcgiwrap.service")  # another one's, as our user
    wait_until(lambda: web.pids_of() == [] == web.pids_of("home-lab-nginx"), 45, "the last process of ours has ended")
    assert web.is_active("model-router.socket", "model-activity.socket") and web.failed_units() == ""
    assert web.chat("quick").status == 200

"""The nginx configuration that is shipped, run by nginx where it is installed."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from recsvc.api.limits import MAX_BODY_BYTES, MAX_URI_BYTES
from recsvc.api.problems import UNAVAILABLE

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "nginx.conf"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


def test_the_proxy_lets_through_what_the_service_itself_will_refuse() -> None:
    text = CONFIGURATION.read_text("utf-8")
    body = re.search(r"client_max_body_size (\d+)m;", text)
    line = re.search(r"large_client_header_buffers \d+ (\d+)k;", text)
    assert body is not None and int(body[1]) * 1024 * 1024 > MAX_BODY_BYTES
    assert line is not None and int(line[1]) * 1024 > MAX_URI_BYTES


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
def test_a_customer_is_told_to_try_again_while_nothing_listens_behind_the_proxy(tmp_path: Path) -> None:
    port, nobody = _free_ports()
    whole = tmp_path / "nginx.conf"
    text = CONFIGURATION.read_text("utf-8")
    own = text.replace("127.0.0.1:8080", f"127.0.0.1:{port}").replace("127.0.0.1:8000", f"127.0.0.1:{nobody}")
    kept = "".join(
        f"{kind}_temp_path {tmp_path};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    whole.write_text(
        f"daemon off; pid {tmp_path}/pid; error_log stderr;\nevents {{}}\n"
        f"http {{ access_log off;\n{kept}{own}\n}}\n"
    )
    command = [str(NGINX), "-p", str(tmp_path), "-c", str(whole)]
    subprocess.run([*command, "-t"], check=True, capture_output=True, timeout=20)
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as proxy:
        try:
            answer = _refusal(f"http://127.0.0.1:{port}/healthz")
        finally:
            proxy.terminate()
    assert (answer.code, answer.headers["Content-Type"]) == (503, "application/problem+json")
    assert answer.headers["Retry-After"] == "1"
    told = json.load(answer)
    assert (told["type"], told["title"], told["status"]) == (UNAVAILABLE.uri, UNAVAILABLE.title, 503)


def _refusal(url: str) -> urllib.error.HTTPError:
    for _ in range(100):
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except urllib.error.HTTPError as refusal:
            return refusal
        except urllib.error.URLError:
            time.sleep(0.05)
    raise AssertionError("nginx refused nothing")


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]

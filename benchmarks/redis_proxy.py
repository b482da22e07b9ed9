"""Stand between a service and its Redis, and misbehave on command. In: two ports, words on standard input.

Words: `pass` (hand on), `slow` (hand on every answer 200 ms late), `swallow` (take all, answer nothing) and
`loading` (answer everything by -LOADING, as a Redis does that reads its data). A word holds for connections
that are open already, too. In a process of its own, so that nothing else delays what is handed on.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

SLOW_SECONDS = 0.2
_LOADING = b"-LOADING Redis is loading the dataset in memory\r\n"


class Proxy:
    """Hands on what clients and Redis say to each other, in the mode of the moment."""

    def __init__(self, upstream: int) -> None:
        self.mode = "pass"
        self._upstream = upstream

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, until either side ends."""
        try:
            redis = await asyncio.open_connection("127.0.0.1", self._upstream)
        except OSError:
            writer.close()  # To the client, as if nobody listened.
            return
        try:
            both = [self._requests(reader, redis[1], writer), self._answers(redis[0], writer)]
            tasks = [asyncio.ensure_future(one) for one in both]
            _, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in others:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            writer.close()
            redis[1].close()

    async def _requests(
        self, reader: asyncio.StreamReader, redis: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        while said := await reader.read(65_536):
            if self.mode == "loading":
                client.write(_LOADING * max(1, said.count(b"\r\n*") + 1))
            elif self.mode != "swallow":
                redis.write(said)
                await redis.drain()

    async def _answers(self, redis: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        while said := await redis.read(65_536):
            if self.mode == "slow":
                await asyncio.sleep(SLOW_SECONDS)
            if self.mode != "swallow":
                client.write(said)
                await client.drain()


async def _run(port: int, upstream: int) -> None:
    proxy = Proxy(upstream)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", port)
    loop = asyncio.get_running_loop()
    async with server:
        print("ready", flush=True)
        while word := await loop.run_in_executor(None, sys.stdin.readline):
            proxy.mode = word.strip()
            print(proxy.mode, flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(int(sys.argv[1]), int(sys.argv[2])))

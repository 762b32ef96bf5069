# io.py COUNT MIN MAX [uvloop]: COUNT concurrent waits of MIN to MAX
# milliseconds, repeated; prints a line when all of them have ended.

import asyncio
import random
import sys

count, low, high = (int(arg) for arg in sys.argv[1:4])

if sys.argv[4:] == ['uvloop']:
    import uvloop
    uvloop.install()


async def wait():
    ms = random.randint(low, high)
    await asyncio.sleep(ms / 1000)
    return random.randint(0, 1000)


async def main():
    while True:
        sizes = await asyncio.gather(*(wait() for _ in range(count)))
        print(sum(sizes), flush=True)


asyncio.run(main())

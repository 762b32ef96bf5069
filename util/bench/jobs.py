# jobs.py submit|asyncio SECONDS: empty jobs of a ThreadPoolExecutor with one
# thread, 1,000 at a time; prints the jobs a second and the CPU time of a job in
# microseconds.
#
# submit   submit() for each, then result() of each: faster than map(), than
#          callbacks, and than a window of 1,000 that slides
# asyncio  gather() of as many run_in_executor(): faster than 1,000 coroutines
#          with one job after the other

import asyncio
import sys
import time
from concurrent.futures import ThreadPoolExecutor


def job():
    pass


async def submit(executor):
    for future in [executor.submit(job) for _ in range(1000)]:
        future.result()


async def gather(executor):
    loop = asyncio.get_running_loop()

    await asyncio.gather(*[loop.run_in_executor(executor, job)
                           for _ in range(1000)])


async def measure(mode, executor, seconds):
    jobs = 0
    start = time.monotonic()
    cpu = time.process_time()

    while time.monotonic() - start < seconds:
        await mode(executor)
        jobs += 1000

    return (jobs / (time.monotonic() - start),
            (time.process_time() - cpu) * 1e6 / jobs)


async def main(mode, seconds):
    with ThreadPoolExecutor(1) as executor:
        await measure(mode, executor, 0.2)
        print(*await measure(mode, executor, seconds))


asyncio.run(main({'submit': submit, 'asyncio': gather}[sys.argv[1]],
                 float(sys.argv[2])))

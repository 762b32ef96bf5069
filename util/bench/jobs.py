# jobs.py SECONDS: empty jobs of a ThreadPoolExecutor with one thread; prints
# the jobs a second and the CPU time of a job in microseconds.  The main
# thread keeps 1,000 in flight, which is faster than map(), or wait() for 1,000
# at a time.

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor


def job():
    pass


def run(executor, seconds):
    free = threading.Semaphore(1000)
    jobs = 0
    start = time.monotonic()
    cpu = time.process_time()

    while time.monotonic() - start < seconds:
        free.acquire()
        executor.submit(job).add_done_callback(lambda _: free.release())
        jobs += 1

    return (jobs / (time.monotonic() - start),
            (time.process_time() - cpu) * 1e6 / jobs)


with ThreadPoolExecutor(1) as executor:
    run(executor, 0.2)
    print(*run(executor, float(sys.argv[1])))

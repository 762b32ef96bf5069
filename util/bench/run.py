"""A function on a process pool, by FastAPI: PORT."""

import asyncio
import concurrent.futures
import sys

import fastapi
import uvicorn

app = fastapi.FastAPI()
pool = None


def empty(body):
    return b'ok\n'


@app.on_event('startup')
async def start():
    global pool
    pool = concurrent.futures.ProcessPoolExecutor(1)


@app.post('/run')
async def run(request: fastapi.Request):
    loop = asyncio.get_running_loop()
    body = await request.body()
    text = await loop.run_in_executor(pool, empty, body)
    return fastapi.Response(text, media_type='text/plain')


uvicorn.run(app, port=int(sys.argv[1]), log_level='error', access_log=False)

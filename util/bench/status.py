"""A status of the same bytes by FastAPI: PORT FILE."""

import sys

import fastapi
import uvicorn

app = fastapi.FastAPI()
body = open(sys.argv[2], 'rb').read()


@app.get('/status')
async def status():
    return fastapi.Response(body, media_type='application/json')


uvicorn.run(app, port=int(sys.argv[1]), log_level='error', access_log=False)

# rlkit in a container: docker build -t rlkit . && docker run --rm rlkit
# Other commands take the place of the default one: docker run --rm rlkit uv run pytest
# Keep the runs, and share them: docker run --rm --env-file .env -v "$PWD/runs:/rlkit/runs" rlkit uv run rlkit env=pendulum
FROM python:3.12-slim

# A compiler and SWIG for the environments that come as source on some platforms, git for the commit in run.json, and the
# libraries that drawing needs where there is no screen.
RUN apt-get update \
    && apt-get install --no-install-recommends -y build-essential git libegl1 libgl1 libglib2.0-0 swig \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /rlkit
RUN pip install --no-cache-dir uv

# The packages first: a change of the code does not fetch them again.
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN uv sync --locked --no-install-project --no-cache

COPY . .
RUN uv sync --locked --no-cache

ENV MUJOCO_GL=egl
CMD ["uv", "run", "python", "-m", "rlkit", "algo=ppo", "env=cartpole"]

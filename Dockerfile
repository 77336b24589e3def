# One image for workers, migrations and the command line, and one with the demonstration shop on top of it
# (`--target demo`). `docker-compose.yml` builds and runs them.
#
# The Python is the oldest that the project promises; the tests run on it and on newer ones. The steps are those of the README's set-up: everything
# pinned in requirements.txt is installed by its hash, then the project itself. There is one such
# file, so the image has the test tools in it, too, and is exactly what the tests ran with.
FROM python:3.11.14-slim-bookworm AS holdfast

# Wheels only: nothing is compiled here, so no compiler has to be installed and removed again.
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ONLY_BINARY=:all: \
    PIP_ROOT_USER_ACTION=ignore \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

WORKDIR /app

COPY requirements.txt ./
RUN pip install --require-hashes -r requirements.txt

COPY LICENSE README.md pyproject.toml starter.py worker.py ./
COPY activities activities
COPY holdfast holdfast
COPY workflows workflows
RUN pip install --no-deps -e .

RUN useradd --system --uid 10001 --no-create-home holdfast
USER holdfast

EXPOSE 8088
CMD ["holdfast", "worker"]

FROM holdfast AS demo
USER root
COPY examples/shop examples/shop
RUN pip install --no-deps -e examples/shop
USER holdfast

# What is built where no target is named.
FROM holdfast

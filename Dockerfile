# docker build -t overmem . && docker run --rm -v "$PWD/runs:/runs" overmem diagnose /runs/mine
# With a GPU: docker run --gpus all ... audit /runs/mine
FROM python:3.12-slim
WORKDIR /src
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY src ./src
RUN pip install --no-cache-dir '.[audit]'
RUN useradd --create-home overmem
USER overmem
WORKDIR /runs
ENTRYPOINT ["overmem"]

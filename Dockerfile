# One image for every role: longtask-operator and longtask-mcp are its commands, the chart chooses.
# BASE is any image with Python 3.11 or later as python3, and pip.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS dependencies
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv --without-pip /opt/longtask
COPY requirements/image.txt /src/requirements/
RUN python3 -m pip --python /opt/longtask/bin/python install --require-hashes -r /src/requirements/image.txt

# The project goes to a root of its own: the layer of the dependencies above stays as it is when the code changes.
FROM dependencies AS project
COPY requirements/build.txt /src/requirements/
RUN python3 -m venv --without-pip /opt/build \
 && python3 -m pip --python /opt/build/bin/python install --require-hashes -r /src/requirements/build.txt
COPY pyproject.toml README.md LICENSE /src/
COPY sdk /src/sdk
COPY crds /src/crds
COPY runtime /src/runtime
COPY operator /src/operator
COPY mcp_server /src/mcp_server
COPY cli /src/cli
RUN cd /src && /opt/build/bin/hatchling build -t wheel -d /wheels \
 && python3 -m pip --python /opt/longtask/bin/python install --no-deps --no-index --root /project /wheels/*.whl

FROM ${BASE}
COPY --from=dependencies /opt/longtask /opt/longtask
COPY --from=project /project /
ENV PATH=/opt/longtask/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
ENTRYPOINT []
CMD []

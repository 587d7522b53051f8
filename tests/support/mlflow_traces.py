"""Logs the requests of a file to MLflow, a trace each, as the gateway of the reference does.

Each line of the file is JSON: `t` in Unix seconds, `duration_ms`, and the span's attributes.
"""

import json
import sys

import mlflow

server, experiment, path = sys.argv[1:]
mlflow.set_tracking_uri(server)
mlflow.set_experiment(experiment)
for line in open(path, encoding="utf-8"):
    attributes = json.loads(line)
    start = int(attributes.pop("t") * 1e9)
    duration = int(attributes.pop("duration_ms") * 1e6)
    span = mlflow.start_span_no_context(
        "vllm_inference", inputs={"prompt": "the-secret-prompt"}, start_time_ns=start
    )
    span.set_attributes(attributes)
    span.end(outputs="the-secret-answer", end_time_ns=start + duration)
mlflow.flush_trace_async_logging()

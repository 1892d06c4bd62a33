#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a command and a call on one agent, and prints what happens.

Any language with gRPC can do this. The stubs are generated from protos/brood/v1:

    mkdir stubs
    protoc -I protos --python_out=stubs --grpc_out=stubs \\
        --plugin=protoc-gen-grpc=/usr/bin/grpc_python_plugin protos/brood/v1/*.proto
    PYTHONPATH=stubs python3 docs/examples/python_client.py unix:$XDG_RUNTIME_DIR/brood/agent.sock

(Debian packages: protobuf-compiler, protobuf-compiler-grpc, python3-grpcio, python3-protobuf.)
"""

import sys
import uuid

import grpc
from brood.v1 import host_service_pb2, host_service_pb2_grpc
from brood.v1 import job_pb2, job_service_pb2, job_service_pb2_grpc


def command(*words):
    """A job that runs a program."""
    spec = job_pb2.JobSpec()
    spec.command.argv.extend(word.encode() for word in words)
    return spec


def call(task, *words, mode=job_pb2.MODE_AUTO):
    """A job that calls a task; words are read as the types that the task declares."""
    spec = job_pb2.JobSpec(mode=mode)
    spec.call.task = task
    for word in words:
        spec.call.arguments.add(word=word)
    return spec


def run(jobs, specs):
    """Submits the specs in one call and yields (job id, event) as things happen."""
    run_id = uuid.uuid4().hex[:12]
    request = job_service_pb2.RunJobsRequest(include_output=True)
    for number, spec in enumerate(specs, 1):
        # The ids are ours: to submit twice starts once.
        request.jobs.add(job_id=f"{run_id}.{number}", spec=spec).spec.run_id = run_id
    for response in jobs.RunJobs(iter([request])):
        for answer in response.accepted:
            if answer.error_code:
                raise SystemExit(f"{answer.job_id} was refused: {answer.error_message}")
        for event in response.events:
            yield event.job_id, event


def main(target):
    with grpc.insecure_channel(target, options=[("grpc.default_authority", "localhost")]) as channel:
        host = host_service_pb2_grpc.HostServiceStub(channel).GetHost(
            host_service_pb2.GetHostRequest()
        ).host
        print(f"host {host.name}, brood {host.version}")
        jobs = job_service_pb2_grpc.JobServiceStub(channel)
        specs = [
            command("sh", "-c", "echo hello from a fork; exit 3"),
            call("demo.add", "python", "5", mode=job_pb2.MODE_THREAD),
            call("demo.add", "python", "5", mode=job_pb2.MODE_FORK),
        ]
        for job_id, event in run(jobs, specs):
            kind = event.WhichOneof("payload")
            line = f"{job_id.split('.')[1]} {kind}"
            if kind == "starting":
                line += f" {job_pb2.Mode.Name(event.starting.mode)}: {event.starting.reason}"
            elif kind == "started":
                line += f" pid {event.unit.pid}"
            elif kind == "output":
                line += f" {event.output.bytes.decode()!r}"
            elif kind == "exited" and event.exited.WhichOneof("result") == "returned":
                line += f" returned {event.exited.returned.value.int_value}"
            elif kind == "exited":
                line += f" code {event.exited.exit_code}"
            elif kind == "thread_ended":
                line += f" returned {event.thread_ended.returned.value.int_value}"
            print(line)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python_client.py unix:/PATH/agent.sock")
    main(sys.argv[1])
